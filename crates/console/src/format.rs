//! Numbers and times as people read them.

use std::{fmt::Write as _, time::Duration};

use greenroom_protocol::{Timestamp, events::rfc3339};

/// `2026-11-20 09:06:17 UTC`.
pub(crate) fn absolute(at: Timestamp) -> String {
    let text = rfc3339(at);
    match text.split_once('T') {
        Some((date, time)) => format!("{date} {} UTC", time.split(['.', 'Z']).next().unwrap_or(time)),
        None => text,
    }
}

/// How long before or after `now` something is: `12 s ago`, `in 3 min`. Scripts write the same.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let (past, future) = (now.since(at), at.since(now));
    if future >= Duration::from_secs(1) {
        format!("in {}", rough(future))
    } else if past < Duration::from_secs(2) {
        "just now".to_owned()
    } else {
        format!("{} ago", rough(past))
    }
}

/// A time in its largest unit: `42 s`, `12 min`, `3 h`, `5 d`.
fn rough(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// A time in its two largest units: `850 ms`, `42 s`, `12 min 5 s`, `3 h 20 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `512 B`, `1.5 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1_024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if size < 1_000.0 {
            break;
        }
        size /= 1_024.0;
        unit = larger;
    }
    if size < 10.0 { format!("{size:.1} {unit}") } else { format!("{size:.0} {unit}") }
}

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 server`, `2 servers`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A value for a query, percent-encoded.
pub(crate) fn query_value(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn times_are_said_in_words() {
        assert_eq!(absolute(at(1_763_629_577_123)), "2025-11-20 09:06:17 UTC");
        let now = at(10_000_000_000);
        for (ago_s, text) in
            [(0, "just now"), (42, "42 s ago"), (61, "1 min ago"), (7_200, "2 h ago"), (259_200, "3 d ago")]
        {
            assert_eq!(relative(at(now.as_millis() - ago_s * 1_000), now), text);
        }
        assert_eq!(relative(at(now.as_millis() + 90_000), now), "in 1 min");
        assert_eq!(duration(Duration::from_millis(850)), "850 ms");
        assert_eq!(duration(Duration::from_mins(200)), "3 h 20 min");
    }

    #[test]
    fn numbers_are_said_in_words() {
        assert_eq!((count(0), count(999), count(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!(
            (bytes(512), bytes(1_536), bytes(3 << 30)),
            ("512 B".into(), "1.5 KiB".into(), "3.0 GiB".into())
        );
        assert_eq!(counted(1, "server", "servers"), "1 server");
        assert_eq!(query_value("/console/servers?a=b c&ü"), "/console/servers%3Fa%3Db%20c%26%C3%BC");
    }
}
