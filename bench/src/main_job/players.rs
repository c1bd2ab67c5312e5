//! Players that are signed in, and members of lobbies.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use greenroom_protocol::auth::SignedIn;

use crate::load::{
    http,
    requests::{self, Until},
    sockets::Socket,
};

/// Connections over which players sign in at once.
const CONNECTIONS: usize = 32;

/// Signs `count` players in.
pub(super) fn sign_in(address: SocketAddr, count: usize) -> anyhow::Result<Vec<SignedIn>> {
    let mut players = Vec::with_capacity(count);
    requests::run(address, CONNECTIONS.min(count), Until::Count(count as u64), write_sign_in, |body| {
        players.push(serde_json::from_slice(body)?);
        Ok(())
    })?;
    ensure!(players.len() == count, "only {} of {count} players are signed in", players.len());
    Ok(players)
}

/// Appends the sign-in of the player with this number.
pub(super) fn write_sign_in(number: u64, out: &mut Vec<u8>) {
    let body = format!("{{\"username\":\"Player {number}\"}}");
    http::request("POST", "/auth/anonymous", "", body.as_bytes(), out);
}

/// Opens a socket for each player.
pub(super) fn connect(address: SocketAddr, players: &[SignedIn]) -> anyhow::Result<Vec<Socket>> {
    players.iter().map(|player| Socket::connect(address, &player.access_token)).collect()
}

/// One who is in a lobby, as the lobby's own updates tell.
#[derive(Clone, Debug)]
pub(super) struct Member {
    needle: String,
    /// Whether it is ready.
    pub(super) ready: bool,
    /// Whether it is in team B.
    pub(super) team_b: bool,
}

impl Member {
    /// The member that `player` is in the lobby of `frame`.
    pub(super) fn of(player: &SignedIn, frame: &str) -> anyhow::Result<Self> {
        let needle = format!("\"accountId\":\"{}\"", player.account.id);
        let mut member = Self { needle, ready: false, team_b: false };
        let (ready, team_b) = member.seen(frame).context("a member is not in its own lobby")?;
        (member.ready, member.team_b) = (ready, team_b);
        Ok(member)
    }

    /// Whether it is ready and whether it is in team B, as a frame with its lobby tells. Searches
    /// for its bytes: parsing every update would cost the load generator more than the server.
    pub(super) fn seen(&self, frame: &str) -> Option<(bool, bool)> {
        let at = frame.find(&self.needle)?;
        let (_, ready) = frame[at..].split_once("\"ready\":")?;
        let team_b_at = frame.find("\"teamB\":[")?;
        Some((ready.starts_with("true"), at > team_b_at))
    }
}

/// Puts all players in one lobby: the first makes it, the others join by its code. Each is a member
/// when this returns, and has seen it.
pub(super) fn gather(players: &[SignedIn], sockets: &mut [Socket]) -> anyhow::Result<Vec<Member>> {
    let (Some(owner), Some(first)) = (players.first(), sockets.first_mut()) else {
        bail!("a lobby needs a player");
    };
    first.send(r#"{"type":"lobby:create"}"#)?;
    let created = first.wait_for("lobby:created")?;
    let code = text_field(&created, "code").context("the lobby has no code")?;
    let join = format!("{{\"type\":\"lobby:join\",\"code\":\"{code}\"}}");
    let mut members = vec![Member::of(owner, &created)?];
    for (player, socket) in players.iter().zip(sockets).skip(1) {
        socket.send(&join)?;
        let joined = |frame: &str| Member::of(player, frame).is_ok();
        members.push(Member::of(player, &socket.wait_until("lobby:updated", joined)?)?);
    }
    Ok(members)
}

/// The text of the first field of this name.
pub(super) fn text_field<'a>(frame: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = frame.split_once(&format!("\"{name}\":\""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = r#"{"type":"lobby:updated","lobby":{"id":"l","code":"123456","isPrivate":false,
        "teamA":[{"accountId":"a","username":"A","ready":false,"connected":true}],
        "teamB":[{"accountId":"b","username":"B","ready":true,"connected":true}],"ownerId":"c"}}"#;

    fn member(id: &str) -> Member {
        Member { needle: format!("\"accountId\":\"{id}\""), ready: false, team_b: false }
    }

    #[test]
    fn a_member_finds_itself() {
        assert_eq!(member("a").seen(FRAME), Some((false, false)));
        assert_eq!(member("b").seen(FRAME), Some((true, true)));
    }

    #[test]
    fn who_is_no_member_is_not_found() {
        assert_eq!(member("c").seen(FRAME), None);
    }

    #[test]
    fn fields_are_found() {
        assert_eq!(text_field(FRAME, "code"), Some("123456"));
        assert_eq!(text_field(FRAME, "isPrivate"), None);
    }
}
