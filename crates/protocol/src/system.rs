//! The installation itself: what it is, how its parts are, what it was told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{GameId, StudioId, Timestamp};

/// The installation as its administrators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemView {
    /// The program's version.
    pub version: String,
    /// When this process started.
    pub started_at: Timestamp,
    /// The folder that holds everything, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
    /// Every part, asked just now.
    pub parts: Vec<PartView>,
    /// What takes room in the data folder, largest first.
    pub sizes: Vec<SizeView>,
    /// Work that is to be done later.
    pub jobs: JobsView,
    /// The history of each studio.
    pub histories: Vec<HistoryView>,
    /// The configuration with its defaults, without secrets.
    pub configuration: Vec<ConfigurationSection>,
}

/// A part of the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartView {
    /// What it is: `now`, `history`, `records`, `host:<id>`.
    pub name: String,
    /// Whether it answers.
    pub is_well: bool,
    /// How long it took to answer, in microseconds.
    pub took_us: u64,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What something takes of the data folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SizeView {
    /// The file or folder, within the data folder.
    pub name: String,
    /// Its bytes, those of a folder with all that is in it.
    pub bytes: u64,
}

/// How many jobs there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobsView {
    /// Waiting for their time, or due.
    pub waiting: u64,
    /// Being done.
    pub running: u64,
    /// Tried as often as they may.
    pub failed: u64,
}

/// A studio's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryView {
    /// Whose.
    pub studio: StudioId,
    /// Events that are there.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The bytes at which the oldest make room.
    pub bytes_max: u64,
}

/// A section of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigurationSection {
    /// Its path, such as `games.skirmish.fleet`; empty for the top.
    pub path: String,
    /// Its keys.
    pub keys: Vec<ConfigurationKey>,
}

/// A key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationKey {
    /// Its name.
    pub name: String,
    /// Its value as TOML; `•••` for a secret; missing if it is not set and has no default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether it was left to its default.
    pub is_default: bool,
    /// What it means.
    pub meaning: String,
}

/// A game.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GameView {
    /// Its id.
    pub id: GameId,
    /// Whose it is.
    pub studio: StudioId,
    /// The hosts whose contract paths mean it.
    pub hosts: Vec<String>,
    /// What starts its servers: `process`, `docker`, `hosting-api`; missing if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// The games.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GameList {
    /// In the order of their ids.
    pub games: Vec<GameView>,
}

/// What a game was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GameSettingsView {
    /// The game.
    pub game: GameView,
    /// Its part of the configuration, with its defaults, without secrets.
    pub configuration: Vec<ConfigurationSection>,
}
