//! `events tail`.

use std::{collections::BTreeSet, time::Duration};

use greenroom_protocol::{StudioId, events::CloudEvent, overview::Overview};
use reqwest::Method;

use crate::{
    cli::{EventsCommand, Server},
    exit::{Exit, Failed},
    http::Greenroom,
    listing::is_passing,
    output,
    screen::Stop,
    sse::{Event, Events},
};

/// Pause before a stream that broke off is opened again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(crate) async fn run(server: Server, command: EventsCommand) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    match command {
        EventsCommand::Tail { subject, studio, after } => {
            let mut stop = Stop::new()?;
            let tail = Tail { studio: studio_of(&greenroom, studio).await?, subject, after };
            // The end first; what is read meanwhile is not printed any more.
            tokio::select! {
                biased;
                () = stop.asked() => Ok(()),
                ended = follow(&greenroom, tail, server.json) => ended,
            }
        }
    }
}

/// What is followed, and from where on.
pub(crate) struct Tail {
    pub(crate) studio: Option<StudioId>,
    pub(crate) subject: Option<String>,
    pub(crate) after: Option<u64>,
}

impl Tail {
    pub(crate) async fn open(&self, greenroom: &Greenroom) -> anyhow::Result<Events> {
        let mut request = greenroom.request(Method::GET, "/v1/events/stream");
        if let Some(studio) = &self.studio {
            request = request.query(&[("studio", studio.as_str())]);
        }
        if let Some(subject) = &self.subject {
            request = request.query(&[("filter", subject)]);
        }
        if let Some(after) = self.after {
            request = request.query(&[("after", after)]);
        }
        Ok(Events::new(greenroom.send(request).await?))
    }
}

/// Whose history is meant: a key's own, and with the admin token the one named, or the only one.
async fn studio_of(greenroom: &Greenroom, named: Option<StudioId>) -> anyhow::Result<Option<StudioId>> {
    if named.is_some() || !greenroom.is_admin() {
        return Ok(named);
    }
    let overview: Overview = greenroom.json(greenroom.request(Method::GET, "/v1/overview")).await?;
    let studios: BTreeSet<_> = overview.games.into_iter().map(|game| game.studio).collect();
    if studios.len() == 1 {
        return Ok(studios.into_iter().next());
    }
    let known: Vec<_> = studios.iter().map(StudioId::as_str).collect();
    let sentence = format!("no studio is named, and there are several ({}); add --studio", known.join(", "));
    Err(Failed::with(Exit::Usage, sentence))
}

async fn follow(greenroom: &Greenroom, mut tail: Tail, json: bool) -> anyhow::Result<()> {
    let mut events = tail.open(greenroom).await?;
    loop {
        let Some(event) = events.next().await? else {
            output::warning("the connection broke off; it is opened again");
            events = reopened(greenroom, &tail).await?;
            continue;
        };
        if let Some(sequence) = event.id.as_ref().and_then(|id| id.parse().ok()) {
            tail.after = Some(sequence);
        }
        print(&event, json)?;
        if output::has_no_reader() {
            return Ok(());
        }
    }
}

async fn reopened(greenroom: &Greenroom, tail: &Tail) -> anyhow::Result<Events> {
    loop {
        tokio::time::sleep(RETRY_AFTER).await;
        match tail.open(greenroom).await {
            Err(error) if is_passing(&error) => {}
            opened => return opened,
        }
    }
}

fn print(event: &Event, json: bool) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(&event.data);
    if event.name == "gap" {
        output::warning(&format!("some events are gone by the studio's limits: {text}"));
    } else if json {
        output::line(&text);
    } else {
        output::line(&line(&serde_json::from_slice(&event.data)?));
    }
    Ok(())
}

/// An event in one line: when, what, where, and what it says.
pub(crate) fn line(event: &CloudEvent) -> String {
    let data = event.data.as_ref().map(ToString::to_string).unwrap_or_default();
    let sequence = event.sequence.as_deref().unwrap_or("-");
    output::printable(&format!("{}  {sequence}  {}  {data}", event.time, event.subject)).trim_end().to_owned()
}
