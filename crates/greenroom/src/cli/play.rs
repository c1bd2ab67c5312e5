//! The verbs for lobbies, players and events.

use std::time::Duration;

use clap::{Args, Subcommand};
use greenroom_protocol::{GameId, LobbyId, PlayerId, StudioId};

use super::Watch;

/// `lobbies`
#[derive(Debug, Subcommand)]
pub enum LobbiesCommand {
    /// Lists the lobbies of a game, private ones included
    Ls {
        /// The game [default: the one of `greenroom dev`]
        #[arg(long)]
        game: Option<GameId>,
        /// Whether it goes on.
        #[command(flatten)]
        watch: Watch,
    },
    /// Shows one lobby and its members
    Show {
        /// The lobby's id
        id: LobbyId,
        /// The game [default: the one of `greenroom dev`]
        #[arg(long)]
        game: Option<GameId>,
    },
    /// Closes a lobby; a match that it has started goes on
    Close {
        /// The lobby's id
        id: LobbyId,
        /// The game [default: the one of `greenroom dev`]
        #[arg(long)]
        game: Option<GameId>,
    },
}

/// How much of a long list is asked for.
#[derive(Args, Clone, Debug)]
pub struct Part {
    /// Most entries that are listed
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Goes on where a list ended: the word that it told
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
}

/// `players`
#[derive(Debug, Subcommand)]
pub enum PlayersCommand {
    /// Lists the players of a game by name
    Ls {
        /// The game [default: the one of `greenroom dev`]
        #[arg(long)]
        game: Option<GameId>,
        /// How many, and from where on.
        #[command(flatten)]
        part: Part,
        /// Whether it goes on.
        #[command(flatten)]
        watch: Watch,
    },
    /// Finds players by the beginning of their name
    Search {
        /// What their names begin with
        name: String,
        /// The game [default: the one of `greenroom dev`]
        #[arg(long)]
        game: Option<GameId>,
        /// How many, and from where on.
        #[command(flatten)]
        part: Part,
    },
    /// Shows one player
    Show {
        /// The player's id
        id: PlayerId,
        /// The game [default: the one of `greenroom dev`]
        #[arg(long)]
        game: Option<GameId>,
    },
    /// Lists where a player is signed in
    Sessions {
        /// The player's id
        id: PlayerId,
        /// The game [default: the one of `greenroom dev`]
        #[arg(long)]
        game: Option<GameId>,
        /// Whether it goes on.
        #[command(flatten)]
        watch: Watch,
    },
    /// Bans a player: signs it out and closes its sockets at once
    Ban {
        /// The player's id
        id: PlayerId,
        /// The game [default: the one of `greenroom dev`]
        #[arg(long)]
        game: Option<GameId>,
        /// Why; the player is told
        #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
        reason: String,
        /// Ends by itself after this time, such as 7d [default: never]
        #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
        duration: Option<Duration>,
    },
    /// Lifts a player's ban
    Unban {
        /// The player's id
        id: PlayerId,
        /// The game [default: the one of `greenroom dev`]
        #[arg(long)]
        game: Option<GameId>,
    },
    /// Lists the bans of a game, newest first
    Bans {
        /// The game [default: the one of `greenroom dev`]
        #[arg(long)]
        game: Option<GameId>,
        /// How many, and from where on.
        #[command(flatten)]
        part: Part,
        /// Whether it goes on.
        #[command(flatten)]
        watch: Watch,
    },
}

/// `events`
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Prints events as they happen, until Ctrl-C; with --json one `CloudEvent` a line
    ///
    /// Goes on where it was when the connection breaks.
    Tail {
        /// Only subjects that match, such as `v1.chess.>`: `*` is one token, `>` the rest
        #[arg(long, value_name = "FILTER")]
        subject: Option<String>,
        /// Whose history [default: the key's studio; with the admin token the only one there is]
        #[arg(long)]
        studio: Option<StudioId>,
        /// Begins after this sequence; 0 is everything there is [default: from now on]
        #[arg(long, value_name = "SEQUENCE")]
        after: Option<u64>,
    },
}
