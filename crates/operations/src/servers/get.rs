//! One server, living or ended, and how servers are shown.

use std::{net::IpAddr, sync::Arc};

use greenroom_domain::{
    sdk::{self, Counter, List},
    server::{Exit, ExitCause, Passage, Server, ServerPort, StopReason},
};
use greenroom_protocol::{
    GameId, ServerId,
    hosting::{
        AllocationView, CounterView, ExitView, ListView, PortView, SdkView, ServerState, ServerView,
        StateChange,
    },
};
use greenroom_storage::ServerRecord;

use super::{ServerError, Servers};

impl Servers {
    /// The server, if it is one of `game`'s: as it stands, or as it is remembered.
    pub async fn get(&self, game: &GameId, id: &ServerId) -> Result<ServerView, ServerError> {
        let server = self.find(id).await?;
        if server.game == *game { Ok(server) } else { Err(ServerError::NotFound) }
    }

    /// The server, of whichever game: as it stands, or as it is remembered.
    pub async fn find(&self, id: &ServerId) -> Result<ServerView, ServerError> {
        if let Some(server) = self.living(id) {
            return Ok(self.shown(&server));
        }
        let row = self.0.storage.servers().get(id).await.map_err(ServerError::Storage)?;
        row.as_ref().map(view_of_record).ok_or(ServerError::NotFound)
    }

    /// Where a server is reached from here, if that is an address of its own.
    pub fn own_address(&self, server: &Server) -> Option<IpAddr> {
        self.0.view.address(&server.instance())
    }

    /// A living server as its studio sees it, whether its host can be asked, and whether it is paused.
    pub(crate) fn shown(&self, server: &Server) -> ServerView {
        let living = !server.state.is_final();
        let host_reachable = living.then(|| self.0.view.is_host_reachable(server));
        let paused = living && self.0.view.is_paused(server);
        ServerView { host_reachable, paused, ..view_of(server) }
    }

    /// The server's document, if it is still in the directory.
    pub fn living(&self, id: &ServerId) -> Option<Arc<Server>> {
        self.0.view.get(id).map(|(server, _)| server)
    }
}

/// A server by its document alone.
pub(crate) fn view_of(server: &Server) -> ServerView {
    let birth = &server.birth;
    let stopped = server.stop_reason;
    let change = |passage: &Passage| StateChange {
        state: passage.state,
        at: passage.at,
        reason: stopped.filter(|_| passage.state == ServerState::Stopping).map(reason),
    };
    ServerView {
        id: birth.id.clone(),
        name: birth.name.clone(),
        title: birth.title.clone(),
        code: birth.code.clone(),
        game: birth.game.clone(),
        state: server.state,
        region: Some(birth.region.clone()),
        version: Some(birth.version.clone()),
        address: birth.address.clone(),
        port: server.port(),
        ports: server.ports.iter().map(port).collect(),
        host_reachable: None,
        paused: false,
        created_at: birth.created_at,
        allocation: server.allocation.as_ref().map(|allocation| AllocationView {
            at: allocation.at,
            match_id: allocation.match_id.clone(),
            payload_bytes: allocation.payload.len() as u64,
        }),
        exit: server.exit.as_ref().map(exit),
        sdk: sdk_of(server),
        history: server.history.iter().map(change).collect(),
    }
}

/// An ended server as its studio sees it.
pub(crate) fn view_of_record(row: &ServerRecord) -> ServerView {
    let read = |value: &serde_json::Value| serde_json::from_value(value.clone()).unwrap_or_default();
    let ports: Vec<ServerPort> = read(&row.ports);
    let history: Vec<StateChange> = serde_json::from_value(row.history.clone()).unwrap_or_default();
    let ended: Option<Exit> = row.exit.clone().and_then(|value| serde_json::from_value(value).ok());
    let state = [ServerState::Ended, ServerState::Lost].into_iter().find(|state| state.as_str() == row.state);
    ServerView {
        id: row.id.clone(),
        name: row.name.clone(),
        title: None,
        code: None,
        game: row.game.clone(),
        state: state.unwrap_or(ServerState::Ended),
        region: Some(row.region.clone()),
        version: row.version.clone(),
        address: row.address.clone().unwrap_or_default(),
        port: ports.first().map(|port| port.port),
        ports: ports.iter().map(port).collect(),
        host_reachable: None,
        paused: false,
        created_at: row.created_at,
        allocation: row.allocated_at.map(|at| AllocationView {
            at,
            match_id: row.match_id.clone(),
            payload_bytes: row.payload_bytes.into(),
        }),
        exit: ended.as_ref().map(exit),
        sdk: None,
        history,
    }
}

