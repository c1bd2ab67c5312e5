//! The server browser: what announced itself, what is filtered, and that the page follows.

use greenroom_operations::servers::AllocateRequest;
use greenroom_protocol::browser::{Announcement, PlayersReport};

use crate::support::{Installation, fleet};

fn saying(name: &str, port: u16) -> Announcement {
    Announcement { name: name.into(), port, ..Announcement::default() }
}

#[tokio::test]
async fn what_announces_itself_is_shown_with_where_it_connects_from() {
    let installation = Installation::start().await;
    let mut browser = installation.owner().await;
    let mut listed = browser.events("/console/live/browser").await;
    listed.fragment_where(|text| text.contains("No server is listed")).await;
    let announce = |said| {
        let from = "198.51.100.7".parse().unwrap();
        installation.node.browser.announce(&installation.game, said, from, None).unwrap()
    };
    let said =
        Announcement { players_max: Some(8), version: Some("1.4.0".into()), ..saying("<Ann's>", 7003) };
    let ann = announce(said);
    let _bob = announce(saying("Bob's", 7004));
    let both = listed.fragment_where(|text| text.contains("2 servers")).await;
    assert!(both.contains("&lt;Ann's&gt;") && !both.contains("<Ann's>"), "{both}");
    assert!(both.contains("198.51.100.7:7003") && both.contains("itself, from"), "{both}");
    assert!(both.contains("heard <time") && !both.contains("Official"), "{both}");

    ann.report(PlayersReport { players: 8, players_max: None });
    listed.fragment_where(|text| text.contains("8 of 8") && text.contains("Full")).await;
    for (query, has_ann, has_bob) in [
        ("players=room", false, true),
        ("players=some", true, false),
        ("players=both", false, false),
        ("text=ANN", true, false),
        ("version=1.4.0", true, false),
        ("region=eu", false, false),
        ("region=%3Cno%20region%3E", false, false),
        ("after=nonsense", true, true),
    ] {
        let page = browser.get(&format!("/console/browser?{query}")).await.text;
        assert_eq!((page.contains("&lt;Ann's&gt;"), page.contains("Bob's")), (has_ann, has_bob), "{query}");
        assert!(has_ann || has_bob || page.contains("No listed server fits"), "{page}");
    }
    let page = browser.get("/console/browser?text=x%27y&players=room").await.text;
    let command = "curl 'http://console.test:4700/v1/games/skirmish/browser?text=x%27y&amp;not_full=true'";
    assert!(page.contains(command), "{page}");
    assert!(browser.get("/console/browser?game=nogame").await.text.contains("There is no such game"));
    drop(ann);
    listed.fragment_where(|text| text.contains("1 server") && !text.contains("Ann's")).await;
}

#[tokio::test]
async fn a_listed_server_of_the_fleet_leads_to_its_page() {
    let installation = Installation::start_with_fleet(fleet("exec sleep 600")).await;
    let mut browser = installation.owner().await;
    let request = AllocateRequest {
        game: installation.game.clone(),
        region: None,
        title: Some("Ada's game".into()),
        listed: true,
        version: None,
        payload: None,
        idempotency: None,
        match_id: None,
        caller: "a test".into(),
        timeout: None,
    };
    let server = installation.node.servers.allocate(request).await.unwrap().server;
    let mut listed = browser.events("/console/live/browser").await;
    let row = listed.fragment_where(|text| text.contains("Ada's game")).await;
    let link = format!(
        "Greenroom, as <a class=\"whole\" href=\"/console/servers/skirmish/{}\">{}</a>",
        server.id, server.name
    );
    assert!(row.contains(&link), "{row}");
    installation.node.servers.stop(&installation.game, &server.id).await.unwrap();
    listed.fragment_where(|text| text.contains("No server is listed")).await;
}

#[tokio::test]
async fn a_long_list_is_shown_in_parts() {
    let installation = Installation::start().await;
    let mut browser = installation.owner().await;
    let from = "198.51.100.7".parse().unwrap();
    let announce = |port: u16| {
        let said = saying(&format!("number {port}"), port);
        installation.node.browser.announce(&installation.game, said, from, None).unwrap()
    };
    let _all: Vec<_> = (1..=250).map(announce).collect();
    let mut listed = browser.events("/console/live/browser?sort=name").await;
    let first = listed.fragment_where(|text| text.contains("250 servers, 200 on this page")).await;
    let next = first.split("href=\"").find(|rest| rest.contains("rel=\"next\"")).unwrap();
    let path = next.split('"').next().unwrap().replace("&amp;", "&");
    let second = browser.get(&path).await.text;
    assert!(second.contains("50 on this page") && second.contains("← First page"), "{second}");
    assert!(!second.contains("number 100<") && second.contains("number 99<"), "{second}");
}
