//! Builds: the versions of a game's server, and where they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{GameId, HostId, Timestamp};

/// The versions of a game's server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildList {
    /// Whose.
    pub game: GameId,
    /// What starts them: `process`, `docker` or `hosting-api`.
    pub provider: String,
    /// The image without its tag; missing where they are no containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Where the versions are looked up; missing where they are no containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<BuildSource>,
    /// The newest ones, newest first.
    pub builds: Vec<BuildView>,
    /// How many versions there are; more than are listed, perhaps.
    pub total: u32,
    /// The newest version that is supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
    /// The oldest version that is supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// When they were looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_up_at: Option<Timestamp>,
    /// Why they could not be looked up since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Where versions are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildSource {
    /// Among the images that the engines have.
    Engine,
    /// In the image's registry.
    Registry,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildView {
    /// The version.
    pub version: String,
    /// Its tag, which may have a `v` in front.
    pub tag: String,
    /// Whether servers of it are started.
    pub supported: bool,
    /// The hosts that servers of the game run on.
    pub hosts: Vec<BuildHost>,
}

/// One version on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildHost {
    /// Which host.
    pub host: HostId,
    /// Whether it has the image; missing where that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// The pull that is under way, or that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullView>,
}

/// How far a pull is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullView {
    /// Where it is.
    pub state: PullState,
    /// Layers that are there, unpacked.
    pub layers_done: u32,
    /// Layers of the image, as far as they are known.
    pub layers_total: u32,
    /// Bytes that were fetched.
    pub bytes_done: u64,
    /// Bytes that are to be fetched, as far as they are known.
    pub bytes_total: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Where a pull is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullState {
    /// It waits until others are done.
    Waiting,
    /// The engine fetches it.
    Pulling,
    /// It failed, and is tried again.
    Failed,
}
