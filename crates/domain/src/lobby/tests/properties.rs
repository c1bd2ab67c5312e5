//! No sequence of commands, drops, returns and deadlines breaks a lobby.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What may happen; players and targets are numbers out of a small circle.
#[derive(Clone, Debug)]
enum Happening {
    Join {
        who: u8,
        team: Option<Team>,
    },
    Leave(u8),
    Ready(u8, bool),
    /// Everybody who is connected says ready.
    AllReady,
    Start(u8),
    /// The owner starts, twice at once.
    OwnerStartsTwice,
    Bots(u8),
    Kick(u8, u8),
    KickBot(u8),
    ChangeTeam(u8, Team),
    Transfer(u8, u8),
    TransferToBot(u8),
    TeamSize(u8, u32),
    Connected(u8),
    Dropped(u8),
    DropAll,
    /// Time passes, and the sweeper comes.
    Pass {
        seconds: u8,
    },
    Succeed,
    Fail,
    End,
}

const PLAYERS: u8 = 7;

fn happening() -> impl Strategy<Value = Happening> {
    let who = || 0..PLAYERS;
    let team = || prop_oneof![Just(Team::A), Just(Team::B)];
    prop_oneof![
        6 => (who(), prop::option::of(team())).prop_map(|(who, team)| Happening::Join { who, team }),
        2 => who().prop_map(Happening::Leave),
        2 => (who(), any::<bool>()).prop_map(|(who, ready)| Happening::Ready(who, ready)),
        3 => Just(Happening::AllReady),
        1 => who().prop_map(Happening::Start),
        3 => Just(Happening::OwnerStartsTwice),
        1 => who().prop_map(Happening::Bots),
        1 => (who(), who()).prop_map(|(who, target)| Happening::Kick(who, target)),
        1 => who().prop_map(Happening::KickBot),
        1 => (who(), team()).prop_map(|(who, team)| Happening::ChangeTeam(who, team)),
        1 => (who(), who()).prop_map(|(who, target)| Happening::Transfer(who, target)),
        1 => who().prop_map(Happening::TransferToBot),
        1 => (who(), 0_u32..6).prop_map(|(who, size)| Happening::TeamSize(who, size)),
        4 => who().prop_map(Happening::Connected),
        4 => who().prop_map(Happening::Dropped),
        1 => Just(Happening::DropAll),
        3 => (0_u8..40).prop_map(|seconds| Happening::Pass { seconds }),
        2 => Just(Happening::Succeed),
        1 => Just(Happening::Fail),
        1 => Just(Happening::End),
    ]
}

fn rules() -> impl Strategy<Value = LobbySettings> {
    (prop::option::of(1_u32..5), 2_u32..9).prop_map(|(team_size, members_max)| LobbySettings {
        team_size,
        members_max,
        ..LobbySettings::default()
    })
}

fn name(number: u8) -> PlayerId {
    player(&format!("p{number}"))
}

/// Beside the lobby, what must be true of it as effects and answers alone tell it.
struct Witness {
    table: Table,
    /// Whose seat names the lobby.
    seated: BTreeSet<PlayerId>,
    /// When the place of who is dropped is given up.
    dropped: BTreeMap<PlayerId, Timestamp>,
    /// The allocations asked for, and which of them wait for an answer.
    starts: BTreeSet<MatchId>,
    pending: Option<MatchId>,
    gone: bool,
}

impl Witness {
    fn does(&mut self, command: Command) -> Result<After, Refusal> {
        if self.gone {
            return Err(Refusal::LobbyNotFound);
        }
        let before = self.table.lobby.clone();
        let outcome = match self.table.does(command.clone()) {
            Ok(outcome) => outcome,
            Err(refusal) => {
                assert_eq!(self.table.lobby, before, "a refused {command:?} changed the lobby");
                return Err(refusal);
            }
        };
        match outcome.state {
            After::Unchanged => {
                assert_eq!(self.table.lobby, before, "{command:?} said that nothing changed");
                assert_eq!(outcome.effects, [], "{command:?} said that nothing changed");
            }
            After::Changed => assert!(self.table.lobby.revision > before.revision),
            After::Gone(_) => self.gone = true,
        }
        for effect in &outcome.effects {
            self.sees(effect);
        }
        if self.gone {
            assert!(self.seated.is_empty(), "{:?} still sit in a lobby that is gone", self.seated);
            assert_eq!(self.pending, None, "nobody cancelled the match");
        } else {
            self.holds();
        }
        Ok(outcome.state)
    }

    fn sees(&mut self, effect: &Effect) {
        match effect {
            Effect::SeatTaken { player } => assert!(self.seated.insert(player.clone())),
            Effect::SeatFreed { player, .. } => {
                assert!(self.seated.remove(player), "{player} was let go twice");
                self.dropped.remove(player);
            }
            Effect::StartMatch(start) => {
                assert_eq!(self.pending, None, "a second server for one start");
                assert!(self.starts.insert(start.match_id.clone()));
                self.pending = Some(start.match_id.clone());
            }
            Effect::CancelMatch { match_id } => assert_eq!(self.pending.take().as_ref(), Some(match_id)),
            Effect::MatchStarted(started) => {
                assert_eq!(self.pending.take().as_ref(), Some(&started.id));
                let players: BTreeSet<_> =
                    started.players.iter().filter(|seat| !seat.bot).map(|seat| seat.player.clone()).collect();
                assert_eq!(players, self.seated, "the match has other players than its lobby");
            }
            Effect::JoinMatch { .. } | Effect::MatchEnded { .. } | Effect::Event(_) => {}
        }
    }

