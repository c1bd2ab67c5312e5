//! Game servers of another host that fails in every way: what a real one cannot be made to show.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stand_in;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use greenroom_domain::settings::{Readiness, RemoteSettings, ServerLimits};
use greenroom_fleet::{
    ExitCause, HostState, HostingApiConfig, Launch, LogQuery, Observed, Phase, ProcessConfig, Program,
    Provider, ProviderConfig, StartSpec,
};
use greenroom_protocol::{HostId, RegionId, ServerId};

use stand_in::{Reply, StandIn};

/// How long a test waits for what must happen soon.
const SOON: Duration = Duration::from_mins(1);

const GIVEN: &str = r#"{"server":{"name":"s-1","address":"198.51.100.9","port":7777}}"#;

fn host() -> HostId {
    HostId::new("far").unwrap()
}

async fn open(folder: &Path, url: &str, lifetime: Duration) -> Provider {
    let process = ProcessConfig {
        servers_dir: folder.join("servers"),
        greenroom: "/bin/false".into(),
        supervise_args: Vec::new(),
        sdk_ports: greenroom_fleet::sdk::PORTS,
    };
    let far = HostingApiConfig {
        host: host(),
        url: url.to_owned(),
        game: "arena".into(),
        key: "secret".to_owned().into(),
        lifetime,
        records_dir: folder.join("far"),
    };
    let config = ProviderConfig { hosting_api: vec![far], ..ProviderConfig::processes(process) };
    Provider::open(config).await.unwrap()
}

fn spec(id: &str, ready_timeout: Duration) -> StartSpec {
    StartSpec {
        id: ServerId::new(id).unwrap(),
        name: id.to_owned(),
        ports: Vec::new(),
        port_range: 7000..=7999,
        ready: Readiness::Listening,
        ready_timeout,
        stop_grace: Duration::from_secs(1),
        host: host(),
        program: Program::Remote {
            settings: Box::new(RemoteSettings { host: host(), url: String::new(), game: "arena".into() }),
            region: RegionId::new("eu").unwrap(),
        },
        limits: ServerLimits::default(),
        log_bytes_max: 1 << 20,
        payload: Some("{\"map\":\"ü\"}".into()),
        has_sdk: false,
        render: Arc::new(|_| Ok(Launch { argv: Vec::new(), environment: BTreeMap::new() })),
        labels: BTreeMap::from([("game".to_owned(), "arena".to_owned())]),
    }
}

async fn until(provider: &Provider, id: &str, what: impl Fn(&Observed) -> bool) -> Observed {
    let wait = async {
        let mut observations = provider.observe();
        while let Some(observed) = observations.next().await {
            if observed.id.as_str() == id && what(&observed) {
                return observed;
            }
        }
        panic!("the provider was closed");
    };
    tokio::time::timeout(SOON, wait).await.expect("it happens soon")
}

fn is_ready(observed: &Observed) -> bool {
    matches!(observed.phase, Phase::Ready { .. })
}

async fn end_of(provider: &Provider, id: &str) -> ExitCause {
    let ended = until(provider, id, |observed| matches!(observed.phase, Phase::Ended(_))).await;
    let Phase::Ended(exit) = ended.phase else { unreachable!("it has ended") };
    exit.cause
}

#[tokio::test]
async fn a_host_that_only_knows_the_post_gives_a_server_that_counts_as_running_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let far = StandIn::start([Reply::json(200, GIVEN)]).await;
    let provider = open(folder.path(), &far.url(), Duration::from_hours(1)).await;
    provider.start(spec("s-1", SOON)).await.unwrap();
    let ready = until(&provider, "s-1", is_ready).await;
    assert_eq!(ready.public_address.as_deref(), Some("198.51.100.9"));
    assert_eq!((ready.ports[0].port, ready.host.as_str()), (7777, "far"));

    let asked = far.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].head.starts_with("POST /v1/games/arena/servers "), "{}", asked[0].head);
    assert_eq!(asked[0].header("x-api-key"), Some("secret"));
    assert_eq!(asked[0].header("idempotency-key"), Some("s-1"));
    let body: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!((body["region"].as_str(), body["payload"].as_str()), (Some("eu"), Some("{\"map\":\"ü\"}")));

    provider.stop(&ServerId::new("s-1").unwrap(), SOON).await.unwrap();
    assert_eq!(end_of(&provider, "s-1").await, ExitCause::Stopped { killed: false });
    assert_eq!(far.asked().len(), 1, "it knows no way to stop one");
    let query = LogQuery { tail_lines: 10, follow: false };
    let mut log = provider.logs(&ServerId::new("s-1").unwrap(), query).await.unwrap();
    assert_eq!(log.next().await, None);
    provider.shutdown().await;
}

