//! `lobbies ls | show | close`.

use greenroom_protocol::lobby::{LobbyPhase, LobbyView, MemberView};
use reqwest::Method;

use super::{or_dash, shown};
use crate::{
    cli::{LobbiesCommand, Server},
    http::Greenroom,
    listing::{self, Listed},
    output,
};

pub(crate) async fn run(server: Server, command: LobbiesCommand) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    match command {
        LobbiesCommand::Ls { game, watch } => {
            let path = format!("/v1/games/{}/lobbies", greenroom.game(game)?);
            listing::show(server.json, watch, async || {
                let lobbies: Vec<LobbyView> = greenroom.json(greenroom.request(Method::GET, &path)).await?;
                let heads = ["ID", "CODE", "PHASE", "MEMBERS", "OWNER", "NAME", "OPEN", "CREATED (UTC)"];
                Listed::new(&lobbies, None, "id", output::table_lines(heads, lobbies.iter().map(row)))
            })
            .await
        }
        LobbiesCommand::Show { id, game } => {
            let path = format!("/v1/games/{}/lobbies/{id}", greenroom.game(game)?);
            let lobby: LobbyView = greenroom.json(greenroom.request(Method::GET, &path)).await?;
            if server.json {
                return output::json(&lobby);
            }
            show(&lobby);
            Ok(())
        }
        LobbiesCommand::Close { id, game } => {
            let path = format!("/v1/games/{}/lobbies/{id}/close", greenroom.game(game)?);
            greenroom.send(greenroom.request(Method::POST, &path)).await?;
            if server.json {
                return output::json(&serde_json::json!({ "id": id, "closed": true }));
            }
            output::line(&format!("{id} is closed"));
            Ok(())
        }
    }
}

fn row(lobby: &LobbyView) -> [String; 8] {
    let members = lobby.team_a.len() + lobby.team_b.len();
    [
        lobby.id.to_string(),
        lobby.code.clone(),
        phase(lobby.phase).to_owned(),
        format!("{members}/{}", lobby.members_max),
        owner(lobby),
        or_dash(lobby.name.as_ref()),
        open(lobby).to_owned(),
        shown(lobby.created_at),
    ]
}

fn show(lobby: &LobbyView) {
    output::pairs(&[
        ("id", lobby.id.to_string()),
        ("code", lobby.code.clone()),
        ("name", or_dash(lobby.name.as_ref())),
        ("phase", phase(lobby.phase).to_owned()),
        ("open", open(lobby).to_owned()),
        ("owner", owner(lobby)),
        ("members at most", lobby.members_max.to_string()),
        ("team size", or_dash(lobby.team_size)),
        ("map", or_dash(lobby.map.as_ref())),
        ("mode", or_dash(lobby.mode.as_ref())),
        ("match", or_dash(lobby.match_id.as_ref())),
        ("created", shown(lobby.created_at)),
    ]);
    output::line("");
    let teams = [("A", &lobby.team_a), ("B", &lobby.team_b)];
    let rows = teams.into_iter().flat_map(|(team, members)| members.iter().map(move |one| member(team, one)));
    output::table(["PLAYER", "NAME", "TEAM", "STATE", "JOINED (UTC)"], rows);
}

fn member(team: &str, member: &MemberView) -> [String; 5] {
    let state = match (member.bot, member.connected, member.ready) {
        (true, ..) => "bot",
        (_, false, _) => "away",
        (_, true, true) => "ready",
        (_, true, false) => "not ready",
    };
    let id = member.account_id.to_string();
    [id, member.username.clone(), team.to_owned(), state.to_owned(), shown(member.joined_at)]
}

fn owner(lobby: &LobbyView) -> String {
    let mut members = lobby.team_a.iter().chain(&lobby.team_b);
    let owner = members.find(|member| member.account_id == lobby.owner_id);
    owner.map_or_else(|| lobby.owner_id.to_string(), |owner| owner.username.clone())
}

const fn open(lobby: &LobbyView) -> &'static str {
    match (lobby.is_private, lobby.has_password) {
        (true, _) => "by code",
        (false, true) => "with password",
        (false, false) => "to all",
    }
}

const fn phase(phase: LobbyPhase) -> &'static str {
    match phase {
        LobbyPhase::Waiting => "waiting",
        LobbyPhase::Starting => "starting",
        LobbyPhase::Playing => "playing",
    }
}
