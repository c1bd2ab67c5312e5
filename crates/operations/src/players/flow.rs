//! Signing in through a provider's own pages, by authorisation code with PKCE (RFC 6749, 7636, 8252).
//!
//! A program begins, with the hash of a secret of its own, and opens the address that it is given in a
//! browser. The browser gets a cookie, from which everything that the provider is told is derived, so that
//! what comes back is good in that browser alone, and once. It is then sent to where the program listens,
//! with a code that only the one who knows the program's secret can use.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use greenroom_protocol::{
    ErrorCode, GameId, PlayerId,
    accounts::{FlowBegin, FlowBegun, FlowComplete},
    auth::SignedIn,
};
use greenroom_storage::{OneTimeToken, StorageError};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::{
    ClientInfo, Players, TokenKind,
    discord::DISCORD,
    email::used_up,
    openid::{Answered, Asked},
    proven::Proven,
    settings::SignInSettings,
};
use crate::{failure::Failure, principal::PlayerPrincipal, secret};

/// How long somebody may take at the provider.
pub const FLOW_TTL: Duration = Duration::from_mins(10);

/// How long the program may take to use its code.
const CODE_TTL: Duration = Duration::from_mins(2);

/// Longest code of a provider, in bytes.
const CODE_BYTES_MAX: usize = 4_096;

/// Longest address that a browser is sent back to, in bytes.
const RETURN_BYTES_MAX: usize = 2_048;

const BEGUN: &str = "flow_begun";
const AWAY: &str = "flow_away";
const DONE: &str = "flow_done";

#[derive(Serialize, Deserialize)]
struct Flow {
    provider: String,
    return_to: String,
    challenge: String,
}

#[derive(Serialize, Deserialize)]
struct Done {
    challenge: String,
    proven: Proven,
}

/// Where a browser goes, and what it carries.
pub struct Away {
    /// For this browser alone.
    pub cookie: String,
    /// The provider's page.
    pub location: String,
}

/// What a provider sends a browser back with.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Callback {
    /// What it was given.
    #[serde(default)]
    pub state: String,
    /// What is exchanged for tokens.
    #[serde(default)]
    pub code: String,
    /// Why there is none.
    #[serde(default)]
    pub error: String,
}

impl Players {
    /// Begins to sign in by `provider`, or to link it to `player`.
    pub async fn begin_flow(
        &self,
        game: &GameId,
        provider: &str,
        request: FlowBegin,
        player: Option<&PlayerPrincipal>,
    ) -> Result<FlowBegun, Failure> {
        let settings = self.flow_settings(game, provider)?;
        if !may_return_to(&settings.redirects, &request.return_to) {
            let sentence =
                "`returnTo` is none of the addresses that the game's setting `sign_in.redirects` has.";
            return Err(Failure::new(ErrorCode::Invalid, sentence));
        }
        let is_hash = URL_SAFE_NO_PAD.decode(&request.challenge).is_ok_and(|bytes| bytes.len() == 32);
        if !is_hash {
            let sentence =
                "`challenge` is not the SHA-256 of a secret, as base64 for addresses without padding.";
            return Err(Failure::new(ErrorCode::Invalid, sentence));
        }
        if let Some(openid) = settings.openid.get(provider) {
            // That it cannot be reached is told now, rather than in a browser.
            self.openid_address(openid, &Asked { redirect_uri: "", state: "", nonce: "", challenge: "" })
                .await?;
        }
        let flow = Flow {
            provider: provider.to_owned(),
            return_to: request.return_to,
            challenge: request.challenge,
        };
        let token = secret::new_secret()?;
        let issued =
            self.flow_token(BEGUN, game, player.map(|player| &player.id), &token, &flow, FLOW_TTL)?;
        let unit = self.storage.one_time_tokens().issue_unit(&issued);
        self.storage.apply(unit).await.map_err(Failure::storage)?;
        let url = format!("{}/go?flow={token}", self.flow_address(game, provider));
        Ok(FlowBegun { url, expires_at: issued.expires_at })
    }

