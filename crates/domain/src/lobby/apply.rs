use greenroom_protocol::{
    MatchId, PlayerId, Timestamp,
    lobby::{MatchMember, Team},
};
use rand::Rng;
use serde_json::json;

use super::{
    After, BOT_TEAM_SIZE, Changes, Command, Effect, FreedReason, GoneReason, Lobby, Member, Outcome,
    PasswordChange, Phase, Refusal, StartMatch, create::own_team_size,
};
use crate::{
    ids,
    matches::{Match, MatchPlace, MatchPlayer, MatchState, Roster},
    settings::LobbySettings,
    text,
};

/// Applies one command. A refused one leaves the lobby as it was, and one that changes nothing says
/// so. Once the lobby is gone, nothing more may be applied to it.
pub fn apply(
    lobby: &mut Lobby,
    command: Command,
    now: Timestamp,
    rules: &LobbySettings,
    rng: &mut impl Rng,
) -> Result<Outcome, Refusal> {
    match command {
        Command::Join { player, username, team, by_code, password_ok } => {
            if lobby.is_private && !by_code {
                return Err(Refusal::LobbyPrivate);
            }
            join(lobby, player, username, team, password_ok, now, rules)
        }
        Command::Leave { player } => {
            lobby.member(&player).ok_or(Refusal::NotInLobby)?;
            Ok(remove(lobby, &[player], FreedReason::Left))
        }
        Command::SetReady { player, ready } => set_ready(lobby, &player, ready),
        Command::Start { player } => start(lobby, &player, now, rng),
        Command::FillBots { player } => fill_bots(lobby, &player, now, rules, rng),
        Command::Kick { player, target } => kick(lobby, &player, target),
        Command::ChangeTeam { player, team } => change_team(lobby, &player, team, rules),
        Command::Transfer { player, target } => transfer(lobby, &player, &target),
        Command::Settings { player, changes } => change_settings(lobby, &player, changes, rules),
        Command::Connected { player } => connected(lobby, &player),
        Command::Dropped { player } => dropped(lobby, &player, now, rules),
        Command::DropAll => Ok(drop_all(lobby, now, rules)),
        Command::Deadline => Ok(deadline(lobby, now)),
        Command::AllocationSucceeded { match_id, place } => {
            allocation_succeeded(lobby, &match_id, place, now, rules)
        }
        Command::AllocationFailed { match_id } => allocation_failed(lobby, &match_id),
        Command::MatchEnded { match_id } => Ok(match_ended(lobby, &match_id)),
        Command::Close => Ok(close(lobby)),
    }
}

fn join(
    lobby: &mut Lobby,
    player: PlayerId,
    username: String,
    team: Option<Team>,
    password_ok: bool,
    now: Timestamp,
    rules: &LobbySettings,
) -> Result<Outcome, Refusal> {
    if lobby.member(&player).is_some() {
        return Err(Refusal::AlreadyInLobby);
    }
    if lobby.password_hash.is_some() && !password_ok {
        return Err(Refusal::WrongPassword);
    }
    refuse_while_starting(lobby)?;
    if lobby.members.len() >= rules.members_max as usize {
        return Err(Refusal::LobbyFull);
    }
    let team = team.unwrap_or_else(|| smaller_team(lobby));
    refuse_full_team(lobby, team, rules)?;

    let mut effects = vec![Effect::SeatTaken { player: player.clone() }];
    if let Phase::Playing { match_id, .. } = &lobby.phase {
        effects.push(Effect::JoinMatch {
            match_id: match_id.clone(),
            player: player.clone(),
            username: username.clone(),
            team,
        });
    }
    let joined_at = now;
    lobby.members.push(Member {
        player,
        username,
        team,
        ready: false,
        bot: false,
        joined_at,
        dropped_until: None,
    });
    settle_owner(lobby);
    Ok(changed(lobby, effects))
}

fn set_ready(lobby: &mut Lobby, player: &PlayerId, ready: bool) -> Result<Outcome, Refusal> {
    let place = position(lobby, player)?;
    refuse_unless_waiting(lobby)?;
    let member = &mut lobby.members[place];
    if !member.is_connected() {
        return Err(Refusal::NotConnected);
    }
    if member.ready == ready {
        return Ok(UNCHANGED);
    }
    member.ready = ready;
    Ok(changed(lobby, vec![]))
}

fn start(
    lobby: &mut Lobby,
    player: &PlayerId,
    now: Timestamp,
    rng: &mut impl Rng,
) -> Result<Outcome, Refusal> {
    refuse_unless_owner(lobby, player, Refusal::OwnerStarts)?;
    refuse_unless_waiting(lobby)?;
    // Members that are not connected are never ready, so a dropped one holds up the start.
    if lobby.humans().any(|member| !member.ready) {
        return Err(Refusal::NotAllReady);
    }
    let match_id = ids::match_id(now, rng);
    let roster = roster(lobby);
    lobby.phase = Phase::Starting { match_id: match_id.clone(), since: now, roster: roster.clone() };
    Ok(changed(lobby, vec![Effect::StartMatch(StartMatch { match_id, roster })]))
}

