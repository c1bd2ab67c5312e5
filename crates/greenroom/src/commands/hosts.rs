//! `hosts ls`.

use greenroom_protocol::hosting::{HostList, HostState, HostView};
use reqwest::Method;
use serde::Deserialize as _;
use serde_json::Value;

use super::{cores, or_dash, shown, size};
use crate::{
    cli::{HostsCommand, Server},
    http::Greenroom,
    listing::{self, Listed},
    output,
};

const HEADS: [&str; 10] =
    ["ID", "PROVIDER", "REGION", "STATE", "SINCE (UTC)", "SERVERS", "CPU", "MEMORY", "ADDRESS", "ENGINE"];

pub(crate) async fn run(server: Server, command: HostsCommand) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    match command {
        HostsCommand::Ls { watch } => {
            listing::show(server.json, watch, async || {
                let answer: Value = greenroom.json(greenroom.request(Method::GET, "/v1/hosts")).await?;
                let HostList { hosts } = HostList::deserialize(&answer)?;
                let lost: Vec<_> = hosts.iter().filter_map(lost).collect();
                let mut lines = output::table_lines(HEADS, hosts.into_iter().map(row));
                for sentence in lost {
                    lines.extend([String::new(), output::printable(&sentence)]);
                }
                Listed::new(&answer, Some("hosts"), "id", lines)
            })
            .await
        }
    }
}

/// Why a host cannot be asked; too long for a table.
fn lost(host: &HostView) -> Option<String> {
    let reason = host.reason.as_ref().filter(|_| host.state == HostState::Lost)?;
    Some(format!("{} is lost: {reason}", host.id))
}

fn row(host: HostView) -> [String; 10] {
    let servers = match host.servers_max {
        Some(most) => format!("{}/{most}", host.servers),
        None => host.servers.to_string(),
    };
    let region = host.region.map_or_else(|| "all".to_owned(), |region| region.to_string());
    let id = host.id.to_string();
    let state = host.state.as_str().to_owned();
    let (cpu, memory) = (or_dash(host.cpu_millicores.map(cores)), or_dash(host.memory_bytes.map(size)));
    let (since, engine) = (shown(host.since), or_dash(host.engine_version));
    [id, host.provider, region, state, since, servers, cpu, memory, host.address, engine]
}
