//! Players, identities, bans.

use greenroom_protocol::GameId;
use greenroom_storage::{Ban, Cursor, DiscordProfile, Identity, NewPlayer, StorageError};
use tokio::task::JoinSet;

use crate::fixture::{Fixture, at, game, new_player, new_session};

fn profile(id: &str) -> DiscordProfile {
    DiscordProfile { id: id.to_owned(), username: format!("user {id}"), avatar: None }
}

fn discord_player(id: &str, subject: &str) -> NewPlayer {
    NewPlayer { identity: Some(Identity::Discord(profile(subject))), ..new_player(id, id) }
}

pub(crate) async fn a_player_is_found_again(mut fixture: Fixture) {
    let new = discord_player("p1", "42");
    fixture.storage.players().create(&new).await.unwrap();
    fixture.restart().await;
    let players = fixture.storage.players();
    let player = players.get(&new.id).await.unwrap().unwrap();
    assert_eq!(
        (player.id.as_str(), &player.game, player.username.as_str(), player.created_at, player.last_seen_at),
        ("p1", &game(), "p1", at(1_000), at(1_000))
    );
    assert_eq!((player.discord.as_ref(), player.ban.as_ref()), (Some(&profile("42")), None));
    assert_eq!(players.find_by_identity(&game(), "discord", "42").await.unwrap(), Some(player));
    assert_eq!(players.find_by_identity(&game(), "steam", "42").await.unwrap(), None);
    assert_eq!(players.get(&new_player("p2", "").id).await.unwrap(), None);
}

pub(crate) async fn an_identity_has_one_player_per_game(fixture: Fixture) {
    let mut callers = JoinSet::new();
    for number in 0..8 {
        let storage = fixture.storage.clone();
        callers.spawn(
            async move { storage.players().create(&discord_player(&format!("p{number}"), "42")).await },
        );
    }
    let mut made = 0;
    for result in callers.join_all().await {
        match result {
            Ok(()) => made += 1,
            Err(error) => {
                assert!(
                    matches!(&error, StorageError::Conflict { what } if what == "identities_pkey"),
                    "{error:?}"
                );
            }
        }
    }
    assert_eq!(made, 1);
    // Whoever lost left no player behind.
    assert_eq!(fixture.storage.players().count(&game()).await.unwrap(), 1);
    let elsewhere = NewPlayer { game: GameId::new("other").unwrap(), ..discord_player("elsewhere", "42") };
    fixture.storage.players().create(&elsewhere).await.unwrap();
}

pub(crate) async fn renames_and_profiles(fixture: Fixture) {
    let players = fixture.storage.players();
    let new = discord_player("p1", "42");
    players.create(&new).await.unwrap();
    players.rename(&new.id, "Grace").await.unwrap();
    let changed = DiscordProfile { avatar: Some("https://cdn.example/a.png".to_owned()), ..profile("42") };
    let update = async |profile: &DiscordProfile| {
        let identity = Identity::Discord(profile.clone());
        let unit = fixture.storage.identities().update_profile_unit(&new.id, &identity)?;
        fixture.storage.apply(unit).await.map(drop)
    };
    update(&changed).await.unwrap();
    fixture.storage.apply(players.seen_unit(&new.id, at(5_000))).await.unwrap();
    let player = players.get(&new.id).await.unwrap().unwrap();
    assert_eq!(
        (player.username.as_str(), player.discord, player.last_seen_at),
        ("Grace", Some(changed), at(5_000))
    );
    assert_eq!(players.search(&game(), "grA", None, 10).await.unwrap().items.len(), 1);
    assert_eq!(players.search(&game(), "p1", None, 10).await.unwrap().items.len(), 0);

    let nobody = new_player("nobody", "").id;
    assert!(matches!(players.rename(&nobody, "x").await, Err(StorageError::NotFound { .. })));
    assert!(matches!(update(&profile("43")).await, Err(StorageError::NotFound { .. })));
}

pub(crate) async fn search_by_prefix_pages_in_order(fixture: Fixture) {
    let players = fixture.storage.players();
    for (number, name) in ["anna", "Anna", "ANTON", "annabel", "Bo", "an"].into_iter().enumerate() {
        players.create(&new_player(&format!("p{number}"), name)).await.unwrap();
    }
    let other = NewPlayer { game: GameId::new("other").unwrap(), ..new_player("other", "anna") };
    players.create(&other).await.unwrap();
    let mut found = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = players.search(&game(), "AN", after.as_ref(), 2).await.unwrap();
        found.extend(page.items.into_iter().map(|player| player.username));
        // As it goes through an address and back.
        after = page.next.map(|cursor| cursor.to_string().parse().unwrap());
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, ["an", "anna", "Anna", "annabel", "ANTON"]);
    assert_eq!(players.search(&game(), "", None, 100).await.unwrap().items.len(), 6);
}

