//! On-demand servers as shipped game clients ask for them: `/api/manager`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The body of `POST /api/manager/request`. Fields that are not known are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ServerRequest {
    /// The title in the server browser: at most 64 characters without control characters, and
    /// neither an option nor a path.
    pub name: String,
    /// Whether the server browser shows it; 0 and 1 are read as well.
    pub list: bool,
    /// The version to run: a semantic version.
    pub version: String,
}

/// A body that is none; the sentence is for a player. Always 422.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerRequestError {
    /// Not JSON, or no object.
    #[error("The body must be a JSON object with `name`, `list` and `version`.")]
    NotAnObject,
    /// A field is missing.
    #[error("`{0}` is missing.")]
    Missing(&'static str),
    /// A field has the wrong type.
    #[error("`{field}` must be {expected}.")]
    WrongType {
        /// Which.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

impl ServerRequest {
    /// Reads a body, whatever its Content-Type says.
    pub fn parse(body: &[u8]) -> Result<Self, ServerRequestError> {
        let Ok(Value::Object(mut object)) = serde_json::from_slice(body) else {
            return Err(ServerRequestError::NotAnObject);
        };
        let mut take = |field| object.remove(field).ok_or(ServerRequestError::Missing(field));
        let (name, list, version) = (take("name")?, take("list")?, take("version")?);
        Ok(Self { name: text("name", name)?, list: flag("list", &list)?, version: text("version", version)? })
    }
}

/// The server that was started, as its game's players reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(untagged)]
pub enum ServerAnswer {
    /// At a port of its own.
    Port {
        /// The port.
        port: u16,
    },
    /// Through Traefik or the gateway.
    GameId {
        /// The server is at `/games/<slug>/<game_id>/ws`.
        game_id: String,
    },
}

/// How errors are written on these paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ManagerError {
    /// A sentence for a player.
    pub detail: String,
}

fn text(field: &'static str, value: Value) -> Result<String, ServerRequestError> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(ServerRequestError::WrongType { field, expected: "a text" }),
    }
}

/// Godot writes whole numbers as `1` or `1.0`.
fn flag(field: &'static str, value: &Value) -> Result<bool, ServerRequestError> {
    let number = value.as_f64();
    match value {
        Value::Bool(flag) => Ok(*flag),
        _ if number == Some(0.0) => Ok(false),
        _ if number == Some(1.0) => Ok(true),
        _ => Err(ServerRequestError::WrongType { field, expected: "true or false" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<ServerRequest, String> {
        ServerRequest::parse(body.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn list_is_a_flag_or_a_number_that_means_one() {
        for (list, expected) in [("true", true), ("false", false), ("1", true), ("0", false), ("1.0", true)] {
            let body = format!(r#"{{"version":"1.0.0","list":{list},"name":"Ann","more":[]}}"#);
            let expected = ServerRequest { name: "Ann".into(), list: expected, version: "1.0.0".into() };
            assert_eq!(parse(&body), Ok(expected), "{list}");
        }
    }

    #[test]
    fn the_answers_to_the_letter() {
        let json = |answer: &ServerAnswer| serde_json::to_string(answer).unwrap();
        assert_eq!(json(&ServerAnswer::Port { port: 7000 }), r#"{"port":7000}"#);
        assert_eq!(json(&ServerAnswer::GameId { game_id: "AB3D".into() }), r#"{"game_id":"AB3D"}"#);
    }

    #[test]
    fn what_is_no_request_is_told_why() {
        let table = [
            ("", "The body must be a JSON object with `name`, `list` and `version`."),
            ("nonsense", "The body must be a JSON object with `name`, `list` and `version`."),
            ("[]", "The body must be a JSON object with `name`, `list` and `version`."),
            ("null", "The body must be a JSON object with `name`, `list` and `version`."),
            (
                r#"["Ann", true, "1.0.0"]"#,
                "The body must be a JSON object with `name`, `list` and `version`.",
            ),
            (r#"{"list":true,"version":"1.0.0"}"#, "`name` is missing."),
            (r#"{"name":"a","version":"1.0.0"}"#, "`list` is missing."),
            (r#"{"name":"a","list":true}"#, "`version` is missing."),
            (r#"{"name":1,"list":true,"version":"1.0.0"}"#, "`name` must be a text."),
            (r#"{"name":null,"list":true,"version":"1.0.0"}"#, "`name` must be a text."),
            (r#"{"name":["a"],"list":true,"version":"1.0.0"}"#, "`name` must be a text."),
            (r#"{"name":"a","list":"true","version":"1.0.0"}"#, "`list` must be true or false."),
            (r#"{"name":"a","list":2,"version":"1.0.0"}"#, "`list` must be true or false."),
            (r#"{"name":"a","list":0.5,"version":"1.0.0"}"#, "`list` must be true or false."),
            (r#"{"name":"a","list":null,"version":"1.0.0"}"#, "`list` must be true or false."),
            (r#"{"name":"a","list":{},"version":"1.0.0"}"#, "`list` must be true or false."),
            (r#"{"name":"a","list":true,"version":1}"#, "`version` must be a text."),
            (r#"{"name":"a","list":true,"version":{}}"#, "`version` must be a text."),
            (r#"{"name":"a","list":true,"version":null}"#, "`version` must be a text."),
        ];
        for (body, sentence) in table {
            assert_eq!(parse(body), Err(sentence.to_owned()), "{body}");
        }
    }
}
