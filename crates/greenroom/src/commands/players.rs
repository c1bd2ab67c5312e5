//! `players ls | search | show | sessions | ban | unban | bans`.

use greenroom_protocol::{
    auth::{BanRequest, BanView, SessionList},
    players::{BanPage, PlayerPage, PlayerView},
};
use reqwest::{Method, RequestBuilder};

use super::{from_now, or_dash, shown};
use crate::{
    cli::{Part, PlayersCommand, Server},
    http::Greenroom,
    listing::{self, Listed},
    output,
};

pub(crate) async fn run(server: Server, command: PlayersCommand) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    let json = server.json;
    match command {
        PlayersCommand::Ls { game, part, watch } => {
            let path = format!("/v1/games/{}/players", greenroom.game(game)?);
            listing::show(json, watch, async || players(&greenroom, &path, "", &part).await).await
        }
        PlayersCommand::Search { name, game, part } => {
            let path = format!("/v1/games/{}/players", greenroom.game(game)?);
            listing::once(json, &players(&greenroom, &path, &name, &part).await?)
        }
        PlayersCommand::Show { id, game } => {
            let path = format!("/v1/games/{}/players/{id}", greenroom.game(game)?);
            let player: PlayerView = greenroom.json(greenroom.request(Method::GET, &path)).await?;
            if json {
                return output::json(&player);
            }
            show(&player);
            Ok(())
        }
        PlayersCommand::Sessions { id, game, watch } => {
            let path = format!("/v1/games/{}/players/{id}/sessions", greenroom.game(game)?);
            listing::show(json, watch, async || sessions(&greenroom, &path).await).await
        }
        PlayersCommand::Ban { id, game, reason, duration } => {
            let path = format!("/v1/games/{}/players/{id}/ban", greenroom.game(game)?);
            let body = BanRequest { reason, until: duration.map(from_now) };
            let ban: BanView = greenroom.json(greenroom.request(Method::POST, &path).json(&body)).await?;
            if json {
                return output::json(&ban);
            }
            output::line(&format!("{id} is banned {}", until(&ban)));
            Ok(())
        }
        PlayersCommand::Unban { id, game } => {
            let path = format!("/v1/games/{}/players/{id}/ban", greenroom.game(game)?);
            greenroom.send(greenroom.request(Method::DELETE, &path)).await?;
            if json {
                return output::json(&serde_json::json!({ "id": id, "banned": false }));
            }
            output::line(&format!("{id} may sign in again"));
            Ok(())
        }
        PlayersCommand::Bans { game, part, watch } => {
            let path = format!("/v1/games/{}/bans", greenroom.game(game)?);
            listing::show(json, watch, async || bans(&greenroom, &path, &part).await).await
        }
    }
}

async fn players(greenroom: &Greenroom, path: &str, name: &str, part: &Part) -> anyhow::Result<Listed> {
    let mut request = greenroom.request(Method::GET, path);
    if !name.is_empty() {
        request = request.query(&[("name", name)]);
    }
    let page: PlayerPage = greenroom.json(of_part(request, part)).await?;
    let rows = page.players.iter().map(|player| {
        let ban = player.ban.as_ref().map(until);
        let times = [shown(player.created_at), shown(player.last_seen_at)];
        let [created, seen] = times;
        [player.id.to_string(), player.username.clone(), created, seen, or_dash(ban)]
    });
    let lines = output::table_lines(["ID", "NAME", "FIRST SEEN (UTC)", "LAST SEEN (UTC)", "BANNED"], rows);
    Ok(Listed::new(&page, Some("players"), "id", lines)?.with_next(page.next.as_deref()))
}

async fn sessions(greenroom: &Greenroom, path: &str) -> anyhow::Result<Listed> {
    let list: SessionList = greenroom.json(greenroom.request(Method::GET, path)).await?;
    let rows = list.sessions.iter().map(|session| {
        let [created, expires] = [session.created_at, session.expires_at].map(shown);
        [session.id.to_string(), created, expires, or_dash(session.user_agent.as_ref())]
    });
    let lines = output::table_lines(["ID", "SIGNED IN (UTC)", "UNTIL (UTC)", "PROGRAM"], rows);
    Listed::new(&list, Some("sessions"), "id", lines)
}

async fn bans(greenroom: &Greenroom, path: &str, part: &Part) -> anyhow::Result<Listed> {
    let page: BanPage = greenroom.json(of_part(greenroom.request(Method::GET, path), part)).await?;
    let rows = page.bans.iter().map(|ban| {
        let end = ban.until.map_or_else(|| "for ever".to_owned(), shown);
        [ban.player_id.to_string(), shown(ban.banned_at), end, ban.reason.clone()]
    });
    let lines = output::table_lines(["PLAYER", "SINCE (UTC)", "UNTIL (UTC)", "REASON"], rows);
    Ok(Listed::new(&page, Some("bans"), "playerId", lines)?.with_next(page.next.as_deref()))
}

fn of_part(request: RequestBuilder, part: &Part) -> RequestBuilder {
    let request = request.query(&[("limit", part.limit)]);
    match &part.after {
        Some(after) => request.query(&[("cursor", after)]),
        None => request,
    }
}

fn show(player: &PlayerView) {
    output::pairs(&[
        ("id", player.id.to_string()),
        ("name", player.username.clone()),
        ("Discord", or_dash(player.discord.as_ref().map(|user| format!("{} ({})", user.username, user.id)))),
        ("first seen", shown(player.created_at)),
        ("last seen", shown(player.last_seen_at)),
        ("banned", or_dash(player.ban.as_ref().map(until))),
        ("reason", or_dash(player.ban.as_ref().map(|ban| &ban.reason))),
    ]);
}

fn until(ban: &BanView) -> String {
    ban.until.map_or_else(|| "for ever".to_owned(), |until| format!("until {}", shown(until)))
}
