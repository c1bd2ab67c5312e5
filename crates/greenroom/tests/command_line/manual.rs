//! Completions and manual pages.

use std::fs;

use crate::{greenroom, told};

#[test]
fn every_shell_is_completed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, error) = told(&greenroom().args(["completions", shell]).output().unwrap());
        assert_eq!(code, Some(0), "{error}");
        assert!(out.contains("allocate") && out.contains("completions"), "{shell}: {out}");
    }
    assert_eq!(greenroom().args(["completions", "cmd"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("share/man1");
    let (code, said, error) = told(&greenroom().args(["man", "--out"]).arg(&out).output().unwrap());
    assert_eq!(code, Some(0), "{error}");
    let pages: Vec<_> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(said.starts_with(&format!("{} pages", pages.len())), "{said}");
    for page in ["greenroom.1", "greenroom-serve.1", "greenroom-players-ban.1"] {
        let text = fs::read_to_string(out.join(page)).unwrap();
        assert!(text.contains(".TH") && text.contains(".SH NAME"), "{page}: {text}");
    }
    // What Greenroom starts by itself is nobody's to read about.
    assert!(!pages.iter().any(|page| page.contains("supervise") || page.contains("help")), "{pages:?}");
    let (code, one, _) = told(&greenroom().arg("man").output().unwrap());
    assert_eq!((code, one), (Some(0), fs::read_to_string(out.join("greenroom.1")).unwrap()));
    let (code, _, error) = told(&greenroom().args(["man", "--out", "/dev/null/x"]).output().unwrap());
    assert_eq!(code, Some(1), "{error}");
}
