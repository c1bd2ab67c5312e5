//! The forms in which single settings are written.

use std::{
    collections::BTreeMap, net::SocketAddr, num::NonZeroU32, ops::RangeInclusive, path::PathBuf,
    time::Duration,
};

use greenroom_api::{Network, ProxyHeader};
use greenroom_domain::settings::{ContainerNetwork, PortProtocol, Readiness, VersionSource, WarmPayload};
use greenroom_protocol::{GameId, HostId, RegionId, StudioId};
use toml::Value;

/// A single setting: how it is written, and how that is read.
pub trait Setting: Sized {
    /// What is expected, as the end of the sentence "expected …".
    const EXPECTED: &'static str;

    /// Reads `value`. An error says what is wrong with a value of the right type; `None` that it has
    /// the wrong one.
    fn read(value: &Value) -> Result<Self, Option<String>>;

    /// What an absent setting without a default is: only an optional one can be.
    fn absent() -> Option<Self> {
        None
    }
}

/// A number of bytes: `"64MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// How often something may be done: so many at once, and as many again per period: `"120/min"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many at once, and how many per period.
    pub count: NonZeroU32,
    /// In what time that many come back.
    pub period: Duration,
}

/// What starts game servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// Processes on this machine.
    Process,
    /// Containers of Docker engines.
    Docker,
    /// Servers of another host.
    HostingApi,
}

/// How players reach a game's servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionKind {
    /// At a port of their own.
    Ports,
    /// Through Traefik.
    Traefik,
    /// Through Greenroom.
    Gateway,
}

/// How the connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailEncryption {
    /// From its begin.
    Tls,
    /// On demand.
    StartTls,
    /// Not at all.
    None,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl<T: Setting> Setting for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(value: &Value) -> Result<Self, Option<String>> {
        T::read(value).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a text";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        let text = value.as_str().ok_or(None)?;
        if text.chars().any(char::is_control) {
            return Err(Some("it has control characters in it".into()));
        }
        Ok(text.into())
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        value.as_bool().ok_or(None)
    }
}

impl Setting for f64 {
    const EXPECTED: &'static str = "a number above zero, such as 0.5";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64)).ok_or(None)?;
        if number.is_finite() && number > 0.0 { Ok(number) } else { Err(Some(format!("it is {number}"))) }
    }
}

macro_rules! whole_numbers {
    ($($type:ty: $expected:literal;)*) => {$(
        impl Setting for $type {
            const EXPECTED: &'static str = $expected;

            fn read(value: &Value) -> Result<Self, Option<String>> {
                let number = value.as_integer().ok_or(None)?;
                Self::try_from(number).map_err(|_| Some(format!("it is {number}")))
            }
        }
    )*};
}

whole_numbers! {
    u16: "a whole number from 0 to 65535";
    u32: "a whole number from 0 to 4294967295";
    u64: "a whole number, not negative";
}

macro_rules! texts {
    ($($type:ty: $expected:literal, $parse:expr;)*) => {$(
        impl Setting for $type {
            const EXPECTED: &'static str = $expected;

            fn read(value: &Value) -> Result<Self, Option<String>> {
                let parse: fn(&str) -> Result<Self, String> = $parse;
                let text = value.as_str().ok_or(None)?;
                parse(text).map_err(|what| Some(format!("{text:?} {what}")))
            }
        }
    )*};
}

const NOT_ONE: &str = "is none";

texts! {
    SocketAddr: "an IP address and a port, such as \"127.0.0.1:4700\"", |text| text.parse().map_err(|_| NOT_ONE.into());
    PathBuf: "a path", |text| if text.is_empty() { Err("is empty".into()) } else { Ok(text.into()) };
    Duration: "a duration, such as \"500ms\", \"30s\", \"4h\" or \"30d\"", duration;
    Bytes: "a size, such as \"512KiB\", \"64MiB\" or \"1GiB\"", bytes;
    Rate: "a rate, such as \"20/s\", \"120/min\" or \"1000/h\"", rate;
    StudioId: "an id: 1 to 128 characters out of A-Z, a-z, 0-9, _ and -", |text| Self::new(text).map_err(|_| NOT_ONE.into());
    GameId: "an id: 1 to 128 characters out of A-Z, a-z, 0-9, _ and -", |text| Self::new(text).map_err(|_| NOT_ONE.into());
    RegionId: "an id: 1 to 128 characters out of A-Z, a-z, 0-9, _ and -", |text| Self::new(text).map_err(|_| NOT_ONE.into());
    HostId: "an id: 1 to 128 characters out of A-Z, a-z, 0-9, _ and -", |text| Self::new(text).map_err(|_| NOT_ONE.into());
    RangeInclusive<u16>: "a range of ports, such as \"7000-7999\"", port_range;
    Network: "an IP address or a network, such as \"10.0.0.0/8\"", |text| text.parse().map_err(|_| NOT_ONE.into());
    ProxyHeader: "\"x-forwarded-for\" or \"x-real-ip\"", |text| {
        if text.eq_ignore_ascii_case("x-forwarded-for") {
            Ok(Self::ForwardedFor)
        } else if text.eq_ignore_ascii_case("x-real-ip") {
            Ok(Self::RealIp)
        } else {
            Err("is no header that is known".into())
        }
    };
    ProviderKind: "\"process\", \"docker\" or \"hosting-api\"", |text| match text {
        "process" => Ok(Self::Process),
        "docker" => Ok(Self::Docker),
        "hosting-api" => Ok(Self::HostingApi),
        "agones" => Err("is not there yet: this version starts processes and containers, and asks other hosts".into()),
        _ => Err("is no provider".into()),
    };
    ConnectionKind: "\"ports\", \"traefik\" or \"gateway\"", |text| match text {
        "ports" => Ok(Self::Ports),
        "traefik" => Ok(Self::Traefik),
        "gateway" => Ok(Self::Gateway),
        _ => Err("is no way to reach a server".into()),
    };
    MailEncryption: "\"tls\", \"starttls\" or \"none\"", |text| match text {
        "tls" => Ok(Self::Tls),
        "starttls" => Ok(Self::StartTls),
        "none" => Ok(Self::None),
        _ => Err("is no way to encrypt a connection".into()),
    };
    PortProtocol: "\"tcp\", \"udp\", \"tcp+udp\" or \"tcp|udp\"", |text| match text {
        "tcp" => Ok(Self::Tcp),
        "udp" => Ok(Self::Udp),
        "tcp+udp" => Ok(Self::TcpUdp),
        "tcp|udp" => Ok(Self::Either),
        _ => Err("is no protocol".into()),
    };
    Readiness: "\"listening\", \"log:<regular expression>\", \"after:<duration>\", \"health\" or \"sdk\"", readiness;
    WarmPayload: "\"file\", \"sdk\" or \"ignore\"", |text| match text {
        "file" => Ok(Self::File),
        "ignore" => Ok(Self::Ignore),
        "sdk" => Ok(Self::Sdk),
        _ => Err("is no way to hand over a payload".into()),
    };
    VersionSource: "\"engine\" or \"registry\"", |text| match text {
        "engine" => Ok(Self::Engine),
        "registry" => Ok(Self::Registry),
        _ => Err("is no place to look versions up in".into()),
    };
    ContainerNetwork: "\"bridge\", \"host\" or the name of a network", network;
    LogFormat: "\"text\" or \"json\"", |text| match text {
        "text" => Ok(Self::Text),
        "json" => Ok(Self::Json),
        _ => Err("is no format of log lines".into()),
    };
}

