//! Who asks, once it is known, and what that one may do.

use greenroom_event_log::{Subject, SubjectFilter};
use greenroom_protocol::{
    AdminId, ErrorCode, GameId, KeyId, MatchId, PlayerId, ServerId, SessionId, StudioId,
};
use greenroom_storage::AdminRole;

use crate::{admins::Via, failure::Failure};

/// A caller whose credentials were good.
#[derive(Clone, Debug)]
pub enum Principal {
    /// A person or program that administers the installation.
    Admin(AdminPrincipal),
    /// A studio's own program.
    Key(KeyPrincipal),
    /// A game server that we started.
    Server(ServerPrincipal),
}

/// Who administers the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminPrincipal {
    /// Who.
    pub id: AdminId,
    /// How this one is called.
    pub name: String,
    /// What this one may do.
    pub role: AdminRole,
    /// By what it asks.
    pub via: Via,
}

/// A studio's own program.
#[derive(Clone, Debug)]
pub struct KeyPrincipal {
    /// The key.
    pub id: KeyId,
    /// Whose it is.
    pub studio: StudioId,
    /// The one game it is good for; all of the studio's if none is named.
    pub game: Option<GameId>,
    /// May allocate, list and stop game servers.
    pub hosting: bool,
    /// May do whatever the studio may do, making keys included.
    pub admin: bool,
    /// Subjects it may append to.
    pub publish: Vec<SubjectFilter>,
    /// Subjects it may read.
    pub subscribe: Vec<SubjectFilter>,
}

/// A game server that we started.
#[derive(Clone, Debug)]
pub struct ServerPrincipal {
    /// Which.
    pub id: ServerId,
    /// Of which game.
    pub game: GameId,
    /// Of which studio.
    pub studio: StudioId,
    /// The match it was allocated for.
    pub match_id: Option<MatchId>,
}

/// A player with a good access token.
#[derive(Clone, Debug)]
pub struct PlayerPrincipal {
    /// Who.
    pub id: PlayerId,
    /// In whose player base.
    pub game: GameId,
    /// The sign-in that the token names.
    pub session: SessionId,
    /// How the player is called.
    pub username: String,
}

impl Principal {
    /// Whether a role keeps this one from what takes `needed`. Only administrators have one: what studios'
    /// programs and game servers may do, their permissions say.
    pub fn has_role(&self, needed: AdminRole) -> bool {
        match self {
            Self::Admin(admin) => admin.role >= needed,
            Self::Key(_) | Self::Server(_) => true,
        }
    }

    /// Whether this one may allocate, see and stop game servers of `game`.
    pub fn may_host(&self, game: &GameId, studio: &StudioId) -> bool {
        match self {
            Self::Admin(_) => true,
            Self::Key(key) => {
                key.studio == *studio
                    && (key.hosting || key.admin)
                    && key.game.as_ref().is_none_or(|own| own == game)
            }
            Self::Server(_) => false,
        }
    }

    /// Whether this one may do what only the studio itself may.
    pub fn may_administer(&self, studio: &StudioId) -> bool {
        match self {
            Self::Admin(_) => true,
            Self::Key(key) => key.admin && key.game.is_none() && key.studio == *studio,
            Self::Server(_) => false,
        }
    }

    /// The studio that this one speaks for; an admin for whichever is named.
    pub fn studio(&self, named: Option<&StudioId>) -> Result<StudioId, Failure> {
        let own = match self {
            Self::Admin(_) => {
                let missing = "Say which studio is meant by the parameter `studio`.";
                return named.cloned().ok_or(Failure::new(ErrorCode::BadRequest, missing));
            }
            Self::Key(key) => &key.studio,
            Self::Server(server) => &server.studio,
        };
        if named.is_none_or(|named| named == own) {
            Ok(own.clone())
        } else {
            Err(Failure::new(ErrorCode::Forbidden, "The credentials belong to another studio."))
        }
    }

    /// Whether this one may append to `subject`.
    pub fn may_publish(&self, subject: &Subject) -> bool {
        match self {
            Self::Admin(_) => true,
            Self::Key(key) => {
                let of_game = |game: &GameId| subject.tokens().nth(1) == Some(game.as_str());
                key.game.as_ref().is_none_or(of_game)
                    && (key.admin || key.publish.iter().any(|filter| filter.matches(subject)))
            }
            Self::Server(server) => server.owns(subject),
        }
    }

    /// Whether this one may read everything that `filter` lets through.
    pub fn may_subscribe(&self, filter: &SubjectFilter) -> bool {
        match self {
            Self::Admin(_) => true,
            Self::Key(key) => {
                let of_game = |game: &GameId| filter.as_str().split('.').nth(1) == Some(game.as_str());
                key.game.as_ref().is_none_or(of_game)
                    && (key.admin || key.subscribe.iter().any(|own| own.covers(filter)))
            }
            Self::Server(_) => false,
        }
    }
}

impl ServerPrincipal {
    /// A game server speaks for itself, its players, and the match it was allocated for.
    fn owns(&self, subject: &Subject) -> bool {
        let mut tokens = subject.tokens();
        let of_game = tokens.next() == Some("v1") && tokens.next() == Some(self.game.as_str());
        let (kind, id, what) = (tokens.next(), tokens.next(), tokens.next());
        of_game
            && match (kind, id) {
                (Some("servers"), Some(id)) => {
                    id == self.id.as_str() && matches!(what, Some("events" | "players"))
                }
                (Some("matches"), Some(id)) => {
                    self.match_id.as_ref().is_some_and(|own| own.as_str() == id) && what == Some("events")
                }
                _ => false,
            }
    }
}
