//! Game servers that really run: their pages, their logs, and stopping one.

use axum::http::StatusCode;
use greenroom_operations::servers::AllocateRequest;
use greenroom_protocol::hosting::ServerState;

use crate::support::{Installation, fleet};

/// Writes a line on each stream, one that looks like a page, and then nothing more.
const SCRIPT: &str = "echo 'hello <b>you</b>'; echo 'beware' >&2; exec sleep 600";

/// Runs as the supervisor of a game server: this program is started again for it, with the server's
/// folder as its last argument.
#[test]
#[ignore = "no test: what a test's game server is supervised by"]
fn supervise() {
    let folder = std::env::args_os().next_back().unwrap();
    let _ = greenroom_fleet::supervise::main(std::path::Path::new(&folder));
}

#[tokio::test]
async fn a_server_is_seen_read_and_stopped() {
    let installation = Installation::start_with_fleet(fleet(SCRIPT)).await;
    let mut browser = installation.owner().await;
    let mut listed = browser.events("/console/live/servers").await;
    listed.fragment_where(|text| text.contains("No game server is running")).await;
    let request = AllocateRequest {
        game: installation.game.clone(),
        region: None,
        title: Some("Ada's <game>".into()),
        listed: false,
        version: None,
        payload: Some("x".repeat(2_000)),
        idempotency: None,
        match_id: None,
        caller: "a test".into(),
        timeout: None,
    };
    let server = installation.node.servers.allocate(request).await.unwrap().server;
    let row = listed.fragment_where(|text| text.contains("Allocated")).await;
    assert!(row.contains(&server.name) && row.contains(server.id.as_str()), "{row}");

    let path = format!("/console/servers/skirmish/{}", server.id);
    let page = browser.get(&path).await.text;
    assert!(page.contains(&format!("127.0.0.1:{}", server.port.unwrap())), "{page}");
    assert!(page.contains("2.0 KiB") && page.contains("Ready after") && page.contains("a test"), "{page}");
    assert!(page.contains("Ada's &lt;game&gt;"), "{page}");
    assert!(
        page.contains(&format!("curl -X DELETE http://console.test:4700/v1/servers/{}", server.id)),
        "{page}"
    );

    let mut events = browser.events(&format!("/console/live/servers/skirmish/{}", server.id)).await;
    let mut lines = Vec::new();
    while lines.len() < 2 {
        let (name, data) = events.next().await.expect("the stream goes on");
        if name == "log" {
            lines.extend(
                data.as_array().unwrap().iter().map(|line| (line["from"].clone(), line["text"].clone())),
            );
        }
    }
    assert!(lines.contains(&("out".into(), "hello <b>you</b>".into())), "{lines:?}");
    assert!(lines.contains(&("err".into(), "beware".into())), "{lines:?}");
    let shown = events.fragment_where(|text| text.contains("of a core")).await;
    assert!(shown.contains("Memory over the last 15 minutes") && shown.contains("CPU over"), "{shown}");

    let stopped = browser.change(&format!("{path}/stop"), &[]).await;
    assert_eq!((stopped.status, stopped.location()), (StatusCode::SEE_OTHER, path.as_str()));
    // The end of the log and that of the server come in either order.
    let (mut log_ends, mut server_ends) = (false, false);
    while !(log_ends && server_ends) {
        let (name, data) = events.next().await.expect("the stream goes on");
        log_ends |= name == "log-state" && data == "ends";
        server_ends |= name == "fragment" && data.as_str().is_some_and(|text| text.contains("How it ended"));
    }
    listed.fragment_where(|text| text.contains("No game server is running")).await;
    let page = browser.get("/console/servers?state=ended").await.text;
    assert!(page.contains(&server.name) && page.contains("it was stopped"), "{page}");
    let page = browser.get(&path).await.text;
    assert!(page.contains("How it ended") && !page.contains("Stop this server"), "{page}");
    let server = installation.node.servers.get(&installation.game, &server.id).await.unwrap();
    assert_eq!(server.state, ServerState::Ended);
    assert!(browser.get("/console/audit").await.text.contains("Stopped a game server"));
    // A look at its log after its end.
    let mut events = browser.events(&format!("/console/live/servers/skirmish/{}", server.id)).await;
    loop {
        let (name, data) = events.next().await.expect("the stream goes on");
        if name == "log" && data[0]["text"] == "hello <b>you</b>" {
            break;
        }
    }
}

