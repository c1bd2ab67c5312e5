//! What mails say: templates of our own, which files of an operator's folder take the place of.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

/// Largest file of a text, in bytes.
const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// How every text begins.
const SUBJECT: &str = "Subject:";

/// The kinds of mails. Each is a file `<name>.txt` in an operator's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// Asks to confirm the address of a new account.
    Confirm,
    /// Tells that the address has an account already.
    Known,
    /// Asks to confirm an address for an account that is there.
    Link,
    /// Brings the link to a new password.
    Reset,
    /// Tells that the password was changed.
    Changed,
}

impl Text {
    const ALL: [Self; 5] = [Self::Confirm, Self::Known, Self::Link, Self::Reset, Self::Changed];

    const fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Known => "known",
            Self::Link => "link",
            Self::Reset => "reset",
            Self::Changed => "changed",
        }
    }

    const fn own(self) -> &'static str {
        match self {
            Self::Confirm => include_str!("texts/confirm.txt"),
            Self::Known => include_str!("texts/known.txt"),
            Self::Link => include_str!("texts/link.txt"),
            Self::Reset => include_str!("texts/reset.txt"),
            Self::Changed => include_str!("texts/changed.txt"),
        }
    }
}

/// What a text can name.
#[derive(Clone, Debug, Serialize)]
pub struct Said<'a> {
    /// The game's id.
    pub game: &'a str,
    /// The player's name; empty where there is none.
    pub username: &'a str,
    /// Where the reader is to go; empty where there is no such place.
    pub link: &'a str,
    /// How many hours the link is good; 0 where there is none.
    pub hours: u64,
}

/// A text of an operator's that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The folder is not there.
    #[error("there is no folder {0}")]
    NoFolder(PathBuf),
    /// The file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    /// It is no text of a mail.
    #[error(
        "{0} begins with no subject; expected `Subject: …` in the first line, an empty line, and the text"
    )]
    NoSubject(PathBuf),
    /// It is no template, or names what it is not given.
    #[error("{0} is no template: {1}; it can name game, username, link and hours")]
    Template(PathBuf, minijinja::Error),
}

/// The texts of all mails. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Texts(Arc<Environment<'static>>);

impl Default for Texts {
    /// Our own.
    fn default() -> Self {
        let mut environment = empty();
        for text in Text::ALL {
            // A test renders each.
            let _ = environment.add_template(text.name(), text.own());
        }
        Self(Arc::new(environment))
    }
}

impl Texts {
    /// Our own, but for those that `folder` has a file of. Each is tried once.
    pub fn open(folder: &Path) -> Result<Self, TextError> {
        if !folder.is_dir() {
            return Err(TextError::NoFolder(folder.to_owned()));
        }
        let mut environment = empty();
        for text in Text::ALL {
            let path = folder.join(format!("{}.txt", text.name()));
            let source = match read(&path) {
                Ok(source) => source,
                Err(error) if error.kind() == io::ErrorKind::NotFound => text.own().to_owned(),
                Err(error) => return Err(TextError::Unreadable(path, error)),
            };
            let sample = Said { game: "game", username: "name", link: "https://example.test/", hours: 1 };
            let tried = environment
                .add_template_owned(text.name(), source)
                .and_then(|()| environment.get_template(text.name())?.render(&sample));
            let tried = tried.map_err(|error| TextError::Template(path.clone(), error))?;
            if split(&tried).is_none() {
                return Err(TextError::NoSubject(path));
            }
        }
        Ok(Self(Arc::new(environment)))
    }

    /// The subject and the body.
    pub(super) fn render(&self, text: Text, said: &Said<'_>) -> Result<(String, String), minijinja::Error> {
        let rendered = self.0.get_template(text.name())?.render(said)?;
        split(&rendered).ok_or_else(|| minijinja::ErrorKind::InvalidOperation.into())
    }
}

fn empty() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Mails are plain text.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > TEXT_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {TEXT_BYTES_MAX} bytes")));
    }
    fs::read_to_string(path)
}

fn split(text: &str) -> Option<(String, String)> {
    let (first, body) = text.split_once('\n')?;
    let subject = first.trim().strip_prefix(SUBJECT)?.trim();
    (!subject.is_empty()).then(|| (subject.to_owned(), body.trim_start().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: Said<'_> =
        Said { game: "chess", username: "Ada <b>", link: "https://x.test/?t=1", hours: 24 };

    #[test]
    fn our_own_texts_say_what_they_are_given() {
        for text in Text::ALL {
            let (subject, body) = Texts::default().render(text, &SAID).unwrap();
            assert!(subject.contains("chess") && body.contains("chess"), "{subject}: {body}");
            assert_eq!(body.contains(SAID.link), !matches!(text, Text::Known | Text::Changed), "{body}");
            assert!(!body.contains("{{") && body.lines().all(|line| line.len() < 120), "{body}");
        }
        assert!(Texts::default().render(Text::Reset, &SAID).unwrap().1.contains("Ada <b>"));
    }

    #[test]
    fn a_folder_takes_the_place_of_some() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reset.txt");
        fs::write(&file, "Subject: Hej\n\n{% if username %}{{ username|upper }}{% endif %} {{ link }}")
            .unwrap();
        let texts = Texts::open(folder.path()).unwrap();
        assert_eq!(
            texts.render(Text::Reset, &SAID).unwrap(),
            ("Hej".into(), "ADA <B> https://x.test/?t=1".into())
        );
        assert!(texts.render(Text::Known, &SAID).unwrap().0.contains("chess"));
        for (bad, said) in [
            ("no subject", "Subject: …"),
            ("Subject: x\n\n{{ token }}", "is no template"),
            ("Subject: x\n\n{% if %}", "is no template"),
            ("Subject:\n\nx", "Subject: …"),
        ] {
            fs::write(&file, bad).unwrap();
            let error = Texts::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(said), "{bad}: {error}");
        }
        assert!(matches!(Texts::open(&folder.path().join("none")), Err(TextError::NoFolder(_))));
    }
}
