use greenroom_protocol::ServerId;
use rand::{SeedableRng, rngs::StdRng};

use super::*;
use crate::matches::MatchState;

mod properties;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

fn player(name: &str) -> PlayerId {
    PlayerId::new(name).unwrap()
}

fn new_lobby() -> NewLobby {
    NewLobby {
        game: GameId::new("skirmish").unwrap(),
        code: "012345".into(),
        owner: player("ann"),
        username: "Ann".into(),
        is_private: false,
        keep: false,
        name: None,
        map: None,
        mode: None,
        team_size: None,
        password_hash: None,
    }
}

fn place() -> MatchPlace {
    MatchPlace {
        id: ServerId::new("s1").unwrap(),
        name: "server-1".into(),
        address: "203.0.113.7".into(),
        port: 7000,
    }
}

/// A lobby on a table: what a command does to it, at a time that the test sets.
struct Table {
    lobby: Lobby,
    rules: LobbySettings,
    rng: StdRng,
    now: Timestamp,
}

impl Table {
    fn new(new: NewLobby, rules: LobbySettings) -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let (lobby, _) = create(new, at(0), &rules, &mut rng).unwrap();
        Self { lobby, rules, rng, now: at(0) }
    }

    /// Ann owns it; Bob and Cem have joined: A has Ann and Cem, B has Bob.
    fn of_three() -> Self {
        Self::of_three_with(new_lobby(), LobbySettings::default())
    }

    fn of_three_with(new: NewLobby, rules: LobbySettings) -> Self {
        let mut table = Self::new(new, rules);
        table.join("bob", None).unwrap();
        table.join("cem", None).unwrap();
        table
    }

    fn does(&mut self, command: Command) -> Result<Outcome, Refusal> {
        apply(&mut self.lobby, command, self.now, &self.rules, &mut self.rng)
    }

    fn join(&mut self, name: &str, team: Option<Team>) -> Result<Outcome, Refusal> {
        self.does(Command::Join {
            player: player(name),
            username: name.to_uppercase(),
            team,
            by_code: false,
            password_ok: false,
        })
    }

    fn leave(&mut self, name: &str) -> Result<Outcome, Refusal> {
        self.does(Command::Leave { player: player(name) })
    }

    fn ready(&mut self, name: &str) -> Result<Outcome, Refusal> {
        self.does(Command::SetReady { player: player(name), ready: true })
    }

    fn all_ready(&mut self) {
        let humans: Vec<_> = self.lobby.humans().map(|member| member.player.clone()).collect();
        for player in humans {
            self.does(Command::SetReady { player, ready: true }).unwrap();
        }
    }

    fn start(&mut self, name: &str) -> Result<Outcome, Refusal> {
        self.does(Command::Start { player: player(name) })
    }

    fn starting(&mut self) -> StartMatch {
        self.all_ready();
        let owner = self.lobby.owner.clone();
        let mut effects = self.does(Command::Start { player: owner }).unwrap().effects;
        match effects.pop() {
            Some(Effect::StartMatch(start)) if effects.is_empty() => start,
            other => panic!("no start: {other:?}"),
        }
    }

    fn succeed(&mut self) -> (Match, Outcome) {
        let match_id = self.starting().match_id;
        let outcome = self.does(Command::AllocationSucceeded { match_id, place: place() }).unwrap();
        let started = outcome.effects.iter().find_map(|effect| match effect {
            Effect::MatchStarted(started) => Some((**started).clone()),
            _ => None,
        });
        (started.unwrap(), outcome)
    }

    fn drop_socket(&mut self, name: &str) -> Outcome {
        self.does(Command::Dropped { player: player(name) }).unwrap()
    }

    fn returns(&mut self, name: &str) -> Outcome {
        self.does(Command::Connected { player: player(name) }).unwrap()
    }

    fn bots(&mut self) -> Result<Outcome, Refusal> {
        let owner = self.lobby.owner.clone();
        self.does(Command::FillBots { player: owner })
    }

    fn settings(&mut self, name: &str, changes: Changes) -> Result<Outcome, Refusal> {
        self.does(Command::Settings { player: player(name), changes })
    }

    fn owner(&self) -> &str {
        self.lobby.owner.as_str()
    }

    fn team(&self, team: Team) -> Vec<&str> {
        let members = self.lobby.members.iter().filter(|member| member.team == team);
        members.map(|member| member.player.as_str()).collect()
    }
}

