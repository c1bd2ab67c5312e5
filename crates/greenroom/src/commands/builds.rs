//! `builds ls | pull`.

mod bars;

use std::collections::BTreeMap;

use anyhow::Context as _;
use greenroom_protocol::{
    GameId, HostId,
    builds::{BuildHost, BuildList, BuildView, PullState, PullView},
};
use reqwest::{Method, Url};

use self::bars::Bars;
use super::{or_dash, shown};
use crate::{
    cli::{BuildsCommand, Server},
    exit::{Exit, Failed},
    http::Greenroom,
    listing::{self, Listed},
    output,
    sse::Events,
};

pub(crate) async fn run(server: Server, command: BuildsCommand) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    match command {
        BuildsCommand::Ls { game, refresh, watch } => {
            let path = format!("/v1/games/{}/builds", greenroom.game(game)?);
            // Looked up again once: who watches sees what Greenroom finds by itself.
            let mut refresh = refresh;
            listing::show(server.json, watch, async || {
                let request = if std::mem::take(&mut refresh) {
                    greenroom.request(Method::POST, &format!("{path}/refresh"))
                } else {
                    greenroom.request(Method::GET, &path)
                };
                table(&greenroom.json(request).await?)
            })
            .await
        }
        BuildsCommand::Pull { game, version } => pull(&greenroom, &game, &version, server.json).await,
    }
}

fn table(list: &BuildList) -> anyhow::Result<Listed> {
    let rows = list.builds.iter().map(|build| {
        let supported = if build.supported { "yes" } else { "no" };
        [build.version.clone(), build.tag.clone(), supported.to_owned(), hosts(build)]
    });
    let mut lines = output::table_lines(["VERSION", "TAG", "SUPPORTED", "HOSTS"], rows);
    let shown_count = u32::try_from(list.builds.len()).unwrap_or(u32::MAX);
    if list.total > shown_count {
        lines.push(format!("and {} older ones", list.total - shown_count));
    }
    let mut listed = Listed::new(list, Some("builds"), "tag", lines)?;
    if let Some(problem) = &list.problem {
        let known = match list.looked_up_at {
            Some(at) => format!("; this is as of {} UTC", shown(at)),
            None => String::new(),
        };
        listed
            .warnings
            .push(format!("the versions could not be looked up: {}{known}", output::printable(problem)));
    } else if list.image.is_none() {
        listed.notes.push("its game servers are processes; their version is the configuration's".into());
    } else if list.builds.is_empty() {
        let sentence =
            "no version is known: a version is a tag of the image that is a semantic version, such as 1.2.3";
        listed.notes.push(sentence.into());
    }
    Ok(listed)
}

fn hosts(build: &BuildView) -> String {
    if build.hosts.is_empty() {
        return "-".into();
    }
    let texts = build.hosts.iter().map(|on_host| format!("{} {}", on_host.host, state(on_host)));
    texts.collect::<Vec<_>>().join(", ")
}

fn state(on_host: &BuildHost) -> String {
    match (on_host.present, &on_host.pull) {
        (Some(true), _) => "has it".into(),
        (_, Some(pull)) => match pull.state {
            PullState::Waiting => "waits".into(),
            PullState::Pulling => format!("pulls {}", share(pull)),
            PullState::Failed => format!("failed: {}", or_dash(pull.problem.as_ref())),
        },
        (Some(false), None) => "has it not".into(),
        (None, None) => "cannot be asked".into(),
    }
}

fn share(pull: &PullView) -> String {
    match (pull.bytes_done * 100).checked_div(pull.bytes_total) {
        Some(percent) => format!("{percent} %"),
        None => format!("{} of {} layers", pull.layers_done, pull.layers_total),
    }
}

/// Where a pull has come to on each host.
enum Outcome {
    /// Some are still at it.
    Running,
    /// All hosts have it.
    Done,
    /// None is still at it, and these do not have it.
    Failed(BTreeMap<HostId, String>),
}

