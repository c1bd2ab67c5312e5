//! What the commands do, one file each.

pub(crate) mod admins;
pub(crate) mod allocate;
pub(crate) mod builds;
pub(crate) mod config;
pub(crate) mod hosts;
pub(crate) mod keys;
pub(crate) mod servers;

use greenroom_protocol::Timestamp;

/// A point in time for people, in UTC.
fn shown(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| "after the year 9999".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A value that may be missing, for people.
fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}
