//! `servers ls | show | logs | stop`.

use std::io::{self, Write as _};

use greenroom_protocol::{
    ServerId,
    hosting::{ExitView, ServerList, ServerView},
};
use reqwest::Method;

use super::{or_dash, shown};
use crate::{
    cli::{Server, ServersCommand},
    http::Greenroom,
    listing::{self, Listed},
    output,
};

pub(crate) async fn run(server: Server, command: ServersCommand) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    match command {
        ServersCommand::Ls { game, state, limit, after, watch } => {
            let path = format!("/v1/games/{}/servers", greenroom.game(game)?);
            listing::show(server.json, watch, async || {
                let mut request = greenroom.request(Method::GET, &path).query(&[("limit", limit)]);
                if let Some(state) = &state {
                    request = request.query(&[("state", state)]);
                }
                if let Some(after) = &after {
                    request = request.query(&[("cursor", after)]);
                }
                let list: ServerList = greenroom.json(request).await?;
                let listed = Listed::new(&list, Some("servers"), "id", table(&list))?;
                Ok(listed.with_next(list.next.as_deref()))
            })
            .await
        }
        ServersCommand::Show { id } => {
            let request = greenroom.request(Method::GET, &format!("/v1/servers/{id}"));
            let view: ServerView = greenroom.json(request).await?;
            if server.json {
                return output::json(&view);
            }
            show(&view);
            Ok(())
        }
        ServersCommand::Logs { id, follow, tail } => logs(&greenroom, &id, follow, tail).await,
        ServersCommand::Stop { id } => {
            greenroom.send(greenroom.request(Method::DELETE, &format!("/v1/servers/{id}"))).await?;
            if server.json {
                return output::json(&serde_json::json!({ "id": id, "stopping": true }));
            }
            output::line(&format!("{id} is stopping"));
            Ok(())
        }
    }
}

fn table(list: &ServerList) -> Vec<String> {
    let rows = list.servers.iter().map(|server| {
        [
            server.id.to_string(),
            server.state.as_str().to_owned(),
            server.name.clone(),
            address(server),
            or_dash(server.region.as_ref()),
            shown(server.created_at),
        ]
    });
    output::table_lines(["ID", "STATE", "NAME", "ADDRESS", "REGION", "CREATED (UTC)"], rows)
}

fn show(server: &ServerView) {
    output::pairs(&[
        ("id", server.id.to_string()),
        ("name", server.name.clone()),
        ("title", or_dash(server.title.as_ref())),
        ("game", server.game.to_string()),
        ("state", state(server)),
        ("address", address(server)),
        ("code", or_dash(server.code.as_ref())),
        ("region", or_dash(server.region.as_ref())),
        ("version", or_dash(server.version.as_ref())),
        ("created", shown(server.created_at)),
        ("allocated", or_dash(server.allocation.as_ref().map(|allocation| shown(allocation.at)))),
        ("match", or_dash(server.allocation.as_ref().and_then(|allocation| allocation.match_id.as_ref()))),
        ("exit", server.exit.as_ref().map_or_else(|| "-".into(), exit)),
    ]);
    output::line("");
    let rows = server.history.iter().map(|change| {
        [shown(change.at), change.state.as_str().to_owned(), change.reason.clone().unwrap_or_default()]
    });
    output::table(["AT (UTC)", "STATE", "REASON"], rows);
    let last = server.exit.iter().flat_map(|exit| &exit.last_lines);
    for (index, text) in last.enumerate() {
        if index == 0 {
            output::line("\nlast lines of its log:");
        }
        output::line(&format!("  {}", output::printable(text)));
    }
}

fn state(server: &ServerView) -> String {
    let state = server.state.as_str();
    match (server.paused, server.host_reachable) {
        // What was last seen of it need not be so any more.
        (_, Some(false)) => format!("{state} when it was last seen; its host is lost"),
        (true, _) => format!("{state}; its container is paused"),
        _ => state.to_owned(),
    }
}

fn address(server: &ServerView) -> String {
    server.port.map_or_else(|| "-".into(), |port| format!("{}:{port}", server.address))
}

fn exit(exit: &ExitView) -> String {
    let how = match (exit.code, exit.signal) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(code), None) => format!("status {code}"),
        (None, None) => "unknown".into(),
    };
    let kind = if exit.crashed { "crashed" } else { "ended" };
    let reason = exit.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{kind} with {how} at {}{reason}", shown(exit.at))
}

/// Copies the log as it comes, byte for byte: a log is the game's own words.
async fn logs(greenroom: &Greenroom, id: &ServerId, follow: bool, tail: u32) -> anyhow::Result<()> {
    let request = greenroom
        .request(Method::GET, &format!("/v1/servers/{id}/logs"))
        .query(&[("tail", tail.to_string()), ("follow", follow.to_string())]);
    let mut response = greenroom.send(request).await?;
    let mut out = io::stdout().lock();
    while let Some(chunk) = response.chunk().await? {
        if !output::wrote(out.write_all(&chunk).and_then(|()| out.flush())) {
            break;
        }
    }
    Ok(())
}