fn freed(outcome: &Outcome) -> Vec<(&str, FreedReason)> {
    let freed = |effect| match effect {
        &Effect::SeatFreed { ref player, why } => Some((player.as_str(), why)),
        _ => None,
    };
    outcome.effects.iter().filter_map(freed).collect()
}

fn subjects(outcome: &Outcome) -> Vec<&str> {
    let mut subjects = vec![];
    for effect in &outcome.effects {
        if let Effect::Event(event) = effect {
            subjects.push(event.subject.as_str());
        }
    }
    subjects
}

#[test]
fn the_creator_is_in_team_a_not_ready_and_owns_it() {
    let mut rng = StdRng::seed_from_u64(1);
    let (lobby, effects) = create(new_lobby(), at(0), &LobbySettings::default(), &mut rng).unwrap();
    let view = serde_json::to_value(lobby.view(&LobbySettings::default())).unwrap();
    let member = serde_json::json!({
        "accountId": "ann", "username": "Ann", "ready": false, "connected": true, "bot": false,
        "joinedAt": at(0),
    });
    let expected = serde_json::json!({
        "id": lobby.id, "code": "012345", "isPrivate": false, "teamA": [member], "teamB": [],
        "ownerId": "ann", "membersMax": 64, "hasPassword": false, "phase": "waiting", "keep": false,
        "createdAt": at(0), "revision": 1,
    });
    assert_eq!(view, expected);
    assert_eq!(effects[0], Effect::SeatTaken { player: player("ann") });
    assert!(matches!(&effects[1], Effect::Event(event)
        if event.subject == format!("v1.skirmish.lobbies.{}.events.created", lobby.id)));
}

#[test]
fn codes_are_six_digits() {
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..2000 {
        let code = crate::ids::lobby_code(&mut rng);
        assert!(code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()), "{code}");
    }
}

#[test]
fn who_joins_without_a_wish_comes_to_the_smaller_team_and_to_a_on_a_tie() {
    let mut table = Table::of_three();
    assert_eq!((table.team(Team::A), table.team(Team::B)), (vec!["ann", "cem"], vec!["bob"]));
    table.join("dan", Some(Team::A)).unwrap();
    assert_eq!(table.team(Team::A), ["ann", "cem", "dan"]);
    assert_eq!(table.join("dan", None), Err(Refusal::AlreadyInLobby));
}

#[test]
fn a_private_lobby_is_joined_by_code_only() {
    let mut table = Table::new(NewLobby { is_private: true, ..new_lobby() }, LobbySettings::default());
    assert_eq!(table.join("bob", None), Err(Refusal::LobbyPrivate));
    let by_code = Command::Join {
        player: player("bob"),
        username: "Bob".into(),
        team: None,
        by_code: true,
        password_ok: false,
    };
    assert_eq!(table.does(by_code).unwrap().state, After::Changed);
}

#[test]
fn a_password_is_asked_by_code_too() {
    let new = NewLobby { password_hash: Some("hash".into()), ..new_lobby() };
    let mut table = Table::new(new, LobbySettings::default());
    let join = |password_ok| Command::Join {
        player: player("bob"),
        username: "Bob".into(),
        team: None,
        by_code: true,
        password_ok,
    };
    assert_eq!(table.does(join(false)), Err(Refusal::WrongPassword));
    assert!(table.does(join(true)).is_ok());
    assert!(table.lobby.view(&table.rules).has_password);
}

#[test]
fn teams_and_lobbies_have_their_bounds() {
    let rules = LobbySettings { team_size: Some(2), members_max: 3, ..LobbySettings::default() };
    let mut table = Table::new(new_lobby(), rules);
    table.join("bob", Some(Team::A)).unwrap();
    assert_eq!(table.join("cem", Some(Team::A)), Err(Refusal::TeamFull));
    table.join("cem", None).unwrap();
    assert_eq!(table.join("dan", None), Err(Refusal::LobbyFull));
    let to_a = Command::ChangeTeam { player: player("cem"), team: Team::A };
    assert_eq!(table.does(to_a), Err(Refusal::TeamFull));

    let rules = LobbySettings { members_max: 64, ..LobbySettings::default() };
    let mut table = Table::new(new_lobby(), rules);
    for n in 1..64 {
        table.join(&format!("p{n}"), Some(Team::A)).unwrap();
    }
    assert_eq!(table.join("p64", None), Err(Refusal::LobbyFull));
}