fn fill_bots(
    lobby: &mut Lobby,
    player: &PlayerId,
    now: Timestamp,
    rules: &LobbySettings,
    rng: &mut impl Rng,
) -> Result<Outcome, Refusal> {
    refuse_unless_owner(lobby, player, Refusal::OwnerAddsBots)?;
    refuse_unless_waiting(lobby)?;
    let size = lobby.team_size(rules).unwrap_or(BOT_TEAM_SIZE) as usize;
    let before = lobby.members.len();
    // The smaller team first, so that the lobby's bound leaves the teams even.
    while lobby.members.len() < rules.members_max as usize && lobby.count(smaller_team(lobby)) < size {
        let bot = Member {
            player: ids::bot_id(rng),
            username: bot_name(lobby),
            team: smaller_team(lobby),
            ready: true,
            bot: true,
            joined_at: now,
            dropped_until: None,
        };
        lobby.members.push(bot);
    }
    Ok(if lobby.members.len() == before { UNCHANGED } else { changed(lobby, vec![]) })
}

fn kick(lobby: &mut Lobby, player: &PlayerId, target: PlayerId) -> Result<Outcome, Refusal> {
    refuse_unless_owner(lobby, player, Refusal::OwnerKicks)?;
    if player == &target {
        return Err(Refusal::KickSelf);
    }
    lobby.member(&target).ok_or(Refusal::NoSuchMember)?;
    refuse_while_starting(lobby)?;
    Ok(remove(lobby, &[target], FreedReason::Kicked))
}

fn change_team(
    lobby: &mut Lobby,
    player: &PlayerId,
    team: Team,
    rules: &LobbySettings,
) -> Result<Outcome, Refusal> {
    let place = position(lobby, player)?;
    refuse_unless_waiting(lobby)?;
    if lobby.members[place].team == team {
        return Ok(UNCHANGED);
    }
    refuse_full_team(lobby, team, rules)?;
    lobby.members[place].team = team;
    Ok(changed(lobby, vec![]))
}

fn transfer(lobby: &mut Lobby, player: &PlayerId, target: &PlayerId) -> Result<Outcome, Refusal> {
    refuse_unless_owner(lobby, player, Refusal::OwnerTransfers)?;
    let heir = lobby.member(target).ok_or(Refusal::NoSuchMember)?;
    if heir.bot {
        return Err(Refusal::BotOwner);
    }
    if !heir.is_connected() {
        return Err(Refusal::NotConnected);
    }
    if player == target {
        return Ok(UNCHANGED);
    }
    lobby.owner = target.clone();
    lobby.owner_before = None;
    Ok(changed(lobby, vec![]))
}

fn change_settings(
    lobby: &mut Lobby,
    player: &PlayerId,
    changes: Changes,
    rules: &LobbySettings,
) -> Result<Outcome, Refusal> {
    refuse_unless_owner(lobby, player, Refusal::OwnerSets)?;
    refuse_while_starting(lobby)?;
    if let Some(size) = changes.team_size {
        let own = own_team_size(size, rules)?;
        let largest = lobby.count(Team::A).max(lobby.count(Team::B));
        if own.or(rules.team_size).is_some_and(|size| largest > size as usize) {
            return Err(Refusal::TeamSizeTooSmall);
        }
        lobby.team_size = own;
    }
    if let Some(name) = changes.name {
        lobby.name = text::lobby_name(&name);
    }
    if let Some(map) = changes.map {
        lobby.map = text::label(&map);
    }
    if let Some(mode) = changes.mode {
        lobby.mode = text::label(&mode);
    }
    if let Some(is_private) = changes.is_private {
        lobby.is_private = is_private;
    }
    match changes.password {
        PasswordChange::Keep => {}
        PasswordChange::Remove => lobby.password_hash = None,
        PasswordChange::Set(hash) => lobby.password_hash = Some(hash),
    }
    Ok(changed(lobby, vec![]))
}

fn connected(lobby: &mut Lobby, player: &PlayerId) -> Result<Outcome, Refusal> {
    let place = position(lobby, player)?;
    if lobby.members[place].dropped_until.take().is_none() {
        return Ok(UNCHANGED);
    }
    if lobby.owner_before.as_ref() == Some(player) {
        lobby.owner = player.clone();
        lobby.owner_before = None;
    }
    settle_owner(lobby);
    Ok(changed(lobby, vec![]))
}

