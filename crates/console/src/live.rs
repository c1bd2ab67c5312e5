//! What is live: fragments of pages that are rendered once for everybody who looks at them.
//!
//! A page names a topic; its stream gets the topic's newest fragment, not every one, so that a slow
//! reader misses what is out of date and holds up nobody. One task renders all topics that somebody
//! looks at: when a game server has changed, at most every [`RENDER_PAUSE`], and otherwise every
//! [`LOOK_EVERY`], because nothing announces players, lobbies and the use of memory here.

mod log;
mod samples;
pub(crate) mod streams;

use std::{collections::HashMap, sync::Arc, time::Duration};

use greenroom_operations::Node;
use greenroom_protocol::{GameId, LobbyId, ServerId};
use maud::Markup;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    pages::{lobbies, lobby, overview, server, servers},
    parts::Times,
};

pub(crate) use samples::{SAMPLES_MAX, Sample, Samples};

/// Streams that are open at once; one more is refused with 503.
const STREAMS_MAX: usize = 256;

/// The shortest time between two renderings.
const RENDER_PAUSE: Duration = Duration::from_millis(500);

/// The longest time between two renderings while somebody looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a fragment shows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    Overview,
    Servers(servers::Filter),
    Server(GameId, ServerId),
    Lobbies(lobbies::Filter),
    Lobby(GameId, LobbyId),
}

/// A fragment; `None` until it was rendered for the first time.
type Fragment = Option<Arc<str>>;

/// The fragments that somebody looks at. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Live(Arc<Shared>);

struct Shared {
    topics: Mutex<HashMap<Topic, watch::Sender<Fragment>>>,
    /// A topic was added.
    wanted: Notify,
    streams: Arc<Semaphore>,
    samples: Samples,
}

/// A look at a topic; it is rendered as long as one is held.
pub(crate) struct Look {
    fragments: watch::Receiver<Fragment>,
    _permit: OwnedSemaphorePermit,
}

impl Live {
    /// Starts to take samples, and to render what is looked at.
    pub(crate) fn start(node: &Node) -> Self {
        let live = Self(Arc::new(Shared {
            topics: Mutex::default(),
            wanted: Notify::new(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            samples: Samples::default(),
        }));
        let (sampling, rendering) = (live.clone(), live.clone());
        let (sampled, rendered) = (node.clone(), node.clone());
        let (sampling_ends, rendering_ends) = (node.shutdown.clone(), node.shutdown.clone());
        // Cancellation needs no order: neither keeps anything that is to be finished.
        node.tracker.spawn(async move {
            sampling_ends.run_until_cancelled(sampling.0.samples.take_for_ever(&sampled)).await;
        });
        node.tracker.spawn(async move {
            rendering_ends.run_until_cancelled(rendering.render_for_ever(&rendered)).await;
        });
        live
    }

    /// Begins to look at `topic`; `None` if too many look already.
    pub(crate) fn look(&self, topic: Topic) -> Option<Look> {
        let permit = Arc::clone(&self.0.streams).try_acquire_owned().ok()?;
        let mut topics = self.0.topics.lock();
        let sender = topics.entry(topic).or_insert_with(|| watch::Sender::new(None));
        let mut fragments = sender.subscribe();
        // What there is already is news to this one.
        fragments.mark_changed();
        drop(topics);
        self.0.wanted.notify_one();
        metrics::gauge!("greenroom_console_streams")
            .set((STREAMS_MAX - self.0.streams.available_permits()) as f64);
        Some(Look { fragments, _permit: permit })
    }

    /// The samples of the last minutes.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.0.samples.all()
    }

    async fn render_for_ever(&self, node: &Node) {
        let mut changes = node.servers.watch();
        let mut meters = Meters::default();
        loop {
            let topics = self.looked_at();
            meters.keep(&topics);
            if topics.is_empty() {
                self.0.wanted.notified().await;
                continue;
            }
            changes.mark_unchanged();
            for topic in topics {
                let fragment = self.render(node, &topic, &mut meters).await;
                self.show(&topic, fragment.into_string());
            }
            let looked = Instant::now();
            sleep(RENDER_PAUSE).await;
            let rest = LOOK_EVERY.saturating_sub(looked.elapsed());
            let news = async {
                tokio::select! {
                    _ = changes.changed() => {}
                    () = self.0.wanted.notified() => {}
                }
            };
            // Whatever comes first: news, or the time to look again.
            let _ = timeout(rest, news).await;
        }
    }

    /// The topics that somebody looks at; the others are forgotten.
    fn looked_at(&self) -> Vec<Topic> {
        let mut topics = self.0.topics.lock();
        topics.retain(|_, sender| sender.receiver_count() > 0);
        metrics::gauge!("greenroom_console_streams")
            .set((STREAMS_MAX - self.0.streams.available_permits()) as f64);
        topics.keys().cloned().collect()
    }

    async fn render(&self, node: &Node, topic: &Topic, meters: &mut Meters) -> Markup {
        let times = Times::ABSOLUTE;
        match topic {
            Topic::Overview => overview::fragment(node, &self.samples(), times),
            Topic::Servers(filter) => servers::fragment(node, filter, times),
            Topic::Server(game, id) => {
                let cpu_cores = meters.read(node, topic, game, id).await;
                server::fragment(node, game, id, cpu_cores, times).await
            }
            Topic::Lobbies(filter) => lobbies::fragment(node, filter, times).await,
            Topic::Lobby(game, id) => lobby::fragment(node, game, id, times).await,
        }
    }

    fn show(&self, topic: &Topic, fragment: String) {
        let topics = self.0.topics.lock();
        let Some(sender) = topics.get(topic) else { return };
        sender.send_if_modified(|shown| {
            let is_news = shown.as_deref() != Some(&*fragment);
            if is_news {
                *shown = Some(fragment.into());
            }
            is_news
        });
    }
}

impl Look {
    /// The next fragment that differs from the last; `None` when nothing is rendered any more.
    pub(crate) async fn next(&mut self) -> Option<Arc<str>> {
        loop {
            self.fragments.changed().await.ok()?;
            if let Some(fragment) = self.fragments.borrow_and_update().clone() {
                return Some(fragment);
            }
        }
    }
}

/// CPU time that game servers had used when they were last looked at: its growth is their use.
#[derive(Default)]
struct Meters(HashMap<Topic, (Instant, f64)>);

impl Meters {
    fn keep(&mut self, topics: &[Topic]) {
        self.0.retain(|topic, _| topics.contains(topic));
    }

    /// How many cores the server has used since the last look.
    async fn read(&mut self, node: &Node, topic: &Topic, game: &GameId, id: &ServerId) -> Option<f64> {
        let used = node.servers.usage(game, id).await?.cpu_seconds;
        let now = Instant::now();
        let (before, used_before) = self.0.insert(topic.clone(), (now, used))?;
        let seconds = now.duration_since(before).as_secs_f64();
        // A server that was started anew begins to count anew.
        (seconds > 0.0 && used >= used_before).then(|| (used - used_before) / seconds)
    }
}