#[test]
fn ownership_passes_to_the_longest_present_when_the_owner_leaves() {
    let mut table = Table::of_three();
    let outcome = table.leave("ann").unwrap();
    assert_eq!(freed(&outcome), [("ann", FreedReason::Left)]);
    assert_eq!(table.owner(), "bob");
    assert_eq!(table.leave("ann"), Err(Refusal::NotInLobby));
    table.leave("bob").unwrap();
    let outcome = table.leave("cem").unwrap();
    assert_eq!(outcome.state, After::Gone(GoneReason::Empty));
    assert_eq!(freed(&outcome), [("cem", FreedReason::Left)]);
    assert_eq!(subjects(&outcome), [format!("v1.skirmish.lobbies.{}.events.closed", table.lobby.id)]);
}

#[test]
fn bots_alone_keep_no_lobby_and_never_own_one() {
    let mut table = Table::new(new_lobby(), LobbySettings::default());
    table.bots().unwrap();
    table.join("bob", Some(Team::B)).unwrap();
    table.leave("ann").unwrap();
    assert_eq!(table.owner(), "bob");
    assert_eq!(table.leave("bob").unwrap().state, After::Gone(GoneReason::Empty));
}

#[test]
fn a_dropped_member_keeps_its_place_until_its_term_is_over() {
    let mut table = Table::of_three();
    table.all_ready();
    table.drop_socket("ann");
    let ann = table.lobby.member(&player("ann")).unwrap();
    assert!(!ann.is_connected() && !ann.ready);
    assert_eq!(table.owner(), "bob");
    assert_eq!(table.start("bob"), Err(Refusal::NotAllReady));
    assert_eq!(table.lobby.next_deadline(), Some(at(30)));

    table.now = at(10);
    assert_eq!(table.drop_socket("ann").state, After::Unchanged);
    assert_eq!(table.lobby.next_deadline(), Some(at(30)));
    assert_eq!(table.returns("ann").state, After::Changed);
    assert_eq!(table.lobby.next_deadline(), None);
    assert_eq!(table.owner(), "bob");

    table.drop_socket("ann");
    table.now = at(39);
    assert_eq!(table.does(Command::Deadline).unwrap().state, After::Unchanged);
    table.now = at(40);
    assert_eq!(freed(&table.does(Command::Deadline).unwrap()), [("ann", FreedReason::GraceOver)]);
    assert_eq!(table.team(Team::A), ["cem"]);
}

#[test]
fn a_lobby_without_sockets_lives_until_the_last_term_is_over() {
    let mut table = Table::of_three();
    for (seconds, name) in [(0, "ann"), (5, "bob"), (20, "cem")] {
        table.now = at(seconds);
        table.drop_socket(name);
    }
    assert_eq!(table.owner(), "cem");
    table.now = at(36);
    table.does(Command::Deadline).unwrap();
    assert_eq!((table.lobby.members.len(), table.owner()), (1, "cem"));
    table.now = at(50);
    let outcome = table.does(Command::Deadline).unwrap();
    assert_eq!(outcome.state, After::Gone(GoneReason::Empty));
    assert_eq!(freed(&outcome), [("cem", FreedReason::GraceOver)]);
}

#[test]
fn who_returns_to_a_lobby_without_sockets_owns_it() {
    let mut table = Table::of_three();
    table.drop_socket("bob");
    table.drop_socket("cem");
    table.drop_socket("ann");
    assert_eq!(table.owner(), "ann");
    table.returns("bob");
    assert_eq!(table.owner(), "bob");
    table.returns("ann");
    assert_eq!(table.owner(), "bob");
}

#[test]
fn after_a_stall_of_ours_everybody_has_a_full_term_and_the_owner_is_the_owner_again() {
    let mut table = Table::of_three();
    table.drop_socket("cem");
    table.now = at(25);
    table.does(Command::DropAll).unwrap();
    assert_eq!(table.lobby.next_deadline(), Some(at(55)));
    table.now = at(26);
    table.does(Command::DropAll).unwrap();
    table.returns("bob");
    assert_eq!(table.owner(), "bob");
    table.returns("ann");
    assert_eq!(table.owner(), "ann");
    table.leave("ann").unwrap();
    assert_eq!((table.owner(), &table.lobby.owner_before), ("bob", &None));
}

