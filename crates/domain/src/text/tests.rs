use proptest::prelude::*;

use super::*;

#[test]
fn a_name_is_trimmed_and_cut() {
    assert_eq!(username("  Ann  "), Some("Ann".into()));
    assert_eq!(username(&"é".repeat(70)), Some("é".repeat(64)));
    assert_eq!(username(&format!("{} b", "a".repeat(63))), Some("a".repeat(63)));
}

#[test]
fn what_cannot_be_seen_is_no_name() {
    for blank in ["", "   ", "\n\t", "\u{200B}\u{200B}", "\u{3164}", "\u{0007}", "\u{202E} "] {
        assert_eq!(username(blank), None, "{blank:?}");
    }
}

#[test]
fn control_and_direction_characters_go() {
    assert_eq!(chat("a\u{1b}[31mb\u{202E}c\r\nd"), Some("a[31mbcd".into()));
    assert_eq!(chat("👩\u{200D}🚀"), Some("👩\u{200D}🚀".into()));
}

proptest! {
    #[test]
    fn a_bounded_text_is_bounded_and_stays_as_it_is(text in "\\PC*|[ \\x00-\\x1f\u{202E}a]*", max in 1_usize..40) {
        if let Some(short) = bounded(&text, max) {
            prop_assert!(short.chars().count() <= max && !short.is_empty());
            prop_assert_eq!(short.trim(), &short);
            prop_assert!(!short.chars().any(char::is_control));
            prop_assert_eq!(bounded(&short, max), Some(short));
        }
    }
}

#[test]
fn names_of_servers_that_are_options_or_paths_are_refused() {
    let long = "ü".repeat(TITLE_CHARS_MAX + 1);
    for (name, error) in [
        (long.as_str(), ServerNameError::TooLong),
        ("a\0b", ServerNameError::ControlCharacters),
        ("a\nb", ServerNameError::ControlCharacters),
        ("\u{202E}abc", ServerNameError::ControlCharacters),
        ("-v", ServerNameError::Option),
        ("--name", ServerNameError::Option),
        (" --name", ServerNameError::Option),
        ("\u{200B}-x", ServerNameError::Option),
        ("/etc/passwd", ServerNameError::Path),
        ("../../etc/passwd", ServerNameError::Path),
        ("a/../b", ServerNameError::Path),
        ("~/x", ServerNameError::Path),
        ("./x", ServerNameError::Path),
        ("..", ServerNameError::Path),
        ("\\\\host\\share", ServerNameError::Path),
        ("..\\x", ServerNameError::Path),
    ] {
        assert_eq!(check_server_name(name), Err(error), "{name:?}");
    }
    let longest = "ü".repeat(TITLE_CHARS_MAX);
    for name in
        [longest.as_str(), "", "Ann's Game", "Ann/Bob", "a-b", "1 < 2 && 3", ".", "~ Ann ~", "$(id)", "🏎️"]
    {
        assert_eq!(check_server_name(name), Ok(()), "{name:?}");
    }
}

proptest! {
    #[test]
    fn a_name_that_passes_is_a_safe_argument(text in "[-+/.~\\\\ a\u{200B}\u{2212}\\x00-\\x1f]{0,70}") {
        if check_server_name(&text).is_ok() {
            prop_assert!(text.chars().count() <= TITLE_CHARS_MAX && !text.chars().any(char::is_control));
            let title = title(&text).unwrap_or_default();
            prop_assert!(!title.starts_with(['-', '+', '/', '@', '\u{2212}']), "{:?}", title);
            prop_assert!(!title.contains("../"), "{:?}", title);
        }
    }
}

#[test]
fn addresses_of_e_mail() {
    assert_eq!(email("  Ada.L+game@Example.ORG ").as_deref(), Some("ada.l+game@example.org"));
    assert_eq!(email("ada@localhost").as_deref(), Some("ada@localhost"));
    for bad in [
        "",
        "ada",
        "@b.c",
        "ada@",
        "a..b@c.d",
        ".a@c.d",
        "a b@c.d",
        "a@b..c",
        "a@-b.c",
        "a@b.c\r\nBcc: x@y.z",
        "é@b.c",
        "a@b_c",
        "<a@b.c>",
        "a@b@c.d",
    ] {
        assert_eq!(email(bad), None, "{bad:?}");
    }
    assert_eq!(email(&format!("{}@b.c", "a".repeat(65))), None);
    assert_eq!(email(&format!("a@{}.c", "b".repeat(300))), None);
}