    /// What is always true of a lobby that lives.
    fn holds(&self) {
        let (lobby, rules) = (&self.table.lobby, &self.table.rules);
        let humans: Vec<_> = lobby.humans().collect();
        assert!(!humans.is_empty(), "a lobby for bots alone");
        let ids: BTreeSet<_> = humans.iter().map(|member| member.player.clone()).collect();
        assert_eq!(ids, self.seated, "a member was lost, or came from nowhere");
        let all: BTreeSet<_> = lobby.members.iter().map(|member| &member.player).collect();
        assert_eq!(all.len(), lobby.members.len(), "somebody is in it twice");

        let owners: Vec<_> = humans.iter().filter(|member| member.player == lobby.owner).collect();
        assert_eq!(owners.len(), 1, "the owner is no player in it");
        let anybody = humans.iter().any(|member| member.is_connected());
        assert!(owners[0].is_connected() || !anybody, "the owner is away while others are here");

        assert!(lobby.members.len() <= rules.members_max as usize, "over-filled");
        for team in [Team::A, Team::B] {
            let size = lobby.team_size(rules).unwrap_or(rules.members_max) as usize;
            assert!(lobby.count(team) <= size, "team {team:?} is over-filled");
        }
        for member in &lobby.members {
            assert!(!member.bot || (member.ready && member.is_connected()), "a bot is always ready");
            assert!(!member.ready || member.is_connected(), "ready and away");
            let term = self.dropped.get(&member.player).copied();
            assert_eq!(member.dropped_until, term, "the term of {}", member.player);
        }
        let pending = lobby.pending_start().map(|start| start.match_id);
        assert_eq!(pending, self.pending, "the pending start does not stand in the document");

        let text = serde_json::to_string(lobby).unwrap();
        assert_eq!(&serde_json::from_str::<Lobby>(&text).unwrap(), lobby);
    }

    fn happens(&mut self, happening: &Happening) {
        let now = self.table.now;
        let grace = self.table.rules.grace;
        let owner = self.table.lobby.owner.clone();
        let _ = match *happening {
            Happening::Join { who, team } => self.does(Command::Join {
                player: name(who),
                username: format!("Player {who}"),
                team,
                by_code: true,
                password_ok: true,
            }),
            Happening::Leave(who) => self.does(Command::Leave { player: name(who) }),
            Happening::Ready(who, ready) => self.does(Command::SetReady { player: name(who), ready }),
            Happening::AllReady => {
                for player in self.seated.clone() {
                    let _ = self.does(Command::SetReady { player, ready: true });
                }
                Ok(After::Unchanged)
            }
            Happening::Start(who) => self.does(Command::Start { player: name(who) }),
            Happening::OwnerStartsTwice => {
                let first = self.does(Command::Start { player: owner.clone() });
                let second = self.does(Command::Start { player: owner });
                assert!(first.is_err() || second == Err(Refusal::MatchStarting));
                second
            }
            Happening::Bots(who) => self.does(Command::FillBots { player: name(who) }),
            Happening::Kick(who, target) => {
                self.does(Command::Kick { player: name(who), target: name(target) })
            }
            Happening::KickBot(nth) => match self.bot(nth) {
                Some(target) => self.does(Command::Kick { player: owner, target }),
                None => Ok(After::Unchanged),
            },
            Happening::ChangeTeam(who, team) => self.does(Command::ChangeTeam { player: name(who), team }),
            Happening::Transfer(who, target) => {
                self.does(Command::Transfer { player: name(who), target: name(target) })
            }
            Happening::TransferToBot(nth) => match self.bot(nth) {
                Some(target) => self.does(Command::Transfer { player: owner, target }),
                None => Ok(After::Unchanged),
            },
            Happening::TeamSize(who, size) => {
                let changes = Changes { team_size: Some(size), ..Changes::default() };
                self.does(Command::Settings { player: name(who), changes })
            }
            Happening::Connected(who) => {
                if !self.gone {
                    self.dropped.remove(&name(who));
                }
                self.does(Command::Connected { player: name(who) })
            }
            Happening::Dropped(who) => {
                let player = name(who);
                if self.seated.contains(&player) {
                    self.dropped.entry(player.clone()).or_insert_with(|| now.after(grace));
                }
                self.does(Command::Dropped { player })
            }
            Happening::DropAll => {
                for player in &self.seated {
                    self.dropped.insert(player.clone(), now.after(grace));
                }
                self.does(Command::DropAll)
            }
            Happening::Pass { seconds } => self.pass(seconds),
            Happening::Succeed => match self.pending.clone() {
                Some(match_id) => self.does(Command::AllocationSucceeded { match_id, place: place() }),
                None => Ok(After::Unchanged),
            },
            Happening::Fail => match self.pending.take() {
                Some(match_id) => self.does(Command::AllocationFailed { match_id }),
                None => Ok(After::Unchanged),
            },
            Happening::End => match self.table.lobby.match_id().cloned() {
                Some(match_id) => self.does(Command::MatchEnded { match_id }),
                None => Ok(After::Unchanged),
            },
        };
    }