#[test]
fn only_the_owner_starts_and_only_when_all_are_ready() {
    let mut table = Table::of_three();
    assert_eq!(table.start("bob"), Err(Refusal::OwnerStarts));
    assert_eq!(table.start("eve"), Err(Refusal::NotInLobby));
    assert_eq!(table.start("ann"), Err(Refusal::NotAllReady));
    table.ready("ann").unwrap();
    table.ready("bob").unwrap();
    assert_eq!(table.start("ann"), Err(Refusal::NotAllReady));
    table.ready("cem").unwrap();
    assert!(table.start("ann").is_ok());
    assert_eq!(table.start("ann"), Err(Refusal::MatchStarting));
}

#[test]
fn the_payload_is_the_contracts() {
    let mut table = Table::of_three();
    let start = table.starting();
    let expected = r#"{"players":["ann","cem","bob"],"teamA":[{"accountId":"ann","username":"Ann"},{"accountId":"cem","username":"CEM"}],"teamB":[{"accountId":"bob","username":"BOB"}]}"#;
    assert_eq!(start.roster.payload(), expected);
    assert_eq!(table.lobby.pending_start(), Some(start));
}

#[test]
fn a_lobby_that_is_not_kept_goes_into_its_match() {
    let mut table = Table::of_three();
    let (started, outcome) = table.succeed();
    assert_eq!(outcome.state, After::Gone(GoneReason::Started));
    let left = ["ann", "bob", "cem"].map(|name| (name, FreedReason::Started));
    assert_eq!(freed(&outcome), left);
    let data = serde_json::to_value(started.data()).unwrap();
    let expected = serde_json::json!({
        "matchId": started.id, "lobbyId": table.lobby.id, "startedAt": at(0),
        "teamA": [{"accountId": "ann", "username": "Ann"}, {"accountId": "cem", "username": "CEM"}],
        "teamB": [{"accountId": "bob", "username": "BOB"}],
        "server": {"address": "203.0.113.7", "port": 7000, "serverName": "server-1"},
    });
    assert_eq!(data, expected);
    let seats: Vec<_> = started.players.iter().map(|seated| seated.seat).collect();
    assert_eq!((seats, started.next_seat), (vec![0, 1, 2], 3));
    let match_subject = format!("v1.skirmish.matches.{}.events.started", started.id);
    let lobby_subject = format!("v1.skirmish.lobbies.{}.events.closed", table.lobby.id);
    assert_eq!(subjects(&outcome), [match_subject, lobby_subject]);
}

#[test]
fn while_a_match_is_starting_its_roster_stands() {
    let mut table = Table::of_three();
    let match_id = table.starting().match_id;
    assert_eq!(table.join("dan", None), Err(Refusal::MatchStarting));
    assert_eq!(table.bots(), Err(Refusal::MatchStarting));
    let not_ready = Command::SetReady { player: player("bob"), ready: false };
    assert_eq!(table.does(not_ready), Err(Refusal::MatchStarting));
    let to_b = Command::ChangeTeam { player: player("ann"), team: Team::B };
    assert_eq!(table.does(to_b), Err(Refusal::MatchStarting));
    let kick = Command::Kick { player: player("ann"), target: player("bob") };
    assert_eq!(table.does(kick), Err(Refusal::MatchStarting));
    assert_eq!(table.settings("ann", Changes::default()), Err(Refusal::MatchStarting));

    table.leave("bob").unwrap();
    let outcome = table.does(Command::AllocationSucceeded { match_id, place: place() }).unwrap();
    assert!(matches!(&outcome.effects[0], Effect::MatchStarted(started)
        if started.seat_of(&player("bob")).is_none() && started.players.len() == 2));
}

#[test]
fn a_match_that_everybody_left_before_it_started_is_cancelled() {
    let mut table = Table::new(new_lobby(), LobbySettings::default());
    let match_id = table.starting().match_id;
    let outcome = table.leave("ann").unwrap();
    assert_eq!(outcome.state, After::Gone(GoneReason::Empty));
    assert!(outcome.effects.contains(&Effect::CancelMatch { match_id }));
}

#[test]
fn a_failed_allocation_leaves_the_lobby_as_it_was() {
    let mut table = Table::of_three();
    table.all_ready();
    let before = table.lobby.clone();
    let match_id = table.starting().match_id;
    table.does(Command::AllocationFailed { match_id: match_id.clone() }).unwrap();
    assert_eq!(Lobby { revision: before.revision, ..table.lobby.clone() }, before);
    let late = Command::AllocationSucceeded { match_id, place: place() };
    assert_eq!(table.does(late), Err(Refusal::MatchOver));
    assert!(table.start("ann").is_ok());
}

