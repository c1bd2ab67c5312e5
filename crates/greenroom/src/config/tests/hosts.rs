//! Hosts, and how their engines are reached.

use greenroom_fleet::docker::Endpoint;

use super::*;

const IN_CONTAINERS: &str = "provider = \"docker\"\ncontainer = { image = \"studio/game\" }";

fn host(id: &str) -> greenroom_protocol::HostId {
    greenroom_protocol::HostId::new(id).unwrap()
}

#[test]
fn without_a_host_the_engine_of_this_machine_is_one_where_there_are_containers() {
    let settings = |text: &str| parsed(text, []).settings("127.0.0.1:4700".parse().unwrap());
    assert!(settings(DEFAULT).hosts.is_empty());
    assert!(parsed(DEFAULT, []).docker_engines("i", "/c".as_ref()).is_empty());
    let text = fleet(&format!("{IN_CONTAINERS}\nregions = [\"eu\"]"));
    let found = settings(&text).hosts;
    assert_eq!(found[&host("docker")].region.as_str(), "eu");
    let engines = parsed(&text, []).docker_engines("i", "/c".as_ref());
    assert_eq!(engines[0].endpoint.to_string(), "unix:///var/run/docker.sock");
    assert_eq!(engines[0].records_dir, PathBuf::from("/c/docker"));
}

#[test]
fn hosts_are_read_and_what_does_not_fit_is_told() {
    let hosts = "\n[hosts.big]\ndocker = \"tcp://192.0.2.10:2375\"\nregion = \"eu\"\nservers_max = 7\n\
                 public_address = \"big.example\"\n";
    let text = format!("{}{hosts}", fleet(&format!("{IN_CONTAINERS}\nregions = [\"eu\"]")));
    let settings = parsed(&text, []).settings("127.0.0.1:4700".parse().unwrap());
    let big = &settings.hosts[&host("big")];
    assert_eq!((big.servers_max, big.public_address.as_deref()), (7, Some("big.example")));

    let text = format!("{}{hosts}", fleet(&format!("{IN_CONTAINERS}\nregions = [\"eu\", \"us\"]")));
    let expected = "games.skirmish.fleet.regions: no host stands in us, but in eu; add one by [hosts.<name>] with \
                    region = \"us\"";
    assert_eq!(errors(&text), [expected]);

    for (lines, expected) in [
        ("[hosts.local]\ndocker = \"unix:///d.sock\"", "hosts.local: the name is Greenroom's own"),
        (
            "[hosts.hosting-api-x]\ndocker = \"unix:///d.sock\"",
            "hosts.hosting-api-x: the name is Greenroom's own",
        ),
        ("[hosts.a]\ndocker = \"ssh://x\"", "hosts.a.docker: \"ssh://x\" is no address of an engine"),
        ("[hosts.a]\ndocker = \"unix:///d.sock\"\nservers_max = 0", "hosts.a.servers_max: it is 0"),
        (
            "[hosts.a]\ndocker = \"unix:///d.sock\"\n[hosts.b]\ndocker = \"unix:///d.sock\"",
            "hosts.b.docker: it is the engine of host a already",
        ),
    ] {
        let found = errors(&format!("{DEFAULT}\n{lines}\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn tls_of_a_host_is_read_and_what_does_not_fit_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["engine".to_owned()]).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (at("certificate.pem"), at("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let host =
        |docker: &str, tls: &str| format!("{DEFAULT}\n[hosts.a]\ndocker = \"{docker}\"\ntls = {{ {tls} }}\n");
    let tcp = "tcp://192.0.2.10:2376";
    let ca = format!("ca = {certificate:?}");
    for tls in [ca.clone(), format!("{ca}, certificate = {certificate:?}, key = {key:?}")] {
        let engines = parsed(&host(tcp, &tls), []).docker_engines("i", "/c".as_ref());
        let Endpoint::Tcp { tls: Some(read), .. } = &engines[0].endpoint else { panic!("{engines:?}") };
        assert_eq!(
            (read.ca.display().to_string(), read.identity.is_some()),
            (certificate.clone(), tls != ca)
        );
    }
    for (docker, tls, expected) in [
        ("unix:///d.sock", ca.clone(), "hosts.a.tls: it is there, but the engine is a socket"),
        (tcp, String::new(), "hosts.a.tls.ca: it is missing"),
        (tcp, format!("{ca}, key = {key:?}"), "hosts.a.tls.certificate: it is missing, and key is there"),
        (tcp, format!("{ca}, certificate = {certificate:?}"), "hosts.a.tls.key: it is missing"),
        (tcp, "ca = \"none.pem\"".into(), "hosts.a.tls.ca: there is no file none.pem; expected a PEM file"),
        (tcp, format!("ca = {key:?}"), "hosts.a.tls.ca: "),
        (tcp, format!("{ca}, certificate = {certificate:?}, key = {certificate:?}"), "hosts.a.tls.key: "),
    ] {
        let found = errors(&host(docker, &tls));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    }
    let registry = |lines: &str| errors(&format!("{DEFAULT}\n[registries.\"a.b\"]\n{lines}")).join("\n");
    assert!(registry("ca = \"none.pem\"").contains("registries.a.b.ca: there is no file none.pem"));
    assert!(registry(&format!("{ca}\nurl = \"http://a.b\"")).contains("registries.a.b.ca: it is there"));
}

#[test]
fn readiness_that_cannot_be_seen_on_another_machine_is_told() {
    let udp = "ports = [{ name = \"default\", protocol = \"udp\" }]";
    let text = |host: &str, ready: &str, ports: &str| {
        let lines = format!("{IN_CONTAINERS}\nready = \"{ready}\"\nregions = [\"eu\"]\n{ports}");
        format!(
            "{}\n[hosts.far]\ndocker = \"{host}\"\nregion = \"eu\"\n[hosts.other]\ndocker = \"tcp://192.0.2.9:1\"\n",
            fleet(&lines)
        )
    };
    let found = errors(&text("tcp://192.0.2.10:2376", "listening", udp));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("games.skirmish.fleet.ready: \"listening\" cannot see the UDP ports"));
    assert!(found[0].contains("and far is one"), "{found:?}");
    // Where it can be, or nobody knows: what a name means is seen only where it is asked.
    for (host, ready, ports) in [
        ("tcp://192.0.2.10:2376", "log:up", udp),
        ("tcp://192.0.2.10:2376", "listening", ""),
        ("tcp://proxy:2375", "listening", udp),
        ("tcp://127.0.0.1:2375", "listening", udp),
        ("unix:///d.sock", "listening", udp),
    ] {
        parsed(&text(host, ready, ports), []);
    }
}

#[test]
fn players_are_told_the_machine_of_an_engine_where_that_is_another_one() {
    let address = |docker: &str| {
        let text = format!("{DEFAULT}\n[hosts.a]\ndocker = \"{docker}\"\n");
        parsed(&text, []).settings("127.0.0.1:4700".parse().unwrap()).hosts[&host("a")].public_address.clone()
    };
    assert_eq!(address("tcp://192.0.2.10:2376").as_deref(), Some("192.0.2.10"));
    assert_eq!(address("tcp://eu.example:2376").as_deref(), Some("eu.example"));
    assert_eq!(address("tcp://[2001:db8::1]:2376").as_deref(), Some("2001:db8::1"));
    for ours in ["tcp://127.0.0.1:2375", "tcp://localhost:2375", "tcp://proxy:2375", "unix:///d.sock"] {
        assert_eq!(address(ours), None, "{ours}");
    }
}
