//! What is live: fragments of pages that are rendered once for everybody who looks at them.
//!
//! A page names a topic; its stream gets the topic's newest fragment, not every one, so that a slow
//! reader misses what is out of date and holds up nobody. One task renders what somebody looks at,
//! when something that it shows has changed, at most every [`RENDER_PAUSE`].

mod log;
mod news;
mod samples;
pub(crate) mod streams;

use std::{collections::HashMap, sync::Arc, time::Duration};

use greenroom_operations::Node;
use greenroom_protocol::{GameId, LobbyId, ServerId};
use maud::Markup;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::sleep,
};

use crate::{
    pages::{browser, builds, events::Following, hosts, lobbies, lobby, overview, server, servers},
    parts::Times,
};

use news::{News, Stamp};
pub(crate) use samples::{SAMPLE_EVERY, Sample, Samples};

/// Streams that are open at once; one more is refused with 503.
const STREAMS_MAX: usize = 256;

/// The shortest time between two renderings.
const RENDER_PAUSE: Duration = Duration::from_millis(500);

/// What a fragment shows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    Overview,
    Servers(servers::Filter),
    Browser(browser::Filter),
    Hosts,
    Builds(GameId),
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
    topics: Mutex<HashMap<Topic, Shown>>,
    /// A topic was added.
    wanted: Notify,
    streams: Arc<Semaphore>,
    samples: Samples,
}

/// A topic that somebody looks at.
struct Shown {
    fragments: watch::Sender<Fragment>,
    /// What there was when it was last rendered.
    rendered: Option<Stamp>,
    /// It is being rendered beside the others.
    is_busy: bool,
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
        let shown = topics.entry(topic).or_insert_with(|| Shown {
            fragments: watch::Sender::new(None),
            rendered: None,
            is_busy: false,
        });
        let mut fragments = shown.fragments.subscribe();
        // What there is already is news to this one.
        fragments.mark_changed();
        drop(topics);
        self.0.wanted.notify_one();
        metrics::gauge!("greenroom_console_streams")
            .set((STREAMS_MAX - self.0.streams.available_permits()) as f64);
        Some(Look { fragments, _permit: permit })
    }

    /// Follows a history for one reader: each has filters of its own, so that there is nothing to share. Rendered
    /// as long as the look is held; `None` if too many look already.
    pub(crate) fn follow(&self, node: &Node, mut following: Following) -> Option<Look> {
        let permit = Arc::clone(&self.0.streams).try_acquire_owned().ok()?;
        let (sender, fragments) = watch::channel::<Fragment>(None);
        let shutdown = node.shutdown.clone();
        node.tracker.spawn(async move {
            loop {
                let fragment = following.drawn(Times::ABSOLUTE).into_string();
                sender.send_replace(Some(fragment.into()));
                // The ends first. What comes within a pause is rendered together.
                let is_over = tokio::select! {
                    biased;
                    () = shutdown.cancelled() => true,
                    () = sender.closed() => true,
                    next = following.next() => next.is_err(),
                };
                if is_over {
                    return;
                }
                let pause = sleep(RENDER_PAUSE);
                tokio::pin!(pause);
                loop {
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => return,
                        () = &mut pause => break,
                        next = following.next() => if next.is_err() { return },
                    }
                }
            }
        });
        Some(Look { fragments, _permit: permit })
    }

    /// The samples of the last minutes.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.0.samples.all()
    }

    async fn render_for_ever(&self, node: &Node) {
        let mut news = News::of(node, &self.0.samples);
        loop {
            let topics = self.looked_at();
            if topics.is_empty() && !self.is_looked_at() {
                self.0.wanted.notified().await;
                continue;
            }
            let now = news.stamp();
            for (topic, rendered) in topics {
                let concern = now.of(&topic);
                if rendered == Some(concern) {
                    continue;
                }
                if let Topic::Builds(game) = &topic {
                    self.render_aside(node, &topic, game, concern);
                } else {
                    let fragment = self.render(node, &topic).await;
                    self.show(&topic, concern, fragment.into_string());
                }
            }
            sleep(RENDER_PAUSE).await;
            // Whatever comes first.
            tokio::select! {
                () = news.changed() => {}
                () = self.0.wanted.notified() => {}
            }
        }
    }

    fn is_looked_at(&self) -> bool {
        !self.0.topics.lock().is_empty()
    }

    /// The topics that somebody looks at and that are not being rendered; those that nobody looks at
    /// are forgotten.
    fn looked_at(&self) -> Vec<(Topic, Option<Stamp>)> {
        let mut topics = self.0.topics.lock();
        topics.retain(|_, shown| shown.fragments.receiver_count() > 0);
        metrics::gauge!("greenroom_console_streams")
            .set((STREAMS_MAX - self.0.streams.available_permits()) as f64);
        let idle = topics.iter().filter(|(_, shown)| !shown.is_busy);
        idle.map(|(topic, shown)| (topic.clone(), shown.rendered)).collect()
    }

    /// Renders what asks registries and engines, which may take their time: nobody else waits for it.
    fn render_aside(&self, node: &Node, topic: &Topic, game: &GameId, concern: Stamp) {
        if let Some(shown) = self.0.topics.lock().get_mut(topic) {
            shown.is_busy = true;
        }
        let (live, topic, game) = (self.clone(), topic.clone(), game.clone());
        let (node_of_task, shutdown) = (node.clone(), node.shutdown.clone());
        node.tracker.spawn(async move {
            let rendering = builds::fragment(&node_of_task, &game, Times::ABSOLUTE);
            if let Some(fragment) = shutdown.run_until_cancelled(rendering).await {
                live.show(&topic, concern, fragment.into_string());
                // Meanwhile there may have been news of it.
                live.0.wanted.notify_one();
            }
        });
    }

    async fn render(&self, node: &Node, topic: &Topic) -> Markup {
        let times = Times::ABSOLUTE;
        match topic {
            Topic::Overview => overview::fragment(node, &self.samples(), times),
            Topic::Servers(filter) => servers::fragment(node, filter, times),
            Topic::Browser(filter) => browser::fragment(node, filter, times),
            Topic::Hosts => hosts::fragment(node, times),
            Topic::Builds(game) => builds::fragment(node, game, times).await,
            Topic::Server(game, id) => server::fragment(node, game, id, times).await,
            Topic::Lobbies(filter) => lobbies::fragment(node, filter, times).await,
            Topic::Lobby(game, id) => lobby::fragment(node, game, id, times).await,
        }
    }

    fn show(&self, topic: &Topic, stamp: Stamp, fragment: String) {
        let mut topics = self.0.topics.lock();
        let Some(shown) = topics.get_mut(topic) else { return };
        (shown.rendered, shown.is_busy) = (Some(stamp), false);
        shown.fragments.send_if_modified(|shown| {
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
