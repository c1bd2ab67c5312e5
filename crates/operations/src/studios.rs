//! API keys: what a studio's own programs present.

use std::sync::Arc;

use greenroom_domain::settings::Settings;
use greenroom_event_log::SubjectFilter;
use greenroom_protocol::{ErrorCode, GameId, KeyId, StudioId, Timestamp};
use greenroom_storage::{ApiKey, Cursor, KeyPermissions, NewApiKey, Page, Storage, StorageError};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    context::Clock,
    failure::Failure,
    principal::{KeyPrincipal, Principal},
    secret,
};

/// Longest name of a key, in characters.
pub const KEY_NAME_CHARS_MAX: usize = 100;

/// Most filters of one permission.
pub const KEY_FILTERS_MAX: usize = 32;

/// A key's use is written down at most this often.
const TOUCH_EVERY_MS: i64 = 60_000;

const PREFIX: &str = "gk_";

/// The API keys of all studios. Cheap to clone.
#[derive(Clone)]
pub struct ApiKeys {
    storage: Storage,
    settings: watch::Receiver<Arc<Settings>>,
    clock: Arc<dyn Clock>,
}

/// How a new key is to be.
#[derive(Clone, Debug, Default)]
pub struct KeyRequest {
    /// A name for people.
    pub name: String,
    /// The one game it is good for; all of the studio's if none is named.
    pub game: Option<GameId>,
    /// What it permits.
    pub permissions: KeyPermissions,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

impl ApiKeys {
    /// The keys that `storage` holds.
    pub fn new(storage: Storage, settings: watch::Receiver<Arc<Settings>>, clock: Arc<dyn Clock>) -> Self {
        Self { storage, settings, clock }
    }

    /// Makes a key. The text that it gives is shown this once and not kept.
    pub async fn create(&self, studio: &StudioId, request: KeyRequest) -> Result<(ApiKey, String), Failure> {
        self.check(studio, &request)?;
        let id = KeyId::new(Uuid::now_v7().to_string()).map_err(Failure::internal)?;
        let secret = secret::new_secret()?;
        let text = format!("{PREFIX}{id}_{secret}");
        let new = NewApiKey {
            id,
            studio: studio.clone(),
            game: request.game,
            name: request.name.trim().to_owned(),
            permissions: request.permissions,
            secret_hash: secret::hash(&secret),
            created_at: self.clock.now(),
            expires_at: request.expires_at,
        };
        self.storage.api_keys().create(&new).await.map_err(Failure::storage)?;
        tracing::info!(key = %new.id, %studio, name = new.name, "made an API key");
        let key = ApiKey {
            id: new.id,
            studio: new.studio,
            game: new.game,
            name: new.name,
            permissions: new.permissions,
            secret_hash: new.secret_hash,
            created_at: new.created_at,
            expires_at: new.expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        Ok((key, text))
    }

    /// Who presents `text`, if it is a key that is good now.
    pub async fn authenticate(&self, text: &str) -> Result<Principal, Failure> {
        let unknown =
            || Failure::new(ErrorCode::Unauthorized, "The API key is missing, unknown, expired or revoked.");
        let (id, secret) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or_else(unknown)?;
        let id = KeyId::new(id).map_err(|_| unknown())?;
        let key = self.storage.api_keys().get(&id).await.map_err(Failure::storage)?.ok_or_else(unknown)?;
        let now = self.clock.now();
        if !secret::equal(&key.secret_hash, &secret::hash(secret)) || !key.is_live(now) {
            return Err(unknown());
        }
        let last_used_ms = key.last_used_at.map_or(0, Timestamp::as_millis);
        if now.as_millis() - last_used_ms > TOUCH_EVERY_MS
            && let Err(error) = self.storage.api_keys().touch(&key.id, now).await
        {
            tracing::debug!(key = %key.id, %error, "the use of a key was not written down");
        }
        let filters =
            |texts: &[String]| texts.iter().filter_map(|text| SubjectFilter::parse(text).ok()).collect();
        Ok(Principal::Key(KeyPrincipal {
            publish: filters(&key.permissions.publish),
            subscribe: filters(&key.permissions.subscribe),
            id: key.id,
            studio: key.studio,
            game: key.game,
            hosting: key.permissions.hosting,
            admin: key.permissions.admin,
        }))
    }

    /// A studio's keys, revoked ones included; every studio's if none is named.
    pub async fn list(
        &self,
        studio: Option<&StudioId>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<ApiKey>, Failure> {
        self.storage.api_keys().list(studio, after, limit).await.map_err(|error| match error {
            StorageError::BadCursor => {
                Failure::new(ErrorCode::BadRequest, "`cursor` is not one that a page gave.")
            }
            other => Failure::storage(other),
        })
    }

    /// A key of any studio.
    pub async fn get(&self, id: &KeyId) -> Result<ApiKey, Failure> {
        let found = self.storage.api_keys().get(id).await.map_err(Failure::storage)?;
        found.ok_or(Failure::new(ErrorCode::NotFound, "There is no such key."))
    }

    /// Revokes a key at once. Doing it twice is harmless.
    pub async fn revoke(&self, id: &KeyId) -> Result<(), Failure> {
        if self.storage.api_keys().revoke(id, self.clock.now()).await.map_err(Failure::storage)? {
            tracing::info!(key = %id, "revoked an API key");
        }
        Ok(())
    }

    fn check(&self, studio: &StudioId, request: &KeyRequest) -> Result<(), Failure> {
        let invalid = |sentence: String| Failure::new(ErrorCode::Invalid, sentence);
        let settings = self.settings.borrow();
        if !settings.studios.contains_key(studio) {
            return Err(Failure::new(ErrorCode::NotFound, "There is no such studio."));
        }
        let name = request.name.trim();
        if name.is_empty() || name.chars().count() > KEY_NAME_CHARS_MAX {
            return Err(invalid(format!("`name` has 1 to {KEY_NAME_CHARS_MAX} characters.")));
        }
        if let Some(game) = &request.game
            && settings.games.get(game).is_none_or(|found| found.studio != *studio)
        {
            return Err(invalid("`game` is not a game of this studio.".into()));
        }
        if request.expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(invalid("`expires_at` must lie in the future, or be left out.".into()));
        }
        for (field, filters) in
            [("publish", &request.permissions.publish), ("subscribe", &request.permissions.subscribe)]
        {
            if filters.len() > KEY_FILTERS_MAX {
                return Err(invalid(format!("`{field}` has at most {KEY_FILTERS_MAX} filters.")));
            }
            for filter in filters {
                SubjectFilter::parse(filter).map_err(|error| invalid(format!("`{field}`: {error}.")))?;
            }
        }
        Ok(())
    }
}
