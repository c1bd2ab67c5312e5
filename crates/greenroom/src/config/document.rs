//! The example file and the reference page, made of the declarations of the settings.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::{
    DEFAULT, describe,
    reader::{Description, Key, Shape, TableKey, join},
};

/// Longest line of the example file's comments.
const LINE_CHARACTERS_MAX: usize = 100;

/// A whole configuration file: what `dev` runs with, every other setting as a comment with its default.
pub fn example() -> String {
    let values: Table = DEFAULT.parse().unwrap_or_default();
    let mut out = String::from(
        "# A configuration of Greenroom. What is commented out has the value that is shown.\n\
         # The environment overrides it: GREENROOM_LISTEN is `listen`, and two underscores go one section deeper:\n\
         # GREENROOM_GAMES__SKIRMISH__FLEET__READY_MIN is `ready_min` of [games.skirmish.fleet].\n\
         # A secret is a text, { file = \"…\" } or { env = \"…\" }.\n",
    );
    example_of(&mut out, "", &describe(), Some(&values));
    out
}

/// The reference page of all settings, in Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         <!-- Made of the settings' declarations in the code. `cargo xtask golden` writes it anew. -->\n\n\
         `greenroom serve --config greenroom.toml` reads one file of TOML; `greenroom dev` runs without one. \
         `greenroom config example` prints a file to begin with, and `greenroom config check` tells everything \
         that is wrong with one, at once and with the path of each key. A key that is not on this page is an \
         error. Nothing is opened before the whole file was checked.\n\n\
         The environment overrides the file: `GREENROOM_LISTEN` is `listen`, and two underscores go one section \
         deeper: `GREENROOM_GAMES__SKIRMISH__FLEET__READY_MIN` is `games.skirmish.fleet.ready_min`. What is no \
         text in the file is written in the variable as in the file.\n\n\
         Durations are texts with units (`\"500ms\"`, `\"30s\"`, `\"4h\"`, `\"30d\"`), and so are sizes \
         (`\"64KiB\"`, `\"1GiB\"`) and rates (`\"20/s\"`, `\"120/min\"`, `\"1000/h\"`). A secret is a text, \
         `{ file = \"…\" }` (a last line break is not part of it), or `{ env = \"…\" }`.\n",
    );
    reference_of(&mut out, "", &describe());
    out
}

/// A section and all below it. `values` is missing where a section around it is not there: then nothing is set.
fn example_of(out: &mut String, path: &str, section: &Description, values: Option<&Table>) {
    let value_of = |name: &str| values.and_then(|values| values.get(name));
    for key in &section.keys {
        out.push('\n');
        comment(out, key.doc);
        let value = value_of(key.name).map(ToString::to_string);
        let absent = format!("# {} =", key.name);
        let _ = match (value, key.default) {
            (Some(value), _) => writeln!(out, "{} = {value}", key.name),
            (None, Some("")) => writeln!(out, "{absent}"),
            (None, Some(default)) => writeln!(out, "{absent} {default}"),
            (None, None) => writeln!(out, "{absent} …"),
        };
    }
    for list in section.tables.iter().filter(|table| table.shape == Shape::List) {
        out.push('\n');
        comment(out, list.section.doc);
        for key in &list.section.keys {
            let _ = writeln!(out, "#   {}: {}", key.name, key.doc.join("").trim());
        }
        if let Some(value) = value_of(list.name) {
            let _ = writeln!(out, "{} = {value}", list.name);
        }
    }
    for table in section.tables.iter().filter(|table| table.shape != Shape::List) {
        example_below(out, path, table, values);
    }
}

fn example_below(out: &mut String, path: &str, table: &TableKey, values: Option<&Table>) {
    let path = join(path, table.name);
    let below = values.and_then(|values| values.get(table.name)).and_then(Value::as_table);
    if table.shape == Shape::ById {
        for (id, values) in below.into_iter().flatten() {
            if let Some(values) = values.as_table() {
                header(out, &join(&path, id), &table.section, true);
                example_of(out, &join(&path, id), &table.section, Some(values));
            }
        }
    } else {
        // What is off unless it is there must not be there.
        let is_there = below.is_some() || (values.is_some() && table.shape != Shape::Optional);
        header(out, &path, &table.section, is_there);
        let nothing = Table::new();
        example_of(out, &path, &table.section, is_there.then(|| below.unwrap_or(&nothing)));
    }
}

fn header(out: &mut String, path: &str, section: &Description, is_there: bool) {
    out.push('\n');
    comment(out, section.doc);
    let _ = writeln!(out, "{}[{path}]", if is_there { "" } else { "# " });
}

/// The documentation as comments, broken anew at the longest line.
fn comment(out: &mut String, doc: &[&str]) {
    let mut line = String::from("#");
    for word in doc.iter().flat_map(|line| line.split_whitespace()) {
        if line.chars().count() + 1 + word.chars().count() > LINE_CHARACTERS_MAX {
            let _ = writeln!(out, "{line}");
            line = String::from("#");
        }
        let _ = write!(line, " {word}");
    }
    let _ = writeln!(out, "{line}");
}

fn reference_of(out: &mut String, path: &str, section: &Description) {
    let title = if path.is_empty() { "At the top".to_owned() } else { format!("`[{path}]`") };
    let doc = sentence(section.doc);
    let _ = write!(out, "\n## {title}\n\n{doc}\n\n");
    if section.keys.is_empty() {
        out.push_str("It has no settings of its own.\n");
    } else {
        out.push_str("| key | expected | default | |\n| --- | --- | --- | --- |\n");
    }
    for key in &section.keys {
        row(out, key);
    }
    for table in &section.tables {
        let path = join(path, table.name);
        let path = match table.shape {
            Shape::One | Shape::Optional => path,
            Shape::ById => join(&path, "<id>"),
            Shape::List => format!("[{path}]"),
        };
        reference_of(out, &path, &table.section);
    }
}

fn row(out: &mut String, key: &Key) {
    let default = match key.default {
        None => "must be set".to_owned(),
        Some("") => "not set".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    let expected = key.expected.replace('|', "\\|");
    let doc = sentence(key.doc).replace('|', "\\|");
    let _ = writeln!(out, "| `{}` | {expected} | {default} | {doc} |", key.name);
}

fn sentence(doc: &[&str]) -> String {
    let words: Vec<_> = doc.iter().flat_map(|line| line.split_whitespace()).collect();
    words.join(" ").replace('<', "&lt;")
}
