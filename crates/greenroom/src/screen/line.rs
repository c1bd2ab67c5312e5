//! A line of a screen: texts, each with a style.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

use crate::output;

/// How a text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    /// As the terminal has it.
    #[default]
    Plain,
    /// A heading.
    Bold,
    /// Beside the matter.
    Dim,
    /// As it should be.
    Good,
    /// To be looked at.
    Warning,
    /// Wrong.
    Bad,
    /// The one that is chosen.
    Chosen,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
            Self::Chosen => "7",
        }
    }
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    spans: Vec<(Style, String)>,
}

impl Line {
    pub(crate) fn plain(text: String) -> Self {
        Self::of(Style::Plain, text)
    }

    pub(crate) fn dim(text: String) -> Self {
        Self::of(Style::Dim, text)
    }

    pub(crate) fn bold(text: String) -> Self {
        Self::of(Style::Bold, text)
    }

    pub(crate) fn bad(text: String) -> Self {
        Self::of(Style::Bad, text)
    }

    pub(crate) fn of(style: Style, text: impl Into<String>) -> Self {
        Self { spans: vec![(style, text.into())] }
    }

    /// With a further text at its end.
    pub(crate) fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.spans.push((style, text.into()));
        self
    }

    /// Its texts without their styles.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        self.spans.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Writes what fits `columns`.
    pub(super) fn write(&self, out: &mut String, columns: usize) {
        let mut left = columns;
        for (style, text) in &self.spans {
            // A name that a player chose must not move the cursor.
            let text = output::printable(text);
            let text = fitting(&text, &mut left);
            if text.is_empty() {
                continue;
            }
            match style.code() {
                "" => out.push_str(text),
                code => {
                    let _ = write!(out, "\x1b[{code}m{text}\x1b[0m");
                }
            }
        }
    }
}

/// `text` as a column of a table: cut, or filled with spaces, to `width` columns.
pub(crate) fn column(text: &str, width: usize) -> String {
    let mut left = width;
    let fitting = fitting(text, &mut left);
    format!("{fitting}{}", " ".repeat(left))
}

fn fitting<'a>(text: &'a str, left: &mut usize) -> &'a str {
    for (index, character) in text.char_indices() {
        let width = character.width().unwrap_or(0);
        if width > *left {
            // Nothing after it is shown either.
            let shown = &text[..index];
            if *left > 0 && !shown.is_empty() {
                *left = 0;
            }
            return shown;
        }
        *left -= width;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &Line, columns: usize) -> String {
        let mut out = String::new();
        line.write(&mut out, columns);
        out
    }

    #[test]
    fn a_line_is_cut_by_the_columns_that_it_takes() {
        let line = Line::plain("日本".into()).and(Style::Bad, "abc");
        assert_eq!(written(&line, 6), "日本\x1b[31mab\x1b[0m");
        assert_eq!(written(&line, 3), "日");
        assert_eq!(written(&line, 80), "日本\x1b[31mabc\x1b[0m");
    }

    #[test]
    fn a_text_cannot_move_the_cursor() {
        assert_eq!(written(&Line::plain("a\x1b[2Jb".into()), 80), "a\u{fffd}[2Jb");
    }

    #[test]
    fn a_column_has_its_width() {
        assert_eq!((column("ab", 4), column("abcdef", 4)), ("ab  ".into(), "abcd".into()));
    }
}
