//! What changes while somebody looks.

use crate::support::Installation;

#[tokio::test]
async fn a_new_lobby_appears_by_itself() {
    let installation = Installation::start().await;
    let mut browser = installation.owner().await;
    let (mut lobbies, mut overview) =
        (browser.events("/console/live/lobbies").await, browser.events("/console/live/overview").await);
    let before = lobbies.fragment_where(|_| true).await;
    assert!(before.contains("There is no lobby"), "{before}");
    let ada = installation.player("Ada").await;
    let lobby = installation.lobby_of(&ada).await;
    let listed = lobbies.fragment_where(|text| text.contains(lobby.id.as_str())).await;
    assert!(listed.contains("Ada") && listed.contains("1 lobby"), "{listed}");
    overview.fragment_where(|text| text.contains("1 open socket")).await;

    let mut one = browser.events(&format!("/console/live/lobbies/skirmish/{}", lobby.id)).await;
    one.fragment_where(|text| text.contains("Not ready")).await;
    installation.node.lobbies.set_ready(&ada.principal, true).await.unwrap();
    one.fragment_where(|text| !text.contains("Not ready") && text.contains("Ready")).await;
    installation.node.lobbies.close(&installation.game, &lobby.id).await.unwrap();
    one.fragment_where(|text| text.contains("This lobby is gone")).await;
    lobbies.fragment_where(|text| text.contains("There is no lobby")).await;
}

#[tokio::test]
async fn fragments_say_nothing_that_is_one_persons() {
    let installation = Installation::start().await;
    let ada = installation.player("Ada").await;
    let lobby = installation.lobby_of(&ada).await;
    let mut browser = installation.owner().await;
    for path in
        ["overview".to_owned(), "servers".into(), "lobbies".into(), format!("lobbies/skirmish/{}", lobby.id)]
    {
        let fragment = browser.events(&format!("/console/live/{path}")).await.fragment_where(|_| true).await;
        assert!(!fragment.contains("csrf") && !fragment.contains("<form"), "{path}: {fragment}");
        assert!(!fragment.contains(" ago</time>"), "{path}: a time that passes would be news for ever");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_has_no_log() {
    let installation = Installation::start().await;
    let mut browser = installation.owner().await;
    let mut events = browser.events("/console/live/servers/skirmish/none").await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let (name, data) = events.next().await.expect("the stream goes on");
        seen.push((name, data.as_str().unwrap_or_default().to_owned()));
    }
    assert!(seen.contains(&("log-state".into(), "missing".into())), "{seen:?}");
    assert!(
        seen.iter().any(|(name, data)| name == "fragment" && data.contains("There is no such game server")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn events_are_followed_by_their_subject() {
    let installation = Installation::start().await;
    let mut browser = installation.owner().await;
    let append = async |subject: &str, text: &str| {
        let principal = greenroom_operations::Principal::Admin(
            installation.node.admins.authenticate_token(&installation.admin_token()).unwrap(),
        );
        let event = serde_json::json!({ "subject": subject, "type": "said", "data": { "text": text } });
        let event = event.to_string();
        let event = serde_json::from_str(&event).unwrap();
        let studio = "demo".parse().unwrap();
        installation.node.events.append_for(&principal, &studio, vec![event], None).await.unwrap();
    };
    append("v1.skirmish.rooms.a.events.x", "before").await;
    let page = browser.get("/console/events?subject=v1.skirmish.rooms.a.%3E").await;
    assert!(page.text.contains("before"), "{}", page.text);
    let mut events = browser.events("/console/live/events?studio=demo&subject=v1.skirmish.rooms.a.%3E").await;
    events.fragment_where(|fragment| fragment.contains("before")).await;
    append("v1.skirmish.rooms.b.events.x", "elsewhere").await;
    append("v1.skirmish.rooms.a.events.x", "<b>after</b>").await;
    let fragment = events.fragment_where(|fragment| fragment.contains("after")).await;
    assert!(!fragment.contains("elsewhere") && !fragment.contains("<b>after"), "{fragment}");
    assert!(fragment.find("after").unwrap() < fragment.find("before").unwrap(), "newest first");
    for wrong in ["subject=a..b", "studio=nobody"] {
        let page = browser.get(&format!("/console/events?{wrong}")).await;
        assert!(
            page.status.is_client_error() && page.text.contains("role=\"alert\""),
            "{wrong}: {}",
            page.text
        );
        assert!(
            browser.get(&format!("/console/live/events?{wrong}")).await.status.is_client_error(),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn streams_end_with_the_node() {
    let installation = Installation::start().await;
    let mut browser = installation.owner().await;
    let mut events = browser.events("/console/live/servers/skirmish/none").await;
    events.fragment_where(|_| true).await;
    installation.node.shutdown.cancel();
    while events.next().await.is_some() {}
    installation.node.tracker.close();
    tokio::time::timeout(std::time::Duration::from_mins(1), installation.node.tracker.wait())
        .await
        .expect("no task of a stream outlives the node");
}

#[tokio::test]
async fn too_many_streams_are_refused_and_those_that_end_make_room() {
    let installation = Installation::start().await;
    let mut browser = installation.owner().await;
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(browser.events("/console/live/lobbies").await);
    }
    assert_eq!(browser.get("/console/live/lobbies").await.status, 503);
    drop(open);
    let mut tries = 0;
    loop {
        // The tasks of the closed streams end as soon as they run.
        tokio::task::yield_now().await;
        tries += 1;
        assert!(tries < 10_000, "there is room again");
        let answer =
            tokio::time::timeout(std::time::Duration::from_millis(1), browser.get("/console/live/lobbies"))
                .await;
        if answer.is_err() {
            break;
        }
    }
}
