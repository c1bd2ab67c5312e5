//! What Traefik's HTTP provider is told, and how it is known that a server's route is live.
//!
//! A player is told of a server once it can be reached, and Traefik takes a moment to learn of it.
//! The game itself is never asked: to it a handshake is a player.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use greenroom_domain::{
    server::Server,
    settings::{Connection, TraefikSettings},
    traefik,
};
use greenroom_protocol::ServerId;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{sync::watch, time::Instant};

use super::{Servers, connection, view::Reached};

/// How often Traefik's own interface is asked while a route is waited for.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How long one answer of Traefik's own interface may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How long a route is waited for, at the longest.
const ROUTE_MAX: Duration = Duration::from_secs(30);

/// Who has not asked for this long no longer takes its routes from us.
const POLLS_FOR: Duration = Duration::from_mins(1);

/// The dynamic configuration of a Traefik, in the form of its file and HTTP providers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TraefikConfig {
    /// Left out while there is nothing to tell: Traefik takes no empty tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<Http>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Http {
    routers: BTreeMap<String, Router>,
    services: BTreeMap<String, Service>,
    middlewares: BTreeMap<String, Middleware>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Router {
    entry_points: Vec<String>,
    rule: String,
    middlewares: Vec<String>,
    service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls>,
}

/// The certificates are Traefik's own affair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Tls {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    load_balancer: LoadBalancer,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadBalancer {
    servers: Vec<Url>,
    pass_host_header: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Url {
    url: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Middleware {
    strip_prefix: StripPrefix,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct StripPrefix {
    prefixes: Vec<String>,
}

/// What Traefik has been told.
pub(crate) struct Told {
    state: Mutex<State>,
    polls: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    last: Option<Instant>,
    /// Since when it knows of each server.
    since: HashMap<ServerId, Instant>,
}

impl Default for Told {
    fn default() -> Self {
        Self { state: Mutex::default(), polls: watch::Sender::new(0) }
    }
}

impl Servers {
    /// A route to every living server of the games whose players come through Traefik, for the
    /// Traefik that asks: what it was told is from now on taken as known to it.
    pub fn traefik_config(&self) -> TraefikConfig {
        let settings = Arc::clone(&self.0.settings.borrow());
        let mut http = Http::default();
        let mut told = Vec::new();
        for game in settings.games.values() {
            let connection = game.fleet.as_ref().map(|fleet| &fleet.connection);
            let Some(Connection::Traefik(traefik)) = connection else { continue };
            for server in self.0.view.list(Some(&game.id)) {
                let Some(url) = self.url_for_traefik(&server, traefik) else { continue };
                if http.add(&server, &game.slug, traefik, url) {
                    told.push(server.id().clone());
                }
            }
        }
        self.0.traefik.tell(told);
        TraefikConfig { http: Some(http).filter(|http| !http.routers.is_empty()) }
    }

    /// Where a server is as soon as that is known, so that its route is there when it is ready.
    fn url_for_traefik(&self, server: &Server, traefik: &TraefikSettings) -> Option<String> {
        if server.state.is_final() {
            return None;
        }
        let (reached, ports) = self.0.view.reached_at(&server.instance())?;
        let port = ports.first()?;
        Some(match (reached, &traefik.servers_address) {
            // A server of this machine is elsewhere for a Traefik that is not on it.
            (Reached::Here(ip), Some(address)) if ip.is_loopback() => {
                format!("http://{address}:{}", port.bound())
            }
            (Reached::Here(ip), _) => format!("http://{}", SocketAddr::new(ip, port.bound())),
            (Reached::Publicly(address), _) => format!("http://{address}:{}", port.port),
        })
    }

    /// Waits until players reach `server`, if they come to it through Traefik. `false`: its route did
    /// not become live in time.
    pub(crate) async fn wait_for_route(&self, server: &Server, deadline: Instant) -> bool {
        let Some(fleet) = self.fleet(&server.birth.game) else { return true };
        let Connection::Traefik(traefik) = &fleet.connection else { return true };
        let began = Instant::now();
        let deadline = deadline.min(began + ROUTE_MAX);
        let is_live = if let Some(api) = &traefik.api_url {
            tokio::time::timeout_at(deadline, self.0.traefik_api.until_live(api, server)).await.is_ok()
        } else {
            let is_labelled = connection::is_labelled(&fleet);
            self.0.traefik.until_settled(server.id(), is_labelled, traefik.settle, deadline).await
        };
        metrics::histogram!("greenroom_traefik_route_seconds").record(began.elapsed());
        if !is_live {
            tracing::warn!(
                server = %server.id(),
                "Traefik has no route to a game server in time; does it ask GET /traefik/config, or see the containers' labels?"
            );
        }
        is_live
    }
}

impl Http {
    fn add(&mut self, server: &Server, slug: &str, traefik: &TraefikSettings, url: String) -> bool {
        let Some(code) = &server.birth.code else { return false };
        let name = traefik::name(&server.birth);
        let router = Router {
            entry_points: vec![traefik.entry_point.clone()],
            rule: traefik::rule(slug, code, traefik),
            middlewares: vec![name.clone()],
            service: name.clone(),
            tls: traefik.tls.then_some(Tls {}),
        };
        let servers = vec![Url { url }];
        let strip_prefix = StripPrefix { prefixes: vec![traefik::prefix(slug, code)] };
        self.routers.insert(name.clone(), router);
        self.middlewares.insert(name.clone(), Middleware { strip_prefix });
        let load_balancer = LoadBalancer { servers, pass_host_header: true };
        self.services.insert(name, Service { load_balancer });
        true
    }
}

impl Told {
    fn tell(&self, servers: Vec<ServerId>) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let mut known = std::mem::take(&mut state.since);
        state.since = servers
            .into_iter()
            .map(|server| {
                let since = known.remove(&server).unwrap_or(now);
                (server, since)
            })
            .collect();
        state.last = Some(now);
        drop(state);
        self.polls.send_modify(|polls| *polls += 1);
    }

    /// Waits until Traefik has been told of `server` and has had `settle` to act on it. A labelled
    /// container is known to it by its engine too: where it does not ask us, only `settle` counts.
    async fn until_settled(
        &self,
        server: &ServerId,
        is_labelled: bool,
        settle: Duration,
        deadline: Instant,
    ) -> bool {
        let began = Instant::now();
        let mut polls = self.polls.subscribe();
        loop {
            let since = {
                let state = self.state.lock();
                let asks = state.last.is_some_and(|last| last.elapsed() < POLLS_FOR);
                let since = state.since.get(server).copied();
                if is_labelled && !asks { Some(began) } else { since }
            };
            if let Some(since) = since {
                tokio::time::sleep_until(since + settle).await;
                return true;
            }
            let polled = tokio::time::timeout_at(deadline, polls.changed()).await;
            if !matches!(polled, Ok(Ok(()))) {
                return false;
            }
        }
    }
}

/// Traefik's own interface, asked over HTTP.
#[derive(Default)]
pub(crate) struct TraefikApi(OnceLock<Option<reqwest::Client>>);

/// What it says of a router.
#[derive(serde::Deserialize)]
struct RouterStatus {
    status: String,
}

impl TraefikApi {
    /// Made when it is first needed: it reads the system's certificates.
    fn client(&self) -> Option<&reqwest::Client> {
        let make = || {
            // An error is that it was installed before, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let made = reqwest::Client::builder().timeout(ANSWER_MAX).build();
            made.inspect_err(|error| tracing::error!(%error, "Traefik's interface cannot be asked")).ok()
        };
        self.0.get_or_init(make).as_ref()
    }

    async fn until_live(&self, api: &str, server: &Server) {
        let Some(client) = self.client() else { return std::future::pending().await };
        let name = traefik::name(&server.birth);
        let mut was_told = false;
        loop {
            for provider in ["http", "docker"] {
                match is_enabled(client, api, &name, provider).await {
                    Ok(true) => return,
                    Err(error) if !was_told => {
                        was_told = true;
                        tracing::warn!(%error, api, "Traefik's own interface does not answer; api_url names it");
                    }
                    Ok(false) | Err(_) => {}
                }
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

async fn is_enabled(
    client: &reqwest::Client,
    api: &str,
    name: &str,
    provider: &str,
) -> reqwest::Result<bool> {
    let url = format!("{}/api/http/routers/{name}@{provider}", api.trim_end_matches('/'));
    let answer = client.get(url).send().await?;
    if !answer.status().is_success() {
        return Ok(false);
    }
    Ok(answer.json::<RouterStatus>().await?.status == "enabled")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ServerId {
        ServerId::new(text).unwrap()
    }

    const SETTLE: Duration = Duration::from_millis(500);

    #[tokio::test(start_paused = true)]
    async fn a_server_is_waited_for_until_it_was_told_and_a_moment_longer() {
        let told = Arc::new(Told::default());
        let began = Instant::now();
        let teller = Arc::clone(&told);
        let telling = async move {
            for servers in [vec![], vec![id("other")], vec![id("other"), id("mine")]] {
                tokio::time::sleep(Duration::from_secs(5)).await;
                teller.tell(servers);
            }
        };
        let mine = id("mine");
        let deadline = began + Duration::from_secs(30);
        let (is_live, ()) = tokio::join!(told.until_settled(&mine, true, SETTLE, deadline), telling);
        // A labelled one counts by its labels until Traefik asks.
        assert!(is_live);
        let began = Instant::now();
        assert!(told.until_settled(&mine, false, SETTLE, deadline).await);
        assert!(began.elapsed() <= SETTLE);
        let other = id("another");
        assert!(!told.until_settled(&other, true, SETTLE, Instant::now() + Duration::from_secs(9)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_asks_is_not_waited_for_where_labels_tell() {
        let told = Told::default();
        let (began, mine) = (Instant::now(), id("mine"));
        assert!(told.until_settled(&mine, true, SETTLE, began + Duration::from_secs(30)).await);
        assert_eq!(began.elapsed(), SETTLE);
        assert!(!told.until_settled(&mine, false, SETTLE, began + Duration::from_secs(30)).await);
        assert_eq!(began.elapsed(), Duration::from_secs(30));
    }
}
