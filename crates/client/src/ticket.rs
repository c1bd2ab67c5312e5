//! Checks tickets offline, with the public keys that Greenroom publishes (RFC 7515, RFC 8037).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use greenroom_protocol::{
    Timestamp,
    ticket::{TICKET_TYP, TicketClaims},
};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;

use crate::error::ClientError;

/// Longest ticket that is looked at, in bytes.
const TICKET_BYTES_MAX: usize = 4_096;

/// The public keys of an installation.
#[derive(Clone, Debug, Deserialize)]
pub struct TicketKeys {
    keys: Vec<Jwk>,
}

#[derive(Clone, Debug, Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    crv: String,
    kid: String,
    #[serde(default)]
    x: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

impl TicketKeys {
    /// Reads what `/.well-known/jwks.json` answers.
    pub fn parse(jwks: &[u8]) -> Result<Self, ClientError> {
        serde_json::from_slice(jwks).map_err(|error| ClientError::Unexpected(error.to_string()))
    }

    /// The claims of `ticket`, if one of these keys signed it and it is good at `now`. That the seat
    /// is one of this very match or room is for the caller to check.
    pub fn verify(&self, ticket: &str, now: Timestamp) -> Result<TicketClaims, ClientError> {
        let malformed = ClientError::Ticket("it is no ticket");
        if ticket.len() > TICKET_BYTES_MAX {
            return Err(malformed);
        }
        let Some((message, signature)) = ticket.rsplit_once('.') else { return Err(malformed) };
        let Some((header, claims)) = message.split_once('.') else { return Err(malformed) };
        let header: Header = part(header)?;
        if header.alg != "EdDSA" || header.typ != TICKET_TYP {
            return Err(ClientError::Ticket("it is a token of another kind"));
        }
        let key =
            self.keys.iter().find(|key| key.kid == header.kid && key.kty == "OKP" && key.crv == "Ed25519");
        let key = key.ok_or(ClientError::Ticket("its key is not known"))?;
        let (Ok(public), Ok(signature)) = (URL_SAFE_NO_PAD.decode(&key.x), URL_SAFE_NO_PAD.decode(signature))
        else {
            return Err(malformed);
        };
        UnparsedPublicKey::new(&ED25519, public)
            .verify(message.as_bytes(), &signature)
            .map_err(|_| ClientError::Ticket("its signature is wrong"))?;
        let claims: TicketClaims = part(claims)?;
        if claims.exp.saturating_mul(1_000) <= now.as_millis() {
            return Err(ClientError::Ticket("it has expired"));
        }
        Ok(claims)
    }
}

fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, ClientError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ClientError::Ticket("it is no ticket"))?;
    serde_json::from_slice(&bytes).map_err(|_| ClientError::Ticket("it is no ticket"))
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::ticket::SeatRole;
    use ring::{
        rand::SystemRandom,
        signature::{Ed25519KeyPair, KeyPair},
    };
    use serde_json::json;

    use super::*;

    struct Issuer(Ed25519KeyPair);

    impl Issuer {
        fn new() -> Self {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
            Self(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
        }

        fn keys(&self) -> TicketKeys {
            let x = URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
            let jwks = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x }] });
            TicketKeys::parse(jwks.to_string().as_bytes()).unwrap()
        }

        fn sign(&self, typ: &str, exp: i64) -> String {
            let claims = TicketClaims {
                iss: "greenroom".into(),
                game: "g".parse().unwrap(),
                room: None,
                match_id: Some("m".parse().unwrap()),
                lobby: None,
                player: "p".parse().unwrap(),
                name: None,
                seat: 3,
                team: None,
                role: SeatRole::Player,
                generation: 1,
                iat: 0,
                exp,
            };
            let header =
                URL_SAFE_NO_PAD.encode(json!({ "alg": "EdDSA", "typ": typ, "kid": "k" }).to_string());
            let message =
                format!("{header}.{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap()));
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(self.0.sign(message.as_bytes())))
        }
    }

    const NOW: Timestamp = Timestamp::from_millis(5_000);

    #[test]
    fn a_good_ticket_is_read_and_others_are_refused() {
        let (issuer, other) = (Issuer::new(), Issuer::new());
        let ticket = issuer.sign(TICKET_TYP, 6);
        assert_eq!(issuer.keys().verify(&ticket, NOW).unwrap().seat, 3);
        assert!(issuer.keys().verify(&ticket, Timestamp::from_millis(6_000)).is_err());
        assert!(other.keys().verify(&ticket, NOW).is_err());
        assert!(issuer.keys().verify(&issuer.sign("JWT", 6), NOW).is_err());
        for cut in 0..ticket.len() {
            assert!(issuer.keys().verify(&ticket[..cut], NOW).is_err());
        }
    }
}
