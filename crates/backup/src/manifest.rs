//! What a backup says of itself, and how its file is called.

use greenroom_protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// How the names of backups begin and end.
const PREFIX: &str = "greenroom-";
const SUFFIX: &str = ".backup";
/// Times in names: sortable, and without what file systems do not take.
const TIME: &str = "%Y%m%dT%H%M%S%3fZ";

/// What is known when a backup begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the program that makes it.
    pub program: String,
    /// What tells the installation from any other.
    pub installation: String,
    /// The moment that it shows.
    pub taken_at: Timestamp,
}

/// What is known when it is finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// As it stood at the beginning.
    #[serde(flatten)]
    pub header: Header,
    /// What is in it.
    pub files: Vec<PackedFile>,
}

/// A file in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedFile {
    /// Its name in the data folder.
    pub name: String,
    /// Its bytes, not compressed.
    pub bytes: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// The bytes of all files, not compressed.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// The name of the file that a backup of `installation` is kept in.
pub fn file_name(installation: &str, taken_at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(taken_at.as_millis()).unwrap_or(jiff::Timestamp::MAX);
    format!("{PREFIX}{installation}-{}{SUFFIX}", at.strftime(TIME))
}

/// The moment that the backup of this name shows; `None` if it is no backup of `installation`.
pub fn taken_at_of(name: &str, installation: &str) -> Option<Timestamp> {
    let rest = name.strip_prefix(PREFIX)?.strip_prefix(installation)?.strip_prefix('-')?;
    let text = rest.strip_suffix(SUFFIX)?.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let is_time = date.len() == 8 && time.len() == 9;
    if !is_time || !(date.bytes().chain(time.bytes())).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |text: &str| text.parse::<i16>().ok();
    let small = |text: &str| text.parse::<i8>().ok();
    let date = jiff::civil::Date::new(number(&date[..4])?, small(&date[4..6])?, small(&date[6..])?).ok()?;
    let at = date.at(small(&time[..2])?, 0, 0, 0);
    let seconds = i64::from(number(&time[2..4])?) * 60 + i64::from(number(&time[4..6])?);
    let millis = seconds * 1_000 + i64::from(number(&time[6..])?);
    let hour = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    Some(Timestamp::from_millis(hour + millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_when_and_of_which_installation() {
        let at = Timestamp::from_millis(1_795_199_999_123);
        let name = file_name("00ff", at);
        assert_eq!(name, "greenroom-00ff-20261120T183959123Z.backup");
        assert_eq!(taken_at_of(&name, "00ff"), Some(at));
        for other in ["greenroom-00fe-20261120T183959123Z.backup", "greenroom-00ff-.backup", "notes.txt"] {
            assert_eq!(taken_at_of(other, "00ff"), None, "{other}");
        }
        assert_eq!(taken_at_of(&format!("{name}.part"), "00ff"), None);
    }
}