macro_rules! lists {
    ($($type:ty: $expected:literal;)*) => {$(
        impl Setting for Vec<$type> {
            const EXPECTED: &'static str = $expected;

            fn read(value: &Value) -> Result<Self, Option<String>> {
                let items = value.as_array().ok_or(None)?;
                items.iter().map(<$type>::read).collect()
            }
        }
    )*};
}

lists! {
    String: "a list of texts, such as [\"a\", \"b\"]";
    RegionId: "a list of ids, such as [\"eu-west\", \"us-east\"]";
    Network: "a list of IP addresses and networks, such as [\"10.0.0.0/8\", \"::1\"]";
}

impl Setting for BTreeMap<String, String> {
    const EXPECTED: &'static str = "a table of texts, such as { MODE = \"ranked\" }";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        let table = value.as_table().ok_or(None)?;
        table.iter().map(|(name, value)| Ok((name.clone(), String::read(value)?))).collect()
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return Err(format!("has no unit: write \"{text}s\" for seconds"));
    }
    humantime::parse_duration(text).map_err(|_| NOT_ONE.into())
}

fn bytes(text: &str) -> Result<Bytes, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "" if digits > 0 => return Err(format!("has no unit: write \"{text}B\" for bytes")),
        "kB" | "KB" | "MB" | "GB" | "TB" => {
            return Err("has a decimal unit: write KiB, MiB, GiB or TiB".into());
        }
        _ => return Err(NOT_ONE.into()),
    };
    let number: u64 = number.parse().map_err(|_| NOT_ONE.to_owned())?;
    number.checked_mul(factor).map(Bytes).ok_or_else(|| "is too large".into())
}

fn rate(text: &str) -> Result<Rate, String> {
    let (count, unit) = text.split_once('/').ok_or_else(|| NOT_ONE.to_owned())?;
    let period = match unit.trim() {
        "s" => 1,
        "min" => 60,
        "h" => 60 * 60,
        _ => return Err("has no known period: write /s, /min or /h".into()),
    };
    let count = count.trim().parse().map_err(|_| "has no count above zero".to_owned())?;
    Ok(Rate { count, period: Duration::from_secs(period) })
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').ok_or_else(|| NOT_ONE.to_owned())?;
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|&port| port > 0);
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        (Some(_), Some(_)) => Err("ends before it begins".into()),
        _ => Err("has a port that is not 1 to 65535".into()),
    }
}

fn network(text: &str) -> Result<ContainerNetwork, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    match text {
        "bridge" => Ok(ContainerNetwork::Bridge),
        "host" => Ok(ContainerNetwork::Host),
        "none" => Err("has no way in: players could not reach a server".into()),
        name if name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.len() <= 128
            && name.bytes().all(fits) =>
        {
            Ok(ContainerNetwork::Named(name.into()))
        }
        _ => Err("is no name of a network".into()),
    }
}

fn readiness(text: &str) -> Result<Readiness, String> {
    match text {
        "listening" => return Ok(Readiness::Listening),
        "sdk" => return Ok(Readiness::Sdk),
        "health" => return Ok(Readiness::Health),
        _ => {}
    }
    if let Some(pattern) = text.strip_prefix("log:") {
        return match regex::Regex::new(pattern) {
            Ok(_) if pattern.is_empty() => Err("names no regular expression".into()),
            Ok(_) => Ok(Readiness::Log(pattern.into())),
            Err(error) => {
                Err(format!("has a regular expression that does not parse: {}", one_line(&error.to_string())))
            }
        };
    }
    match text.strip_prefix("after:") {
        Some(time) => duration(time).map(Readiness::After).map_err(|what| format!("has a time that {what}")),
        None => Err("is no sign of readiness".into()),
    }
}

/// The last line that says something: libraries draw a picture above it.
fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .into()
}