fn dropped(
    lobby: &mut Lobby,
    player: &PlayerId,
    now: Timestamp,
    rules: &LobbySettings,
) -> Result<Outcome, Refusal> {
    let place = position(lobby, player)?;
    let member = &mut lobby.members[place];
    // A bot has no socket that could close, and a running term is not made longer.
    if member.bot || !member.is_connected() {
        return Ok(UNCHANGED);
    }
    member.dropped_until = Some(now.after(rules.grace));
    member.ready = false;
    settle_owner(lobby);
    Ok(changed(lobby, vec![]))
}

fn drop_all(lobby: &mut Lobby, now: Timestamp, rules: &LobbySettings) -> Outcome {
    // Whoever returns first must own the lobby, but our stall is no reason to lose it for good.
    if lobby.member(&lobby.owner).is_some_and(Member::is_connected) {
        lobby.owner_before = Some(lobby.owner.clone());
    }
    for member in lobby.members.iter_mut().filter(|member| !member.bot) {
        member.dropped_until = Some(now.after(rules.grace));
        member.ready = false;
    }
    changed(lobby, vec![])
}

fn deadline(lobby: &mut Lobby, now: Timestamp) -> Outcome {
    let mut effects = vec![];
    let mut state = After::Unchanged;
    if let Phase::Playing { match_id, until } = &lobby.phase
        && *until <= now
    {
        let match_id = match_id.clone();
        let ended = match_ended(lobby, &match_id);
        effects.extend(ended.effects);
        state = ended.state;
    }
    let due = |member: &&Member| member.dropped_until.is_some_and(|until| until <= now);
    let gone: Vec<_> = lobby.members.iter().filter(due).map(|member| member.player.clone()).collect();
    if !gone.is_empty() {
        let removed = remove(lobby, &gone, FreedReason::GraceOver);
        effects.extend(removed.effects);
        state = removed.state;
    }
    Outcome { state, effects }
}

fn allocation_succeeded(
    lobby: &mut Lobby,
    match_id: &MatchId,
    place: MatchPlace,
    now: Timestamp,
    rules: &LobbySettings,
) -> Result<Outcome, Refusal> {
    let roster = match &lobby.phase {
        Phase::Starting { match_id: starting, roster, .. } if starting == match_id => roster,
        // It was done already: the executor may repeat itself.
        Phase::Playing { match_id: playing, .. } if playing == match_id => return Ok(UNCHANGED),
        _ => return Err(Refusal::MatchOver),
    };
    // Who left since the start has no seat, though the server was told of it.
    let seats = roster.players.iter().filter_map(|player| lobby.member(player));
    let players: Vec<_> = seats
        .zip(0..)
        .map(|(member, seat)| MatchPlayer {
            player: member.player.clone(),
            username: member.username.clone(),
            team: member.team,
            seat,
            bot: member.bot,
        })
        .collect();
    let keep_until = now.after(rules.match_max);
    let started = Match {
        id: match_id.clone(),
        game: lobby.game.clone(),
        lobby: lobby.id.clone(),
        next_seat: players.len() as u32,
        players,
        started_at: now,
        server: place,
        state: MatchState::Playing,
        generation: 1,
        keep_until,
    };
    let event = Effect::Event(super::Event {
        id: format!("{match_id}.started"),
        subject: format!("v1.{}.matches.{match_id}.events.started", lobby.game),
        data: json!({
            "lobby": lobby.id,
            "server": started.server.id,
            "players": started.players.iter().map(|seated| json!({
                "id": seated.player, "username": seated.username, "team": seated.team, "bot": seated.bot,
            })).collect::<Vec<_>>(),
        }),
    });
    let effects = vec![Effect::MatchStarted(Box::new(started)), event];
    if lobby.keep {
        lobby.phase = Phase::Playing { match_id: match_id.clone(), until: keep_until };
        return Ok(changed(lobby, effects));
    }
    Ok(gone(lobby, GoneReason::Started, FreedReason::Started, effects))
}

fn allocation_failed(lobby: &mut Lobby, match_id: &MatchId) -> Result<Outcome, Refusal> {
    match &lobby.phase {
        Phase::Starting { match_id: starting, .. } if starting == match_id => {
            lobby.phase = Phase::Waiting;
            Ok(changed(lobby, vec![]))
        }
        _ => Err(Refusal::MatchOver),
    }
}

fn match_ended(lobby: &mut Lobby, match_id: &MatchId) -> Outcome {
    match &lobby.phase {
        Phase::Playing { match_id: playing, .. } if playing == match_id => {}
        _ => return UNCHANGED,
    }
    lobby.phase = Phase::Waiting;
    for member in &mut lobby.members {
        member.ready = member.bot;
    }
    changed(lobby, vec![Effect::MatchEnded { match_id: match_id.clone() }])
}