    /// Sends a browser to the provider. The address is good once: another browser could take it up.
    pub async fn go_flow(&self, game: &GameId, provider: &str, token: &str) -> Result<Away, Failure> {
        let settings = self.flow_settings(game, provider)?;
        let found = self.one_time(game, BEGUN, token).await?;
        let flow: Flow = serde_json::from_value(found.data).map_err(Failure::internal)?;
        if flow.provider != provider {
            return Err(used_up());
        }
        let cookie = secret::new_secret()?;
        let redirect_uri = format!("{}/callback", self.flow_address(game, provider));
        let (state, nonce) = (derived("state", &cookie), derived("nonce", &cookie));
        let challenge = challenge_of(&derived("verifier", &cookie));
        let asked =
            Asked { redirect_uri: &redirect_uri, state: &state, nonce: &nonce, challenge: &challenge };
        let location = match (settings.openid.get(provider), &settings.discord) {
            (Some(openid), _) => self.openid_address(openid, &asked).await?,
            (None, Some(discord)) => self.discord_address(discord, &asked),
            (None, None) => return Err(no_such_provider()),
        };
        let away = self.flow_token(AWAY, game, found.player.as_ref(), &cookie, &flow, FLOW_TTL)?;
        let tokens = self.storage.one_time_tokens();
        let unit = tokens.use_unit(&found.hash, BEGUN, self.clock.now()).and(tokens.issue_unit(&away));
        self.storage.apply(unit).await.map_err(used)?;
        Ok(Away { cookie, location })
    }

    /// Takes a browser back from the provider; where it goes next. An error where nothing tells that it is
    /// the browser that went, or that it went from here: then it is sent nowhere.
    pub async fn return_flow(
        &self,
        game: &GameId,
        provider: &str,
        cookie: Option<&str>,
        callback: Callback,
    ) -> Result<String, Failure> {
        let foreign = || {
            let sentence = "This sign-in was begun in another browser, or is over. Begin again in the game.";
            Failure::new(ErrorCode::BadRequest, sentence)
        };
        let cookie = cookie.ok_or_else(foreign)?;
        if !secret::equal(&secret::hash(&derived("state", cookie)), &secret::hash(&callback.state)) {
            return Err(foreign());
        }
        let found = self
            .one_time(game, AWAY, cookie)
            .await
            .map_err(|failure| if failure.code() == ErrorCode::Gone { foreign() } else { failure })?;
        let flow: Flow = serde_json::from_value(found.data).map_err(Failure::internal)?;
        if flow.provider != provider {
            return Err(foreign());
        }
        // Used up before the provider is asked: whoever sends the same again is refused.
        let tokens = self.storage.one_time_tokens();
        let unit = tokens.use_unit(&found.hash, AWAY, self.clock.now());
        self.storage.apply(unit).await.map_err(used)?;
        let answer = match self.prove(game, provider, cookie, &callback).await {
            Ok(proven) => {
                let done = Done { challenge: flow.challenge, proven };
                let code = secret::new_secret()?;
                let issued = self.flow_token(DONE, game, found.player.as_ref(), &code, &done, CODE_TTL)?;
                self.storage.apply(tokens.issue_unit(&issued)).await.map_err(Failure::storage)?;
                ("code", code)
            }
            Err(failure) => {
                tracing::info!(%game, provider, error = %failure, "a sign-in by a provider failed");
                ("error", failure.code().as_str().to_owned())
            }
        };
        let mut url = Url::parse(&flow.return_to).map_err(Failure::internal)?;
        url.query_pairs_mut().append_pair(answer.0, &answer.1);
        Ok(url.into())
    }

    /// Signs in with the code that the browser brought, and the secret that the flow was begun with.
    pub async fn complete_flow(
        &self,
        game: &GameId,
        request: FlowComplete,
        kind: TokenKind,
        client: ClientInfo,
    ) -> Result<SignedIn, Failure> {
        let (found, proven) = self.done(game, &request).await?;
        if found.player.is_some() {
            let sentence = "This was begun to link an identity; complete it at `/v1/me/link/complete`.";
            return Err(Failure::new(ErrorCode::Conflict, sentence));
        }
        let unit = self.storage.one_time_tokens().use_unit(&found.hash, DONE, self.clock.now());
        self.sign_in_proven(game, proven, unit, kind, client).await
    }

    /// Links the identity that a flow of the player's ended with.
    pub async fn complete_link(
        &self,
        player: &PlayerPrincipal,
        request: FlowComplete,
    ) -> Result<(), Failure> {
        let (found, proven) = self.done(&player.game, &request).await?;
        if found.player.as_ref() != Some(&player.id) {
            return Err(Failure::new(ErrorCode::Forbidden, "This was not begun by this player."));
        }
        let unit = self.storage.one_time_tokens().use_unit(&found.hash, DONE, self.clock.now());
        self.link_proven(player, proven, unit).await
    }

    async fn done(&self, game: &GameId, request: &FlowComplete) -> Result<(OneTimeToken, Proven), Failure> {
        let mut found = self.one_time(game, DONE, &request.code).await?;
        let done: Done = serde_json::from_value(found.data.take()).map_err(Failure::internal)?;
        if challenge_of(&request.verifier) != done.challenge {
            let sentence = "`verifier` is not the secret that this sign-in was begun with.";
            return Err(Failure::new(ErrorCode::Unauthorized, sentence));
        }
        Ok((found, done.proven))
    }

