//! The configuration as administrators are shown it: every key with its value or default and its meaning, and no
//! secret.

use greenroom_protocol::system::{ConfigurationKey, ConfigurationSection};
use toml::{Table, Value};

use super::{
    reader::{Description, Shape},
    secret,
};

/// What stands for a secret.
const HIDDEN: &str = "•••";

/// Tables whose values are somebody's own: any of them may be a secret.
const PRIVATE: [&str; 2] = ["environment", "labels"];

/// The sections of `table`, which is what `description` describes.
pub(super) fn shown(description: &Description, table: &Table) -> Vec<ConfigurationSection> {
    let mut sections = Vec::new();
    section(description, table, "", &mut sections);
    sections
}

fn section(description: &Description, table: &Table, path: &str, sections: &mut Vec<ConfigurationSection>) {
    let keys = description.keys.iter().map(|key| {
        let is_secret = key.expected == secret::EXPECTED || PRIVATE.contains(&key.name);
        let given = table.get(key.name);
        let default = || key.default.filter(|default| !default.is_empty()).map(str::to_owned);
        ConfigurationKey {
            name: key.name.to_owned(),
            value: match given {
                Some(value) if is_secret => Some(hidden(value)),
                Some(value) => Some(without_credentials(value.clone()).to_string()),
                None => default(),
            },
            is_default: given.is_none(),
            meaning: key.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "),
        }
    });
    sections.push(ConfigurationSection { path: path.to_owned(), keys: keys.collect() });
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let empty = Table::new();
    for one in &description.tables {
        let path = below(one.name);
        match (one.shape, table.get(one.name)) {
            (Shape::One, None) => section(&one.section, &empty, &path, sections),
            (Shape::One | Shape::Optional, Some(Value::Table(table))) => {
                section(&one.section, table, &path, sections);
            }
            (Shape::ById, Some(Value::Table(tables))) => {
                for (id, table) in tables {
                    if let Value::Table(table) = table {
                        section(&one.section, table, &format!("{path}.{id}"), sections);
                    }
                }
            }
            (Shape::List, Some(Value::Array(tables))) => {
                for (place, table) in tables.iter().enumerate() {
                    if let Value::Table(table) = table {
                        section(&one.section, table, &format!("{path}.{place}"), sections);
                    }
                }
            }
            _ => {}
        }
    }
}

/// A secret, of which nothing is told; of a table its names are.
fn hidden(value: &Value) -> String {
    match value {
        Value::Table(table) if !table.contains_key("file") && !table.contains_key("env") => {
            let names: Vec<_> = table.keys().map(|name| format!("{name} = {HIDDEN}")).collect();
            format!("{{ {} }}", names.join(", "))
        }
        _ => HIDDEN.to_owned(),
    }
}

/// An address may carry a name and a password before its host.
fn without_credentials(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(match text.split_once("://") {
            Some((scheme, rest)) => {
                let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                match rest[..host].rfind('@') {
                    Some(at) => format!("{scheme}://{HIDDEN}{}", &rest[at..]),
                    None => text,
                }
            }
            None => text,
        }),
        Value::Array(values) => Value::Array(values.into_iter().map(without_credentials).collect()),
        Value::Table(table) => {
            Value::Table(table.into_iter().map(|(name, value)| (name, without_credentials(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment};

    const WITH_SECRETS: &str = r#"
public_address = "play.example"

[auth]
jwt_secret = "hush-hush-hush-hush"

[traefik]
token = "hush-hush-hush-hush"

[images]
default_registry_url = "https://ann:hush@registry.example/v2"

[registries."registry.example"]
username = "ann"
password = "hush"

[studios.demo]

[games.skirmish]
studio = "demo"

[games.skirmish.fleet]
command = ["server"]
ports = [{ name = "default", protocol = "tcp" }]
environment = { RCON_PASSWORD = "hush" }
"#;

    #[test]
    fn everything_is_shown_but_secrets() {
        let config = Config::parse(WITH_SECRETS, "a test", &Environment::default()).unwrap();
        let shown = config.shown();
        let text = format!("{shown:?}");
        assert!(!text.contains("hush"), "{text}");
        let value = |path: &str, name: &str| {
            let section = shown.iter().find(|section| section.path == path).unwrap();
            let key = section.keys.iter().find(|key| key.name == name).unwrap();
            (key.value.clone().unwrap_or_default(), key.is_default)
        };
        assert_eq!(value("", "public_address"), (r#""play.example""#.to_owned(), false));
        assert_eq!(value("auth", "jwt_secret"), ("•••".to_owned(), false));
        assert_eq!(value("console", "session_ttl"), (r#""12h""#.to_owned(), true));
        assert_eq!(value("games.skirmish.fleet", "environment").0, "{ RCON_PASSWORD = ••• }");
        assert_eq!(value("games.skirmish.fleet", "running_max"), ("20".to_owned(), true));
        assert_eq!(value("images", "default_registry_url").0, r#""https://•••@registry.example/v2""#);
        assert!(shown.iter().flat_map(|section| &section.keys).all(|key| !key.meaning.is_empty()));
    }
}