/// What is remembered of a server.
pub(crate) fn record_of(server: &Server, log_kept: std::time::Duration) -> ServerRecord {
    let shown = view_of(server);
    let json = |value: serde_json::Result<serde_json::Value>| value.unwrap_or_default();
    let birth = &server.birth;
    ServerRecord {
        id: birth.id.clone(),
        game: birth.game.clone(),
        studio: birth.studio.clone(),
        name: birth.name.clone(),
        region: birth.region.clone(),
        build: birth.build.clone(),
        version: Some(birth.version.clone()),
        payload_bytes: server.allocation.as_ref().map_or(0, |given| given.payload.len() as u32),
        address: Some(birth.address.clone()),
        ports: json(serde_json::to_value(&server.ports)),
        state: server.state.as_str().to_owned(),
        created_at: birth.created_at,
        ready_at: server.ready_at,
        // Of one that never was given nothing was answered, so that its key must not find it.
        allocated_at: server.allocated_at.filter(|_| server.was_given()),
        ended_at: server.ended_at,
        exit: server.exit.as_ref().map(|exit| json(serde_json::to_value(exit))),
        history: json(serde_json::to_value(shown.history)),
        match_id: server.allocation.as_ref().and_then(|allocation| allocation.match_id.clone()),
        log_kept_until: server.ended_at.map(|at| at.after(log_kept)),
    }
}

pub(crate) fn reason(reason: StopReason) -> String {
    match reason {
        StopReason::Requested => "somebody asked for it",
        StopReason::Pool => "the warm pool has no use for it",
        StopReason::Deadline => "it was not ready before the allocation's deadline",
        StopReason::Abandoned => "whoever asked for it went away before it was ready",
        StopReason::HostLost => "its host could not be reached when it was to be given away",
        StopReason::Shutdown => "the development server ends",
        StopReason::Itself => "it asked for its own end",
        StopReason::Unhealthy => "its health pings did not come",
    }
    .to_owned()
}

fn port(port: &ServerPort) -> PortView {
    use greenroom_domain::settings::PortProtocol;
    let protocol = match port.protocol {
        PortProtocol::Tcp => "tcp",
        PortProtocol::Udp => "udp",
        PortProtocol::TcpUdp => "tcp+udp",
        PortProtocol::Either => "tcp|udp",
    };
    PortView { name: port.name.clone(), port: port.port, protocol: protocol.to_owned() }
}

fn sdk_of(server: &Server) -> Option<SdkView> {
    let said = server.sdk.as_deref()?;
    let counter = |(name, counter): (&String, &Counter)| {
        (name.clone(), CounterView { count: counter.count, capacity: counter.capacity })
    };
    let list = |(name, list): (&String, &List)| {
        (name.clone(), ListView { capacity: list.capacity, values: list.values.clone() })
    };
    Some(SdkView {
        state: sdk::State::of(server, true).as_str().to_owned(),
        reserved_until: said.reserved.and_then(|reserved| reserved.until),
        labels: said.labels.clone(),
        annotations: said.annotations.clone(),
        counters: said.counters.iter().map(counter).collect(),
        lists: said.lists.iter().map(list).collect(),
    })
}

fn exit(exit: &Exit) -> ExitView {
    let (code, signal) = match exit.cause {
        ExitCause::Exited(code) => (Some(code), None),
        ExitCause::Signalled(signal) => (None, Some(signal)),
        _ => (None, None),
    };
    ExitView {
        at: exit.at,
        code,
        signal,
        crashed: exit.is_crash(),
        reason: Some(exit.sentence()),
        last_lines: exit.last_lines.clone(),
    }
}
