//! The commands of a lobby's members, and those that come from us.

use greenroom_domain::{
    lobby::{Changes, Command, PasswordChange, Refusal},
    matches::Seat,
};
use greenroom_protocol::{
    GameId, LobbyId, MatchId, PlayerId,
    lobby::{LobbyChanges, LobbyJoin, Team},
};
use tokio::sync::oneshot;

use super::{
    Done, Lobbies, LobbyError,
    inbox::{Answer, Ask},
    password,
};
use crate::{
    documents::{SEAT, load},
    principal::PlayerPrincipal,
};

/// How a player names the lobby that it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinBy {
    /// By its id: public ones only.
    Id(String),
    /// By its code.
    Code(String),
}

impl Lobbies {
    /// `lobby:join`. The player leaves the lobby it is in.
    pub async fn join(&self, player: &PlayerPrincipal, how: LobbyJoin) -> Result<Done, LobbyError> {
        let by = match (how.code, how.lobby_id) {
            (Some(code), _) => JoinBy::Code(code),
            (None, Some(id)) => JoinBy::Id(id),
            (None, None) => return Err(Refusal::LobbyRequired.into()),
        };
        let lobby = self.find(&player.game, &by).await?;
        let ask = Ask::Join {
            player: player.id.clone(),
            username: player.username.clone(),
            team: how.team,
            by_code: matches!(by, JoinBy::Code(_)),
            password: how.password,
        };
        self.command(&player.game, &lobby, ask).await
    }

    /// `lobby:leave`.
    pub async fn leave(&self, player: &PlayerPrincipal) -> Result<Done, LobbyError> {
        self.of_member(player, Command::Leave { player: player.id.clone() }).await
    }

    /// `lobby:ready`.
    pub async fn set_ready(&self, player: &PlayerPrincipal, ready: bool) -> Result<Done, LobbyError> {
        self.of_member(player, Command::SetReady { player: player.id.clone(), ready }).await
    }

    /// `lobby:start`. Done means that a game server is being allocated; see `start`.
    pub async fn start(&self, player: &PlayerPrincipal) -> Result<Done, LobbyError> {
        self.of_member(player, Command::Start { player: player.id.clone() }).await
    }

    /// `lobby:fill-bots`.
    pub async fn fill_bots(&self, player: &PlayerPrincipal) -> Result<Done, LobbyError> {
        self.of_member(player, Command::FillBots { player: player.id.clone() }).await
    }

    /// `lobby:kick`.
    pub async fn kick(&self, player: &PlayerPrincipal, target: PlayerId) -> Result<Done, LobbyError> {
        self.of_member(player, Command::Kick { player: player.id.clone(), target }).await
    }

    /// `lobby:team`.
    pub async fn change_team(&self, player: &PlayerPrincipal, team: Team) -> Result<Done, LobbyError> {
        self.of_member(player, Command::ChangeTeam { player: player.id.clone(), team }).await
    }

    /// `lobby:transfer`.
    pub async fn transfer(&self, player: &PlayerPrincipal, target: PlayerId) -> Result<Done, LobbyError> {
        self.of_member(player, Command::Transfer { player: player.id.clone(), target }).await
    }

    /// `lobby:settings`.
    pub async fn change_settings(
        &self,
        player: &PlayerPrincipal,
        wanted: LobbyChanges,
    ) -> Result<Done, LobbyError> {
        let password = match wanted.password.as_deref() {
            None => PasswordChange::Keep,
            Some("") => PasswordChange::Remove,
            Some(text) => PasswordChange::Set(password::hash(text).map_err(LobbyError::Failed)?),
        };
        let changes = Changes {
            name: wanted.name,
            map: wanted.map,
            mode: wanted.mode,
            team_size: wanted.team_size,
            is_private: wanted.is_private,
            password,
        };
        self.of_member(player, Command::Settings { player: player.id.clone(), changes }).await
    }

    /// The lobby that the player is in.
    pub async fn lobby_of(&self, game: &GameId, player: &PlayerId) -> Result<Option<LobbyId>, LobbyError> {
        let seat = load::<Seat>(&self.inner.directory, game, SEAT, player.as_str()).await;
        Ok(seat.map_err(LobbyError::Failed)?.and_then(|seat| seat.value.lobby))
    }

    /// Closes a lobby on behalf of an administrator.
    pub async fn close(&self, game: &GameId, lobby: &LobbyId) -> Result<Done, LobbyError> {
        self.command(game, lobby, Ask::Command(Command::Close)).await
    }

    /// The player's first socket opened. Queued at once, in the order of the calls.
    pub(crate) fn connected(&self, game: &GameId, lobby: &LobbyId, player: &PlayerId) {
        self.queue(game, lobby, Command::Connected { player: player.clone() });
    }

    /// The player's last socket closed. Queued at once, in the order of the calls.
    pub(crate) fn dropped(&self, game: &GameId, lobby: &LobbyId, player: &PlayerId) {
        self.queue(game, lobby, Command::Dropped { player: player.clone() });
    }

    /// No socket of the lobby's members is known any more. Queued at once.
    pub(crate) fn drop_all(&self, game: &GameId, lobby: &LobbyId) {
        self.queue(game, lobby, Command::DropAll);
    }

    /// Something of the lobby is due. Queued at once.
    pub(crate) fn deadline(&self, game: &GameId, lobby: &LobbyId) {
        self.queue(game, lobby, Command::Deadline);
    }

    /// The match of a kept lobby has ended.
    pub(crate) async fn match_ended(&self, game: &GameId, lobby: &LobbyId, match_id: MatchId) -> Answer {
        self.command(game, lobby, Ask::Command(Command::MatchEnded { match_id })).await
    }

    fn queue(&self, game: &GameId, lobby: &LobbyId, command: Command) {
        let answered: oneshot::Receiver<Answer> = self.submit(game, lobby, Ask::Command(command));
        // Nobody waits for it: what it does is seen by the watch, and what it could not do the
        // sweeper asks for again.
        drop(answered);
    }

    async fn of_member(&self, player: &PlayerPrincipal, command: Command) -> Result<Done, LobbyError> {
        let lobby = self.lobby_of(&player.game, &player.id).await?.ok_or(Refusal::NotInLobby)?;
        match self.command(&player.game, &lobby, Ask::Command(command)).await {
            Err(LobbyError::Refused(Refusal::LobbyNotFound)) => Err(Refusal::NotInLobby.into()),
            other => other,
        }
    }
}
