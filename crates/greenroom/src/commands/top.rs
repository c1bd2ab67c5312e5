//! `top`: an installation, live in the terminal.

mod state;
mod view;

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _},
    sync::Arc,
    time::{Duration, Instant},
};

use greenroom_protocol::{StudioId, events::CloudEvent, overview::Overview};
use reqwest::Method;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use self::state::State;
use super::events::Tail;
use crate::{
    cli::{self, Server},
    exit::{Exit, Failed},
    http::Greenroom,
    listing::is_passing,
    output,
    screen::{Keys, Screen, Stop},
};

/// Studios whose events are shown; each takes a stream of the caller.
const STUDIOS_MAX: usize = 8;
/// Events that wait to be shown; whoever is faster than the screen waits.
const NEWS_MAX: usize = 256;
/// Pause before a stream of events that broke off is opened again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What comes from Greenroom.
enum News {
    Overview(Box<Overview>),
    /// It cannot be asked at the moment.
    Away(String),
    Event(Box<CloudEvent>),
    /// It will not answer any more.
    Failed(anyhow::Error),
}

pub(crate) async fn run(server: Server, arguments: cli::Top) -> anyhow::Result<()> {
    let greenroom = Arc::new(Greenroom::new(&server)?);
    if !server.json && !io::stdout().is_terminal() {
        let sentence = "standard output is no terminal; --json prints a line of JSON at each look instead";
        return Err(Failed::with(Exit::Usage, sentence));
    }
    let mut stop = Stop::new()?;
    let first = look(&greenroom).await?;
    let (sender, mut news) = mpsc::channel(NEWS_MAX);
    let mut tasks = JoinSet::new();
    if !server.json {
        let studios: BTreeSet<_> = first.games.iter().map(|game| game.studio.clone()).collect();
        for studio in studios.into_iter().take(STUDIOS_MAX) {
            tasks.spawn(follow(Arc::clone(&greenroom), studio, sender.clone()));
        }
    }
    tasks.spawn(look_for_ever(Arc::clone(&greenroom), arguments.every, sender));
    if server.json {
        tell(&first, &mut news, &mut stop).await
    } else {
        show(State::new(greenroom.url()), first, &mut news, &mut stop).await
    }
}

/// One line of JSON for each look.
async fn tell(first: &Overview, news: &mut mpsc::Receiver<News>, stop: &mut Stop) -> anyhow::Result<()> {
    output::line(&serde_json::to_string(first)?);
    loop {
        // The end first; what was seen meanwhile is not printed any more.
        let news = tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            news = news.recv() => news,
        };
        match news {
            Some(News::Overview(overview)) => output::line(&serde_json::to_string(&overview)?),
            Some(News::Away(why)) => output::warning(&why),
            Some(News::Failed(error)) => return Err(error),
            Some(News::Event(_)) => {}
            None => return Ok(()),
        }
        if output::has_no_reader() {
            return Ok(());
        }
    }
}

async fn show(
    mut state: State,
    first: Overview,
    news: &mut mpsc::Receiver<News>,
    stop: &mut Stop,
) -> anyhow::Result<()> {
    let began = Instant::now();
    state.saw(first, began.elapsed());
    let mut screen = Screen::open()?;
    let mut keys = Keys::open()?;
    loop {
        let (columns, rows) = Screen::size();
        screen.paint(&view::lines(&mut state, columns, rows))?;
        // The end first, then keys: whoever types is not kept waiting by what happens.
        let news = tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            key = keys.next() => {
                if state.typed(key) {
                    return Ok(());
                }
                continue;
            }
            () = screen.resized() => continue,
            news = news.recv() => news,
        };
        match news {
            Some(News::Overview(overview)) => state.saw(*overview, began.elapsed()),
            Some(News::Away(why)) => state.problem = Some(why),
            Some(News::Event(event)) => state.happened(*event),
            Some(News::Failed(error)) => return Err(error),
            None => return Ok(()),
        }
    }
}

async fn look(greenroom: &Greenroom) -> anyhow::Result<Overview> {
    greenroom.json(greenroom.request(Method::GET, "/v1/overview")).await
}

async fn look_for_ever(greenroom: Arc<Greenroom>, every: Duration, sender: mpsc::Sender<News>) {
    let mut ticks = interval(every);
    // A Greenroom that was away is asked once, not as often as it was missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    loop {
        ticks.tick().await;
        let news = match look(&greenroom).await {
            Ok(overview) => News::Overview(Box::new(overview)),
            Err(error) if is_passing(&error) => News::Away(format!("{error:#}")),
            Err(error) => News::Failed(error),
        };
        if sender.send(news).await.is_err() {
            return;
        }
    }
}

/// The events of a studio as they come. While they do not, that is no reason to end: the looks tell what is wrong.
async fn follow(greenroom: Arc<Greenroom>, studio: StudioId, sender: mpsc::Sender<News>) {
    let mut tail = Tail { studio: Some(studio), subject: None, after: None };
    loop {
        if let Ok(mut events) = tail.open(&greenroom).await {
            while let Ok(Some(event)) = events.next().await {
                tail.after = event.id.as_ref().and_then(|id| id.parse().ok()).or(tail.after);
                let Ok(event) = serde_json::from_slice::<CloudEvent>(&event.data) else { continue };
                if sender.send(News::Event(Box::new(event))).await.is_err() {
                    return;
                }
            }
        }
        sleep(RETRY_AFTER).await;
    }
}