fn close(lobby: &mut Lobby) -> Outcome {
    gone(lobby, GoneReason::Closed, FreedReason::Closed, vec![])
}

/// Takes members out; with the last player the lobby goes.
fn remove(lobby: &mut Lobby, players: &[PlayerId], why: FreedReason) -> Outcome {
    let freed = |member: &&Member| players.contains(&member.player) && !member.bot;
    let effects: Vec<_> = lobby
        .members
        .iter()
        .filter(freed)
        .map(|member| Effect::SeatFreed { player: member.player.clone(), why })
        .collect();
    lobby.members.retain(|member| !players.contains(&member.player));
    if lobby.humans().next().is_none() {
        return gone(lobby, GoneReason::Empty, why, effects);
    }
    if lobby.owner_before.as_ref().is_some_and(|before| players.contains(before)) {
        lobby.owner_before = None;
    }
    settle_owner(lobby);
    changed(lobby, effects)
}

/// The end of a lobby: whoever is still in it is let go.
fn gone(lobby: &mut Lobby, reason: GoneReason, why: FreedReason, mut effects: Vec<Effect>) -> Outcome {
    lobby.revision += 1;
    effects.extend(lobby.humans().map(|member| Effect::SeatFreed { player: member.player.clone(), why }));
    if reason != GoneReason::Started
        && let Phase::Starting { match_id, .. } = &lobby.phase
    {
        effects.push(Effect::CancelMatch { match_id: match_id.clone() });
    }
    effects.push(lobby.event("closed", json!({ "reason": reason.as_str() })));
    Outcome { state: After::Gone(reason), effects }
}

/// Sees to it that the owner is a member, and connected if any player is: else the longest-present
/// connected player becomes it, else the longest-present one.
fn settle_owner(lobby: &mut Lobby) {
    let present = lobby.member(&lobby.owner);
    if present.is_some_and(Member::is_connected) {
        return;
    }
    let connected = lobby.humans().find(|member| member.is_connected());
    let heir = connected.or(present).or_else(|| lobby.humans().next());
    if let Some(heir) = heir.map(|member| member.player.clone()) {
        lobby.owner = heir;
    }
}

const UNCHANGED: Outcome = Outcome { state: After::Unchanged, effects: vec![] };

fn changed(lobby: &mut Lobby, effects: Vec<Effect>) -> Outcome {
    lobby.revision += 1;
    Outcome { state: After::Changed, effects }
}

fn position(lobby: &Lobby, player: &PlayerId) -> Result<usize, Refusal> {
    lobby.members.iter().position(|member| &member.player == player).ok_or(Refusal::NotInLobby)
}

fn refuse_unless_owner(lobby: &Lobby, player: &PlayerId, refusal: Refusal) -> Result<(), Refusal> {
    position(lobby, player)?;
    if &lobby.owner == player { Ok(()) } else { Err(refusal) }
}

fn refuse_while_starting(lobby: &Lobby) -> Result<(), Refusal> {
    match lobby.phase {
        Phase::Starting { .. } => Err(Refusal::MatchStarting),
        Phase::Waiting | Phase::Playing { .. } => Ok(()),
    }
}

fn refuse_unless_waiting(lobby: &Lobby) -> Result<(), Refusal> {
    match lobby.phase {
        Phase::Waiting => Ok(()),
        Phase::Starting { .. } => Err(Refusal::MatchStarting),
        Phase::Playing { .. } => Err(Refusal::MatchRunning),
    }
}

fn refuse_full_team(lobby: &Lobby, team: Team, rules: &LobbySettings) -> Result<(), Refusal> {
    let is_full = lobby.team_size(rules).is_some_and(|size| lobby.count(team) >= size as usize);
    if is_full { Err(Refusal::TeamFull) } else { Ok(()) }
}

/// The team with fewer members, A on a tie.
fn smaller_team(lobby: &Lobby) -> Team {
    if lobby.count(Team::B) < lobby.count(Team::A) { Team::B } else { Team::A }
}

/// `Bot <n>` with the smallest number that no bot here has.
fn bot_name(lobby: &Lobby) -> String {
    let taken = |name: &String| lobby.members.iter().any(|member| member.bot && &member.username == name);
    let mut names = (1_u32..).map(|n| format!("Bot {n}"));
    names.find(|name| !taken(name)).expect("a lobby has a bound")
}

fn roster(lobby: &Lobby) -> Roster {
    let team = |team| {
        let members = lobby.members.iter().filter(move |member| member.team == team);
        let member = |member: &Member| MatchMember {
            account_id: member.player.clone(),
            username: member.username.clone(),
        };
        members.map(member).collect()
    };
    Roster::new(team(Team::A), team(Team::B))
}
