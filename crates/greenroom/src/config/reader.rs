//! Reading sections out of TOML, collecting every error instead of stopping at the first.

use std::{collections::BTreeMap, fmt, str::FromStr};

use secrecy::SecretString;
use toml::{Table, Value};

use super::{environment::Environment, secret, value::Setting};

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The key's path, such as `games.skirmish.fleet.ready`; empty for the file as a whole.
    pub path: String,
    /// What is wrong, what was expected and what to do.
    pub sentence: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.sentence)
        } else {
            write!(f, "{}: {}", self.path, self.sentence)
        }
    }
}

/// A table of settings, as declared by `declare_section!`.
pub trait Section: Sized {
    /// Reads the section; `None` once an error was told.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;

    /// What the section is and what its keys are.
    fn describe() -> Description;
}

/// What a section is.
#[derive(Clone, Debug)]
pub struct Description {
    /// Its documentation, in lines.
    pub doc: &'static [&'static str],
    /// Its keys, in the order in which they are shown.
    pub keys: Vec<Key>,
    /// The sections below it.
    pub tables: Vec<TableKey>,
}

/// What a key is.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What is expected of its value.
    pub expected: &'static str,
    /// Its default in TOML; `None` if it must be given, an empty text if it may be left out and has none.
    pub default: Option<&'static str>,
    /// Its documentation, in lines.
    pub doc: &'static [&'static str],
}

/// A section below another one.
#[derive(Clone, Debug)]
pub struct TableKey {
    /// Its name.
    pub name: &'static str,
    /// How many there may be.
    pub shape: Shape,
    /// What each one is.
    pub section: Description,
}

/// How many of a section there may be below another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One; left out, it has its defaults.
    One,
    /// One, or none: left out, the thing is off.
    Optional,
    /// Any number, each under its id.
    ById,
    /// A list.
    List,
}

/// What stands below a section: one, none, or several sections.
pub trait Below: Sized {
    /// How many there may be.
    const SHAPE: Shape;

    /// Reads it from `value`, which is absent when the key is.
    fn read(context: &mut Context, path: &str, value: Option<Value>) -> Option<Self>;

    /// What each one is.
    fn describe() -> Description;
}

/// What is shared while one configuration is read.
#[derive(Debug, Default)]
pub struct Context {
    /// Everything that is wrong so far.
    pub errors: Vec<ConfigError>,
    /// The variables that secrets may come from.
    pub environment: Environment,
    /// Which key's path was set by which variable.
    pub origins: BTreeMap<String, String>,
}

impl Context {
    /// Tells that the key at `path` is wrong. Names the variable that it came from, if it did.
    pub fn error(&mut self, path: impl Into<String>, sentence: impl Into<String>) {
        let (path, mut sentence) = (path.into(), sentence.into());
        if let Some(variable) = self.origin(&path) {
            sentence = format!("{sentence} (it was set by the environment's {variable})");
        }
        self.errors.push(ConfigError { path, sentence });
    }

    /// The variable that set `path`, or the list that it is an item of.
    fn origin(&self, path: &str) -> Option<&String> {
        let list = || path.split_once('[').and_then(|(list, _)| self.origins.get(list));
        self.origins.get(path).or_else(list)
    }
}

/// One table while it is read; what nobody has asked for in the end is an error.
pub struct Reader<'a> {
    context: &'a mut Context,
    path: &'a str,
    table: Table,
}

