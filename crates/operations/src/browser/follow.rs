//! Makes the lists anew when announcements or the fleet have changed.

use std::{collections::HashMap, mem, sync::Arc, time::Instant};

use greenroom_directory::{Notice, Watch};
use greenroom_domain::{
    browser::{Announced, FleetServer, Home, entries},
    server::{Server, ServerState},
    settings::{Connection, GameSettings, Settings},
};
use greenroom_protocol::GameId;
use tokio::sync::watch;

use super::{ANNOUNCED, Browser, REBUILD_PAUSE, list::GameList};
use crate::{documents::decode, failure::Failure};

/// What a list was made of beside the announcements.
#[derive(Default)]
struct Made {
    settings: Option<Arc<Settings>>,
    fleets: HashMap<GameId, Vec<FleetServer>>,
}

/// What a list is to be made of.
struct Order {
    game: GameId,
    fleet: Vec<FleetServer>,
    announced: Vec<Arc<Announced>>,
    home: Home,
}

impl Browser {
    /// Makes all lists, then keeps them.
    pub(super) async fn follow(&self) -> Result<(), Failure> {
        let deps = &self.0.deps;
        let mut documents = deps.directory.watch(&[ANNOUNCED]).await.map_err(Failure::directory)?;
        while let Some(notice) = documents.next().await {
            if notice == Notice::Current {
                break;
            }
            self.note(notice);
        }
        let servers = deps.servers.watch();
        let settings = deps.settings.clone();
        let mut made = Made::default();
        self.make(&mut made).await;
        let (noting, making) = (self.clone(), self.clone());
        self.spawn(async move { noting.note_for_ever(documents).await });
        self.spawn(async move { making.make_for_ever(made, servers, settings).await });
        Ok(())
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.0.deps.shutdown.clone();
        self.0.deps.tracker.spawn(async move {
            // Cancellation first: nobody asks any more.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = work => {}
            }
        });
    }

    async fn note_for_ever(&self, mut documents: Watch) {
        while let Some(notice) = documents.next().await {
            self.note(notice);
        }
    }

    fn note(&self, notice: Notice) {
        let mut known = self.0.known.lock();
        let (game, id, announced) = match notice {
            Notice::Put(document) => match decode::<Announced>(&document.value) {
                Ok(announced) => (document.key.partition, document.key.id, Some(Arc::new(announced))),
                Err(failure) => {
                    tracing::error!(id = %document.key.id, error = ?failure, "an announcement cannot be read and is passed over");
                    return;
                }
            },
            Notice::Deleted { key, .. } => (key.partition, key.id, None),
            Notice::Current => return,
        };
        let Ok(game) = GameId::new(game.as_str()) else { return };
        let of_game = known.announced.entry(game.clone()).or_default();
        // A renewal says nothing new.
        let is_news = match announced {
            Some(announced) => {
                let known = of_game.insert(id, Arc::clone(&announced));
                known.is_none_or(|known| !known.says_what(&announced))
            }
            None => of_game.remove(&id).is_some(),
        };
        if is_news {
            known.changed.insert(game);
            drop(known);
            self.0.changed.notify_one();
        }
    }

    async fn make_for_ever(
        &self,
        mut made: Made,
        mut servers: watch::Receiver<u64>,
        mut settings: watch::Receiver<Arc<Settings>>,
    ) {
        loop {
            // In whatever order: all three lead to the same look.
            tokio::select! {
                () = self.0.changed.notified() => {}
                changed = servers.changed() => if changed.is_err() { return },
                Ok(()) = settings.changed() => {}
            }
            self.make(&mut made).await;
            tokio::time::sleep(REBUILD_PAUSE).await;
        }
    }

    /// Makes the lists anew of which something has changed.
    async fn make(&self, made: &mut Made) {
        let orders = self.orders(made);
        if orders.is_empty() {
            return;
        }
        let browser = self.clone();
        // Thousands of entries take milliseconds, in which nobody else should have to wait.
        let making = self.0.deps.tracker.spawn_blocking(move || {
            for order in orders {
                browser.make_one(order);
            }
            browser.gauge();
            browser.0.made.send_modify(|count| *count += 1);
        });
        if let Err(error) = making.await {
            tracing::error!(%error, "the server browser's list could not be made");
        }
    }

    fn orders(&self, made: &mut Made) -> Vec<Order> {
        let settings = Arc::clone(&self.0.deps.settings.borrow());
        let is_new = made.settings.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &settings));
        let home = home(&settings);
        let mut known = self.0.known.lock();
        let changed = mem::take(&mut known.changed);
        let mut orders = Vec::new();
        for game in settings.games.values() {
            let fleet = self.fleet(game);
            let is_same = made.fleets.get(&game.id).is_some_and(|known| *known == fleet);
            if is_same && !is_new && !changed.contains(&game.id) {
                continue;
            }
            made.fleets.insert(game.id.clone(), fleet.clone());
            let announced = known.announced.get(&game.id).into_iter().flat_map(HashMap::values);
            let announced = announced.cloned().collect();
            orders.push(Order { game: game.id.clone(), fleet, announced, home: home.clone() });
        }
        made.settings = Some(settings);
        orders
    }

    /// The game's servers that could be shown, by id.
    fn fleet(&self, game: &GameSettings) -> Vec<FleetServer> {
        let servers = self.0.deps.servers.snapshot(Some(&game.id));
        let living = servers.iter().filter(|server| !server.state.is_final());
        let mut fleet: Vec<_> = living.map(|server| self.fleet_server(server, game)).collect();
        fleet.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        fleet
    }

    fn fleet_server(&self, server: &Server, game: &GameSettings) -> FleetServer {
        let birth = &server.birth;
        let proxied = match game.fleet.as_ref().map(|fleet| &fleet.connection) {
            Some(Connection::Traefik(traefik)) => Some((traefik.port, traefik.tls)),
            Some(Connection::Ports | Connection::Gateway(_)) | None => None,
        };
        let first = server.ports.first();
        // Who stands before it goes to the port inside, and nobody else reaches another one.
        let inside = first.filter(|_| birth.code.is_some()).and_then(|port| port.inner);
        FleetServer {
            id: birth.id.clone(),
            name: birth.name.clone(),
            title: birth.title.clone(),
            address: birth.address.clone(),
            own_address: self.0.deps.servers.own_address(server),
            port: inside.or(first.map(|port| port.port)).or(proxied.map(|(port, _)| port)),
            inner_port: first.and_then(|port| port.inner),
            path: birth.code.as_ref().map(|code| format!("/games/{}/{code}/ws", game.slug)),
            tls: proxied.is_some_and(|(_, tls)| tls),
            region: birth.region.clone(),
            version: birth.version.clone(),
            is_listed: birth.is_listed,
            is_open: matches!(server.state, ServerState::Ready | ServerState::Allocated),
            since: server.ready_at.unwrap_or(birth.created_at),
        }
    }

    fn make_one(&self, order: Order) {
        let began = Instant::now();
        let announced = order.announced.iter().map(|announced| &**announced);
        match GameList::new(entries(&order.fleet, announced, &order.home)) {
            Ok(made) => {
                self.0.lists.lock().insert(order.game, Arc::new(made));
                metrics::histogram!("greenroom_browser_list_seconds").record(began.elapsed());
            }
            Err(error) => {
                tracing::error!(game = %order.game, %error, "the server browser's list is no JSON; the last one stays");
            }
        }
    }

    fn gauge(&self) {
        let lists = self.0.lists.lock();
        let counts = lists.values().map(|list| list.counts());
        let (servers, players) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        drop(lists);
        metrics::gauge!("greenroom_browser_servers").set(servers as f64);
        // The name is the contract's.
        metrics::gauge!("in_game_players").set(players as f64);
    }
}

fn home(settings: &Settings) -> Home {
    let hosts = settings.hosts.values();
    Home {
        public_address: settings.public_address.clone(),
        host_addresses: hosts.filter_map(|host| host.public_address.clone()).collect(),
    }
}