    async fn prove(
        &self,
        game: &GameId,
        provider: &str,
        cookie: &str,
        callback: &Callback,
    ) -> Result<Proven, Failure> {
        if !callback.error.is_empty() || callback.code.is_empty() || callback.code.len() > CODE_BYTES_MAX {
            return Err(Failure::new(ErrorCode::Forbidden, "The provider was not allowed to say who it is."));
        }
        let settings = self.flow_settings(game, provider)?;
        let redirect_uri = format!("{}/callback", self.flow_address(game, provider));
        let (nonce, verifier) = (derived("nonce", cookie), derived("verifier", cookie));
        let answered = Answered {
            code: &callback.code,
            redirect_uri: &redirect_uri,
            nonce: &nonce,
            verifier: &verifier,
        };
        match (settings.openid.get(provider), &settings.discord) {
            (Some(openid), _) => self.openid_user(provider, openid, &answered).await,
            (None, Some(discord)) => self.discord_code_user(discord, &answered).await,
            (None, None) => Err(no_such_provider()),
        }
    }

    fn flow_settings(&self, game: &GameId, provider: &str) -> Result<&SignInSettings, Failure> {
        let settings = self.settings.games.get(game).filter(|settings| {
            settings.openid.contains_key(provider) || provider == DISCORD && settings.discord.is_some()
        });
        settings.ok_or_else(no_such_provider)
    }

    fn flow_address(&self, game: &GameId, provider: &str) -> String {
        format!("{}/v1/games/{game}/auth/providers/{provider}", self.settings.public_url)
    }

    fn flow_token(
        &self,
        kind: &str,
        game: &GameId,
        player: Option<&PlayerId>,
        token: &str,
        data: &impl Serialize,
        ttl: Duration,
    ) -> Result<OneTimeToken, Failure> {
        let hash = secret::hash(token);
        Ok(OneTimeToken {
            kind: kind.into(),
            game: game.clone(),
            player: player.cloned(),
            subject: format!("{kind}:{}", secret::hex(&hash)),
            hash,
            data: serde_json::to_value(data).map_err(Failure::internal)?,
            expires_at: self.clock.now().after(ttl),
        })
    }
}

/// Whether a browser may be sent to `address`: it is one of `allowed`; of this machine's own addresses
/// whatever the port, which programs choose as it comes (RFC 8252, 7.3).
pub(super) fn may_return_to(allowed: &[String], address: &str) -> bool {
    let Some(asked) = Url::parse(address).ok().filter(|_| address.len() <= RETURN_BYTES_MAX) else {
        return false;
    };
    if asked.fragment().is_some() || !asked.username().is_empty() || asked.password().is_some() {
        return false;
    }
    allowed.iter().filter_map(|allowed| Url::parse(allowed).ok()).any(|mut allowed| {
        let is_own = allowed.scheme() == "http" && matches!(allowed.host_str(), Some("127.0.0.1" | "[::1]"));
        if is_own && allowed.host() == asked.host() && allowed.set_port(asked.port()).is_err() {
            return false;
        }
        allowed == asked
    })
}

/// What the provider is told, from what only the browser knows.
fn derived(what: &str, cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(secret::hash(&format!("{what}:{cookie}")))
}

/// RFC 7636, 4.2, `S256`.
fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(secret::hash(verifier))
}

fn no_such_provider() -> Failure {
    Failure::new(ErrorCode::NotFound, "Players of this game do not sign in by this provider's pages.")
}

fn used(error: StorageError) -> Failure {
    match error {
        StorageError::NotFound { .. } => used_up(),
        other => Failure::storage(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_sent_back_to_where_they_may_go_alone() {
        let allowed =
            ["https://game.test/signed-in", "http://127.0.0.1/done", "mygame://signed-in"].map(String::from);
        for good in [
            "https://game.test/signed-in",
            "http://127.0.0.1/done",
            "http://127.0.0.1:51234/done",
            "mygame://signed-in",
        ] {
            assert!(may_return_to(&allowed, good), "{good}");
        }
        for bad in [
            "https://game.test/signed-in/",
            "https://game.test:8443/signed-in",
            "https://game.test/signed-in?next=https://evil.test",
            "https://game.test/signed-in#x",
            "https://me@game.test/signed-in",
            "https://game.test.evil.test/signed-in",
            "http://game.test/signed-in",
            "http://127.0.0.1:51234/other",
            "http://localhost:51234/done",
            "https://127.0.0.1:51234/done",
            "othergame://signed-in",
            "/signed-in",
            "",
        ] {
            assert!(!may_return_to(&allowed, bad), "{bad}");
        }
    }

    #[test]
    fn the_challenge_is_the_one_of_the_rfc() {
        // RFC 7636, appendix B.
        let challenge = challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
