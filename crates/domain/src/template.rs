//! The small language in which an operator writes a game server's arguments and environment.
//!
//! | written | becomes |
//! | --- | --- |
//! | `{greenroom}` | the path of our own binary |
//! | `{port}` | the number of the first port |
//! | `{port:<name>}` | the number of the port of that name, the first of several |
//! | `{port:<name>+<n>}` | the `n`th after it, where the port has `count` consecutive ones |
//! | `{name}` | the server's unique name |
//! | `{title}` | the text that a player gave it, else its name; never begins an option |
//! | `{id}` | the server's id |
//! | `{code}` | its code in paths; empty where its game's connection has none |
//! | `{version}` | the version of the build |
//! | `{public_address}` | the address that players reach it at |
//! | `{region}` | its region; empty where the game has none |
//! | `{{`, `}}` | `{`, `}` |
//!
//! `{port}` is the number that the program binds: in a container, the inner one.
//!
//! A template may begin with conditions. Where one of them does not hold, the whole argument or
//! variable is left out; where all hold, it is the rest:
//!
//! | written | holds |
//! | --- | --- |
//! | `{if listed}` | where the server browser shows the server |
//! | `{if code}` | where it has a code |
//!
//! So `["--game-id", "{code}"]` for servers with a code alone is `["{if code}--game-id",
//! "{if code}{code}"]`.
//!
//! Each template is one argument or one value: nothing is split at spaces and no shell reads it.

use std::fmt::Write as _;

use crate::{server::ServerPort, settings::PortSettings, text};

/// Longest template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 4096;

const KNOWN: &str = "{greenroom}, {port}, {port:<name>}, {port:<name>+<n>}, {name}, {title}, {id}, {code}, {version}, \
                     {public_address} and {region}, and at the beginning {if listed} and {if code}; a brace \
                     itself is written twice";

/// What is wrong with a template. The sentence is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is longer than [`TEMPLATE_BYTES_MAX`].
    #[error("it has {0} bytes; at most {TEMPLATE_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// A NUL character can be in no argument.
    #[error("it contains a NUL character, which no argument can hold")]
    Nul,
    /// A `{` without its `}`.
    #[error("the {{ at byte {0} is never closed; there are {KNOWN}")]
    Unclosed(usize),
    /// A `}` without its `{`.
    #[error("the }} at byte {0} closes nothing; there are {KNOWN}")]
    Unopened(usize),
    /// A placeholder that does not exist.
    #[error("{{{0}}} is no placeholder; there are {KNOWN}")]
    Unknown(String),
    /// A condition that does not exist.
    #[error("{{{0}}} is no condition; there are {{if listed}} and {{if code}}")]
    UnknownCondition(String),
    /// A condition behind something else.
    #[error("{{{0}}} stands behind other text; a condition is for the whole, and stands at its beginning")]
    LateCondition(String),
    /// A port that the fleet does not have.
    #[error("{{{placeholder}}} is no port of this fleet; its ports are: {ports}")]
    UnknownPort {
        /// As it was written.
        placeholder: String,
        /// Those that there are.
        ports: String,
    },
    /// A port beyond its `count`.
    #[error("{{{placeholder}}} is beyond the port's count of {count}; the last one is +{}", count - 1)]
    PortBeyondCount {
        /// As it was written.
        placeholder: String,
        /// How many consecutive ports there are.
        count: u16,
    },
}

/// A template that was read: it has no unknown placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    conditions: Vec<Condition>,
    parts: Vec<Part>,
}

/// What must hold for the template to be there at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Listed,
    Code,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Greenroom,
    Port(PortReference),
    Name,
    Title,
    Id,
    Code,
    Version,
    PublicAddress,
    Region,
}

/// `port`, `port:<name>` or either of them with `+<n>`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PortReference {
    name: Option<String>,
    offset: u16,
}

/// What the placeholders of one server become.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The path of our own binary.
    pub greenroom: &'a str,
    /// The server's unique name.
    pub name: &'a str,
    /// The text that a player gave it; made safe here.
    pub title: Option<&'a str>,
    /// The server's id.
    pub id: &'a str,
    /// Its code in paths, if it has one.
    pub code: Option<&'a str>,
    /// Whether the server browser shows it.
    pub is_listed: bool,
    /// The version of the build.
    pub version: &'a str,
    /// The address that players reach it at.
    pub public_address: &'a str,
    /// Its region; empty where the game has none.
    pub region: &'a str,
    /// The ports it was given, in the order of the fleet's settings.
    pub ports: &'a [ServerPort],
}

/// Reads `text` and checks it against the ports of its fleet.
pub fn check(text: &str, ports: &[PortSettings]) -> Result<(), TemplateError> {
    Template::parse(text)?.check_ports(ports)
}

