//! The server browser: servers of the fleet and servers that announced themselves, as one list.
//!
//! An entry is a place that players can connect to. A server of the fleet that also announces itself
//! is one entry, and so are two announcements of the same place.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use greenroom_protocol::{
    RegionId, ServerId, Timestamp,
    browser::{Announcement, BrowserEntry, ListedServer, PlayersReport},
};
use serde::{Deserialize, Serialize};

use crate::text;

mod query;
#[cfg(test)]
mod tests;

pub use query::{Found, InvalidPlace, Place, Query, Row};

/// What a game server said of itself over its socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// Unique for ever; of two, the later one is the larger.
    pub id: String,
    /// For people; see [`text::title`].
    pub name: String,
    /// Where it listens.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// How many play on it.
    pub players: u32,
    /// How many may.
    pub players_max: Option<u32>,
    /// Where it runs, as it says.
    pub region: Option<RegionId>,
    /// The version it runs, as it says.
    pub version: Option<String>,
    /// Where it connects from.
    pub address: IpAddr,
    /// The server of the fleet that it has proved to be.
    pub server: Option<ServerId>,
    /// When it announced itself.
    pub since: Timestamp,
    /// When it was last heard, as of when this was written.
    #[serde(default)]
    pub heard_at: Timestamp,
}

/// A name with nothing in it that can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`name` must have something in it that can be seen")]
pub struct Nameless;

impl Announced {
    /// The announcement of a server that connects from `address` and has proved to be `server`.
    pub fn new(
        id: String,
        said: Announcement,
        address: IpAddr,
        server: Option<ServerId>,
        now: Timestamp,
    ) -> Result<Self, Nameless> {
        let name = text::bounded(&said.name, text::TITLE_CHARS_MAX).ok_or(Nameless)?;
        let version = said.version.and_then(|version| text::bounded(&version, text::LABEL_CHARS_MAX));
        let address = address.to_canonical();
        let Announcement { port, tls, players, players_max, region, .. } = said;
        let (since, heard_at) = (now, now);
        Ok(Self {
            id,
            name,
            port,
            tls,
            players,
            players_max,
            region,
            version,
            address,
            server,
            since,
            heard_at,
        })
    }

    /// Whether players are shown the same of both: when a server was last heard is not for them.
    pub fn says_what(&self, other: &Self) -> bool {
        *self == Self { heard_at: self.heard_at, ..other.clone() }
    }

    /// Takes in what it says later. Tells whether that is news.
    pub fn report(&mut self, said: PlayersReport) -> bool {
        let (players, players_max) = (said.players, said.players_max.or(self.players_max));
        let is_news = (self.players, self.players_max) != (players, players_max);
        (self.players, self.players_max) = (players, players_max);
        is_news
    }
}

/// A server of the fleet, as far as the browser cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetServer {
    /// Which.
    pub id: ServerId,
    /// Its unique name.
    pub name: String,
    /// What a player called it.
    pub title: Option<String>,
    /// The address that players are told.
    pub address: String,
    /// Where it connects from, if that is an address of its own.
    pub own_address: Option<IpAddr>,
    /// The port that players are told, or that it listens on behind a proxy.
    pub port: Option<u16>,
    /// Its number inside its container, where that is another one.
    pub inner_port: Option<u16>,
    /// Where its WebSocket is on the installation's own address, if a proxy stands before it.
    pub path: Option<String>,
    /// Whether players reach it by TLS, as far as the settings tell.
    pub tls: bool,
    /// Where it runs.
    pub region: RegionId,
    /// What it runs.
    pub version: String,
    /// Whether it is shown without having announced itself.
    pub is_listed: bool,
    /// Whether it accepts players now.
    pub is_open: bool,
    /// Since when it is there.
    pub since: Timestamp,
}

/// The addresses of the installation, as its operator tells players.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// Of the installation.
    pub public_address: String,
    /// Of its hosts that have one of their own.
    pub host_addresses: Vec<String>,
}

impl Home {
    /// What players are told of a server that connects from `address`, and whether it runs where
    /// this installation starts servers: at a private address, or at one of the installation.
    pub fn shown(&self, address: IpAddr) -> (String, bool) {
        let is_it = |text: &&String| text.parse::<IpAddr>().is_ok_and(|own| own.to_canonical() == address);
        if is_private(address) {
            return (self.public_address.clone(), true);
        }
        match std::iter::once(&self.public_address).chain(&self.host_addresses).find(is_it) {
            Some(own) => (own.clone(), true),
            None => (address.to_string(), false),
        }
    }
}

/// Whether `address` means nothing beyond its own network (RFC 1918, 3927, 4193, 4291, 6598).
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || is_shared(v4)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || is_local(v6),
    }
}

fn is_shared(v4: Ipv4Addr) -> bool {
    let [first, second, ..] = v4.octets();
    first == 100 && (64..128).contains(&second)
}

fn is_local(v6: Ipv6Addr) -> bool {
    v6.is_unique_local() || v6.is_unicast_link_local()
}

