use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{assignment::Environment, greenroom::Greenroom};

/// The one type of token that opens a seat.
const TICKET_TYPE: &str = "greenroom-ticket+jwt";
const TICKET_ALGORITHM: &str = "EdDSA";
/// The longest ticket that is looked at.
const TICKET_BYTES_MAX: usize = 4096;
const KEY_BYTES: usize = 32;
/// Keys beyond these are ignored.
const KEYS_MAX: usize = 32;
/// An unknown key asks for the keys again, at most this often.
const FETCH_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Clocks of two machines may differ by this.
const LEEWAY_SECONDS: u64 = 5;

/// What a ticket says, after its signature was checked.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Claims {
    pub player: String,
    #[serde(rename = "match")]
    pub match_id: Option<String>,
    pub game: Option<String>,
    pub server: Option<String>,
    pub role: Option<String>,
    /// `"A"` or `"B"`, where the ticket says it.
    pub team: Option<String>,
    #[serde(default)]
    pub generation: u64,
    /// When it was made, in seconds since the Unix epoch.
    #[serde(default)]
    pub iat: u64,
    /// Shown in matches that were not told who comes.
    #[serde(alias = "name")]
    pub username: Option<String>,
    exp: u64,
}

/// Why a ticket is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a ticket is needed to join")]
    Missing,
    #[error("the ticket is not readable")]
    Malformed,
    #[error("the ticket was not issued for game servers")]
    WrongType,
    #[error("the ticket's key is unknown")]
    UnknownKey,
    #[error("the ticket's signature does not hold")]
    BadSignature,
    #[error("the ticket has expired; ask the lobby for a new one")]
    Expired,
    #[error("the ticket is for another game or server")]
    Elsewhere,
}

/// Checks tickets offline, with the public keys that Greenroom publishes.
pub(super) struct Gate {
    greenroom: Greenroom,
    game: Option<String>,
    server_id: Option<String>,
    keys: Mutex<HashMap<String, [u8; KEY_BYTES]>>,
    /// Held while the keys are fetched, so that they are fetched once; when that was last.
    fetched: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    x: Option<String>,
}

impl Gate {
    pub(super) fn new(greenroom: Greenroom, environment: &Environment) -> Self {
        Self {
            greenroom,
            game: environment.game.clone(),
            server_id: environment.server_id.clone(),
            keys: Mutex::default(),
            fetched: tokio::sync::Mutex::default(),
        }
    }

    /// Whether anybody may join without a ticket.
    pub(super) fn is_open(&self) -> bool {
        self.greenroom.is_absent()
    }

    /// Fetches the keys before the first ticket needs them.
    pub(super) async fn warm_up(&self) {
        self.fetch_keys().await;
    }

    pub(super) async fn check(&self, ticket: &str) -> Result<Claims, Refusal> {
        if ticket.len() > TICKET_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let (signed, signature) = ticket.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        let header: Header = decode_json(header)?;
        if header.alg != TICKET_ALGORITHM || header.typ.as_deref() != Some(TICKET_TYPE) {
            return Err(Refusal::WrongType);
        }
        let key = self.key(&header.kid).await.ok_or(Refusal::UnknownKey)?;
        let signature = BASE64.decode(signature).map_err(|_| Refusal::Malformed)?;
        UnparsedPublicKey::new(&ED25519, key)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| Refusal::BadSignature)?;
        let claims: Claims = decode_json(claims)?;
        self.judge(claims, unix_seconds())
    }

    fn judge(&self, claims: Claims, now_seconds: u64) -> Result<Claims, Refusal> {
        if claims.exp.saturating_add(LEEWAY_SECONDS) <= now_seconds {
            return Err(Refusal::Expired);
        }
        for (ours, theirs) in [(&self.game, &claims.game), (&self.server_id, &claims.server)] {
            if let (Some(ours), Some(theirs)) = (ours, theirs)
                && ours != theirs
            {
                return Err(Refusal::Elsewhere);
            }
        }
        Ok(claims)
    }

    async fn key(&self, id: &str) -> Option<[u8; KEY_BYTES]> {
        if let Some(key) = self.known_key(id) {
            return Some(key);
        }
        self.fetch_keys().await;
        self.known_key(id)
    }

    fn known_key(&self, id: &str) -> Option<[u8; KEY_BYTES]> {
        let keys = self.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        keys.get(id).copied()
    }

    async fn fetch_keys(&self) {
        let mut fetched = self.fetched.lock().await;
        if fetched.is_some_and(|last| last.elapsed() < FETCH_AGAIN_AFTER) {
            return;
        }
        let found = match self.greenroom.ticket_keys().await {
            Ok(body) => read_keys(&body),
            Err(error) => {
                // Not remembered as fetched: the next ticket tries again at once.
                warn!(error = %error, "the ticket keys could not be fetched");
                return;
            }
        };
        *fetched = Some(Instant::now());
        debug!(keys = found.len(), "ticket keys fetched");
        let mut keys = self.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *keys = found;
    }
}

/// The Ed25519 keys of a JSON Web Key Set (RFC 7517, RFC 8037); others are skipped.
fn read_keys(body: &[u8]) -> HashMap<String, [u8; KEY_BYTES]> {
    let set: KeySet = match serde_json::from_slice(body) {
        Ok(set) => set,
        Err(error) => {
            warn!(%error, "the ticket keys are no JSON Web Key Set");
            return HashMap::new();
        }
    };
    (set.keys.into_iter())
        .filter(|key| key.kty == "OKP" && key.crv.as_deref() == Some("Ed25519"))
        .filter_map(|key| {
            let bytes = BASE64.decode(key.x?).ok()?;
            Some((key.kid?, bytes.try_into().ok()?))
        })
        .take(KEYS_MAX)
        .collect()
}

fn decode_json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Refusal> {
    let bytes = BASE64.decode(part).map_err(|_| Refusal::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Refusal::Malformed)
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
