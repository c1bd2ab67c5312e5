//! One player socket: its frames become commands, its outbox what it is told.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_domain::{lobby::Refusal, text};
use greenroom_protocol::{
    ErrorCode,
    lobby::{ClientFrame, ClientMessage, RequestId, ServerMessage},
};

use super::{
    frames::{encode, error},
    hub::Hub,
    outbox::{Delivery, Outbox},
};
use crate::{
    lobbies::{Done, LobbyError},
    principal::PlayerPrincipal,
};

/// A player's socket. Dropping it closes it: if it was the player's last, the place in the lobby is
/// kept for the grace period.
pub struct Connection {
    hub: Hub,
    player: PlayerPrincipal,
    number: u64,
    outbox: Arc<Outbox>,
}

impl Connection {
    pub(super) fn new(hub: Hub, player: PlayerPrincipal, number: u64, outbox: Arc<Outbox>) -> Self {
        Self { hub, player, number, outbox }
    }

    /// Whose it is.
    pub fn player(&self) -> &PlayerPrincipal {
        &self.player
    }

    /// What to send, or to close the socket for. Waits; cancel safe.
    pub async fn next(&self) -> Delivery {
        self.outbox.next().await
    }

    /// Does what a text frame asks for. What the client is told comes by [`Connection::next`].
    pub async fn receive(&self, text: &str) {
        let ClientFrame { id, message } = ClientFrame::parse(text);
        let message = match message {
            Ok(message) => message,
            Err(parse) => return self.push(error(parse.to_string(), parse.code(), id)),
        };
        if let Err(refused) = self.carry_out(message, id.clone()).await {
            if let LobbyError::Failed(failure) = &refused
                && failure.is_ours()
            {
                tracing::warn!(player = %self.player.id, error = ?failure, "a player's command failed");
            }
            self.push(error(refused.message(), refused.code(), id));
        }
    }

    /// Tells the client that a frame was no text.
    pub fn receive_binary(&self) {
        self.push(error("Invalid message format", ErrorCode::BadRequest, None));
    }

    /// Tells the client that it asks too often.
    pub fn rate_limited(&self) {
        let sentence = "You send too many messages. Wait a moment.";
        self.push(error(sentence, ErrorCode::RateLimited, None));
    }

    async fn carry_out(&self, message: ClientMessage, id: Option<RequestId>) -> Result<(), LobbyError> {
        let (lobbies, player) = (&self.hub.inner.deps.lobbies, &self.player);
        let done = match message {
            ClientMessage::Ping => {
                self.push(encode(&ServerMessage::Pong { id }));
                return Ok(());
            }
            ClientMessage::Create(how) => {
                self.outbox.hold();
                let created = lobbies.create(player, how).await;
                let told = created.as_ref().ok().map(|created| {
                    let frame = encode(&ServerMessage::Created { lobby: created.view.clone(), id });
                    (frame, created.revision)
                });
                self.outbox.release(told);
                return created.map(drop);
            }
            ClientMessage::Chat { text } => {
                self.chat(&text).await?;
                None
            }
            ClientMessage::ListWatch => {
                let lobbies = self.hub.inner.table.lock().watch_list(&player.game, &self.outbox);
                self.push(encode(&ServerMessage::List { lobbies, id }));
                return Ok(());
            }
            ClientMessage::ListUnwatch => {
                self.hub.inner.table.lock().unwatch_list(&player.game, &self.outbox);
                None
            }
            ClientMessage::BrowserWatch(filter) => {
                let browser = &self.hub.inner.deps.browser;
                browser.watch(self.number, &player.game, filter, &self.outbox, id);
                return Ok(());
            }
            ClientMessage::BrowserUnwatch => {
                self.hub.inner.deps.browser.unwatch(self.number);
                None
            }
            ClientMessage::Join(how) => Some(lobbies.join(player, how).await?),
            ClientMessage::Leave => Some(lobbies.leave(player).await?),
            ClientMessage::Ready { ready } => Some(lobbies.set_ready(player, ready).await?),
            ClientMessage::Start => Some(lobbies.start(player).await?),
            ClientMessage::FillBots => Some(lobbies.fill_bots(player).await?),
            ClientMessage::Kick { account_id } => Some(lobbies.kick(player, account_id).await?),
            ClientMessage::Team { team } => Some(lobbies.change_team(player, team).await?),
            ClientMessage::Transfer { account_id } => Some(lobbies.transfer(player, account_id).await?),
            ClientMessage::Settings(changes) => Some(lobbies.change_settings(player, changes).await?),
        };
        self.finish(done, id);
        Ok(())
    }

    fn finish(&self, done: Option<Done>, id: Option<RequestId>) {
        if done.is_some_and(|done| !done.changed) {
            // Nothing changed, so the watch brings nothing; who asked sees the state all the same.
            let key = (self.player.game.clone(), self.player.id.clone());
            self.hub.inner.table.lock().tell_again(&key, &self.outbox);
        }
        if let Some(id) = id {
            self.push(encode(&ServerMessage::Done { id }));
        }
    }

    async fn chat(&self, said: &str) -> Result<(), LobbyError> {
        let player = &self.player;
        let text = text::chat(said).ok_or(Refusal::TextRequired)?;
        let key = (player.game.clone(), player.id.clone());
        let lobby = self.hub.inner.table.lock().lobby_of(&key).ok_or(Refusal::NotInLobby)?;
        let frame = encode(&ServerMessage::Chat {
            lobby_id: lobby.clone(),
            account_id: player.id.clone(),
            username: player.username.clone(),
            text,
            sent_at: self.hub.inner.deps.clock.now(),
        });
        self.hub.say(&player.game, &lobby, &frame).await.map_err(LobbyError::Failed)
    }

    fn push(&self, frame: Bytes) {
        self.outbox.push(frame);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.hub.disconnect(&self.player, self.number, &self.outbox);
    }
}
