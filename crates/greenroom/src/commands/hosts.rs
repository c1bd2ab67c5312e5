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
            let lost: Vec<_> = hosts.iter().filter_map(lost).collect();
            let rows = hosts.into_iter().map(row);
            let heads = ["ID", "PROVIDER", "REGION", "STATE", "SINCE (UTC)", "SERVERS", "ADDRESS", "ENGINE"];
            output::table(heads, rows);
            for sentence in lost {
                output::line(&format!("\n{}", output::printable(&sentence)));
            }
            Ok(())
        }
    }
}

/// Why a host cannot be asked; too long for a table.
fn lost(host: &HostView) -> Option<String> {
    let reason = host.reason.as_ref().filter(|_| host.state == HostState::Lost)?;
    Some(format!("{} is lost: {reason}", host.id))
}

fn row(host: HostView) -> [String; 8] {
    let servers = match host.servers_max {
        Some(most) => format!("{}/{most}", host.servers),
        None => host.servers.to_string(),
    };
    let region = host.region.map_or_else(|| "all".to_owned(), |region| region.to_string());
    let id = host.id.to_string();
    let state = host.state.as_str().to_owned();
    [id, host.provider, region, state, shown(host.since), servers, host.address, or_dash(host.engine_version)]
}
