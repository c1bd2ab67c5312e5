//! What people and programs read: lines and tables on standard output, errors on standard error. Colours only
//! where a terminal shows them.

use std::io::Write as _;

use comfy_table::{Table, presets::NOTHING};
use owo_colors::OwoColorize as _;
use serde::Serialize;

/// Writes one line. A reader that went away (`| head`) is no error.
pub(crate) fn line(text: &str) {
    let _reader_went_away = writeln!(anstream::stdout(), "{text}");
}

/// Writes a JSON document.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Writes a table for people.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    for row in table.lines() {
        line(row.trim_end());
    }
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

/// `text` without control characters: a name that a player chose must not move the cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
