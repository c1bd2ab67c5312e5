//! The outbox of mails to players: what is to be written waits as a job of the records, and is composed
//! when it is sent. So an answer says nothing of whether an address has an account, a token is nowhere
//! but in the mail, and a mail that was asked for survives a kill.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use greenroom_protocol::{ErrorCode, GameId, NodeId, PlayerId, Timestamp};
use greenroom_storage::{Job, NewJob, OneTimeToken, StorageError, UnitOfWork};
use serde::{Deserialize, Serialize};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Players, email::Confirmation, settings::EmailSettings};
use crate::{
    failure::Failure,
    mail::{NotSent, SEND_TIME_MAX, Said, Text},
    secret,
};

/// The jobs' name.
const JOB: &str = "letter";

/// What a token of a mail that confirms an address is good for.
pub(super) const CONFIRM: &str = "confirm";

/// What a token of a mail that brings a new password is good for.
pub(super) const RESET: &str = "reset";

/// Mails that wait; one more is refused as busy.
const WAITING_MAX: u64 = 10_000;

/// Mails that are sent at once.
const AT_ONCE_MAX: u32 = 4;

/// How long a claim lasts: longer than a mail may take.
const LEASE: Duration = SEND_TIME_MAX.saturating_add(Duration::from_secs(15));

/// How long the outbox rests when nothing is due and nobody wakes it.
const REST_MAX: Duration = Duration::from_mins(1);

/// How long it rests when the records are out of reach.
const TROUBLE_REST: Duration = Duration::from_secs(5);

/// Expired tokens that are deleted at once.
const TOKENS_DELETED_MAX: u32 = 100;

/// A job is given up by its age, not by how often it was tried.
const ATTEMPTS_MAX: u32 = 1_000;

/// A mail that is to be written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Letter {
    /// Somebody asks for an account.
    SignUp { game: GameId, address: String, username: String, password_hash: String, at: Timestamp },
    /// A player wants to sign in by this address too.
    Link { game: GameId, player: PlayerId, address: String, password_hash: String, at: Timestamp },
    /// Somebody forgot the password.
    Forgot { game: GameId, address: String, at: Timestamp },
    /// The password was changed.
    Changed { game: GameId, address: String, username: String, at: Timestamp },
}

/// A mail that is ready.
struct Composed {
    to: String,
    text: Text,
    username: String,
    link: String,
    ttl: Duration,
    /// Records the token that the link has.
    unit: UnitOfWork,
}

impl Letter {
    fn asked_at(&self) -> Timestamp {
        match self {
            Self::SignUp { at, .. }
            | Self::Link { at, .. }
            | Self::Forgot { at, .. }
            | Self::Changed { at, .. } => *at,
        }
    }

    fn game(&self) -> &GameId {
        match self {
            Self::SignUp { game, .. }
            | Self::Link { game, .. }
            | Self::Forgot { game, .. }
            | Self::Changed { game, .. } => game,
        }
    }
}

impl Players {
    /// Puts a letter into the outbox.
    pub(super) async fn post_letter(&self, letter: &Letter) -> Result<(), Failure> {
        let waiting = self.storage.jobs().open(JOB).await.map_err(Failure::storage)?;
        if waiting >= WAITING_MAX {
            tracing::warn!(waiting, "the outbox of mails is full");
            return Err(Failure::new(ErrorCode::Busy, "Too many mails wait to be sent. Try again later."));
        }
        self.storage.apply(self.letter_unit(letter)?).await.map_err(Failure::storage)?;
        self.wake_outbox();
        Ok(())
    }

    /// The part of a unit that puts a letter into the outbox; after it comes [`Self::wake_outbox`].
    pub(super) fn letter_unit(&self, letter: &Letter) -> Result<UnitOfWork, Failure> {
        Ok(self.storage.jobs().enqueue_unit(&NewJob {
            name: JOB.into(),
            payload: serde_json::to_value(letter).map_err(Failure::internal)?,
            run_at: letter.asked_at(),
            attempts_max: ATTEMPTS_MAX,
            unique_key: None,
        }))
    }

