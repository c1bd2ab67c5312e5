//! Tokens: made and checked. Each kind has one algorithm, one key and one `typ`, and a token has
//! no say in any of them.

mod crypto;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use greenroom_protocol::{
    Timestamp,
    ticket::{ACCESS_TYP, AccessClaims, TICKET_TYP, TicketClaims},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Serialize, de::DeserializeOwned};

/// Longest token that is looked at, in bytes. A longer one is refused unread.
pub const TOKEN_BYTES_MAX: usize = 4_096;

/// Fewest bytes of a key that signs access tokens.
pub const ACCESS_KEY_BYTES_MIN: usize = 16;

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours, not of this kind, or tampered with.
    #[error("the token is not valid")]
    Invalid,
    /// It was good until its `exp`.
    #[error("the token has expired")]
    Expired,
}

/// A key that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key of access tokens has too few bytes.
    #[error("the key of access tokens needs at least {ACCESS_KEY_BYTES_MIN} bytes")]
    TooShort,
    /// The key of tickets is no Ed25519 key in PKCS #8.
    #[error("the key of tickets is not an Ed25519 key in PKCS #8")]
    NoTicketKey,
}

/// Makes and checks the tokens of an installation.
pub struct Tokens {
    access: Pair,
    ticket: Pair,
    jwks: String,
}

struct Pair {
    header: Header,
    sign: EncodingKey,
    verify: DecodingKey,
}

/// A new Ed25519 key for tickets, in PKCS #8.
pub fn new_ticket_key() -> Result<Vec<u8>, KeyError> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::NoTicketKey)?;
    Ok(document.as_ref().to_vec())
}

impl Tokens {
    /// Access tokens are signed with `access_key` by HS256, tickets with `ticket_pkcs8` by EdDSA.
    pub fn new(access_key: &SecretSlice<u8>, ticket_pkcs8: &SecretSlice<u8>) -> Result<Self, KeyError> {
        crypto::install();
        let (access_key, ticket_pkcs8) = (access_key.expose_secret(), ticket_pkcs8.expose_secret());
        if access_key.len() < ACCESS_KEY_BYTES_MIN {
            return Err(KeyError::TooShort);
        }
        let ticket_key = Ed25519KeyPair::from_pkcs8(ticket_pkcs8).map_err(|_| KeyError::NoTicketKey)?;
        let public = ticket_key.public_key().as_ref();
        let x = URL_SAFE_NO_PAD.encode(public);
        let kid = key_id(&x);
        let jwks = serde_json::json!({
            "keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x}],
        });
        let access = Pair {
            header: header(Algorithm::HS256, ACCESS_TYP, None),
            sign: EncodingKey::from_secret(access_key),
            verify: DecodingKey::from_secret(access_key),
        };
        let ticket = Pair {
            header: header(Algorithm::EdDSA, TICKET_TYP, Some(kid)),
            sign: EncodingKey::from_ed_der(ticket_pkcs8),
            verify: DecodingKey::from_ed_der(public),
        };
        Ok(Self { access, ticket, jwks: jwks.to_string() })
    }

    /// A player's access token.
    pub fn sign_access(&self, claims: &AccessClaims) -> Result<String, TokenError> {
        self.access.sign(claims)
    }

    /// The claims of a player's access token, if it is good at `now`.
    pub fn verify_access(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        let claims: AccessClaims = self.access.verify(token)?;
        unexpired(claims.exp, now).map(|()| claims)
    }

    /// A ticket for a seat.
    pub fn sign_ticket(&self, claims: &TicketClaims) -> Result<String, TokenError> {
        self.ticket.sign(claims)
    }

    /// The claims of a ticket, if it is good at `now`.
    pub fn verify_ticket(&self, token: &str, now: Timestamp) -> Result<TicketClaims, TokenError> {
        let claims: TicketClaims = self.ticket.verify(token)?;
        unexpired(claims.exp, now).map(|()| claims)
    }

    /// The public keys that tickets are checked with, as a JWK set (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> &str {
        &self.jwks
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("jwks", &self.jwks).finish_non_exhaustive()
    }
}

impl Pair {
    fn sign(&self, claims: &impl Serialize) -> Result<String, TokenError> {
        jsonwebtoken::encode(&self.header, claims, &self.sign).map_err(|_| TokenError::Invalid)
    }

    fn verify<T: DeserializeOwned + Clone>(&self, token: &str) -> Result<T, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let mut validation = Validation::new(self.header.alg);
        // The claims' types make `exp` mandatory; it is compared with our clock, not the library's.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let data =
            jsonwebtoken::decode::<T>(token, &self.verify, &validation).map_err(|_| TokenError::Invalid)?;
        if data.header.typ == self.header.typ { Ok(data.claims) } else { Err(TokenError::Invalid) }
    }
}

fn header(algorithm: Algorithm, typ: &str, kid: Option<String>) -> Header {
    let mut header = Header::new(algorithm);
    header.typ = Some(typ.into());
    header.kid = kid;
    header
}

/// The key's thumbprint (RFC 7638, RFC 8037).
fn key_id(x: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

fn unexpired(exp_s: i64, now: Timestamp) -> Result<(), TokenError> {
    if exp_s.saturating_mul(1_000) > now.as_millis() { Ok(()) } else { Err(TokenError::Expired) }
}

#[cfg(test)]
mod tests;
