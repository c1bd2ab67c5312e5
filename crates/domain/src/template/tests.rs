use proptest::prelude::*;

use super::*;
use crate::settings::PortProtocol;

fn ports() -> Vec<ServerPort> {
    let port = |name: &str, port, count| ServerPort {
        name: name.into(),
        protocol: PortProtocol::Tcp,
        port,
        count,
        inner: None,
    };
    vec![port("default", 7000, 1), port("game", 7010, 3)]
}

fn settings() -> Vec<PortSettings> {
    let settings = |port: &ServerPort| PortSettings {
        name: port.name.clone(),
        protocol: port.protocol,
        count: port.count,
        fixed: None,
        inner: None,
    };
    ports().iter().map(settings).collect()
}

fn render(template: &str, title: Option<&str>) -> String {
    render_as(template, title, Some("AB3D"), false).unwrap()
}

fn render_as(template: &str, title: Option<&str>, code: Option<&str>, is_listed: bool) -> Option<String> {
    let ports = ports();
    let values = Values {
        greenroom: "/usr/bin/greenroom",
        name: "skirmish-abc",
        title,
        id: "s1",
        code,
        is_listed,
        version: "1.2",
        public_address: "203.0.113.7",
        region: "eu",
        ports: &ports,
    };
    Template::parse(template).unwrap().render(&values).unwrap()
}

#[test]
fn every_placeholder_becomes_its_value() {
    let all = "{greenroom} {port} {port:default} {port:game} {port:game+1} {name} {id} {code} {version} \
               {public_address} {region}";
    let expected = "/usr/bin/greenroom 7000 7000 7010 7011 skirmish-abc s1 AB3D 1.2 203.0.113.7 eu";
    assert_eq!(render(all, None), expected);
}

#[test]
fn a_condition_that_does_not_hold_leaves_the_whole_out() {
    let with = |template, code, is_listed| render_as(template, None, code, is_listed);
    assert_eq!(with("{if listed}--list", None, true).as_deref(), Some("--list"));
    assert_eq!(with("{if listed}--list", Some("AB3D"), false), None);
    assert_eq!(with("{if code}--game-id={code}", Some("AB3D"), false).as_deref(), Some("--game-id=AB3D"));
    assert_eq!(with("{if code}--game-id={code}", None, true), None);
    assert_eq!(with("{if code}{if listed}x", Some("AB3D"), true).as_deref(), Some("x"));
    assert_eq!(with("{if code}{if listed}x", Some("AB3D"), false), None);
    assert_eq!(with("{if code}", Some("AB3D"), false).as_deref(), Some(""));
    assert_eq!(with("{code}", None, false).as_deref(), Some(""));
}

#[test]
fn the_port_is_the_one_inside() {
    let mut ports = ports();
    ports[1].inner = Some(31400);
    let values = Values {
        greenroom: "",
        name: "",
        title: None,
        id: "",
        code: None,
        is_listed: false,
        version: "",
        public_address: "",
        region: "",
        ports: &ports,
    };
    let rendered = Template::parse("{port} {port:game} {port:game+2}").unwrap().render(&values).unwrap();
    assert_eq!(rendered.as_deref(), Some("7000 31400 31402"));
}

#[test]
fn a_doubled_brace_is_a_brace() {
    assert_eq!(render("{{\"id\": \"{id}\"}}", None), "{\"id\": \"s1\"}");
    assert_eq!(render("{{port}}", None), "{port}");
    assert_eq!(render("{{{port}}}", None), "{7000}");
}

#[test]
fn a_title_never_begins_an_option() {
    assert_eq!(render("{title}", Some("Ann's Game")), "Ann's Game");
    assert_eq!(render("{title}", Some(" --rm -rf")), "rm -rf");
    assert_eq!(render("{title}", Some("\u{200B}-- x")), "x");
    assert_eq!(render("{title}", Some("\u{202E}-x")), "x");
    assert_eq!(render("{title}", Some("a\0b\nc")), "abc");
    assert_eq!(render("{title}", Some("---")), "skirmish-abc");
    assert_eq!(render("{title}", None), "skirmish-abc");
    assert_eq!(render("--title={title}", Some("-x")), "--title=x");
}

