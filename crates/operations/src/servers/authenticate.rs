//! A game server's bearer token: `gs_<server id>_<secret>`.

use std::{fmt::Write as _, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use greenroom_domain::server::Server;
use greenroom_protocol::ServerId;
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use subtle::ConstantTimeEq;

use super::Servers;

/// Bytes of randomness in a token.
const SECRET_BYTES: usize = 32;

impl Servers {
    /// The server whose token this is, as long as it runs. Whether an id exists can be told by time,
    /// a secret cannot.
    pub fn authenticate(&self, token: &str) -> Option<Arc<Server>> {
        let (id, secret) = token.strip_prefix("gs_")?.split_once('_')?;
        let (server, _) = self.0.view.get(&ServerId::new(id).ok()?)?;
        let matches: bool = hash(secret).as_bytes().ct_eq(server.token_hash.as_bytes()).into();
        (matches && !server.state.is_final()).then_some(server)
    }
}

/// A new secret.
pub(crate) fn new_secret() -> String {
    let mut bytes = [0; SECRET_BYTES];
    SystemRandom::new().fill(&mut bytes).expect("the system gives randomness");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What of a secret is stored.
pub(crate) fn hash(secret: &str) -> String {
    hex(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// The token that carries a secret.
pub(crate) fn token(id: &ServerId, secret: &str) -> String {
    format!("gs_{id}_{secret}")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
