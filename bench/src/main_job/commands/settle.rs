//! A full lobby in which everybody toggles ready at the same moment.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::ensure;

use crate::{
    load::sockets::{self, Sockets},
    main_job::players,
};

const MEMBERS: usize = 64;

/// Even, so that the lobby ends as it began.
const TIMES: usize = 20;

/// How long is waited at all.
const SETTLED_MAX: Duration = Duration::from_secs(30);

/// The longest of some times from the first toggle until every member has seen all of them.
pub(super) fn worst(address: SocketAddr) -> anyhow::Result<Duration> {
    let players = players::sign_in(address, MEMBERS)?;
    let mut connected = players::connect(address, &players)?;
    players::gather(&players, &mut connected)?;
    let mut sockets = Sockets::new(connected)?;
    let mut worst = Duration::ZERO;
    for time in 0..TIMES {
        worst = worst.max(toggle(&mut sockets, time % 2 == 0)?);
    }
    Ok(worst)
}

fn toggle(sockets: &mut Sockets, ready: bool) -> anyhow::Result<Duration> {
    let command = format!(r#"{{"type":"lobby:ready","ready":{ready}}}"#);
    let state = format!("\"ready\":{ready}");
    let mut has_seen_all = [false; MEMBERS];
    let mut refusal = Ok(());
    let began = Instant::now();
    for member in 0..MEMBERS {
        sockets.send(member, &command)?;
    }
    while has_seen_all.contains(&false) {
        ensure!(began.elapsed() < SETTLED_MAX, "a lobby of {MEMBERS} did not settle");
        sockets.poll(began + SETTLED_MAX, |member, frame| {
            if let Err(refused) = sockets::refused(frame) {
                refusal = Err(refused);
            }
            has_seen_all[member] |= frame.matches(&state).count() == MEMBERS;
        })?;
        std::mem::replace(&mut refusal, Ok(()))?;
    }
    Ok(began.elapsed())
}
