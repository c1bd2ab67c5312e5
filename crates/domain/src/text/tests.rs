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
