//! What is typed, key by key.

use std::{
    future,
    io::{self, Read as _},
    thread,
};

use anyhow::Context as _;
use rustix::termios::isatty;
use tokio::sync::mpsc;

/// Most bytes that are read at once; a paste is read in parts.
const READ_BYTES: usize = 256;

/// Keys that wait; whoever types faster waits for the screen.
const KEYS_MAX: usize = 64;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    /// Ctrl-C.
    Interrupt,
}

/// The keys of standard input, where that is a terminal; none else.
pub(crate) struct Keys {
    typed: Option<mpsc::Receiver<Key>>,
}

impl Keys {
    /// Reads from here on, in a thread of its own: a terminal cannot be waited for without changing it for the
    /// shell as well. The thread ends with the program.
    pub(crate) fn open() -> anyhow::Result<Self> {
        if !isatty(io::stdin()) {
            return Ok(Self { typed: None });
        }
        let (sender, typed) = mpsc::channel(KEYS_MAX);
        let read = thread::Builder::new().name("keys".into()).spawn(move || {
            let mut bytes = [0; READ_BYTES];
            while let Ok(count @ 1..) = io::stdin().read(&mut bytes) {
                if parsed(&bytes[..count]).into_iter().any(|key| sender.blocking_send(key).is_err()) {
                    return;
                }
            }
        });
        read.context("standard input cannot be read")?;
        Ok(Self { typed: Some(typed) })
    }

    /// The next key. Waits for ever without a terminal, and after its end: then a signal ends the program.
    pub(crate) async fn next(&mut self) -> Key {
        if let Some(typed) = &mut self.typed
            && let Some(key) = typed.recv().await
        {
            return key;
        }
        self.typed = None;
        future::pending().await
    }
}

/// The keys of what one read gave: a terminal sends each whole.
fn parsed(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while !bytes.is_empty() {
        let (key, length) = first(bytes);
        keys.extend(key);
        bytes = &bytes[length..];
    }
    keys
}

fn first(bytes: &[u8]) -> (Option<Key>, usize) {
    const SEQUENCES: [(&[u8], Key); 14] = [
        (b"\x1b[A", Key::Up),
        (b"\x1b[B", Key::Down),
        (b"\x1b[C", Key::Right),
        (b"\x1b[D", Key::Left),
        (b"\x1bOA", Key::Up),
        (b"\x1bOB", Key::Down),
        (b"\x1bOC", Key::Right),
        (b"\x1bOD", Key::Left),
        (b"\x1b[5~", Key::PageUp),
        (b"\x1b[6~", Key::PageDown),
        (b"\x1b[H", Key::Home),
        (b"\x1b[1~", Key::Home),
        (b"\x1b[F", Key::End),
        (b"\x1b[4~", Key::End),
    ];
    if let Some((sequence, key)) = SEQUENCES.iter().find(|(sequence, _)| bytes.starts_with(sequence)) {
        return (Some(*key), sequence.len());
    }
    match bytes[0] {
        0x03 => (Some(Key::Interrupt), 1),
        b'\r' | b'\n' => (Some(Key::Enter), 1),
        0x08 | 0x7f => (Some(Key::Backspace), 1),
        0x1b if bytes.len() == 1 => (Some(Key::Escape), 1),
        // A sequence that means nothing here: its letter, and what is before it, is no key either.
        0x1b => {
            let end = bytes.iter().skip(2).position(|byte| (0x40..=0x7e).contains(byte));
            (None, end.map_or(bytes.len(), |end| end + 3))
        }
        0x00..=0x1f => (None, 1),
        _ => {
            let length = bytes.len().min(4);
            let text = (1..=length).rev().find_map(|end| std::str::from_utf8(&bytes[..end]).ok());
            match text.and_then(|text| text.chars().next()) {
                Some(character) => (Some(Key::Char(character)), character.len_utf8()),
                None => (None, 1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_what_the_terminal_sends() {
        assert_eq!(parsed(b"q\x1b[A\x1b[6~"), [Key::Char('q'), Key::Up, Key::PageDown]);
        assert_eq!(parsed("é日".as_bytes()), [Key::Char('é'), Key::Char('日')]);
        assert_eq!(parsed(b"\x03\x7f\r\x1b"), [Key::Interrupt, Key::Backspace, Key::Enter, Key::Escape]);
        assert_eq!(parsed(b"\x1b[200~a"), [Key::Char('a')], "what is not known is passed over");
        assert_eq!(parsed(b"\xff\x01"), []);
    }
}
