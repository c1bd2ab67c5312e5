//! Personal tokens: by which an administrator's own programs ask, with the role that it has.

use greenroom_protocol::{AdminId, ErrorCode, PersonalTokenId, Timestamp};
use greenroom_storage::PersonalToken;
use uuid::Uuid;

use super::{Admins, Via};
use crate::{failure::Failure, principal::AdminPrincipal, secret};

/// Tokens of one administrator; one more is refused.
pub const PERSONAL_TOKENS_MAX: usize = 50;

/// Longest name of a token, in characters.
pub const TOKEN_NAME_CHARS_MAX: usize = 100;

/// What every personal token begins with.
pub const PERSONAL_TOKEN_PREFIX: &str = "gt_";

/// A token's use is written down at most this often.
const TOUCH_EVERY_MS: i64 = 60_000;

impl Admins {
    /// Makes a token of an administrator. The text that it gives is shown this once; only its hash is kept.
    pub async fn create_token(
        &self,
        of: &AdminId,
        name: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<(PersonalToken, String), Failure> {
        let name = name.trim();
        let now = self.clock.now();
        let invalid = |sentence: String| Failure::new(ErrorCode::Invalid, sentence);
        if name.is_empty()
            || name.chars().count() > TOKEN_NAME_CHARS_MAX
            || name.chars().any(char::is_control)
        {
            return Err(invalid(format!("`name` has 1 to {TOKEN_NAME_CHARS_MAX} characters.")));
        }
        if expires_at.is_some_and(|end| end <= now) {
            return Err(invalid("`expiresAt` lies in the future, or is left out.".into()));
        }
        if self.tokens(of).await?.len() >= PERSONAL_TOKENS_MAX {
            let sentence =
                format!("There are {PERSONAL_TOKENS_MAX} tokens already. Revoke one, and try again.");
            return Err(Failure::new(ErrorCode::LimitReached, sentence));
        }
        let text = format!("{PERSONAL_TOKEN_PREFIX}{}", secret::new_secret()?);
        let token = PersonalToken {
            id: PersonalTokenId::new(Uuid::now_v7().to_string()).map_err(Failure::internal)?,
            token_hash: secret::hash(&text),
            admin: of.clone(),
            name: name.to_owned(),
            created_at: now,
            expires_at,
            last_used_at: None,
        };
        self.storage.personal_tokens().create(&token).await.map_err(Failure::storage)?;
        Ok((token, text))
    }

    /// The tokens of an administrator, newest first, expired ones included.
    pub async fn tokens(&self, of: &AdminId) -> Result<Vec<PersonalToken>, Failure> {
        self.get(of).await?;
        let limit = PERSONAL_TOKENS_MAX as u32;
        self.storage.personal_tokens().list(of, limit).await.map_err(Failure::storage)
    }

    /// Revokes a token at once.
    pub async fn revoke_token(&self, of: &AdminId, id: &PersonalTokenId) -> Result<(), Failure> {
        if self.storage.personal_tokens().delete(of, id).await.map_err(Failure::storage)? {
            Ok(())
        } else {
            Err(Failure::new(ErrorCode::NotFound, "There is no such token."))
        }
    }

    /// Who presents the admin token of the installation, or a personal one.
    pub async fn authenticate(&self, token: &str) -> Result<AdminPrincipal, Failure> {
        if let Ok(root) = self.authenticate_token(token) {
            return Ok(root);
        }
        let unknown = || Failure::new(ErrorCode::Unauthorized, "The token is unknown, expired or revoked.");
        if !token.starts_with(PERSONAL_TOKEN_PREFIX) {
            return Err(unknown());
        }
        let found =
            self.storage.personal_tokens().find(&secret::hash(token)).await.map_err(Failure::storage)?;
        let now = self.clock.now();
        let (token, admin) = found.filter(|(token, _)| token.is_live(now)).ok_or_else(unknown)?;
        let last_used_ms = token.last_used_at.map_or(0, Timestamp::as_millis);
        if now.as_millis() - last_used_ms > TOUCH_EVERY_MS
            && let Err(error) = self.storage.personal_tokens().touch(&token.id, now).await
        {
            tracing::debug!(token = %token.id, %error, "the use of a token was not written down");
        }
        Ok(AdminPrincipal { id: admin.id, name: admin.name, role: admin.role, via: Via::PersonalToken })
    }
}
