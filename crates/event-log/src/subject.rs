//! Subjects, and the filters that select them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::InvalidName;

/// Longest subject or filter, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 512;

/// Most tokens of a subject or filter.
pub const SUBJECT_TOKENS_MAX: usize = 16;

const SUBJECT_FORM: InvalidName = InvalidName(
    "a subject has 1 to 16 tokens of A-Z, a-z, 0-9, _ and -, separated by dots, 512 bytes at most",
);
const FILTER_FORM: InvalidName = InvalidName(
    "a filter is a subject in which tokens may be * (any one token) and the last may be > (one or more)",
);

/// What an entry is about, such as `v1.skirmish.servers.s1.events.started`: one to
/// [`SUBJECT_TOKENS_MAX`] tokens of `[A-Za-z0-9_-]`, separated by dots. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// Takes `text` as a subject if it has the form of one.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
        let text = text.as_ref();
        if text.len() > SUBJECT_BYTES_MAX {
            return Err(SUBJECT_FORM);
        }
        let mut tokens = 0;
        for token in text.split('.') {
            tokens += 1;
            if tokens > SUBJECT_TOKENS_MAX || !is_token(token) {
                return Err(SUBJECT_FORM);
            }
        }
        Ok(Self(Arc::from(text)))
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its tokens, in order.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    pub(crate) fn from_stored(text: Arc<str>) -> Self {
        Self(text)
    }
}

/// Selects subjects: a subject in which any token may be `*`, which stands for exactly one token,
/// and the last may be `>`, which stands for one or more. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SubjectFilter(Arc<str>);

impl SubjectFilter {
    /// Takes `text` as a filter if it has the form of one.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, InvalidName> {
        let text = text.as_ref();
        if text.len() > SUBJECT_BYTES_MAX {
            return Err(FILTER_FORM);
        }
        let mut tokens = text.split('.').peekable();
        let mut count = 0;
        while let Some(token) = tokens.next() {
            count += 1;
            let fits = is_token(token) || token == "*" || (token == ">" && tokens.peek().is_none());
            if count > SUBJECT_TOKENS_MAX || !fits {
                return Err(FILTER_FORM);
            }
        }
        Ok(Self(Arc::from(text)))
    }

    /// The filter that selects every subject: `>`.
    pub fn everything() -> Self {
        Self(Arc::from(">"))
    }

    /// The filter as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it selects `subject`.
    pub fn matches(&self, subject: &Subject) -> bool {
        self.selects(subject.as_str())
    }

    /// Whether every subject that `other` selects is selected by `self` too: whether who may read
    /// `self` may read `other`.
    pub fn covers(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.0.split('.'), other.0.split('.'));
        // A token of theirs stands for the subject tokens that it selects. `>` is selected whole
        // only by `>`; `*` only by `*` or `>`.
        loop {
            match (mine.next(), theirs.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some(_), Some(">")) => return false,
                (Some("*"), Some(_)) => {}
                (Some(mine), Some(theirs)) if mine == theirs => {}
                _ => return false,
            }
        }
    }

    pub(crate) fn selects(&self, subject: &str) -> bool {
        let (mut mine, mut tokens) = (self.0.split('.'), subject.split('.'));
        loop {
            match (mine.next(), tokens.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(mine), Some(token)) if mine == token => {}
                _ => return false,
            }
        }
    }

    /// What every selected subject begins with; the whole subject if the filter has no wildcard.
    pub(crate) fn literal_prefix(&self) -> &str {
        let end = self.0.find(['*', '>']).unwrap_or(self.0.len());
        &self.0[..end]
    }
}

fn is_token(token: &str) -> bool {
    !token.is_empty()
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

macro_rules! text {
    ($name:ident, $parse:path) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                $parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                $parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text!(Subject, Subject::new);
text!(SubjectFilter, SubjectFilter::parse);

#[cfg(test)]
mod tests;
