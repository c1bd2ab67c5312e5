use std::{env, process::Command};

use super::*;

#[expect(dead_code, reason = "the tests of the program use more of it")]
#[path = "../../tests/command_line/pty.rs"]
mod pty;

/// Makes the test itself the program that panics.
const PANICS: &str = "TEST_SCREEN_PANICS";

#[tokio::test]
async fn a_panic_gives_the_terminal_back_and_is_read_on_it() {
    if env::var_os(PANICS).is_some() {
        let mut screen = Screen::open().unwrap();
        screen.paint(&[Line::plain("painted".into())]).unwrap();
        panic!("the reason");
    }
    let mut command = Command::new(env::current_exe().unwrap());
    let name = "screen::tests::a_panic_gives_the_terminal_back_and_is_read_on_it";
    command.env(PANICS, "1").args(["--exact", name, "--nocapture"]);
    let mut pty = pty::Pty::start(command, 80, 24);
    pty.until("painted").await;
    pty.until("the reason").await;
    let shown = pty.shown();
    assert!(shown.find(LEAVE).unwrap() < shown.find("the reason").unwrap(), "{shown:?}");
    pty.ended().await;
    assert!(pty.is_as_before());
}

#[test]
fn a_frame_writes_over_what_was_there_and_clears_only_the_rest() {
    let lines = ["one", "a longer line", "three"].map(|text| Line::plain(text.into()));
    let frame = frame(&lines, 8, 2);
    assert_eq!(frame, "\x1b[?2026h\x1b[Hone\x1b[K\r\na longer\x1b[K\x1b[J\x1b[?2026l");
    assert!(!frame.contains("\x1b[2J"), "a cleared screen flickers");
}