    pub(super) fn wake_outbox(&self) {
        self.outbox.notify_one();
    }

    /// Mails that wait to be sent.
    pub async fn letters_waiting(&self) -> Result<u64, Failure> {
        self.storage.jobs().open(JOB).await.map_err(Failure::storage)
    }

    /// Sends what waits, and what comes, until `shutdown`; deletes one-time tokens whose time is over.
    pub(crate) fn carry_letters(&self, tracker: &TaskTracker, shutdown: CancellationToken) {
        let players = self.clone();
        tracker.spawn(async move {
            let Ok(holder) = NodeId::new(uuid::Uuid::now_v7().to_string()) else { return };
            loop {
                // The end first: what is under way is sent again after the next start.
                let rest = tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    rest = players.carry_due(&holder) => rest.unwrap_or_else(|error| {
                        tracing::warn!(%error, "the outbox of mails cannot be read; it is tried again");
                        TROUBLE_REST
                    }),
                };
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    () = players.outbox.notified() => {}
                    () = tokio::time::sleep(rest) => {}
                }
            }
        });
    }

    /// Sends everything that is due; how long until more is.
    async fn carry_due(&self, holder: &NodeId) -> Result<Duration, StorageError> {
        let tokens = self.storage.one_time_tokens();
        while tokens.first_end().await?.is_some_and(|end| end < self.clock.now()) {
            tokens.delete_expired(self.clock.now(), TOKENS_DELETED_MAX).await?;
        }
        let jobs = self.storage.jobs();
        loop {
            let now = self.clock.now();
            let Some(due) = jobs.next_due(JOB).await? else { return Ok(REST_MAX) };
            if due > now {
                let rest_ms = (due.as_millis() - now.as_millis()).unsigned_abs();
                return Ok(Duration::from_millis(rest_ms).min(REST_MAX));
            }
            let claimed = jobs.claim(JOB, holder, now.after(LEASE), AT_ONCE_MAX, now).await?;
            if claimed.is_empty() {
                // What was due had been claimed too often without an end, and counts as failed now.
                continue;
            }
            stream::iter(&claimed).for_each_concurrent(None, |job| self.carry(job)).await;
        }
    }

    async fn carry(&self, job: &Job) {
        let outcome = self.deliver(job).await;
        let now = self.clock.now();
        let ended = match outcome {
            Ok(outcome) => {
                count(outcome);
                self.storage.jobs().complete(job).await
            }
            Err(failure) => {
                let retry_at = now.after(self.post.pace().wait(job.attempts));
                tracing::warn!(job = job.id, attempts = job.attempts, error = %failure, "a mail could not be sent; it is tried again");
                count("retried");
                self.storage.jobs().fail(job, failure.sentence(), retry_at, now).await
            }
        };
        if let Err(error) = ended {
            // It is claimed anew when the lease has run out: the mail may come twice.
            tracing::warn!(job = job.id, %error, "it could not be written down what became of a mail");
        }
    }

    /// What became of it; an error if it is to be tried again.
    async fn deliver(&self, job: &Job) -> Result<&'static str, Failure> {
        let letter: Letter = match serde_json::from_value(job.payload.clone()) {
            Ok(letter) => letter,
            Err(error) => {
                tracing::error!(job = job.id, %error, "a mail that waited is not understood, and is dropped");
                return Ok("dropped");
            }
        };
        let now = self.clock.now();
        if letter.asked_at().after(self.post.pace().age_max) <= now {
            let error = job.last_error.as_deref().unwrap_or("it waited too long");
            tracing::error!(job = job.id, game = %letter.game(), error, "a mail could not be sent in time, and is given up");
            return Ok("given_up");
        }
        let Some(composed) = self.compose(&letter, job.id).await? else { return Ok("dropped") };
        self.storage.apply(composed.unit).await.map_err(Failure::storage)?;
        let said = Said {
            game: letter.game().as_str(),
            username: &composed.username,
            link: &composed.link,
            hours: composed.ttl.as_secs().div_ceil(3_600),
        };
        match self.post.send(&composed.to, composed.text, &said, now).await {
            Ok(()) => Ok(if self.post.server().is_some() { "sent" } else { "shown" }),
            Err(NotSent::Later(failure)) => Err(failure),
            Err(NotSent::Never(failure)) => {
                tracing::warn!(job = job.id, game = %letter.game(), error = %failure, "a mail was refused for good");
                Ok("refused")
            }
        }
    }

    /// What is to be sent; nothing if there is no longer a reason to.
    async fn compose(&self, letter: &Letter, job: i64) -> Result<Option<Composed>, Failure> {
        let Some(settings) = self.email_settings(letter.game()) else { return Ok(None) };
        let game = letter.game();
        Ok(match letter {
            Letter::SignUp { address, username, password_hash, .. } => {
                if self.find_email(game, address).await?.is_some() {
                    return Ok(Some(plain(address, Text::Known, "")));
                }
                let data = Confirmation {
                    address: address.clone(),
                    password_hash: password_hash.clone(),
                    username: Some(username.clone()),
                };
                let unit = self.linked(settings, game, job, CONFIRM, None, &data)?;
                Some(unit.addressed(address, Text::Confirm, username))
            }
            Letter::Link { player, address, password_hash, .. } => {
                let found = self.storage.players().get(player).await.map_err(Failure::storage)?;
                let Some(found) = found else { return Ok(None) };
                if self.find_email(game, address).await?.is_some() {
                    return Ok(Some(plain(address, Text::Known, "")));
                }
                let data = Confirmation {
                    address: address.clone(),
                    password_hash: password_hash.clone(),
                    username: None,
                };
                let unit = self.linked(settings, game, job, CONFIRM, Some(player), &data)?;
                Some(unit.addressed(address, Text::Link, &found.username))
            }
            Letter::Forgot { address, .. } => {
                let Some(found) = self.find_email(game, address).await? else { return Ok(None) };
                let unit = self.linked(settings, game, job, RESET, Some(&found.id), &())?;
                Some(unit.addressed(address, Text::Reset, &found.username))
            }
            Letter::Changed { address, username, .. } => Some(plain(address, Text::Changed, username)),
        })
    }

    /// A mail with a link that has a new token of `kind`, in place of the one of an earlier attempt.
    fn linked(
        &self,
        settings: &EmailSettings,
        game: &GameId,
        job: i64,
        kind: &str,
        player: Option<&PlayerId>,
        data: &impl Serialize,
    ) -> Result<Composed, Failure> {
        let ttl = if kind == RESET { settings.reset_ttl } else { settings.confirm_ttl };
        let token = secret::new_secret()?;
        let unit = self.storage.one_time_tokens().issue_unit(&OneTimeToken {
            hash: secret::hash(&token),
            kind: kind.into(),
            game: game.clone(),
            player: player.cloned(),
            subject: format!("{JOB}:{job}"),
            data: serde_json::to_value(data).map_err(Failure::internal)?,
            expires_at: self.clock.now().after(ttl),
        });
        let link = match &settings.link_url {
            Some(url) => {
                let mark = if url.contains('?') { '&' } else { '?' };
                format!("{url}{mark}action={kind}&token={token}")
            }
            None => format!("{}/v1/games/{game}/account/{kind}?token={token}", self.settings.public_url),
        };
        Ok(Composed { link, ttl, unit, ..plain("", Text::Confirm, "") })
    }
}

impl Composed {
    fn addressed(self, to: &str, text: Text, username: &str) -> Self {
        Self { to: to.into(), text, username: username.into(), ..self }
    }
}

/// A mail without a link.
fn plain(to: &str, text: Text, username: &str) -> Composed {
    Composed {
        to: to.into(),
        text,
        username: username.into(),
        link: String::new(),
        ttl: Duration::ZERO,
        unit: UnitOfWork::new(),
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("greenroom_mails_total", "outcome" => outcome).increment(1);
}
