//! Fresh identifiers, out of the time and the randomness that a rule was given.

use greenroom_protocol::{LobbyId, MatchId, PlayerId, Timestamp};
use rand::Rng;
use uuid::Uuid;

/// A UUID of version 7 (RFC 9562): sorted by `now`, random behind it.
pub fn uuid_v7(now: Timestamp, rng: &mut impl Rng) -> Uuid {
    let ms = u64::try_from(now.as_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &rng.random()).into_uuid()
}

/// A lobby's id that was never given before.
pub fn lobby_id(now: Timestamp, rng: &mut impl Rng) -> LobbyId {
    LobbyId::new(uuid_v7(now, rng).to_string()).expect("a UUID has the form of an id")
}

/// A match's id that was never given before.
pub fn match_id(now: Timestamp, rng: &mut impl Rng) -> MatchId {
    MatchId::new(uuid_v7(now, rng).to_string()).expect("a UUID has the form of an id")
}

/// A bot's id: `bot-<uuid>`.
pub fn bot_id(rng: &mut impl Rng) -> PlayerId {
    let uuid = uuid::Builder::from_random_bytes(rng.random()).into_uuid();
    PlayerId::new(format!("bot-{uuid}")).expect("a UUID has the form of an id")
}

/// Six digits that players give each other. The operation that takes one sees to it that no living
/// lobby has it.
pub fn lobby_code(rng: &mut impl Rng) -> String {
    format!("{:06}", rng.random_range(0..1_000_000_u32))
}
