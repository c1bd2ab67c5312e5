//! Results: `matches.<id>.events.ended` becomes the players' match history.
//!
//! A consumer of the history. Its table can be thrown away and made again from the first event.

use std::time::Duration;

use greenroom_event_log::{ConsumerConfig, Entry, Sequence, Start, StreamId, SubjectFilter};
use greenroom_protocol::{
    GameId, MatchId, Timestamp,
    events::{CloudEvent, MatchEnded, parse_rfc3339},
};
use greenroom_storage::{MatchPlayer, MatchRecord, Position};
use uuid::Uuid;

use super::Matches;
use crate::failure::Failure;

/// The consumer's, and the read model's, name.
const MODEL: &str = "match-results";

/// Most results that are taken at once.
const BATCH_MAX: usize = 100;

/// How long one fetch waits for the next result.
const FETCH_WAIT: Duration = Duration::from_secs(30);

/// Pause after something failed.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Most players of a match that are recorded.
const PLAYERS_MAX: usize = 1_024;

impl Matches {
    /// Starts a consumer for each studio.
    pub(super) async fn record_results(&self) -> Result<(), Failure> {
        let studios: Vec<_> = self.deps.settings.borrow().studios.keys().cloned().collect();
        let filter = SubjectFilter::parse("v1.*.matches.*.events.ended").map_err(Failure::internal)?;
        for studio in studios {
            let stream = StreamId::studio(&studio);
            let config = ConsumerConfig {
                filter: Some(filter.clone()),
                start: Start::First,
                ack_wait: Duration::from_secs(30),
                max_deliver: 10,
            };
            self.deps.log.put_consumer(&stream, MODEL, config).await.map_err(Failure::event_log)?;
            let matches = self.clone();
            self.deps.tracker.spawn(async move {
                let shutdown = matches.deps.shutdown.clone();
                // Cancellation first: what is not acknowledged comes again.
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => {}
                    () = matches.consume(stream) => {}
                }
            });
        }
        Ok(())
    }

    async fn consume(self, stream: StreamId) {
        loop {
            let fetched = match self.deps.log.fetch(&stream, MODEL, BATCH_MAX, FETCH_WAIT).await {
                Ok(fetched) => fetched,
                Err(error) => {
                    tracing::warn!(%stream, %error, "results cannot be read now");
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
            };
            let mut done = Vec::with_capacity(fetched.deliveries.len());
            for delivery in fetched.deliveries {
                match self.record(&stream, &delivery.entry).await {
                    Ok(()) => done.push(delivery.entry.sequence),
                    Err(failure) => {
                        let sequence = delivery.entry.sequence;
                        tracing::warn!(%stream, %sequence, error = ?failure, "a result could not be recorded yet");
                        let again = self.deps.log.nak(&stream, MODEL, sequence, Some(RETRY_PAUSE)).await;
                        drop(again);
                        // Later ones wait: the read model takes them in order.
                        break;
                    }
                }
            }
            self.acknowledge(&stream, &done).await;
        }
    }

    async fn acknowledge(&self, stream: &StreamId, done: &[Sequence]) {
        if done.is_empty() {
            return;
        }
        if let Err(error) = self.deps.log.ack(stream, MODEL, done).await {
            // They come again, and recording them again is harmless.
            tracing::warn!(%stream, %error, "results could not be acknowledged");
        }
    }

    async fn record(&self, stream: &StreamId, entry: &Entry) -> Result<(), Failure> {
        let position = Position { model: MODEL, stream: stream.as_str(), sequence: entry.sequence.0 };
        let matches = self.deps.storage.matches();
        let Some((game, match_id)) = subject(entry) else {
            return matches.skip(position).await.map(drop).map_err(Failure::storage);
        };
        if let Some(record) = result(entry, &game, &match_id) {
            matches.record_match(&record, position).await.map_err(Failure::storage)?;
        } else {
            let sequence = entry.sequence;
            tracing::warn!(%game, %match_id, %sequence, "a result has not the form of one and is left out");
            matches.skip(position).await.map_err(Failure::storage)?;
        }
        self.end(&game, &match_id).await
    }
}

fn subject(entry: &Entry) -> Option<(GameId, MatchId)> {
    let mut tokens = entry.subject.tokens();
    let game = GameId::new(tokens.nth(1)?).ok()?;
    let match_id = MatchId::new(tokens.nth(1)?).ok()?;
    Some((game, match_id))
}

fn result(entry: &Entry, game: &GameId, match_id: &MatchId) -> Option<MatchRecord> {
    let event: CloudEvent = serde_json::from_slice(&entry.payload).ok()?;
    let data = event.data?;
    let ended: MatchEnded = serde_json::from_value(data.clone()).ok()?;
    let ended_at = parse_rfc3339(&event.time).unwrap_or(entry.at);
    let players = ended.players.into_iter().take(PLAYERS_MAX).map(|player| MatchPlayer {
        player: player.id,
        team: player.team.map(|team| format!("{team:?}")),
        score: Some(player.score),
        won: Some(player.won),
    });
    Some(MatchRecord {
        id: match_id.clone(),
        game: game.clone(),
        started_at: started_at(match_id).unwrap_or(ended_at),
        ended_at,
        players: players.collect(),
        result: data,
    })
}

/// Our match ids are UUIDs of version 7: they begin with the time at which the match was started.
fn started_at(match_id: &MatchId) -> Option<Timestamp> {
    let (seconds, nanos) = Uuid::parse_str(match_id.as_str()).ok()?.get_timestamp()?.to_unix();
    Some(Timestamp::from_millis(i64::try_from(seconds * 1_000 + u64::from(nanos) / 1_000_000).ok()?))
}
