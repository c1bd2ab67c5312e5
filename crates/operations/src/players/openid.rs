//! Signing in by any OpenID provider. Sources: OpenID Connect Core 1.0, Discovery 1.0; RFC 6749, 7636.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use greenroom_protocol::{ErrorCode, Timestamp};
use parking_lot::Mutex;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{
    Players,
    id_token::{self, Expected, IdTokenError, KeySet},
    proven::Proven,
    provider::{NoAnswer, form, not_understood},
};
use crate::failure::Failure;

/// How long what a provider says of itself counts as current.
const KNOWN_TTL: Duration = Duration::from_hours(1);

/// How long its keys are not asked for again because of a token that none of them signed.
const KEYS_TTL_MIN: Duration = Duration::from_mins(1);

/// Signing in by an OpenID provider.
#[derive(Clone, Debug)]
pub struct OpenIdSettings {
    /// The provider, as it calls itself in its tokens.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// What we prove it with; none if we are a public client to it.
    pub client_secret: Option<SecretString>,
    /// What we ask for; `openid` is among it.
    pub scopes: Vec<String>,
}

/// Where an authorisation goes through us: what both kinds of providers need to be asked.
pub(super) struct Asked<'a> {
    pub(super) redirect_uri: &'a str,
    pub(super) state: &'a str,
    pub(super) nonce: &'a str,
    /// Of the code verifier (RFC 7636, 4.2).
    pub(super) challenge: &'a str,
}

/// A code that came back, and what it is exchanged with.
pub(super) struct Answered<'a> {
    pub(super) code: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) nonce: &'a str,
    pub(super) verifier: &'a str,
}

/// What a provider says of itself.
#[derive(Clone, Debug, Deserialize)]
struct Description {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

struct Known {
    description: Description,
    at: Timestamp,
    keys: KeySet,
    keys_at: Timestamp,
}

/// What is known of providers, by issuer: as many as the configuration names.
#[derive(Clone, Default)]
pub(super) struct KnownProviders(Arc<Mutex<BTreeMap<String, Arc<Known>>>>);

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Players {
    /// Where the browser is sent.
    pub(super) async fn openid_address(
        &self,
        settings: &OpenIdSettings,
        asked: &Asked<'_>,
    ) -> Result<String, Failure> {
        let known = self.known(settings).await?;
        let scopes = settings.scopes.join(" ");
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &settings.client_id),
            ("redirect_uri", asked.redirect_uri),
            ("scope", &scopes),
            ("state", asked.state),
            ("nonce", asked.nonce),
            ("code_challenge", asked.challenge),
            ("code_challenge_method", "S256"),
        ]);
        let endpoint = &known.description.authorization_endpoint;
        let mark = if endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{endpoint}{mark}{query}"))
    }

    /// Whom the provider called `name` vouches for by this code.
    pub(super) async fn openid_user(
        &self,
        name: &str,
        settings: &OpenIdSettings,
        answered: &Answered<'_>,
    ) -> Result<Proven, Failure> {
        let known = self.known(settings).await?;
        let token = self.exchange(settings, &known.description, answered).await?;
        let expected = Expected {
            issuer: &settings.issuer,
            client_id: &settings.client_id,
            nonce: answered.nonce,
            now: self.clock.now(),
        };
        let mut verified = id_token::verify(&token, &known.keys, &expected);
        let is_old = known.keys_at.after(KEYS_TTL_MIN) <= self.clock.now();
        if verified == Err(IdTokenError::UnknownKey) && is_old {
            let known = self.look_up(settings).await?;
            verified = id_token::verify(&token, &known.keys, &expected);
        }
        let claims = verified.map_err(|error| {
            tracing::warn!(issuer = settings.issuer, %error, "an ID token was refused");
            let sentence = "The provider's token is not good for this. Sign in again.";
            Failure::new(ErrorCode::Unauthorized, sentence).because(error)
        })?;
        let username = claims.preferred_username.or(claims.nickname).or(claims.name.clone());
        Ok(Proven {
            provider: name.to_owned(),
            username: username.unwrap_or_else(|| "Player".into()),
            profile: json!({ "name": claims.name, "issuer": settings.issuer }),
            subject: claims.sub,
        })
    }

    async fn exchange(
        &self,
        settings: &OpenIdSettings,
        description: &Description,
        answered: &Answered<'_>,
    ) -> Result<String, Failure> {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", answered.code),
            ("redirect_uri", answered.redirect_uri),
            ("client_id", settings.client_id.as_str()),
            ("code_verifier", answered.verifier),
        ];
        let secret = settings.client_secret.as_ref().map(ExposeSecret::expose_secret);
        let methods = &description.token_endpoint_auth_methods_supported;
        let has = |method: &str| methods.iter().any(|one| one == method);
        // Basic where nothing is said (Discovery, 3).
        let in_body = has("client_secret_post") && !has("client_secret_basic");
        fields.extend(secret.filter(|_| in_body).map(|secret| ("client_secret", secret)));
        let body = form(&fields);
        let tokens = self.provider.ask::<Tokens>("openid", |client| {
            let request = client
                .post(&description.token_endpoint)
                .header("content-type", "application/x-www-form-urlencoded")
                .header("accept", "application/json")
                .body(body);
            match secret.filter(|_| !in_body) {
                // Both are escaped first (RFC 6749, 2.3.1).
                Some(secret) => request.basic_auth(escaped(&settings.client_id), Some(escaped(secret))),
                None => request,
            }
        });
        let tokens = tokens.await.map_err(|no| no.or(code_refused))?;
        Ok(tokens.id_token)
    }

    async fn known(&self, settings: &OpenIdSettings) -> Result<Arc<Known>, Failure> {
        let known = self.openid.0.lock().get(&settings.issuer).cloned();
        match known {
            Some(known) if known.at.after(KNOWN_TTL) > self.clock.now() => Ok(known),
            _ => self.look_up(settings).await,
        }
    }

    async fn look_up(&self, settings: &OpenIdSettings) -> Result<Arc<Known>, Failure> {
        let failed = |no: NoAnswer| no.or(not_understood);
        let issuer = settings.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let description =
            self.provider.ask::<Description>("openid", |client| client.get(url)).await.map_err(failed)?;
        let endpoints =
            [&description.authorization_endpoint, &description.token_endpoint, &description.jwks_uri];
        let is_safe = |endpoint: &&String| {
            Url::parse(endpoint).is_ok_and(|url| {
                url.has_host()
                    && url.fragment().is_none()
                    // Only who is asked without encryption may name what is.
                    && (url.scheme() == "https" || url.scheme() == "http" && issuer.starts_with("http:"))
            })
        };
        if description.issuer != settings.issuer || !endpoints.iter().all(is_safe) {
            tracing::error!(
                issuer = settings.issuer,
                says = description.issuer,
                "an OpenID provider calls itself otherwise, or names endpoints that are not safe"
            );
            return Err(not_understood());
        }
        let jwks = description.jwks_uri.clone();
        let keys = self.provider.ask::<KeySet>("openid", |client| client.get(jwks)).await.map_err(failed)?;
        let now = self.clock.now();
        let known = Arc::new(Known { description, at: now, keys, keys_at: now });
        self.openid.0.lock().insert(settings.issuer.clone(), Arc::clone(&known));
        Ok(known)
    }
}

/// The provider does not take the code that the browser brought.
pub(super) fn code_refused() -> Failure {
    Failure::new(ErrorCode::Unauthorized, "The provider does not take its code back. Sign in again.")
}

fn escaped(text: &str) -> String {
    form(&[("", text)]).trim_start_matches('=').to_owned()
}