impl Reader<'_> {
    /// The setting `name`; `default` (in TOML) where it is absent: `None` if it must not be.
    pub fn setting<T: Setting>(&mut self, name: &str, default: Option<&str>) -> Option<T> {
        let path = join(self.path, name);
        let Some(value) = self.table.remove(name) else {
            let Some(default) = default else {
                self.context.error(path, format!("it is missing; expected {}", T::EXPECTED));
                return None;
            };
            return of_default(default);
        };
        let mut read = T::read(&value);
        if let (Err(_), Some(text), true) = (&read, value.as_str(), self.context.origins.contains_key(&path))
        {
            // A variable is text; what is no text in the file is written in the variable as it is in the file.
            if let Some(value) = literal(text) {
                read = T::read(&value);
            }
        }
        read.map_err(|what| self.wrong(path, what, &value, T::EXPECTED)).ok()
    }

    /// The secret `name`, if it is there. `Err` once an error was told.
    pub fn secret(&mut self, name: &str) -> Option<Option<SecretString>> {
        let path = join(self.path, name);
        let Some(value) = self.table.remove(name) else { return Some(None) };
        match secret::read(&value, &self.context.environment) {
            Ok(secret) => Some(Some(secret)),
            Err(what) => {
                let what = what.unwrap_or_else(|| format!("it is {}", article(&value)));
                self.context.error(path, format!("{what}; expected {}", secret::EXPECTED));
                None
            }
        }
    }

    /// The section or sections `name`.
    pub fn below<T: Below>(&mut self, name: &str) -> Option<T> {
        let path = join(self.path, name);
        let value = self.table.remove(name);
        T::read(self.context, &path, value)
    }

    fn wrong(&mut self, path: String, what: Option<String>, value: &Value, expected: &str) {
        let what = what.unwrap_or_else(|| format!("it is {}", article(value)));
        self.context.error(path, format!("{what}; expected {expected}"));
    }
}

/// Reads `table` as a section at `path`. Keys that it does not have are errors.
pub fn section<T: Section>(context: &mut Context, path: &str, table: Table) -> Option<T> {
    let mut reader = Reader { context, path, table };
    let section = T::read(&mut reader);
    let unknown = reader.table;
    let complete = unknown.is_empty();
    for name in unknown.keys() {
        let sentence = unknown_key::<T>(name);
        context.error(join(path, name), sentence);
    }
    section.filter(|_| complete)
}

impl<T: Section> Below for T {
    const SHAPE: Shape = Shape::One;

    fn read(context: &mut Context, path: &str, value: Option<Value>) -> Option<Self> {
        let table = as_table(context, path, value)?;
        section(context, path, table)
    }

    fn describe() -> Description {
        T::describe()
    }
}

impl<T: Section> Below for Option<T> {
    const SHAPE: Shape = Shape::Optional;

    fn read(context: &mut Context, path: &str, value: Option<Value>) -> Option<Self> {
        if value.is_none() {
            return Some(None);
        }
        let table = as_table(context, path, value)?;
        section(context, path, table).map(Some)
    }

    fn describe() -> Description {
        T::describe()
    }
}

impl<K: FromStr + Ord, T: Section> Below for BTreeMap<K, T> {
    const SHAPE: Shape = Shape::ById;

    fn read(context: &mut Context, path: &str, value: Option<Value>) -> Option<Self> {
        let mut all = Some(Self::new());
        for (name, value) in as_table(context, path, value)? {
            let path = join(path, &name);
            let id = name.parse::<K>().ok();
            if id.is_none() {
                context
                    .error(&path, "it is no id; expected 1 to 128 characters out of A-Z, a-z, 0-9, _ and -");
            }
            let read = as_table(context, &path, Some(value)).and_then(|table| section(context, &path, table));
            match (&mut all, id, read) {
                (Some(sections), Some(id), Some(read)) => drop(sections.insert(id, read)),
                _ => all = None,
            }
        }
        all
    }

    fn describe() -> Description {
        T::describe()
    }
}

impl<T: Section> Below for Vec<T> {
    const SHAPE: Shape = Shape::List;

    fn read(context: &mut Context, path: &str, value: Option<Value>) -> Option<Self> {
        let items = match value {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                context.error(path, format!("it is {}; expected a list of tables", article(&other)));
                return None;
            }
        };
        let read: Vec<Option<T>> = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| {
                let path = format!("{path}[{index}]");
                as_table(context, &path, Some(item)).and_then(|table| section(context, &path, table))
            })
            .collect();
        read.into_iter().collect()
    }

    fn describe() -> Description {
        T::describe()
    }
}

/// `name` below `path`.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn as_table(context: &mut Context, path: &str, value: Option<Value>) -> Option<Table> {
    match value {
        None => Some(Table::new()),
        Some(Value::Table(table)) => Some(table),
        Some(other) => {
            context.error(path, format!("it is {}; expected a table", article(&other)));
            None
        }
    }
}

