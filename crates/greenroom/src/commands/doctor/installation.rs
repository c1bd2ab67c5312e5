//! A Greenroom that runs.

use std::time::{SystemTime, UNIX_EPOCH};

use greenroom_protocol::{hosting::HostState, overview::Overview};
use reqwest::{Method, StatusCode, header::DATE};

use super::{
    findings::{Findings, Part},
    owner::Owner,
};
use crate::{
    cli::Server,
    config::Config,
    exit::{Exit, Failed},
    http::Greenroom,
};

/// Clocks that differ by more make trouble with tokens and certificates.
const SKEW_MAX_SECONDS: u64 = 5;

pub(super) async fn examine(
    findings: &mut Findings,
    server: &Server,
    config: Option<&Config>,
    is_named: bool,
    holder: Option<Owner>,
) {
    let mut server = server.clone();
    // What the file says goes before what is there by default; a flag goes before both.
    if let Some(config) = config.filter(|config| is_named && config.root.listen.port() != 0)
        && server.url.is_none()
    {
        server.url = Some(config.url(config.root.listen));
    }
    let greenroom = match Greenroom::new(&server) {
        Ok(greenroom) => greenroom,
        Err(error) => {
            findings.error(Part::Installation, "address", format!("{error:#}"), "");
            return;
        }
    };
    match greenroom.look("/readyz").await {
        Ok(answer) => {
            clock(findings, answer.headers().get(DATE).and_then(|date| date.to_str().ok()));
            let url = greenroom.url();
            match answer.status() {
                StatusCode::OK => {
                    findings.good(Part::Installation, "ready", format!("Greenroom is ready at {url}"));
                }
                StatusCode::SERVICE_UNAVAILABLE => findings.warning(
                    Part::Installation,
                    "ready",
                    format!("Greenroom at {url} is starting or stopping"),
                    "wait, and look at its log if it stays so",
                ),
                status => {
                    findings.error(
                        Part::Installation,
                        "ready",
                        format!("{url} answers {status}, which no Greenroom does"),
                        "name the Greenroom with --url",
                    );
                    return;
                }
            }
            parts(findings, &greenroom).await;
        }
        Err(_) if holder.is_none() => {
            findings.note(Part::Installation, "ready", format!("no Greenroom runs at {}", greenroom.url()));
        }
        Err(error) => {
            let by = holder.map(|owner| owner.to_string()).unwrap_or_default();
            findings.error(
                Part::Installation,
                "ready",
                format!("{by} has the data folder, and {error:#}"),
                "look at its log; --url names another address",
            );
        }
    }
}

/// What it tells an administrator of its parts.
async fn parts(findings: &mut Findings, greenroom: &Greenroom) {
    let asked = greenroom.json::<Overview>(greenroom.request(Method::GET, "/v1/overview")).await;
    let overview = match asked {
        Ok(overview) => overview,
        Err(error) if exit_of(&error) == Some(Exit::Unauthorized) => {
            let sentence = "its parts are told to administrators only: --token or GREENROOM_ADMIN_TOKEN";
            findings.note(Part::Installation, "parts", sentence);
            return;
        }
        Err(error) => {
            let advice = "look at its log";
            findings.error(
                Part::Installation,
                "parts",
                format!("its parts cannot be told: {error:#}"),
                advice,
            );
            return;
        }
    };
    let own = env!("CARGO_PKG_VERSION");
    if overview.version == own {
        findings.good(Part::Installation, "version", format!("it has version {own}"));
    } else {
        findings.warning(
            Part::Installation,
            "version",
            format!("it has version {}, and this command {own}", overview.version),
            "restart it with the version that is installed",
        );
    }
    for host in &overview.hosts {
        if host.state == HostState::Up {
            findings.good(
                Part::Installation,
                "host",
                format!("host {} answers, with {} game servers", host.id, host.servers),
            );
        } else {
            let why = host.reason.as_deref().unwrap_or("it does not say why");
            findings.error(
                Part::Installation,
                "host",
                format!("host {} is lost: {why}", host.id),
                "see whether its engine runs and can be reached; it is asked again by itself",
            );
        }
    }
    for game in &overview.games {
        let running: u32 =
            game.servers.iter().filter(|(state, _)| !state.is_final()).map(|(_, count)| count).sum();
        if game.running_max.is_some_and(|most| running >= most) {
            findings.warning(
                Part::Installation,
                "capacity",
                format!(
                    "game {} runs {running} servers, as many as it may: a further one is refused",
                    game.id
                ),
                format!("raise games.{}.fleet.running_max, if the machine has room", game.id),
            );
        }
    }
}

fn clock(findings: &mut Findings, date: Option<&str>) {
    let own = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let theirs = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let theirs = theirs.and_then(|date| u64::try_from(date.timestamp().as_second()).ok());
    let Some(theirs) = theirs else { return };
    let skew = own.abs_diff(theirs);
    if skew > SKEW_MAX_SECONDS {
        findings.warning(
            Part::Installation,
            "clock",
            format!("its clock and the one of this machine differ by {skew} s"),
            "set both right; `timedatectl set-ntp true` keeps them so",
        );
    }
}

fn exit_of(error: &anyhow::Error) -> Option<Exit> {
    error.downcast_ref::<Failed>().map(|failed| failed.exit)
}
