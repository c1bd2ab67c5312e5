//! The environment as part of the configuration: `GREENROOM_…` overrides what the file says.

use std::{collections::BTreeMap, env};

use toml::{Table, Value};

/// How the names of overriding variables begin.
pub const PREFIX: &str = "GREENROOM_";

/// Stands between the segments of a key's path in a variable's name.
const SEPARATOR: &str = "__";

/// Variables that begin like an override and are none: what the command line and game servers read.
const OTHERS: &[&str] =
    &["URL", "API_KEY", "ADMIN_TOKEN", "NATS_SERVER", "TRAEFIK", "REQUIRE_ENGINES", "GOLDEN"];
const OTHERS_BEGIN: &[&str] = &["SERVER_", "PAYLOAD", "PORT_", "TEST_", "FSYNC_"];

/// The variables that a configuration is read with.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process; what is not Unicode is left out.
    pub fn of_process() -> Self {
        let unicode = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(unicode.collect())
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Puts every override into `root`; returns which key's path came from which variable.
    /// `GREENROOM_GAMES__SKIRMISH__FLEET__READY_MIN` is `games.skirmish.fleet.ready_min`: where the file
    /// has a key that differs only in case, or has `-` for `_`, that one is meant.
    pub(super) fn apply(&self, root: &mut Table) -> BTreeMap<String, String> {
        let overrides = self.0.iter().filter_map(|(variable, value)| {
            let name = variable.strip_prefix(PREFIX)?;
            let other = OTHERS.contains(&name) || OTHERS_BEGIN.iter().any(|begin| name.starts_with(begin));
            (!other && !name.is_empty()).then_some((variable, name, value))
        });
        let mut origins = BTreeMap::new();
        for (variable, name, value) in overrides {
            let segments: Vec<_> = name.split(SEPARATOR).collect();
            if let Some(path) = put(root, &segments, value) {
                origins.insert(path, variable.clone());
            }
        }
        origins
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Environment {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// Puts `value` at `segments` below `table`; the path it has there. `None` where something that is no table is in
/// the way: then the file's own error is told.
fn put(table: &mut Table, segments: &[&str], value: &str) -> Option<String> {
    let (first, rest) = segments.split_first()?;
    let alike = |key: &&String| key.replace('-', "_").eq_ignore_ascii_case(first);
    let key = table.keys().find(alike).cloned().unwrap_or_else(|| first.to_ascii_lowercase());
    if rest.is_empty() {
        table.insert(key.clone(), Value::String(value.to_owned()));
        return Some(key);
    }
    let below = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new())).as_table_mut()?;
    put(below, rest, value).map(|path| format!("{key}.{path}"))
}