impl Template {
    /// Reads a template once, so that it can be rendered for many servers.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLong(text.len()));
        }
        if text.contains('\0') {
            return Err(TemplateError::Nul);
        }
        let mut conditions = Vec::new();
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let at = text.len() - rest.len() + brace;
            plain.push_str(&rest[..brace]);
            let (sign, after) = rest[brace..].split_at(1);
            if let Some(doubled) = after.strip_prefix(sign) {
                plain.push_str(sign);
                rest = doubled;
            } else if sign == "}" {
                return Err(TemplateError::Unopened(at));
            } else {
                let (inside, behind) = after.split_once('}').ok_or(TemplateError::Unclosed(at))?;
                rest = behind;
                if let Some(what) = inside.strip_prefix("if ") {
                    if !(parts.is_empty() && plain.is_empty()) {
                        return Err(TemplateError::LateCondition(shortened(inside)));
                    }
                    conditions.push(condition(what, inside)?);
                    continue;
                }
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(placeholder(inside)?);
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { conditions, parts })
    }

    /// Whether every port in it is one of the fleet's.
    pub fn check_ports(&self, ports: &[PortSettings]) -> Result<(), TemplateError> {
        for part in &self.parts {
            let Part::Port(reference) = part else { continue };
            let found = match &reference.name {
                None => ports.first(),
                Some(name) => ports.iter().find(|port| &port.name == name),
            };
            let placeholder = reference.to_string();
            let Some(port) = found else {
                let names: Vec<_> = ports.iter().map(|port| port.name.as_str()).collect();
                let ports = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(TemplateError::UnknownPort { placeholder, ports });
            };
            if reference.offset >= port.count.max(1) {
                return Err(TemplateError::PortBeyondCount { placeholder, count: port.count.max(1) });
            }
        }
        Ok(())
    }

    /// Whether there are servers for which it is left out.
    pub fn is_conditional(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// The argument or value for one server; `None` where a condition does not hold, and it is left
    /// out. A port that the server was not given, which [`Self::check_ports`] excludes, is an error
    /// and never an empty text.
    pub fn render(&self, values: &Values<'_>) -> Result<Option<String>, TemplateError> {
        let holds = |condition: &Condition| match condition {
            Condition::Listed => values.is_listed,
            Condition::Code => values.code.is_some(),
        };
        if !self.conditions.iter().all(holds) {
            return Ok(None);
        }
        let mut rendered = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => rendered.push_str(text),
                Part::Greenroom => rendered.push_str(values.greenroom),
                Part::Port(reference) => {
                    let port = reference.number(values.ports)?;
                    write!(rendered, "{port}").expect("a String takes everything");
                }
                Part::Name => rendered.push_str(values.name),
                Part::Title => {
                    let title = values.title.and_then(text::title);
                    rendered.push_str(title.as_deref().unwrap_or(values.name));
                }
                Part::Id => rendered.push_str(values.id),
                Part::Code => rendered.push_str(values.code.unwrap_or_default()),
                Part::Version => rendered.push_str(values.version),
                Part::PublicAddress => rendered.push_str(values.public_address),
                Part::Region => rendered.push_str(values.region),
            }
        }
        Ok(Some(rendered))
    }
}

fn condition(what: &str, inside: &str) -> Result<Condition, TemplateError> {
    match what {
        "listed" => Ok(Condition::Listed),
        "code" => Ok(Condition::Code),
        _ => Err(TemplateError::UnknownCondition(shortened(inside))),
    }
}

fn placeholder(inside: &str) -> Result<Part, TemplateError> {
    Ok(match inside {
        "greenroom" => Part::Greenroom,
        "name" => Part::Name,
        "title" => Part::Title,
        "id" => Part::Id,
        "code" => Part::Code,
        "version" => Part::Version,
        "public_address" => Part::PublicAddress,
        "region" => Part::Region,
        _ => Part::Port(port_reference(inside).ok_or_else(|| TemplateError::Unknown(shortened(inside)))?),
    })
}

fn port_reference(inside: &str) -> Option<PortReference> {
    let after = inside.strip_prefix("port")?;
    let (name, offset) = match after.split_once('+') {
        None => (after, 0),
        Some((name, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => (name, digits.parse().ok()?),
        Some(_) => return None,
    };
    if name.is_empty() {
        return Some(PortReference { name: None, offset });
    }
    let name = name.strip_prefix(':')?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let is_name = !name.is_empty() && name.bytes().all(fits);
    is_name.then(|| PortReference { name: Some(name.to_owned()), offset })
}

/// What a sentence repeats of a text that may be long.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 64;
    let mut short: String = text.chars().take(CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

impl PortReference {
    fn number(&self, ports: &[ServerPort]) -> Result<u16, TemplateError> {
        let found = match &self.name {
            None => ports.first(),
            Some(name) => ports.iter().find(|port| &port.name == name),
        };
        let unknown = || TemplateError::UnknownPort {
            placeholder: self.to_string(),
            ports: ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", "),
        };
        let port = found.ok_or_else(unknown)?;
        let beyond =
            || TemplateError::PortBeyondCount { placeholder: self.to_string(), count: port.count.max(1) };
        let within = Some(self.offset).filter(|offset| *offset < port.count.max(1));
        within.and_then(|offset| port.bound().checked_add(offset)).ok_or_else(beyond)
    }
}

impl std::fmt::Display for PortReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("port")?;
        if let Some(name) = &self.name {
            write!(f, ":{name}")?;
        }
        if self.offset > 0 {
            write!(f, "+{}", self.offset)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