#[test]
fn a_kept_lobby_plays_takes_latecomers_and_waits_again() {
    let rules = LobbySettings { team_size: Some(2), ..LobbySettings::default() };
    let mut table = Table::of_three_with(NewLobby { keep: true, ..new_lobby() }, rules);
    table.bots().unwrap();
    let (mut started, outcome) = table.succeed();
    assert_eq!((outcome.state, freed(&outcome)), (After::Changed, vec![]));
    assert_eq!(table.start("ann"), Err(Refusal::MatchRunning));
    let again = Command::AllocationSucceeded { match_id: started.id.clone(), place: place() };
    assert_eq!(table.does(again).unwrap().state, After::Unchanged);

    table.leave("bob").unwrap();
    started.leave(&player("bob"));
    let outcome = table.join("dan", None).unwrap();
    let join = Effect::JoinMatch {
        match_id: started.id.clone(),
        player: player("dan"),
        username: "DAN".into(),
        team: Team::B,
    };
    assert!(outcome.effects.contains(&join));
    let seat = started.join(&player("dan"), "DAN", Team::B, Some(2), 64).unwrap();
    assert_eq!(seat.seat, 4, "the number of a seat is never given twice");
    assert_eq!(started.join(&player("dan"), "DAN", Team::A, Some(2), 64).unwrap(), seat);
    assert_eq!(started.join(&player("eve"), "EVE", Team::B, Some(2), 64), Err(Refusal::TeamFull));

    let ended = table.does(Command::MatchEnded { match_id: started.id.clone() }).unwrap();
    assert_eq!(ended.effects, [Effect::MatchEnded { match_id: started.id.clone() }]);
    assert_eq!(table.lobby.phase, Phase::Waiting);
    assert!(table.lobby.members.iter().all(|member| member.ready == member.bot));
    let ended = table.does(Command::MatchEnded { match_id: started.id.clone() }).unwrap();
    assert_eq!(ended.state, After::Unchanged);
    assert_ne!(table.starting().match_id, started.id);
}

#[test]
fn a_match_whose_end_nobody_reports_is_over_in_time() {
    let mut table = Table::of_three_with(NewLobby { keep: true, ..new_lobby() }, LobbySettings::default());
    let (mut started, _) = table.succeed();
    assert_eq!(table.lobby.next_deadline(), Some(started.keep_until));
    table.now = started.keep_until;
    assert_eq!(table.does(Command::Deadline).unwrap().state, After::Changed);
    assert_eq!((&table.lobby.phase, table.lobby.next_deadline()), (&Phase::Waiting, None));
    assert!(started.end(at(9)));
    assert!(!started.end(at(10)));
    assert_eq!((started.state, started.keep_until), (MatchState::Ended, at(9)));
    assert_eq!(started.join(&player("dan"), "DAN", Team::A, None, 64), Err(Refusal::MatchOver));
}

