use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RsaKeyPair,
    },
};
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);
const NOW_S: i64 = 1_000_000;
const EXPECTED: Expected<'_> = Expected { issuer: "https://id.test", client_id: "us", nonce: "n", now: NOW };

fn claims() -> Value {
    json!({
        "iss": "https://id.test", "sub": "1", "aud": "us", "nonce": "n",
        "iat": NOW_S, "exp": NOW_S + 300, "preferred_username": "Ada",
    })
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn set(keys: Value) -> KeySet {
    serde_json::from_value(json!({ "keys": keys })).unwrap()
}

struct Signer {
    key: EcdsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self { key: EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap() }
    }

    fn jwk(&self, kid: &str) -> Value {
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "x": text(x), "y": text(y) })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn refused(claims: &Value) -> IdTokenError {
    let signer = Signer::new();
    let token = signer.sign(&json!({ "alg": "ES256", "kid": "k" }), claims);
    verify(&token, &set(json!([signer.jwk("k")])), &EXPECTED).unwrap_err()
}

#[test]
fn a_good_token_of_each_algorithm_is_read() {
    let signer = Signer::new();
    let token = signer.sign(&json!({ "alg": "ES256", "kid": "k" }), &claims());
    // Keys of kinds that we do not know stand beside ours.
    let keys = set(json!([{ "kty": "EC", "crv": "P-521" }, { "kty": 7 }, signer.jwk("k")]));
    let read = verify(&token, &keys, &EXPECTED).unwrap();
    assert_eq!((read.sub.as_str(), read.preferred_username.as_deref()), ("1", Some("Ada")));
    // Without a `kid` every key that fits is tried.
    let token = signer.sign(&json!({ "alg": "ES256" }), &claims());
    let keys = set(json!([Signer::new().jwk("other"), signer.jwk("k")]));
    assert!(verify(&token, &keys, &EXPECTED).is_ok());

    let rsa = RsaKeyPair::from_pkcs8(include_bytes!("rsa.pk8")).unwrap();
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(rsa.public());
    let jwk = json!({
        "kty": "RSA", "kid": "r", "n": URL_SAFE_NO_PAD.encode(&public.n), "e": URL_SAFE_NO_PAD.encode(&public.e),
    });
    let message = format!("{}.{}", encode(&json!({ "alg": "RS256", "kid": "r" })), encode(&claims()));
    let mut signature = vec![0; rsa.public().modulus_len()];
    rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    assert!(verify(&token, &set(json!([jwk])), &EXPECTED).is_ok());

    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let ed = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let x = URL_SAFE_NO_PAD.encode(ed.public_key());
    let message = format!("{}.{}", encode(&json!({ "alg": "EdDSA" })), encode(&claims()));
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(ed.sign(message.as_bytes())));
    let keys = set(json!([{ "kty": "OKP", "crv": "Ed25519", "x": x }]));
    assert!(verify(&token, &keys, &EXPECTED).is_ok());
}

#[test]
fn a_token_says_neither_how_nor_by_whom_it_is_checked() {
    let signer = Signer::new();
    let keys = set(json!([signer.jwk("k")]));
    let good = signer.sign(&json!({ "alg": "ES256", "kid": "k" }), &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    for (alg, signature) in [("none", ""), ("none", signature), ("HS256", signature), ("es256", signature)] {
        let token = format!("{}.{payload}.{signature}", encode(&json!({ "alg": alg, "kid": "k" })));
        let error = verify(&token, &keys, &EXPECTED).unwrap_err();
        assert_eq!(error, IdTokenError::Invalid("its algorithm is none of RS256, ES256 and EdDSA"), "{alg}");
    }
    // An algorithm of the list, and a key of another kind.
    let other = format!("{}.{payload}.{signature}", encode(&json!({ "alg": "RS256", "kid": "k" })));
    assert_eq!(verify(&other, &keys, &EXPECTED), Err(IdTokenError::UnknownKey));
    // A key that the token brings itself is not looked at.
    let stranger = Signer::new();
    let own = stranger.sign(&json!({ "alg": "ES256", "kid": "k", "jwk": stranger.jwk("k") }), &claims());
    let not_theirs = Err(IdTokenError::Invalid("its signature is not the provider's"));
    assert_eq!(verify(&own, &keys, &EXPECTED), not_theirs);
    let unknown = signer.sign(&json!({ "alg": "ES256", "kid": "next" }), &claims());
    assert_eq!(verify(&unknown, &keys, &EXPECTED), Err(IdTokenError::UnknownKey));
    let changed = format!("{header}.{}.{signature}", encode(&json!({ "sub": "2" })));
    assert_eq!(verify(&changed, &keys, &EXPECTED), not_theirs);
    let critical = signer.sign(&json!({ "alg": "ES256", "kid": "k", "crit": ["x"] }), &claims());
    let encryption = json!([{ "kty": "EC", "crv": "P-256", "kid": "k", "use": "enc",
        "x": signer.jwk("k")["x"], "y": signer.jwk("k")["y"] }]);
    assert_eq!(verify(&good, &set(encryption), &EXPECTED), Err(IdTokenError::UnknownKey));
    for bad in
        [critical, String::new(), "a.b".into(), "a.b.c".into(), format!("{message}.!"), good.repeat(100)]
    {
        assert!(matches!(verify(&bad, &keys, &EXPECTED), Err(IdTokenError::Invalid(_))), "{bad}");
    }
    assert!(verify(&good, &keys, &EXPECTED).is_ok());
}

#[test]
fn what_is_not_for_us_now_is_refused() {
    for (claim, value, sentence) in [
        ("iss", json!("https://evil.test"), "it is of another issuer"),
        ("aud", json!("them"), "it is for another application"),
        ("aud", json!(["us", "them"]), "it is for another application"),
        ("azp", json!("them"), "it is for another application"),
        ("exp", json!(NOW_S - 60), "it has expired"),
        ("iat", json!(NOW_S + 61), "it is of the future"),
        ("nbf", json!(NOW_S + 61), "it is of the future"),
        ("nonce", json!("other"), "it is not the answer to what we asked"),
        ("nonce", Value::Null, "it is not the answer to what we asked"),
        ("sub", json!(""), "its subject is not one"),
        ("exp", Value::Null, "its claims are not understood"),
        ("sub", json!(7), "its claims are not understood"),
    ] {
        let mut claims = claims();
        claims[claim] = value.clone();
        assert_eq!(refused(&claims), IdTokenError::Invalid(sentence), "{claim}: {value}");
    }
    let signer = Signer::new();
    let keys = set(json!([signer.jwk("k")]));
    let mut many = claims();
    (many["aud"], many["azp"]) = (json!(["them", "us"]), json!("us"));
    assert!(verify(&signer.sign(&json!({ "alg": "ES256" }), &many), &keys, &EXPECTED).is_ok());
}