#[tokio::test]
async fn a_server_is_started_by_its_form() {
    let installation = Installation::start_with_fleet(fleet(SCRIPT)).await;
    let mut browser = installation.owner().await;
    let page = browser.get("/console/servers").await.text;
    assert!(page.contains("/console/servers/start"), "{page}");
    let page = browser.get("/console/servers/start?game=skirmish").await.text;
    assert!(page.contains("name=\"payload\"") && page.contains("placeholder=\"1\""), "{page}");

    for (fields, said) in [
        (&[("game", "nogame")][..], "There is no such game"),
        (&[("game", "skirmish"), ("region", "moon")], "There is no region"),
        (&[("game", "skirmish"), ("version", "-x"), ("title", "kept")], "The version has at most"),
    ] {
        let refused = browser.change("/console/servers/start", fields).await;
        assert!(
            refused.status.is_client_error() && refused.text.contains(said),
            "{fields:?}: {}",
            refused.text
        );
        assert_eq!(refused.text.contains("value=\"kept\""), fields.len() == 3, "what was typed stays");
    }

    let asked = [
        ("game", "skirmish"),
        ("title", "Ada's <game>"),
        ("payload", "three\nlines of\ntext"),
        ("listed", "yes"),
        ("version", "1.2.0"),
    ];
    let started = browser.change("/console/servers/start", &asked).await;
    assert_eq!(started.status, StatusCode::SEE_OTHER, "{}", started.text);
    let id = started.location().strip_prefix("/console/servers/skirmish/").expect("its own page").to_owned();
    let server = installation.node.servers.snapshot(None).remove(0);
    assert_eq!(server.id().as_str(), id);
    assert_eq!((server.birth.title.as_deref(), server.birth.is_listed), (Some("Ada's <game>"), true));
    assert_eq!(server.birth.version, "1.2.0");
    let allocation = server.allocation.as_ref().unwrap();
    assert_eq!(
        (allocation.payload.as_str(), allocation.by.as_str()),
        ("three\nlines of\ntext", "admin:root")
    );
    let page = browser.get(started.location()).await.text;
    assert!(
        page.contains("The game server was asked for") && page.contains("in the server browser"),
        "{page}"
    );
    let audit = browser.get("/console/audit").await.text;
    assert!(audit.contains("Started a game server") && audit.contains(&id), "{audit}");
}

#[tokio::test]
async fn hosts_and_builds_are_shown() {
    let installation = Installation::start_with_fleet(fleet(SCRIPT)).await;
    let mut browser = installation.owner().await;
    let page = browser.get("/console/hosts").await.text;
    assert!(page.contains("local") && page.contains("processes") && page.contains(">Up<"), "{page}");
    let mut hosts = browser.events("/console/live/hosts").await;
    hosts.fragment_where(|text| text.contains("id=\"host-local\"")).await;

    let page = browser.get("/console/builds").await.text;
    assert!(page.contains("Looking up the versions of skirmish"), "{page}");
    assert!(!page.contains("Pull a version"), "processes are not pulled: {page}");
    let mut builds = browser.events("/console/live/builds/skirmish").await;
    builds.fragment_where(|text| text.contains("the version is the configuration")).await;
    let pulled = browser.change("/console/builds/skirmish/pull", &[("version", "1.2.0")]).await;
    assert_eq!(pulled.status, StatusCode::CONFLICT, "{}", pulled.text);
    let pulled = browser.change("/console/builds/skirmish/pull", &[("version", "; rm")]).await;
    assert_eq!(pulled.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", pulled.text);
    let refreshed = browser.change("/console/builds/skirmish/refresh", &[]).await;
    assert_eq!(refreshed.location(), "/console/builds?game=skirmish");
    let mut nowhere = browser.events("/console/live/builds/nogame").await;
    nowhere.fragment_where(|text| text.contains("There is no such game")).await;
}
