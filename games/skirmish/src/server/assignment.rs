use std::{io, path::PathBuf};

use serde::Deserialize;
use tracing::{info, warn};

use super::Error;
use crate::sim::{TEAM_SIZE_MAX, Team};

/// Ids that begin so belong to bots.
pub(super) const BOT_ID_PREFIX: &str = "bot-";
/// The longest payload that is read.
const PAYLOAD_BYTES_MAX: u64 = 64 * 1024;
/// The longest id that is accepted in a payload.
const ID_CHARS_MAX: usize = 128;
/// Longer names are cut.
const NAME_CHARS_MAX: usize = 24;

/// What Greenroom tells its game servers by environment variables.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `GREENROOM_URL`: where to report and to fetch the ticket keys. Without it the server is
    /// on its own: anybody may join under any name.
    pub url: Option<String>,
    /// `GREENROOM_SERVER_ID`.
    pub server_id: Option<String>,
    /// `GREENROOM_SERVER_TOKEN`: what this server may call Greenroom with.
    pub server_token: Option<String>,
    /// `GREENROOM_GAME`: tickets of other games are refused.
    pub game: Option<String>,
    /// `GREENROOM_MATCH_ID`: tickets of other matches are refused.
    pub match_id: Option<String>,
    /// `GREENROOM_PAYLOAD`: who plays, when the server is started for one match.
    pub payload: Option<String>,
    /// `GREENROOM_PAYLOAD_FILE`: the same, appearing when a waiting server is given a match.
    pub payload_file: Option<PathBuf>,
}

impl Environment {
    pub fn from_process() -> Result<Self, Error> {
        Ok(Self {
            url: text("GREENROOM_URL")?,
            server_id: text("GREENROOM_SERVER_ID")?,
            server_token: text("GREENROOM_SERVER_TOKEN")?,
            game: text("GREENROOM_GAME")?,
            match_id: text("GREENROOM_MATCH_ID")?,
            // An empty payload is a payload.
            payload: std::env::var("GREENROOM_PAYLOAD").ok(),
            payload_file: text("GREENROOM_PAYLOAD_FILE")?.map(PathBuf::from),
        })
    }

    /// Whether no Greenroom is behind this server.
    pub fn is_standalone(&self) -> bool {
        self.url.is_none()
    }
}

fn text(name: &'static str) -> Result<Option<String>, Error> {
    match std::env::var(name) {
        Ok(value) if !value.trim().is_empty() => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        _ => Err(Error::Environment { name }),
    }
}

/// The match this server was given.
#[derive(Debug, PartialEq)]
pub(super) struct Assignment {
    pub match_id: Option<String>,
    /// `None`: nobody is named, whoever has a ticket is let in.
    pub members: Option<Vec<Member>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub id: String,
    pub name: String,
    pub team: Team,
    pub is_bot: bool,
}

/// The assignment, once there is one. Cheap enough to be asked every few milliseconds.
pub(super) fn look(environment: &Environment) -> Option<Assignment> {
    if let Some(path) = &environment.payload_file {
        match read_payload(path) {
            Ok(text) => return Some(Assignment::read(&text, environment)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                warn!(path = %path.display(), %error, "the payload file is not readable; the match is open to all tickets");
                return Some(Assignment::open(environment));
            }
        }
    }
    if let Some(text) = &environment.payload {
        return Some(Assignment::read(text, environment));
    }
    (environment.is_standalone()).then(|| Assignment::open(environment))
}

fn read_payload(path: &std::path::Path) -> io::Result<String> {
    use io::Read;

    let file = std::fs::File::open(path)?;
    let mut text = String::new();
    file.take(PAYLOAD_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    match_id: Option<String>,
    #[serde(default)]
    team_a: Vec<PayloadMember>,
    #[serde(default)]
    team_b: Vec<PayloadMember>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PayloadMember {
    account_id: String,
    #[serde(default)]
    username: String,
}

impl Assignment {
    fn open(environment: &Environment) -> Self {
        Self { match_id: environment.match_id.clone(), members: None }
    }

    /// A payload that names no teams, or is no such JSON at all, makes an open match: a studio
    /// may send whatever its own backend likes.
    fn read(text: &str, environment: &Environment) -> Self {
        let payload: Payload = match serde_json::from_str(text) {
            Ok(payload) => payload,
            Err(error) => {
                info!(%error, "the payload names no teams; the match is open to all tickets");
                return Self::open(environment);
            }
        };
        let mut members = Vec::new();
        for (team, listed) in [(Team::A, payload.team_a), (Team::B, payload.team_b)] {
            if listed.len() > TEAM_SIZE_MAX {
                let left_out = listed.len() - TEAM_SIZE_MAX;
                warn!(team = team.letter(), left_out, "a team is larger than the arena allows");
            }
            members.extend(
                (listed.into_iter().take(TEAM_SIZE_MAX))
                    .filter(|member| member.account_id.chars().count() <= ID_CHARS_MAX)
                    .map(|member| Member {
                        name: readable_name(&member.username),
                        is_bot: member.account_id.starts_with(BOT_ID_PREFIX),
                        id: member.account_id,
                        team,
                    }),
            );
        }
        Self {
            match_id: environment.match_id.clone().or(payload.match_id),
            members: (!members.is_empty()).then_some(members),
        }
    }
}

/// A name as it can be shown: no control characters, not too long, never empty.
pub(super) fn readable_name(name: &str) -> String {
    let shown: String = name.chars().filter(|letter| !letter.is_control()).take(NAME_CHARS_MAX).collect();
    let shown = shown.trim();
    if shown.is_empty() { "Player".to_owned() } else { shown.to_owned() }
}
