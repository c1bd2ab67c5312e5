//! Secrets: written out, in a file, or in the environment.

use std::fs;

use secrecy::SecretString;
use toml::Value;

use super::environment::Environment;

/// What is expected of a secret.
pub const EXPECTED: &str = "a text, { file = \"…\" } or { env = \"…\" }";

/// Longest secret, in bytes; a larger file is not one.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Reads a secret from `value`: the text itself, `{ file = "…" }` (without its last line break), or
/// `{ env = "…" }`. The error never contains it.
pub fn read(value: &Value, environment: &Environment) -> Result<SecretString, Option<String>> {
    if let Some(text) = value.as_str() {
        return not_empty(text, "it is empty");
    }
    let table = value.as_table().ok_or(None)?;
    let mut entries = table.iter();
    let (Some((source, name)), None) = (entries.next(), entries.next()) else { return Err(None) };
    let name = name.as_str().ok_or(None)?;
    match source.as_str() {
        "file" => from_file(name),
        "env" => match environment.get(name) {
            Some(text) => not_empty(text, &format!("the environment's {name} is empty")),
            None => Err(Some(format!("the environment has no {name}"))),
        },
        _ => Err(None),
    }
}

fn from_file(name: &str) -> Result<SecretString, Option<String>> {
    let too_large = fs::metadata(name).is_ok_and(|metadata| metadata.len() > SECRET_BYTES_MAX);
    if too_large {
        return Err(Some(format!("the file {name} has more than {SECRET_BYTES_MAX} bytes")));
    }
    match fs::read_to_string(name) {
        Ok(text) => {
            let text = text.strip_suffix('\n').unwrap_or(&text);
            not_empty(text.strip_suffix('\r').unwrap_or(text), &format!("the file {name} is empty"))
        }
        Err(error) => Err(Some(format!("the file {name} cannot be read ({error})"))),
    }
}

fn not_empty(text: &str, otherwise: &str) -> Result<SecretString, Option<String>> {
    if text.is_empty() { Err(Some(otherwise.into())) } else { Ok(text.into()) }
}
