//! Pages: lists are answered in bounded parts, each with the place where the next one begins.

use std::{fmt, str::FromStr};

use crate::StorageError;

/// Most items of a page; a larger limit is cut to this.
pub const PAGE_ITEMS_MAX: u32 = 500;

/// One part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// A place in a list: the last item's sort key and id. It stays good when items before or after it
/// come and go. Opaque text to those who carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    key: String,
    id: String,
}

impl Cursor {
    pub(crate) fn new(key: impl fmt::Display, id: impl fmt::Display) -> Self {
        Self { key: key.to_string(), id: id.to_string() }
    }

    pub(crate) fn parts(&self) -> (String, String) {
        (self.key.clone(), self.id.clone())
    }

    pub(crate) fn time_parts(&self) -> Result<(i64, String), StorageError> {
        let time = self.key.parse().map_err(|_| StorageError::BadCursor)?;
        Ok((time, self.id.clone()))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An id never has a tilde, so the last one divides.
        write!(f, "{}~{}", self.key, self.id)
    }
}

impl FromStr for Cursor {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, StorageError> {
        let (key, id) = text.rsplit_once('~').ok_or(StorageError::BadCursor)?;
        Ok(Self { key: key.to_owned(), id: id.to_owned() })
    }
}

pub(crate) fn limit(asked: u32) -> u32 {
    asked.clamp(1, PAGE_ITEMS_MAX)
}

/// The place before every item of a list that runs backwards in time.
pub(crate) fn newest_first(after: Option<&Cursor>) -> Result<(i64, String), StorageError> {
    after.map_or_else(|| Ok((i64::MAX, String::new())), Cursor::time_parts)
}

impl<T> Page<T> {
    /// The page out of up to `limit + 1` items: the one too many tells that there is a next page.
    pub(crate) fn cut(mut items: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> Cursor) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}
