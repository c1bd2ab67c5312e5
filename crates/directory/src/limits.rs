//! What the handle refuses before any engine sees it.

use std::{collections::HashSet, time::Duration};

use crate::{Action, COMMIT_CHANGES_MAX, Change, DOCUMENT_BYTES_MAX, DirectoryError, Key, Kind};

/// Longest id of a document and longest name of a kind or lease, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Longest subject, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 256;

/// Largest published message, in bytes. A larger one is refused as
/// [`DirectoryError::TooLarge`].
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Longest name of a lease's holder, in bytes.
pub const HOLDER_BYTES_MAX: usize = 256;

/// Up to how many changes duplicates are found faster by looking at all pairs.
const PAIRWISE_CHANGES_MAX: usize = 8;

pub(crate) fn check_key(key: &Key) -> Result<(), DirectoryError> {
    check_kind(key.kind)?;
    check_id(&key.id)
}

/// Names that begin with `_` are the port's own.
pub(crate) fn check_kind(kind: Kind) -> Result<(), DirectoryError> {
    let name = kind.name();
    let well_formed = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if well_formed { Ok(()) } else { Err(DirectoryError::Malformed("a kind is [a-z0-9-][a-z0-9_-]{0,127}")) }
}

pub(crate) fn check_id(id: &str) -> Result<(), DirectoryError> {
    if id.len() <= NAME_BYTES_MAX && is_tokens(id) {
        Ok(())
    } else {
        Err(DirectoryError::Malformed("an id is [A-Za-z0-9_.=-]{1,128}, with a dot only between others"))
    }
}

pub(crate) fn check_subject(subject: &str) -> Result<(), DirectoryError> {
    if subject.len() <= SUBJECT_BYTES_MAX && is_tokens(subject) {
        Ok(())
    } else {
        Err(DirectoryError::Malformed("a subject is [A-Za-z0-9_.=-]{1,256}, with a dot only between others"))
    }
}

pub(crate) fn check_message(bytes: usize) -> Result<(), DirectoryError> {
    if bytes <= MESSAGE_BYTES_MAX {
        Ok(())
    } else {
        Err(DirectoryError::TooLarge("the message is over 64 KiB"))
    }
}

pub(crate) fn check_holder(holder: &str) -> Result<(), DirectoryError> {
    if (1..=HOLDER_BYTES_MAX).contains(&holder.len()) {
        Ok(())
    } else {
        Err(DirectoryError::Malformed("a lease's holder has 1 to 256 bytes"))
    }
}

pub(crate) fn check_term(term: Duration) -> Result<(), DirectoryError> {
    if term.is_zero() {
        Err(DirectoryError::Malformed("a lease's term is longer than nothing"))
    } else {
        Ok(())
    }
}

pub(crate) fn check_changes(changes: &[Change]) -> Result<(), DirectoryError> {
    if changes.is_empty() {
        return Err(DirectoryError::Malformed("a commit has at least one change"));
    }
    if changes.len() > COMMIT_CHANGES_MAX {
        return Err(DirectoryError::TooLarge("a commit has at most 256 changes"));
    }
    for change in changes {
        check_kind(change.kind)?;
        check_id(&change.id)?;
        match &change.action {
            Action::Put { value, .. } if value.len() > DOCUMENT_BYTES_MAX => {
                return Err(DirectoryError::TooLarge("a document has at most 256 KiB"));
            }
            Action::Put { expires_after: Some(after), .. } if after.is_zero() => {
                return Err(DirectoryError::Malformed("a document cannot expire at once"));
            }
            Action::Put { .. } | Action::Delete => {}
        }
    }
    if has_duplicate(changes) {
        Err(DirectoryError::Malformed("two changes of one document"))
    } else {
        Ok(())
    }
}

fn has_duplicate(changes: &[Change]) -> bool {
    let name = |change: &Change| change.kind.name();
    if changes.len() <= PAIRWISE_CHANGES_MAX {
        return changes
            .iter()
            .enumerate()
            .any(|(index, a)| changes[..index].iter().any(|b| a.id == b.id && name(a) == name(b)));
    }
    let mut seen = HashSet::with_capacity(changes.len());
    !changes.iter().all(|change| seen.insert((name(change), &*change.id)))
}

/// Non-empty tokens between dots: what a NATS subject can carry unescaped.
fn is_tokens(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'=' | b'-');
    text.split('.').all(|token| !token.is_empty() && token.bytes().all(allowed))
}