#[test]
fn what_is_wrong_is_named() {
    let error = |text: &str| Template::parse(text).unwrap_err();
    assert_eq!(error("a {prot}"), TemplateError::Unknown("prot".into()));
    assert_eq!(error("{}"), TemplateError::Unknown(String::new()));
    assert_eq!(error("{port:}"), TemplateError::Unknown("port:".into()));
    assert_eq!(error("{port:a b}"), TemplateError::Unknown("port:a b".into()));
    assert_eq!(error("{port:a+-1}"), TemplateError::Unknown("port:a+-1".into()));
    assert_eq!(error("{port:a+}"), TemplateError::Unknown("port:a+".into()));
    assert_eq!(error("{port:a+99999}"), TemplateError::Unknown("port:a+99999".into()));
    assert_eq!(error("{portal}"), TemplateError::Unknown("portal".into()));
    assert_eq!(error("{if new}"), TemplateError::UnknownCondition("if new".into()));
    assert_eq!(error("{if }"), TemplateError::UnknownCondition("if ".into()));
    assert_eq!(error("{if}"), TemplateError::Unknown("if".into()));
    assert_eq!(error("-{if code}"), TemplateError::LateCondition("if code".into()));
    assert_eq!(error("{id}{if listed}"), TemplateError::LateCondition("if listed".into()));
    assert_eq!(error("ab{port"), TemplateError::Unclosed(2));
    assert_eq!(error("{port}}"), TemplateError::Unopened(6));
    assert_eq!(error("\0"), TemplateError::Nul);
    assert_eq!(error(&"x".repeat(TEMPLATE_BYTES_MAX + 1)), TemplateError::TooLong(TEMPLATE_BYTES_MAX + 1));
    assert!(error("a {prot}").to_string().starts_with("{prot} is no placeholder; there are {greenroom}"));
}

#[test]
fn ports_are_checked_against_the_fleet() {
    let check = |text| check(text, &settings());
    assert_eq!(check("{port:game+2}"), Ok(()));
    let unknown =
        TemplateError::UnknownPort { placeholder: "port:gmae".into(), ports: "default, game".into() };
    assert_eq!(check("{port:gmae}"), Err(unknown));
    let beyond = TemplateError::PortBeyondCount { placeholder: "port:game+3".into(), count: 3 };
    assert_eq!(check("{port:game+3}"), Err(beyond));
    assert!(Template::parse("{port}").unwrap().check_ports(&[]).is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = Template::parse(&text);
    }

    #[test]
    fn escaped_text_comes_out_as_it_was(text in "[^\\x00]{0,200}") {
        let escaped = text.replace('{', "{{").replace('}', "}}");
        prop_assert_eq!(render(&escaped, None), text);
    }

    #[test]
    fn a_condition_changes_nothing_of_the_rest(
        text in "[^\\x00]{0,100}", code in proptest::option::of("[A-Z2-9]{4}"), is_listed: bool,
    ) {
        let escaped = text.replace('{', "{{").replace('}', "}}");
        let listed = render_as(&format!("{{if listed}}{escaped}"), None, code.as_deref(), is_listed);
        prop_assert_eq!(listed, is_listed.then(|| text.clone()));
        let coded = render_as(&format!("{{if code}}{escaped}"), None, code.as_deref(), is_listed);
        prop_assert_eq!(coded, code.is_some().then(|| text.clone()));
    }

    #[test]
    fn no_title_begins_an_option(text in "[-+/@ a\u{200B}\u{202E}\u{2212}\\x00-\\x1f]{0,12}") {
        let title = render("{title}", Some(&text));
        prop_assert!(!title.starts_with(['-', '+', '/', '@', '\u{2212}', ' ']), "{:?}", title);
        prop_assert!(!title.is_empty() && !title.chars().any(char::is_control));
    }
}
