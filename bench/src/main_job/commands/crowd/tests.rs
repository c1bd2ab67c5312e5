use super::*;

fn updated(ready: bool, team: &str) -> String {
    let member = format!(r#"{{"accountId":"a","username":"A","ready":{ready},"connected":true}}"#);
    let (a, b) = if team == "A" { (member.as_str(), "") } else { ("", member.as_str()) };
    format!(r#"{{"type":"lobby:updated","lobby":{{"id":"l","teamA":[{a}],"teamB":[{b}],"ownerId":"a"}}}}"#)
}

/// One player, whose id is `a`, in team A and not ready.
fn state() -> State {
    let account =
        greenroom_protocol::auth::Account { id: "a".parse().unwrap(), username: "A".into(), discord: None };
    let signed_in = greenroom_protocol::auth::SignedIn {
        access_token: String::new(),
        account,
        refresh_token: None,
        expires_at: None,
        refresh_expires_at: None,
    };
    let member = Member::of(&signed_in, &updated(false, "A")).unwrap();
    State { players: vec![Player { member, under_way: None }], busy: 0, chats: Vec::new() }
}

fn told(state: &mut State, frame: &str, heard: &mut Latency) -> Option<Duration> {
    state.told(0, frame, Duration::from_millis(9), heard, Duration::ZERO)
}

/// Draws commands until one is `wanted`.
fn command(state: &mut State, wanted: &str) {
    let mut random = SmallRng::seed_from_u64(1);
    loop {
        let command = state.command(0, Duration::from_millis(4), &mut random);
        if command.contains(wanted) {
            return;
        }
        state.players[0].under_way = None;
        state.busy = 0;
        state.chats.clear();
    }
}

#[test]
fn a_command_is_done_when_its_effect_is_seen_and_not_before() {
    let (mut state, mut heard) = (state(), Latency::new().unwrap());
    command(&mut state, "lobby:ready");
    assert_eq!(told(&mut state, &updated(false, "A"), &mut heard), None);
    assert_eq!(told(&mut state, &updated(true, "B"), &mut heard), None);
    assert_eq!(state.busy, 1);
    assert_eq!(told(&mut state, &updated(true, "A"), &mut heard), Some(Duration::from_millis(4)));
    assert_eq!(state.busy, 0);
    assert_eq!(told(&mut state, &updated(true, "A"), &mut heard), None);

    command(&mut state, "lobby:team");
    assert_eq!(told(&mut state, &updated(true, "A"), &mut heard), None);
    assert!(told(&mut state, &updated(true, "B"), &mut heard).is_some());
    assert_eq!(heard.count(), 0);
}

#[test]
fn own_words_are_told_from_those_of_others() {
    let (mut state, mut heard) = (state(), Latency::new().unwrap());
    command(&mut state, "lobby:chat");
    state.chats.push(Duration::from_millis(2));
    let chat = |number: usize| format!(r#"{{"type":"lobby:chat","accountId":"b","text":"{number}"}}"#);
    assert_eq!(told(&mut state, &chat(1), &mut heard), None);
    assert_eq!(heard.count(), 1);
    assert!((heard.max_ms() - 7.0).abs() < 0.1);
    assert_eq!(told(&mut state, &chat(0), &mut heard), Some(Duration::from_millis(4)));
    assert_eq!(heard.count(), 1);
}

#[test]
fn nobody_is_given_a_second_command() {
    let mut state = state();
    let mut random = SmallRng::seed_from_u64(1);
    assert_eq!(state.free(&mut random), Some(0));
    command(&mut state, "lobby:ready");
    assert_eq!(state.free(&mut random), None);
}
