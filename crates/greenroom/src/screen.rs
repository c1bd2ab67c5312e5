//! A terminal that is written in place: painted without flicker, and left as it was found, however the program ends.

mod keys;
mod line;

use std::{
    io::{self, Write as _},
    panic,
    sync::{Mutex, Once, PoisonError},
};

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) use keys::{Key, Keys};
pub(crate) use line::{Line, Style, column};

/// The other buffer of the terminal, without a cursor: what stood there comes back afterwards.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// What is between is shown at once, by terminals that know it; others pass over it.
const BEGIN: &str = "\x1b[?2026h\x1b[H";
const END: &str = "\x1b[J\x1b[?2026l";
/// Of a terminal that does not tell its size.
const SIZE_DEFAULT: (u16, u16) = (80, 24);

/// How the terminal was before it was taken, as long as it is.
static TAKEN: Mutex<Option<Before>> = Mutex::new(None);
static PANICS: Once = Once::new();

struct Before {
    /// Of standard input, where that is a terminal.
    input: Option<Termios>,
}

/// The terminal of standard output, for as long as this is held.
pub(crate) struct Screen {
    resizes: Signal,
    /// The last frame, so that nothing is written when nothing has changed.
    painted: String,
}

impl Screen {
    /// Takes the terminal. Keys are no longer shown, and Ctrl-C is one of them.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let resizes = signal(SignalKind::window_change()).context("cannot receive signals")?;
        PANICS.call_once(|| {
            let hook = panic::take_hook();
            // What a panic says must not vanish with the other buffer.
            panic::set_hook(Box::new(move |panic| {
                give_back();
                hook(panic);
            }));
        });
        let input = if isatty(io::stdin()) {
            let before = tcgetattr(io::stdin())?;
            let mut raw = before.clone();
            raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
            tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
            Some(before)
        } else {
            None
        };
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Before { input });
        let screen = Self { resizes, painted: String::new() };
        write(ENTER).context("the terminal cannot be written")?;
        Ok(screen)
    }

    /// Columns and rows.
    pub(crate) fn size() -> (usize, usize) {
        let told = tcgetwinsize(io::stdout()).ok().map(|size| (size.ws_col, size.ws_row));
        let (columns, rows) =
            told.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(SIZE_DEFAULT);
        (columns.into(), rows.into())
    }

    /// Shows `lines` from the top; what does not fit is left out.
    pub(crate) fn paint(&mut self, lines: &[Line]) -> anyhow::Result<()> {
        let (columns, rows) = Self::size();
        let frame = frame(lines, columns, rows);
        if frame != self.painted {
            write(&frame).context("the terminal cannot be written")?;
            self.painted = frame;
        }
        Ok(())
    }

    /// Waits until the terminal has another size.
    pub(crate) async fn resized(&mut self) {
        let _ = self.resizes.recv().await;
        // A terminal may have lost what stood on it.
        self.painted.clear();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Somebody asks for the end from outside: SIGINT, SIGTERM, SIGHUP.
pub(crate) struct Stop {
    signals: [Signal; 3],
}

impl Stop {
    /// From here on these signals end no program by themselves.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let signal = |kind| signal(kind).context("cannot receive signals");
        let signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        Ok(Self { signals })
    }

    /// Waits until one comes.
    pub(crate) async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The bytes that show `lines`: each line is written over the one before it, and the rest of it cleared.
fn frame(lines: &[Line], columns: usize, rows: usize) -> String {
    let mut frame = String::from(BEGIN);
    for (index, line) in lines.iter().take(rows).enumerate() {
        if index > 0 {
            frame.push_str("\r\n");
        }
        line.write(&mut frame, columns);
        frame.push_str("\x1b[K");
    }
    frame.push_str(END);
    frame
}

fn give_back() {
    let Some(before) = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let _nobody_to_tell = write(LEAVE);
    if let Some(input) = before.input {
        let _nobody_to_tell = tcsetattr(io::stdin(), OptionalActions::Now, &input);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests;