async fn pull(greenroom: &Greenroom, game: &GameId, version: &str, json: bool) -> anyhow::Result<()> {
    let mut url = Url::parse("http://host").context("a fixed address")?;
    url.path_segments_mut().map_err(|()| anyhow::anyhow!("an address with a path"))?.extend([
        "v1",
        "games",
        game.as_str(),
        "builds",
        version,
        "pull",
    ]);
    let mut list: BuildList = greenroom.json(greenroom.request(Method::POST, url.path())).await?;
    let path = format!("/v1/games/{game}/builds/stream");
    let mut states = Events::new(greenroom.send(greenroom.request(Method::GET, &path)).await?);
    let mut bars = Bars::new();
    loop {
        let build = list.builds.iter().find(|build| build.version == version || build.tag == version);
        let build = build.ok_or_else(|| {
            Failed::with(Exit::NotFound, format!("version {version} is not there any more"))
        })?;
        bars.show(&build.hosts);
        match outcome(build) {
            Outcome::Running => list = next_state(&mut states).await?,
            Outcome::Done => {
                bars.finish();
                if json {
                    return output::json(build);
                }
                output::line(&format!("version {version} is on {}", all_hosts(build)));
                return Ok(());
            }
            Outcome::Failed(why) => {
                bars.finish();
                let why: Vec<_> = why.iter().map(|(host, why)| format!("{host}: {why}")).collect();
                let sentence = format!("version {version} could not be pulled ({})", why.join("; "));
                return Err(Failed::with(Exit::Failure, output::printable(&sentence)));
            }
        }
    }
}

fn outcome(build: &BuildView) -> Outcome {
    let runs = |on_host: &BuildHost| {
        let state = on_host.pull.as_ref().map(|pull| pull.state);
        on_host.present != Some(true) && matches!(state, Some(PullState::Waiting | PullState::Pulling))
    };
    if build.hosts.iter().any(runs) {
        return Outcome::Running;
    }
    let missing = build.hosts.iter().filter(|on_host| on_host.present != Some(true));
    let missing: BTreeMap<_, _> = missing.map(|on_host| (on_host.host.clone(), state(on_host))).collect();
    if missing.is_empty() { Outcome::Done } else { Outcome::Failed(missing) }
}

fn all_hosts(build: &BuildView) -> String {
    build.hosts.iter().map(|on_host| on_host.host.to_string()).collect::<Vec<_>>().join(", ")
}

async fn next_state(states: &mut Events) -> anyhow::Result<BuildList> {
    let broke_off = || Failed::with(Exit::Unreachable, "the connection broke off; the pull goes on");
    let event = states.next().await?.ok_or_else(broke_off)?;
    serde_json::from_slice(&event.data)
        .context("the stream is not what this version of the command reads; do the versions match?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_host(host: &str, present: Option<bool>, state: Option<PullState>) -> BuildHost {
        let pull = state.map(|state| PullView {
            state,
            layers_done: 1,
            layers_total: 4,
            bytes_done: 30,
            bytes_total: 120,
            problem: (state == PullState::Failed).then(|| "no space".into()),
        });
        BuildHost { host: HostId::new(host).unwrap(), present, pull }
    }

    fn build(hosts: Vec<BuildHost>) -> BuildView {
        BuildView { version: "1.0.0".into(), tag: "v1.0.0".into(), supported: true, hosts }
    }

    #[test]
    fn a_pull_is_over_when_no_host_is_at_it() {
        let there = || on_host("a", Some(true), None);
        let running = build(vec![there(), on_host("b", Some(false), Some(PullState::Pulling))]);
        assert!(matches!(outcome(&running), Outcome::Running));
        assert!(matches!(outcome(&build(vec![there(), there()])), Outcome::Done));
        let failed = build(vec![
            there(),
            on_host("b", Some(false), Some(PullState::Failed)),
            on_host("c", None, None),
        ]);
        let Outcome::Failed(why) = outcome(&failed) else { panic!("it failed") };
        let why: Vec<_> = why.values().map(String::as_str).collect();
        assert_eq!(why, ["failed: no space", "cannot be asked"]);
    }

    #[test]
    fn a_version_tells_how_far_it_is() {
        let build = build(vec![on_host("a", Some(true), None), on_host("b", None, Some(PullState::Pulling))]);
        assert_eq!(hosts(&build), "a has it, b pulls 25 %");
    }
}
