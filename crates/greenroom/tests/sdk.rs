//! The Rust SDK against the built program: what its example does, and what it is refused.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use greenroom_client::{
    ClientError,
    listing::Listing,
    player::{Player, PlayerSocket},
    protocol::{
        GameId, RegionId,
        browser::{Announcement, BrowserFilter, BrowserNews, BrowserSort, PlayersReport},
        lobby::{ClientMessage, LobbyCreate, LobbyJoin},
    },
    ticket::TicketKeys,
};
use greenroom_test_support::greenroom::{GAME, Installation};

const PROGRAM: &str = env!("CARGO_BIN_EXE_greenroom");

fn installation() -> Installation {
    let fleet = "command = [\"{greenroom}\", \"skirmish-server\", \"--port\", \"{port}\"]\n\
                 port_range = \"{ports}\"\nports = [{ name = \"default\", protocol = \"tcp\" }]\nrunning_max = 2\n";
    Installation::new(PROGRAM, "team_size = 2", fleet, 2)
}

async fn all_ready(socket: &mut PlayerSocket) {
    loop {
        let lobby = socket.lobby().await.unwrap();
        let mut members = lobby.team_a.iter().chain(&lobby.team_b);
        if lobby.team_a.len() + lobby.team_b.len() == 2 && members.all(|member| member.ready) {
            return;
        }
    }
}

#[tokio::test]
async fn two_players_meet_and_are_given_tickets_that_hold() {
    let installation = installation();
    let running = installation.dev().await;
    let (ann, ben) = (
        Player::sign_in(&running.url, "Ann").await.unwrap(),
        Player::sign_in(&running.url, "Ben").await.unwrap(),
    );
    assert_eq!(ann.me().await.unwrap().username, "Ann");
    let (mut first, mut second) = (ann.connect().await.unwrap(), ben.connect().await.unwrap());
    first.send(&ClientMessage::Create(LobbyCreate::default())).await.unwrap();
    let lobby = first.lobby().await.unwrap();
    assert_eq!(ben.lobbies().await.unwrap().len(), 1);
    second
        .send(&ClientMessage::Join(LobbyJoin { code: Some(lobby.code), ..LobbyJoin::default() }))
        .await
        .unwrap();
    second.lobby().await.unwrap();
    for socket in [&mut first, &mut second] {
        socket.send(&ClientMessage::Ready { ready: true }).await.unwrap();
    }
    all_ready(&mut first).await;
    first.send(&ClientMessage::Start).await.unwrap();

    let jwks = reqwest::get(format!("{}/.well-known/jwks.json", running.url)).await.unwrap();
    let keys = TicketKeys::parse(&jwks.bytes().await.unwrap()).unwrap();
    for (player, socket) in [(&ann, &mut first), (&ben, &mut second)] {
        let started = socket.match_started().await.unwrap();
        let claims = keys.verify(&started.ticket.unwrap(), started.started_at).unwrap();
        assert_eq!((claims.player, claims.match_id), (player.me().await.unwrap().id, Some(started.match_id)));
    }
}

#[tokio::test]
async fn a_server_lists_itself_and_players_find_it() {
    let installation = installation();
    let running = installation.dev().await;
    let game = GameId::new(GAME).unwrap();
    let ann = Player::sign_in(&running.url, "Ann").await.unwrap();
    let mut socket = ann.connect().await.unwrap();
    let filter = BrowserFilter {
        text: Some("ANN".into()),
        not_full: true,
        sort: Some(BrowserSort::Latency),
        latencies: [(RegionId::new("eu").unwrap(), 30)].into(),
        limit: Some(5),
        ..BrowserFilter::default()
    };
    socket.send(&ClientMessage::BrowserWatch(filter.clone())).await.unwrap();
    assert_eq!(socket.browser().await.unwrap(), BrowserNews::default());
    let announcement = Announcement {
        name: "Ann's game".into(),
        port: 7003,
        players: 1,
        players_max: Some(2),
        region: Some(RegionId::new("eu").unwrap()),
        ..Announcement::default()
    };
    let mut listing = Listing::open(&running.url, None, &announcement).await.unwrap();
    let news = socket.browser().await.unwrap();
    let page = ann.browser(&game, &filter, None).await.unwrap();
    assert_eq!((page.total, &page.servers), (1, &news.servers));
    assert_eq!((page.servers[0].name.as_str(), page.servers[0].players_max), ("Ann's game", Some(2)));
    listing.report(&PlayersReport { players: 2, players_max: None }).await.unwrap();
    assert_eq!(socket.browser().await.unwrap().total, 0, "a full one is not looked for");
    listing.report(&PlayersReport { players: 0, players_max: None }).await.unwrap();
    assert_eq!(socket.browser().await.unwrap().servers[0].players, 0);
    drop(listing);
    assert_eq!(socket.browser().await.unwrap().total, 0);
    let nameless = Announcement { name: " ".into(), ..announcement };
    let mut listing = Listing::open(&running.url, None, &nameless).await.unwrap();
    assert!(listing.keep().await.to_string().contains("`name`"));
    assert!(Listing::open(&running.url, Some("gs_no_one"), &nameless).await.is_err());
}

#[tokio::test]
async fn refusals_come_as_errors() {
    let installation = installation();
    let running = installation.dev().await;
    let nameless = Player::sign_in(&running.url, "  ").await;
    assert!(matches!(nameless, Err(ClientError::Refused { status: 400, .. })));
    let stranger = Player::with_token(&running.url, "no token").unwrap();
    assert!(matches!(stranger.me().await, Err(ClientError::Refused { status: 401, .. })));
    assert!(stranger.connect().await.is_err());
    let ann = Player::sign_in(&running.url, "Ann").await.unwrap();
    let mut socket = ann.connect().await.unwrap();
    socket.send(&ClientMessage::Start).await.unwrap();
    let refused = socket.match_started().await.unwrap_err();
    assert_eq!(refused.to_string(), "Not in a lobby");
}