/// The one list, the longest listed first.
///
/// An announcement belongs to the server of the fleet that it has proved to be; else to the one that
/// connects from its address, or that players are told the same address and port of; else, from a
/// private address, to the only one with its port. Of several announcements of one server or place
/// the newest counts. What belongs to a server that does not accept players is not shown.
pub fn entries<'a>(
    fleet: &'a [FleetServer],
    announced: impl IntoIterator<Item = &'a Announced>,
    home: &Home,
) -> Vec<BrowserEntry> {
    let owners = Owners::new(fleet);
    let mut of_fleet: HashMap<&ServerId, &Announced> = HashMap::new();
    let mut of_place: HashMap<(String, u16), (&Announced, bool)> = HashMap::new();
    for said in announced {
        let (shown, official) = home.shown(said.address);
        match owners.of(said, &shown) {
            Owner::Fleet(server) => {
                let newest = of_fleet.entry(&server.id).or_insert(said);
                *newest = newer(newest, said);
            }
            Owner::Gone => {}
            Owner::None => {
                let place = of_place.entry((shown, said.port)).or_insert((said, official));
                place.0 = newer(place.0, said);
            }
        }
    }
    let known = fleet.iter().filter_map(|server| of_server(server, of_fleet.get(&server.id).copied()));
    let own = of_place.into_iter().map(|((address, _), (said, official))| of_itself(said, address, official));
    let mut entries: Vec<BrowserEntry> = known.chain(own).collect();
    entries.sort_unstable_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
    entries
}

/// An entry as shipped clients read it.
pub fn listed(entry: &BrowserEntry) -> ListedServer {
    ListedServer {
        name: entry.name.clone(),
        ip: entry.address.clone(),
        tls: entry.tls,
        port: entry.port,
        official: entry.official,
        players: entry.players,
    }
}

/// Whose an announcement is.
enum Owner<'a> {
    Fleet(&'a FleetServer),
    /// A server's that is gone.
    Gone,
    None,
}

/// The servers of the fleet, by what announcements know them by.
struct Owners<'a> {
    ids: HashMap<&'a ServerId, &'a FleetServer>,
    own_places: HashMap<(IpAddr, u16), &'a FleetServer>,
    told_places: HashMap<(&'a str, u16), &'a FleetServer>,
    /// The only one with the port; none where there are several.
    ports: HashMap<u16, Option<&'a FleetServer>>,
}

impl<'a> Owners<'a> {
    fn new(fleet: &'a [FleetServer]) -> Self {
        let mut owners = Self {
            ids: HashMap::with_capacity(fleet.len()),
            own_places: HashMap::new(),
            told_places: HashMap::new(),
            ports: HashMap::new(),
        };
        for server in fleet {
            owners.ids.insert(&server.id, server);
            let Some(port) = server.port else { continue };
            if let Some(own) = server.own_address.filter(|own| !own.is_loopback()) {
                for port in [port, server.inner_port.unwrap_or(port)] {
                    owners.own_places.insert((own.to_canonical(), port), server);
                }
            }
            // Behind a proxy many have the same port, and none of them is what players are told.
            if server.path.is_none() {
                owners.told_places.insert((&server.address, port), server);
                owners.ports.entry(port).and_modify(|only| *only = None).or_insert(Some(server));
            }
        }
        owners
    }

    fn of(&self, said: &Announced, shown: &str) -> Owner<'a> {
        if let Some(id) = &said.server {
            return self.ids.get(id).map_or(Owner::Gone, |server| Owner::Fleet(server));
        }
        let own = self.own_places.get(&(said.address, said.port));
        let known = own.or_else(|| self.told_places.get(&(shown, said.port))).copied();
        let only = || self.ports.get(&said.port).copied().flatten().filter(|_| is_private(said.address));
        known.or_else(only).map_or(Owner::None, Owner::Fleet)
    }
}

fn newer<'a>(a: &'a Announced, b: &'a Announced) -> &'a Announced {
    if (a.since, &a.id) > (b.since, &b.id) { a } else { b }
}

fn of_server(server: &FleetServer, said: Option<&Announced>) -> Option<BrowserEntry> {
    if !server.is_open || (said.is_none() && !server.is_listed) {
        return None;
    }
    let said_port = said.filter(|_| server.path.is_some()).map(|said| said.port);
    let name = server.title.as_ref().or(said.map(|said| &said.name)).unwrap_or(&server.name);
    Some(BrowserEntry {
        id: server.id.to_string(),
        name: name.clone(),
        address: server.address.clone(),
        port: said_port.or(server.port)?,
        path: server.path.clone(),
        tls: said.map_or(server.tls, |said| said.tls || (server.tls && server.path.is_some())),
        official: true,
        players: said.map_or(0, |said| said.players),
        players_max: said.and_then(|said| said.players_max),
        region: Some(server.region.clone()),
        version: Some(server.version.clone()),
        since: server.since,
    })
}

fn of_itself(said: &Announced, address: String, official: bool) -> BrowserEntry {
    BrowserEntry {
        id: said.id.clone(),
        name: said.name.clone(),
        address,
        port: said.port,
        path: None,
        tls: said.tls,
        official,
        players: said.players,
        players_max: said.players_max,
        region: said.region.clone(),
        version: said.version.clone(),
        since: said.since,
    }
}