    fn bot(&self, nth: u8) -> Option<PlayerId> {
        let mut bots = self.table.lobby.members.iter().filter(|member| member.bot);
        bots.nth(nth.into()).map(|bot| bot.player.clone())
    }

    fn pass(&mut self, seconds: u8) -> Result<After, Refusal> {
        self.table.now = self.table.now.after(std::time::Duration::from_secs(seconds.into()));
        let now = self.table.now;
        let state = self.does(Command::Deadline)?;
        if !self.gone {
            let next = self.table.lobby.next_deadline();
            assert!(next.is_none_or(|at| at > now), "a deadline lies behind the sweep");
        }
        assert!(self.dropped.values().all(|until| *until > now), "a drop outlived its deadline");
        Ok(state)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_breaks_a_lobby(
        rules in rules(),
        keep in any::<bool>(),
        happenings in prop::collection::vec(happening(), 1..120),
    ) {
        let new = NewLobby { owner: name(0), keep, ..new_lobby() };
        let mut witness = Witness {
            table: Table::new(new, rules),
            seated: [name(0)].into(),
            dropped: BTreeMap::new(),
            starts: BTreeSet::new(),
            pending: None,
            gone: false,
        };
        witness.holds();
        for happening in &happenings {
            witness.happens(happening);
            if witness.gone {
                break;
            }
        }
    }

    #[test]
    fn a_lobby_without_sockets_is_gone_when_its_terms_are_over(
        rules in rules(),
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let new = NewLobby { owner: name(0), keep: true, ..new_lobby() };
        let mut witness = Witness {
            table: Table::new(new, rules),
            seated: [name(0)].into(),
            dropped: BTreeMap::new(),
            starts: BTreeSet::new(),
            pending: None,
            gone: false,
        };
        for happening in &happenings {
            witness.happens(happening);
        }
        for who in 0..PLAYERS {
            witness.happens(&Happening::Dropped(who));
        }
        let _ = witness.pass(30);
        prop_assert!(witness.gone);
    }
}

/// The properties above count only if a broken lobby is noticed: each of these is.
#[test]
fn each_planted_fault_is_noticed() {
    type Fault = (&'static str, fn(&mut Witness));
    let faults: [Fault; 13] = [
        ("a member is lost", |w| drop(w.table.lobby.members.remove(1))),
        ("a member comes from nowhere", |w| {
            let eve = Member { player: player("eve"), ..w.table.lobby.members[0].clone() };
            w.table.lobby.members.push(eve);
        }),
        ("a member is in it twice", |w| w.table.lobby.members.push(w.table.lobby.members[0].clone())),
        ("the owner is no member", |w| w.table.lobby.owner = player("eve")),
        ("the owner is a bot", |w| {
            let bots = w.table.lobby.members.iter().find(|member| member.bot);
            w.table.lobby.owner = bots.unwrap().player.clone();
        }),
        ("the owner is away", |w| {
            let until = w.table.now.after(w.table.rules.grace);
            w.table.lobby.members[0].dropped_until = Some(until);
            w.dropped.insert(name(0), until);
        }),
        ("bots alone", |w| {
            w.table.lobby.members.retain(|member| member.bot);
            w.seated.clear();
        }),
        ("a team is over-filled", |w| {
            for member in &mut w.table.lobby.members {
                member.team = Team::A;
            }
        }),
        ("the lobby is over-filled", |w| w.table.rules.members_max = 3),
        ("ready and away", |w| {
            let until = w.table.now.after(w.table.rules.grace);
            w.table.lobby.members[1].dropped_until = Some(until);
            w.table.lobby.members[1].ready = true;
            w.dropped.insert(name(1), until);
        }),
        ("a bot is not ready", |w| {
            let bots = w.table.lobby.members.iter_mut().filter(|member| member.bot);
            bots.for_each(|bot| bot.ready = false);
        }),
        ("a drop is forgotten", |w| {
            w.dropped.insert(name(1), w.table.now);
        }),
        ("the pending start is forgotten", |w| {
            w.pending = Some(MatchId::new("m1").unwrap());
        }),
    ];
    for (what, plant) in faults {
        let rules = LobbySettings { team_size: Some(2), members_max: 4, ..LobbySettings::default() };
        let mut witness = Witness {
            table: Table::new(NewLobby { owner: name(0), ..new_lobby() }, rules),
            seated: [name(0)].into(),
            dropped: BTreeMap::new(),
            starts: BTreeSet::new(),
            pending: None,
            gone: false,
        };
        witness.happens(&Happening::Join { who: 1, team: None });
        witness.happens(&Happening::Bots(0));
        witness.holds();
        plant(&mut witness);
        let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| witness.holds()));
        assert!(noticed.is_err(), "nobody noticed: {what}");
    }
}
