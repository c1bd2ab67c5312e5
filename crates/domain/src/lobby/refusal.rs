use greenroom_protocol::ErrorCode;

/// Why a command was refused. The sentence is what the player is told; the contract's are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// There is no lobby with this id or code, or it is gone.
    #[error("Lobby not found")]
    LobbyNotFound,
    /// Neither an id nor a code was given.
    #[error("Lobby ID or code required")]
    LobbyRequired,
    /// A private lobby was named by its id.
    #[error("Lobby is private")]
    LobbyPrivate,
    /// The player is in this very lobby.
    #[error("Already in lobby")]
    AlreadyInLobby,
    /// The player is in no lobby.
    #[error("Not in a lobby")]
    NotInLobby,
    /// Someone else than the owner starts.
    #[error("Only lobby owner can start match")]
    OwnerStarts,
    /// Someone is not ready, or not connected.
    #[error("Not all players are ready")]
    NotAllReady,
    /// Someone else than the owner fills with bots.
    #[error("Only lobby owner can add bots")]
    OwnerAddsBots,
    /// The team has as many members as it may.
    #[error("Team is full")]
    TeamFull,
    /// The lobby has as many members as it may.
    #[error("Lobby is full")]
    LobbyFull,
    /// No game server could be allocated.
    #[error("Failed to allocate game server")]
    AllocationFailed,
    /// The lobby asks for a password, and this is not it.
    #[error("Wrong password")]
    WrongPassword,
    /// A game server is being allocated.
    #[error("Match is starting")]
    MatchStarting,
    /// The match runs.
    #[error("Match is running")]
    MatchRunning,
    /// The match has ended, or is another one.
    #[error("Match is over")]
    MatchOver,
    /// Someone else than the owner kicks.
    #[error("Only lobby owner can kick players")]
    OwnerKicks,
    /// Someone else than the owner hands over the ownership.
    #[error("Only lobby owner can transfer ownership")]
    OwnerTransfers,
    /// Someone else than the owner changes settings.
    #[error("Only lobby owner can change settings")]
    OwnerSets,
    /// The owner kicks itself.
    #[error("You cannot kick yourself: leave the lobby instead")]
    KickSelf,
    /// The player named is no member.
    #[error("Player is not in this lobby")]
    NoSuchMember,
    /// The player named has no open socket.
    #[error("Player is not connected")]
    NotConnected,
    /// A bot was to be the owner.
    #[error("A bot cannot own a lobby")]
    BotOwner,
    /// The team size is not between 1 and what the game allows.
    #[error("Team size must be at least 1 and at most what the game allows")]
    TeamSizeOutOfRange,
    /// A team has more members than the new size.
    #[error("A team has more members than that")]
    TeamSizeTooSmall,
    /// Nothing is left of a chat message.
    #[error("Text required")]
    TextRequired,
}

impl Refusal {
    /// The sentence that the player is told.
    pub fn message(self) -> String {
        self.to_string()
    }

    /// The stable code that goes with it.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::LobbyNotFound | Self::NoSuchMember => ErrorCode::NotFound,
            Self::LobbyRequired => ErrorCode::BadRequest,
            Self::LobbyPrivate
            | Self::OwnerStarts
            | Self::OwnerAddsBots
            | Self::OwnerKicks
            | Self::OwnerTransfers
            | Self::OwnerSets
            | Self::WrongPassword => ErrorCode::Forbidden,
            Self::AlreadyInLobby
            | Self::NotInLobby
            | Self::NotAllReady
            | Self::MatchStarting
            | Self::MatchRunning
            | Self::KickSelf
            | Self::NotConnected
            | Self::BotOwner
            | Self::TeamSizeTooSmall => ErrorCode::Conflict,
            Self::TeamFull | Self::LobbyFull => ErrorCode::Full,
            Self::AllocationFailed => ErrorCode::NoServer,
            Self::MatchOver => ErrorCode::Gone,
            Self::TeamSizeOutOfRange | Self::TextRequired => ErrorCode::Invalid,
        }
    }
}