#[tokio::test]
async fn the_log_is_read_before_it_is_known_what_else_the_host_tells() {
    let folder = tempfile::tempdir().unwrap();
    let given = r#"{"server":{"id":"theirs","name":"s-1","address":"198.51.100.9","port":7777}}"#;
    let far = StandIn::start([
        Reply::json(200, given),
        Reply::Never,
        Reply::json(200, "hello\n"),
        Reply::json(404, "{}"),
    ])
    .await;
    let provider = open(folder.path(), &far.url(), Duration::from_hours(1)).await;
    provider.start(spec("s-1", SOON)).await.unwrap();
    far.until_asked(2).await;
    let query = LogQuery { tail_lines: 10, follow: false };
    let mut log = provider.logs(&ServerId::new("s-1").unwrap(), query).await.unwrap();
    assert_eq!(log.next().await.map(|line| line.text).as_deref(), Some("hello"));
    let mut none = provider.logs(&ServerId::new("s-1").unwrap(), query).await.unwrap();
    assert_eq!(none.next().await, None, "the host has no logs");
    provider.shutdown().await;
}

#[tokio::test]
async fn what_a_host_cannot_do_now_is_asked_again_under_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let far = StandIn::start([
        Reply::json(500, "no JSON at all"),
        Reply::Close,
        Reply::json(429, r#"{"detail":"slow down"}"#).with("Retry-After: 0"),
        Reply::json(503, r#"{"code":"no_server","detail":"none"}"#).with("Retry-After: 0"),
        Reply::json(200, "garbage"),
        Reply::json(200, r#"{"server":{"address":"x"}}"#),
        Reply::json(200, GIVEN),
    ])
    .await;
    let provider = open(folder.path(), &far.url(), Duration::from_hours(1)).await;
    provider.start(spec("s-1", SOON)).await.unwrap();
    until(&provider, "s-1", is_ready).await;
    let keys: Vec<_> =
        far.asked().iter().map(|asked| asked.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(keys, vec![Some("s-1".to_owned()); 7]);
    provider.shutdown().await;
}

#[tokio::test]
async fn what_a_host_refuses_for_good_is_told_in_our_words() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (reply, says)) in [
        (Reply::json(401, r#"{"detail":"no such key"}"#), "the key is refused there"),
        (Reply::json(403, ""), "the key has no right to the game \"arena\""),
        (Reply::json(404, ""), "there is no game \"arena\" there"),
        (
            Reply::json(400, r#"{"code":"unknown_region","detail":"regions: us"}"#),
            "the region \"eu\" is unknown there (it says: regions: us)",
        ),
        (
            Reply::json(429, r#"{"code":"limit_reached","detail":"20\u0007 run"}"#),
            "as many servers run there as may (it says: 20 run)",
        ),
        (Reply::json(418, "<html>"), "it refuses the request (418"),
    ]
    .into_iter()
    .enumerate()
    {
        let far = StandIn::start([reply]).await;
        let provider =
            open(&folder.path().join(number.to_string()), &far.url(), Duration::from_hours(1)).await;
        provider.start(spec("s-1", SOON)).await.unwrap();
        let ExitCause::SpawnFailed(sentence) = end_of(&provider, "s-1").await else { panic!("{says}") };
        assert!(sentence.starts_with("the host \"far\" gave no server: "), "{sentence}");
        assert!(sentence.contains(says), "{sentence}");
        assert_eq!(far.asked().len(), 1, "{says}");
        provider.shutdown().await;
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_the_try_and_what_it_may_have_given_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let given = r#"{"server":{"name":"s","address":"198.51.100.9","port":7777,"id":"there-1"}}"#;
    let far = StandIn::start([Reply::Never, Reply::json(200, given), Reply::json(202, "{}")]).await;
    let provider = open(folder.path(), &far.url(), Duration::from_hours(1)).await;
    // Long enough for the request to arrive on a machine that stalls.
    provider.start(spec("s-1", Duration::from_secs(4))).await.unwrap();
    let ExitCause::NotReady(sentence) = end_of(&provider, "s-1").await else { panic!("it was not ready") };
    assert!(sentence.contains("it does not answer in time"), "{sentence}");
    let asked = far.asked();
    assert_eq!(asked[1].header("idempotency-key"), Some("s-1"));
    assert!(asked[2].head.starts_with("DELETE /v1/games/arena/servers/there-1 "), "{}", asked[2].head);
    provider.shutdown().await;
}

#[tokio::test]
async fn after_a_restart_what_was_asked_for_is_asked_for_again_and_what_was_given_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let far = StandIn::start([Reply::json(200, GIVEN), Reply::Never, Reply::json(200, GIVEN)]).await;
    let provider = open(folder.path(), &far.url(), Duration::from_hours(1)).await;
    provider.start(spec("s-1", SOON)).await.unwrap();
    until(&provider, "s-1", is_ready).await;
    provider.start(spec("s-2", SOON)).await.unwrap();
    far.until_asked(2).await;
    provider.shutdown().await;
    drop(provider);

    let provider = open(folder.path(), &far.url(), Duration::from_hours(1)).await;
    let known = until(&provider, "s-1", is_ready).await;
    assert_eq!((known.ports[0].port, known.labels["game"].as_str()), (7777, "arena"));
    until(&provider, "s-2", is_ready).await;
    assert_eq!(far.asked()[2].header("idempotency-key"), Some("s-2"));
    provider.shutdown().await;
}

#[tokio::test]
async fn a_host_that_is_away_holds_nothing_up_and_is_taken_up_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let far = StandIn::start([Reply::json(200, GIVEN)]).await;
    let (url, address) = (far.url(), far.address());
    drop(far);
    let provider = open(folder.path(), &url, Duration::from_hours(1)).await;
    let mut changes = provider.host_changes();
    let state = |provider: &Provider| provider.host(&host()).unwrap().state;
    assert!(matches!(state(&provider), HostState::Lost(_)));
    assert!(provider.host(&greenroom_fleet::local_host()).unwrap().state.is_up());

    let far = StandIn::start_at(address, [Reply::json(200, GIVEN)]).await;
    let back = async {
        while !state(&provider).is_up() {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(SOON, back).await.unwrap();
    provider.start(spec("s-1", SOON)).await.unwrap();
    assert!(until(&provider, "s-1", is_ready).await.is_host_reachable);
    drop(far);
    until(&provider, "s-1", |observed| is_ready(observed) && !observed.is_host_reachable).await;
    provider.shutdown().await;
}

#[tokio::test]
async fn a_server_whose_host_cannot_tell_counts_as_ended_after_its_lifetime() {
    let folder = tempfile::tempdir().unwrap();
    let far = StandIn::start([Reply::json(200, GIVEN)]).await;
    let provider = open(folder.path(), &far.url(), Duration::from_millis(50)).await;
    provider.start(spec("s-1", SOON)).await.unwrap();
    assert_eq!(end_of(&provider, "s-1").await, ExitCause::Exited(0));
    let id = ServerId::new("s-1").unwrap();
    provider.forget(&id).await.unwrap();
    assert_eq!(provider.list().await.unwrap(), []);
    provider.shutdown().await;
    assert_eq!(std::fs::read_dir(folder.path().join("far")).unwrap().count(), 0);
}
