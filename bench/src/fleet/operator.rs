//! Who asks Greenroom for servers, and clears up after them.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use greenroom_protocol::hosting::{AllocateResponse, AllocatedServer, ServerState, ServerView};
use serde::Deserialize;

use crate::{fleet::settings::ALLOCATE, load::http::Http};

/// How long servers may take to be as they should be: a full pool of containers is not started at once.
const CALM_MAX: Duration = Duration::from_mins(3);

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A connection with the key of a studio.
pub(super) struct Operator {
    http: Http,
}

#[derive(Deserialize)]
struct Page {
    servers: Vec<ServerView>,
    #[serde(default)]
    next: Option<String>,
}

impl Operator {
    pub(super) fn new(http: Http) -> Self {
        Self { http }
    }

    /// A server for players.
    pub(super) fn allocate(&mut self) -> anyhow::Result<AllocatedServer> {
        let body = self.http.call("POST", ALLOCATE, b"{}")?;
        Ok(serde_json::from_slice::<AllocateResponse>(&body)?.server)
    }

    /// Stops every server that was given away.
    pub(super) fn stop_all(&mut self) -> anyhow::Result<()> {
        for server in self.living()? {
            if server.state == ServerState::Allocated {
                self.http.call("DELETE", &format!("/v1/servers/{}", server.id), b"")?;
            }
        }
        Ok(())
    }

    /// Waits until so many servers live, and all of them stand ready.
    pub(super) fn wait_until_living(&mut self, ready: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + CALM_MAX;
        loop {
            let living = self.living()?;
            if living.len() == ready && living.iter().all(|server| server.state == ServerState::Ready) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{} servers live instead of {ready} ready ones", living.len());
            thread::sleep(LOOK_EVERY);
        }
    }

    fn living(&mut self) -> anyhow::Result<Vec<ServerView>> {
        let mut living = Vec::new();
        for state in ["starting", "ready", "allocated", "stopping"] {
            let mut cursor = String::new();
            loop {
                let path = format!("{ALLOCATE}?state={state}&limit=500{cursor}");
                let page: Page = serde_json::from_slice(&self.http.call("GET", &path, b"")?)?;
                living.extend(page.servers);
                match page.next {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
        }
        Ok(living)
    }
}
