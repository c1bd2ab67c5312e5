//! What the commands do, one file each.

pub(crate) mod admins;
pub(crate) mod allocate;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod builds;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod hosts;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod lobbies;
pub(crate) mod manual;
pub(crate) mod players;
pub(crate) mod servers;
pub(crate) mod top;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use greenroom_protocol::Timestamp;

/// A point in time for people, in UTC.
fn shown(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| "after the year 9999".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// The point in time that is `duration` away.
fn from_now(duration: Duration) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX)).after(duration)
}

/// Thousandths of a core as cores.
fn cores(millicores: u64) -> String {
    format!("{}.{:02}", millicores / 1000, millicores % 1000 / 10)
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut tenths = bytes.saturating_mul(10);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    if unit == 0 || tenths >= 1000 {
        return format!("{} {}", tenths / 10, UNITS[unit]);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A value that may be missing, for people.
fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}