/// Reads a default of the declarations; a test reads every one of them.
fn of_default<T: Setting>(default: &str) -> Option<T> {
    let value = if default.is_empty() { return T::absent() } else { literal(default)? };
    T::read(&value).ok()
}

fn literal(text: &str) -> Option<Value> {
    format!("v = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("v"))
}

fn article(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// Names the known key that looks most like `name`, or all of them.
fn unknown_key<T: Section>(name: &str) -> String {
    let description = T::describe();
    let known =
        description.keys.iter().map(|key| key.name).chain(description.tables.iter().map(|table| table.name));
    let known: Vec<_> = known.collect();
    match known.iter().map(|key| (distance(name, key), key)).min() {
        Some((changes, key)) if changes <= 1 + key.len() / 4 => {
            format!("there is no such setting; did you mean `{key}`?")
        }
        _ if known.is_empty() => "there is no such setting; this section has none".into(),
        _ => format!("there is no such setting; there are {}", known.join(", ")),
    }
}

/// How many single-character changes make `one` of `other`. Bounded: a name of any length may come.
fn distance(one: &str, other: &str) -> usize {
    const CHARACTERS_MAX: usize = 64;
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, a) in one.chars().take(CHARACTERS_MAX).enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// Declares a section: its documentation, its settings with type, default and documentation, and the
/// sections below it. From this one table come the struct, its reading, the example file and the reference.
macro_rules! declare_section {
    (
        $(#[doc = $doc:literal])+
        $section:ident {
            $(
                $(#[doc = $key_doc:literal])+
                $key:ident: $type:ty = $default:expr;
            )*
        }
        $(secrets {
            $(
                $(#[doc = $secret_doc:literal])+
                $secret:ident;
            )*
        })?
        $(below {
            $(
                $below:ident: $table:ty;
            )*
        })?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        pub struct $section {
            $(
                $(#[doc = $key_doc])+
                pub $key: $type,
            )*
            $($(
                $(#[doc = $secret_doc])+
                pub $secret: Option<secrecy::SecretString>,
            )*)?
            $($(
                #[doc = concat!("`[", stringify!($below), "]`")]
                pub $below: $table,
            )*)?
        }

        impl $crate::config::reader::Section for $section {
            fn read(reader: &mut $crate::config::reader::Reader<'_>) -> Option<Self> {
                // Every key is read before the first missing one ends it, so that all errors are told.
                $(let $key = reader.setting(stringify!($key), $crate::config::reader::default_text(stringify!($default)));)*
                $($(let $secret = reader.secret(stringify!($secret));)*)?
                $($(let $below = reader.below(stringify!($below));)*)?
                Some(Self { $($key: $key?,)* $($($secret: $secret?,)*)? $($($below: $below?,)*)? })
            }

            fn describe() -> $crate::config::reader::Description {
                $crate::config::reader::Description {
                    doc: &[$($doc),+],
                    keys: vec![
                        $($crate::config::reader::Key {
                            name: stringify!($key),
                            expected: <$type as $crate::config::value::Setting>::EXPECTED,
                            default: $crate::config::reader::default_text(stringify!($default)),
                            doc: &[$($key_doc),+],
                        },)*
                        $($($crate::config::reader::Key {
                            name: stringify!($secret),
                            expected: $crate::config::secret::EXPECTED,
                            default: Some(""),
                            doc: &[$($secret_doc),+],
                        },)*)?
                    ],
                    tables: vec![
                        $($($crate::config::reader::TableKey {
                            name: stringify!($below),
                            shape: <$table as $crate::config::reader::Below>::SHAPE,
                            section: <$table as $crate::config::reader::Below>::describe(),
                        },)*)?
                    ],
                }
            }
        }
    };
}
pub(crate) use declare_section as section_of;

/// What a declaration's default means: `required` is none, `none` an absent value, anything else TOML.
pub fn default_text(declared: &'static str) -> Option<&'static str> {
    match declared {
        "required" => None,
        "none" => Some(""),
        toml => Some(toml),
    }
}