pub(crate) async fn search_takes_names_as_they_are(fixture: Fixture) {
    let players = fixture.storage.players();
    for (number, name) in ["100%", "100~a", "1000", "İx", "Ünal", "_", "ünal"].into_iter().enumerate() {
        players.create(&new_player(&format!("p{number}"), name)).await.unwrap();
    }
    let found = async |prefix: &str| {
        let page = players.search(&game(), prefix, None, 10).await.unwrap();
        page.items.into_iter().map(|player| player.username).collect::<Vec<_>>()
    };
    assert_eq!(found("100%").await, ["100%"]);
    assert_eq!(found("_").await, ["_"]);
    assert_eq!(found("ÜN").await, ["Ünal", "ünal"]);
    // A name with the divider of cursors pages on.
    let first = players.search(&game(), "100", None, 2).await.unwrap();
    let next = first.next.unwrap().to_string().parse().unwrap();
    let second = players.search(&game(), "100", Some(&next), 2).await.unwrap();
    assert_eq!((second.items[0].username.as_str(), second.items.len()), ("100~a", 1));
}

pub(crate) async fn pages_hold_while_others_come(fixture: Fixture) {
    let players = fixture.storage.players();
    for name in ["b", "d", "f"] {
        players.create(&new_player(name, name)).await.unwrap();
    }
    let first = players.search(&game(), "", None, 2).await.unwrap();
    for name in ["a", "c", "e"] {
        players.create(&new_player(name, name)).await.unwrap();
    }
    let second = players.search(&game(), "", first.next.as_ref(), 2).await.unwrap();
    let names: Vec<_> = second.items.iter().map(|player| player.username.as_str()).collect();
    assert_eq!((names, second.next), (vec!["e", "f"], None));
}

pub(crate) async fn bans(fixture: Fixture) {
    let (players, sessions) = (fixture.storage.players(), fixture.storage.sessions());
    let (first, second) = (fixture.player("p1").await, fixture.player("p2").await);
    sessions.create(&new_session("s1", &first)).await.unwrap();
    let ban = Ban { reason: "cheating".to_owned(), until: Some(at(5_000)), at: at(2_000) };
    let unit = players.ban_unit(&first, &ban).and(sessions.end_all_unit(&first, "banned", at(2_000)));
    fixture.storage.apply(unit).await.unwrap();
    assert_eq!(players.get(&first).await.unwrap().unwrap().ban, Some(ban.clone()));
    assert_eq!((ban.holds(at(4_999)), ban.holds(at(5_000))), (true, false));
    let ended = sessions.get(&new_session("s1", &first).id).await.unwrap().unwrap();
    assert_eq!(ended.ended_why.as_deref(), Some("banned"));

    let for_ever = Ban { reason: "again".to_owned(), until: None, at: at(3_000) };
    players.ban(&first, &for_ever).await.unwrap();
    players.ban(&second, &ban).await.unwrap();
    assert!(for_ever.holds(at(i64::MAX)));
    let page = players.bans(&game(), None, 1).await.unwrap();
    assert_eq!((&page.items[0].player, &page.items[0].ban), (&first, &for_ever));
    let page = players.bans(&game(), page.next.as_ref(), 1).await.unwrap();
    assert_eq!((&page.items[0].player, page.items[0].username.as_str()), (&second, "p2"));
    assert_eq!(page.next, None);

    assert!(players.unban(&first).await.unwrap());
    assert!(!players.unban(&first).await.unwrap());
    assert_eq!(players.get(&first).await.unwrap().unwrap().ban, None);
    let nobody = players.ban(&new_player("nobody", "").id, &ban).await;
    assert!(matches!(nobody, Err(StorageError::NotFound { .. })));
}

pub(crate) async fn a_foreign_cursor_is_refused(fixture: Fixture) {
    assert!(matches!("nothing".parse::<Cursor>(), Err(StorageError::BadCursor)));
    let cursor = "no number~p1".parse().unwrap();
    let page = fixture.storage.players().bans(&game(), Some(&cursor), 10).await;
    assert!(matches!(page, Err(StorageError::BadCursor)));
}
