//! Values as they are bound and as they come back.

use greenroom_protocol::{
    AdminId, AdminSessionId, BuildId, GameId, InviteId, KeyId, MatchId, PersonalTokenId, PlayerId, RegionId,
    ServerId, SessionId, StudioId, Timestamp,
};

/// A value bound to a statement or found in a row. Times are milliseconds, ids and JSON are text,
/// booleans are 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A double.
    Real(f64),
    /// Text in UTF-8, without U+0000: PostgreSQL takes none.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// A SHA-256 hash of a secret: 32 bytes.
pub type SecretHash = [u8; 32];

/// A type that a column is read as. `None` when the value is not of that type.
pub trait Column: Sized {
    /// Reads the column's value.
    fn from_value(value: Value) -> Option<Self>;
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl From<&SecretHash> for Value {
    fn from(value: &SecretHash) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        Self::Text(value.to_string())
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Integer(value.as_millis())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

macro_rules! ids {
    ($($id:ident)*) => {$(
        impl From<&$id> for Value {
            fn from(id: &$id) -> Self {
                Self::Text(id.as_str().to_owned())
            }
        }

        impl Column for $id {
            fn from_value(value: Value) -> Option<Self> {
                match value {
                    Value::Text(text) => Self::new(text).ok(),
                    _ => None,
                }
            }
        }
    )*};
}

ids! { AdminId AdminSessionId BuildId GameId InviteId KeyId PersonalTokenId MatchId PlayerId RegionId ServerId SessionId StudioId }

impl Column for i64 {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    }
}

impl Column for u32 {
    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value).and_then(|value| value.try_into().ok())
    }
}

impl Column for f64 {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Real(value) => Some(value),
            Value::Integer(value) => Some(value as Self),
            _ => None,
        }
    }
}

impl Column for bool {
    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value).map(|value| value != 0)
    }
}

impl Column for String {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }
}

impl Column for Vec<u8> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Blob(value) => Some(value),
            _ => None,
        }
    }
}

impl Column for SecretHash {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Blob(value) => value.try_into().ok(),
            _ => None,
        }
    }
}

impl Column for Timestamp {
    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value).map(Self::from_millis)
    }
}

impl Column for serde_json::Value {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => serde_json::from_str(&text).ok(),
            _ => None,
        }
    }
}

impl<T: Column> Column for Option<T> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}
