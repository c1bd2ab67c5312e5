//! What is remembered of game servers.

use greenroom_protocol::{BuildId, GameId, MatchId, RegionId, ServerId, StudioId};
use greenroom_storage::{ServerFilter, ServerRecord};
use serde_json::json;

use crate::fixture::{Fixture, at, game};

fn server(id: &str, created: i64) -> ServerRecord {
    ServerRecord {
        id: ServerId::new(id).unwrap(),
        game: game(),
        studio: StudioId::new("demo").unwrap(),
        name: format!("server-{id}"),
        region: RegionId::new("local").unwrap(),
        build: BuildId::new("b1").unwrap(),
        version: None,
        payload_bytes: 0,
        address: None,
        ports: json!([]),
        state: "starting".to_owned(),
        created_at: at(created),
        ready_at: None,
        allocated_at: None,
        ended_at: None,
        exit: None,
        history: json!([{ "state": "starting", "at": created }]),
        match_id: None,
        log_kept_until: None,
    }
}

fn ended(id: &str, created: i64, ended: i64) -> ServerRecord {
    ServerRecord {
        state: "ended".to_owned(),
        version: Some("1.2.3".to_owned()),
        payload_bytes: 17,
        address: Some("127.0.0.1".to_owned()),
        ports: json!([{ "name": "default", "port": 7000 }]),
        ready_at: Some(at(created + 1)),
        allocated_at: Some(at(created + 2)),
        ended_at: Some(at(ended)),
        exit: Some(json!({ "code": 0 })),
        match_id: Some(MatchId::new("m1").unwrap()),
        log_kept_until: Some(at(ended + 1_000)),
        ..server(id, created)
    }
}

pub(crate) async fn a_server_is_replaced_but_never_revived(mut fixture: Fixture) {
    let starting = server("s1", 1);
    let over = ended("s1", 1, 50);
    fixture.storage.servers().upsert(&starting).await.unwrap();
    assert_eq!(fixture.storage.servers().get(&over.id).await.unwrap().as_ref(), Some(&starting));
    fixture.storage.servers().upsert(&over).await.unwrap();
    fixture.storage.servers().upsert(&starting).await.unwrap();
    fixture.restart().await;
    assert_eq!(fixture.storage.servers().get(&over.id).await.unwrap().as_ref(), Some(&over));
    let later = ServerRecord { log_kept_until: None, ..over };
    fixture.storage.servers().upsert(&later).await.unwrap();
    assert_eq!(fixture.storage.servers().get(&later.id).await.unwrap(), Some(later));
    assert_eq!(fixture.storage.servers().get(&ServerId::new("none").unwrap()).await.unwrap(), None);
}

pub(crate) async fn lists_by_game_and_state(fixture: Fixture) {
    let servers = fixture.storage.servers();
    let elsewhere = ServerRecord {
        game: GameId::new("other").unwrap(),
        studio: StudioId::new("acme").unwrap(),
        ..server("other", 9)
    };
    for record in [server("a", 1), ended("b", 2, 5), server("c", 2), ended("d", 3, 6), elsewhere] {
        servers.upsert(&record).await.unwrap();
    }
    let list = async |filter: ServerFilter| {
        let mut ids = Vec::new();
        let mut page = servers.list(&filter, None, 2).await.unwrap();
        loop {
            ids.extend(page.items.iter().map(|server| server.id.to_string()));
            let Some(next) = page.next else { break ids.join(" ") };
            page = servers.list(&filter, Some(&next), 2).await.unwrap();
        }
    };
    let of_game = ServerFilter { game: Some(game()), ..ServerFilter::default() };
    let state = Some("ended".to_owned());
    let studio = StudioId::new("acme").ok();
    assert_eq!(list(ServerFilter::default()).await, "other d c b a");
    assert_eq!(list(of_game.clone()).await, "d c b a");
    assert_eq!(list(ServerFilter { state: state.clone(), ..of_game.clone() }).await, "d b");
    assert_eq!(list(ServerFilter { state, ..ServerFilter::default() }).await, "d b");
    assert_eq!(list(ServerFilter { studio: studio.clone(), ..ServerFilter::default() }).await, "other");
    assert_eq!(list(ServerFilter { studio, ..of_game }).await, "");
}

pub(crate) async fn pruning_tells_which(fixture: Fixture) {
    let servers = fixture.storage.servers();
    for record in [ended("a", 1, 10), ended("b", 1, 11), ended("c", 1, 12), ended("d", 1, 50), server("e", 1)]
    {
        servers.upsert(&record).await.unwrap();
    }
    let mut first = servers.prune(at(50), 2).await.unwrap();
    first.sort();
    let second = servers.prune(at(50), 2).await.unwrap();
    let ids = |pruned: Vec<ServerId>| pruned.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!((ids(first), ids(second)), ("a b".to_owned(), "c".to_owned()));
    assert_eq!(servers.list(&ServerFilter::default(), None, 10).await.unwrap().items.len(), 2);
}