#[test]
fn bots_fill_both_teams() {
    let mut table = Table::new(new_lobby(), LobbySettings::default());
    table.bots().unwrap();
    assert_eq!((table.team(Team::A).len(), table.team(Team::B).len()), (2, 2));
    let bots: Vec<_> = table.lobby.members.iter().filter(|member| member.bot).collect();
    let mut names: Vec<_> = bots.iter().map(|bot| bot.username.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Bot 1", "Bot 2", "Bot 3"]);
    assert!(bots.iter().all(|bot| bot.ready && bot.player.as_str().len() == "bot-".len() + 36));
    assert_eq!(table.bots().unwrap().state, After::Unchanged);
    let to_other = Command::FillBots { player: player("bob") };
    assert_eq!(table.does(to_other.clone()), Err(Refusal::NotInLobby));

    let rules = LobbySettings { team_size: Some(4), members_max: 5, ..LobbySettings::default() };
    let mut table = Table::of_three_with(new_lobby(), rules);
    assert_eq!(table.does(to_other), Err(Refusal::OwnerAddsBots));
    table.bots().unwrap();
    assert_eq!((table.team(Team::A).len(), table.team(Team::B).len()), (3, 2));
}

#[test]
fn the_owner_kicks_others_and_bots() {
    let mut table = Table::of_three();
    table.bots().unwrap();
    let kick = |by: &str, target: PlayerId| Command::Kick { player: player(by), target };
    assert_eq!(table.does(kick("bob", player("ann"))), Err(Refusal::OwnerKicks));
    assert_eq!(table.does(kick("ann", player("ann"))), Err(Refusal::KickSelf));
    assert_eq!(table.does(kick("ann", player("eve"))), Err(Refusal::NoSuchMember));
    let outcome = table.does(kick("ann", player("bob"))).unwrap();
    assert_eq!(freed(&outcome), [("bob", FreedReason::Kicked)]);
    let bot = table.lobby.members.iter().find(|member| member.bot).unwrap().player.clone();
    assert_eq!(freed(&table.does(kick("ann", bot.clone())).unwrap()), []);
    assert!(table.lobby.member(&bot).is_none());
}

#[test]
fn ownership_is_handed_to_connected_people() {
    let mut table = Table::of_three();
    table.bots().unwrap();
    let transfer =
        |by: &str, target: &PlayerId| Command::Transfer { player: player(by), target: target.clone() };
    let bot = table.lobby.members.iter().find(|member| member.bot).unwrap().player.clone();
    assert_eq!(table.does(transfer("bob", &player("bob"))), Err(Refusal::OwnerTransfers));
    assert_eq!(table.does(transfer("ann", &bot)), Err(Refusal::BotOwner));
    assert_eq!(table.does(transfer("ann", &player("eve"))), Err(Refusal::NoSuchMember));
    table.drop_socket("cem");
    assert_eq!(table.does(transfer("ann", &player("cem"))), Err(Refusal::NotConnected));
    table.does(transfer("ann", &player("bob"))).unwrap();
    assert_eq!(table.owner(), "bob");
}

#[test]
fn settings_are_changed_within_their_bounds() {
    let rules = LobbySettings { team_size: Some(4), ..LobbySettings::default() };
    let mut table = Table::of_three_with(new_lobby(), rules);
    let size = |size| Changes { team_size: Some(size), ..Changes::default() };
    assert_eq!(table.settings("bob", size(3)), Err(Refusal::OwnerSets));
    assert_eq!(table.settings("ann", size(5)), Err(Refusal::TeamSizeOutOfRange));
    assert_eq!(table.settings("ann", size(1)), Err(Refusal::TeamSizeTooSmall));
    table.settings("ann", size(2)).unwrap();
    assert_eq!(table.join("dan", Some(Team::A)), Err(Refusal::TeamFull));
    let changes = Changes {
        name: Some("  Ann's\u{7} \n".into()),
        map: Some("x".repeat(70)),
        is_private: Some(true),
        password: PasswordChange::Set("hash".into()),
        ..Changes::default()
    };
    table.settings("ann", changes).unwrap();
    let view = table.lobby.view(&table.rules);
    assert_eq!((view.name.as_deref(), view.map.unwrap().len()), (Some("Ann's"), 64));
    assert!(view.is_private && view.has_password && view.team_size == Some(2));
    let changes =
        Changes { name: Some(String::new()), password: PasswordChange::Remove, ..Changes::default() };
    table.settings("ann", changes).unwrap();
    assert_eq!((&table.lobby.name, &table.lobby.password_hash), (&None, &None));
}

#[test]
fn an_administrator_closes_a_lobby() {
    let mut table = Table::of_three();
    let match_id = table.starting().match_id;
    let outcome = table.does(Command::Close).unwrap();
    assert_eq!(outcome.state, After::Gone(GoneReason::Closed));
    assert_eq!(freed(&outcome).len(), 3);
    assert!(outcome.effects.contains(&Effect::CancelMatch { match_id }));
}

#[test]
fn the_contracts_sentences_are_exact() {
    let sentences = [
        (Refusal::LobbyNotFound, "Lobby not found"),
        (Refusal::LobbyRequired, "Lobby ID or code required"),
        (Refusal::LobbyPrivate, "Lobby is private"),
        (Refusal::AlreadyInLobby, "Already in lobby"),
        (Refusal::NotInLobby, "Not in a lobby"),
        (Refusal::OwnerStarts, "Only lobby owner can start match"),
        (Refusal::NotAllReady, "Not all players are ready"),
        (Refusal::OwnerAddsBots, "Only lobby owner can add bots"),
        (Refusal::TeamFull, "Team is full"),
        (Refusal::LobbyFull, "Lobby is full"),
        (Refusal::AllocationFailed, "Failed to allocate game server"),
    ];
    for (refusal, sentence) in sentences {
        assert_eq!(refusal.message(), sentence);
    }
}
