//! What people and programs read: lines and tables on standard output, errors on standard error. Colours only
//! where a terminal shows them.

use std::{
    io::{self, Write as _},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use comfy_table::{Table, presets::NOTHING};
use owo_colors::OwoColorize as _;
use serde::Serialize;

/// Why standard output could not be written, the first time.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();
/// Whether its reader went away.
static READER_GONE: AtomicBool = AtomicBool::new(false);

/// Writes one line. A reader that went away (`| head`) is no error; for any other see [`unwritten`].
pub(crate) fn line(text: &str) {
    wrote(writeln!(anstream::stdout(), "{text}"));
}

/// Takes in how writing to standard output went; whether there is anybody to write for.
pub(crate) fn wrote(outcome: io::Result<()>) -> bool {
    let Err(error) = outcome else { return true };
    if error.kind() == io::ErrorKind::BrokenPipe {
        READER_GONE.store(true, Ordering::Relaxed);
    } else {
        // Only the first is told: the others are for the same reason.
        let _ = UNWRITTEN.set(error);
    }
    false
}

/// Whether whoever read standard output has gone away: what goes on for ever ends then.
pub(crate) fn has_no_reader() -> bool {
    READER_GONE.load(Ordering::Relaxed) || UNWRITTEN.get().is_some()
}

/// Why not everything that was to be on standard output is there, such as a full disk.
pub(crate) fn unwritten() -> Option<&'static io::Error> {
    UNWRITTEN.get()
}

/// Writes a JSON document.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Writes a table for people.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    for row in table_lines(header, rows) {
        line(&row);
    }
}

/// The lines of a table for people.
pub(crate) fn table_lines<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Vec<String> {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|row| row.trim_end().to_owned()).collect()
}

/// Writes names and values below each other.
pub(crate) fn pairs(pairs: &[(&str, String)]) {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, value) in pairs {
        let name = format!("{name:width$}");
        line(&format!("{}  {}", name.dimmed(), printable(value)));
    }
}

/// Writes why it failed.
pub(crate) fn error(sentence: &str) {
    let _nowhere_else_to_say_it = writeln!(anstream::stderr(), "{} {sentence}", "error:".red().bold());
}

/// Writes what is not as it should be, and did not keep the command from what it was to do.
pub(crate) fn warning(sentence: &str) {
    let _nowhere_else_to_say_it = writeln!(anstream::stderr(), "{} {sentence}", "warning:".yellow().bold());
}

/// Writes what people should know and programs that read the output should not have to skip.
pub(crate) fn note(sentence: &str) {
    let _nowhere_else_to_say_it = writeln!(anstream::stderr(), "{sentence}");
}

/// `text` without control characters: a name that a player chose must not move the cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
