//! Checks the ID tokens of OpenID providers. Sources: OpenID Connect Core 1.0, 3.1.3.7; RFC 7515, 7517,
//! 7518, 8037. The algorithms are those of one list; a token has no say beyond choosing one of them, and
//! each goes with one kind of key.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use greenroom_protocol::Timestamp;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, de::DeserializeOwned};

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 32 * 1024;

/// How far the provider's clock may be from ours, in seconds.
const LEEWAY_S: i64 = 60;

/// Longest name of a person at a provider, in bytes (Core, 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// Why a token proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IdTokenError {
    /// It is signed with a key that is not among those that we know: there may be newer ones.
    #[error("it is signed with an unknown key")]
    UnknownKey,
    /// It is not good, whatever the keys.
    #[error("{0}")]
    Invalid(&'static str),
}

/// The keys of a provider, as it publishes them.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

/// What the token has to say of us.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now: Timestamp,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Claims {
    iss: String,
    pub(super) sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    pub(super) name: Option<String>,
    pub(super) preferred_username: Option<String>,
    pub(super) nickname: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn has(&self, client_id: &str) -> bool {
        match self {
            Self::One(one) => one == client_id,
            Self::Many(many) => many.iter().any(|one| one == client_id),
        }
    }
}

/// The claims of `token`, if one of `keys` signed it and it is for us, now.
pub(super) fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Claims, IdTokenError> {
    let invalid = IdTokenError::Invalid;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(invalid("it is too long"));
    }
    let (message, signature) = token.rsplit_once('.').ok_or(invalid("it is no JWT"))?;
    let (header, payload) = message.split_once('.').ok_or(invalid("it is no JWT"))?;
    let header: Header = part(header).ok_or(invalid("its header is not understood"))?;
    if header.crit.is_some() {
        return Err(invalid("its header asks for what we do not know"));
    }
    let kind = match header.alg.as_str() {
        "RS256" => "RSA",
        "ES256" => "EC",
        "EdDSA" => "OKP",
        _ => return Err(invalid("its algorithm is none of RS256, ES256 and EdDSA")),
    };
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| invalid("its signature is not base64"))?;
    let mut tried = 0;
    let mut is_signed = false;
    for key in keys.keys.iter().filter_map(|key| Key::deserialize(key).ok()) {
        let fits = key.kty == kind
            && key.usage.as_deref().is_none_or(|usage| usage == "sig")
            && key.alg.as_deref().is_none_or(|alg| alg == header.alg)
            && (header.kid.is_none() || key.kid == header.kid);
        if fits {
            tried += 1;
            is_signed |= key.has_signed(kind, message.as_bytes(), &signature);
        }
    }
    match (tried, is_signed) {
        (_, true) => {}
        (0, false) => return Err(IdTokenError::UnknownKey),
        _ => return Err(invalid("its signature is not the provider's")),
    }
    let claims: Claims = part(payload).ok_or(invalid("its claims are not understood"))?;
    check(&claims, expected).map(|()| claims)
}

fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    let now_s = expected.now.as_millis() / 1_000;
    let is_ours = claims.aud.has(expected.client_id)
        && match (&claims.aud, &claims.azp) {
            (Audience::Many(many), None) => many.len() == 1,
            (_, Some(party)) => party == expected.client_id,
            (Audience::One(_), None) => true,
        };
    let wrong = if claims.iss != expected.issuer {
        "it is of another issuer"
    } else if !is_ours {
        "it is for another application"
    } else if claims.exp.saturating_add(LEEWAY_S) <= now_s {
        "it has expired"
    } else if claims.iat.saturating_sub(LEEWAY_S) > now_s
        || claims.nbf.is_some_and(|from| from.saturating_sub(LEEWAY_S) > now_s)
    {
        "it is of the future"
    } else if claims.nonce.as_deref() != Some(expected.nonce) {
        "it is not the answer to what we asked"
    } else if claims.sub.is_empty() || claims.sub.len() > SUBJECT_BYTES_MAX {
        "its subject is not one"
    } else {
        return Ok(());
    };
    Err(IdTokenError::Invalid(wrong))
}

impl Key {
    fn has_signed(&self, kind: &str, message: &[u8], signature: &[u8]) -> bool {
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let verified = match kind {
            "RSA" => bytes(&self.n).zip(bytes(&self.e)).map(|(n, e)| {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }),
            "EC" if self.crv.as_deref() == Some("P-256") => {
                bytes(&self.x).zip(bytes(&self.y)).map(|(x, y)| {
                    // An uncompressed point (SEC 1, 2.3.3).
                    let point = [vec![4], x, y].concat();
                    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
                })
            }
            "OKP" if self.crv.as_deref() == Some("Ed25519") => {
                bytes(&self.x).map(|x| UnparsedPublicKey::new(&ED25519, x).verify(message, signature))
            }
            _ => None,
        };
        verified.is_some_and(|verified| verified.is_ok())
    }
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests;
