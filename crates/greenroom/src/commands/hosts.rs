//! `hosts ls`.

use greenroom_protocol::hosting::{HostList, HostState, HostView};
use reqwest::Method;
use serde_json::Value;

use super::{or_dash, shown};
use crate::{
    cli::{HostsCommand, Server},
    http::Greenroom,
    output,
};

pub(crate) async fn run(server: Server, command: HostsCommand) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    match command {
        HostsCommand::Ls => {
            let answer: Value = greenroom.json(greenroom.request(Method::GET, "/v1/hosts")).await?;
            if server.json {
                return output::json(&answer);
            }
            let HostList { hosts } = serde_json::from_value(answer)?;
            let rows = hosts.into_iter().map(row);
            let heads = ["ID", "PROVIDER", "REGION", "STATE", "SINCE (UTC)", "SERVERS", "ADDRESS", "ENGINE"];
            output::table(heads, rows);
            Ok(())
        }
    }
}

fn row(host: HostView) -> [String; 8] {
    let state = match (host.state, host.reason) {
        (HostState::Lost, Some(reason)) => format!("lost: {reason}"),
        (state, _) => state.as_str().to_owned(),
    };
    let servers = match host.servers_max {
        Some(most) => format!("{}/{most}", host.servers),
        None => host.servers.to_string(),
    };
    let region = host.region.map_or_else(|| "all".to_owned(), |region| region.to_string());
    let id = host.id.to_string();
    [id, host.provider, region, state, shown(host.since), servers, host.address, or_dash(host.engine_version)]
}
