//! Messages to clients, encoded.

use bytes::Bytes;
use greenroom_protocol::{
    ErrorCode,
    lobby::{RequestId, ServerMessage},
};

/// The message as the text of a frame.
pub(crate) fn encode(message: &ServerMessage) -> Bytes {
    // Every message is made of types that are always JSON.
    Bytes::from(serde_json::to_vec(message).unwrap_or_default())
}

/// An error, as the contract's clients and ours read it.
pub(super) fn error(message: impl Into<String>, code: ErrorCode, id: Option<RequestId>) -> Bytes {
    encode(&ServerMessage::Error { message: message.into(), code: Some(code), id })
}
