use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{commands::top::state::Sort, screen::Key};

fn server(id: &str, state: &str, game: &str, created_at: u64) -> Value {
    json!({ "id": id, "name": format!("n-{id}"), "game": game, "state": state, "address": "192.0.2.1", "port": 7000,
            "createdAt": created_at })
}

fn overview(allocations: u64, servers: &[Value]) -> Overview {
    serde_json::from_value(json!({
        "version": "1.2.3", "at": 0, "players": 12, "sockets": 14, "lobbies": 3, "allocations": allocations,
        "games": [{ "id": "chess", "studio": "demo", "servers": { "ready": 2, "allocated": 1 }, "runningMax": 20 }],
        "hosts": [
            { "id": "local", "provider": "process", "state": "up", "since": 0, "servers": 3, "serversMax": 10,
              "address": "127.0.0.1", "cpuMillicores": 1500, "memoryBytes": 1_073_741_824_u64 },
            { "id": "far", "provider": "docker", "state": "lost", "since": 0, "reason": "it does not answer",
              "servers": 0, "address": "192.0.2.7" },
        ],
        "servers": servers,
    }))
    .unwrap()
}

fn state(servers: &[Value]) -> State {
    let mut state = State::new("http://127.0.0.1:4700");
    state.saw(overview(0, servers), Duration::ZERO);
    state
}

fn painted(state: &mut State, columns: usize, rows: usize) -> Vec<String> {
    lines(state, columns, rows).iter().map(Line::text).collect()
}

fn ids(state: &State) -> Vec<&str> {
    state.servers().iter().map(|server| server.id.as_str()).collect()
}

#[test]
fn everything_has_its_place() {
    let mut state = state(&[server("s1", "ready", "chess", 1)]);
    state.saw(overview(5, &[server("s1", "ready", "chess", 1)]), Duration::from_secs(2));
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/x", "type": "ended", "subject": "v1.chess.servers.s1.events.ended",
                        "time": "2026-01-01T10:11:12.000Z", "data": { "crashed": true } });
    state.happened(serde_json::from_value(event).unwrap());
    let shown = painted(&mut state, 120, 30);
    assert_eq!(shown.len(), 30);
    let text = shown.join("\n");
    for part in [
        "Greenroom 1.2.3  http://127.0.0.1:4700",
        "players 12 (14 sockets)   lobbies 3   servers 3 (2 ready, 1 allocated)   allocations 2.5/s (5 in all)",
        "local               up      3/10        1.50      1.0 GiB",
        "it does not answer",
        "chess               demo            0         2         1         0         20",
        "s1                                    ready       chess           192.0.2.1:7000",
        "10:11:12  v1.chess.servers.s1.events.ended  {\"crashed\":true}",
        "q ends",
    ] {
        assert!(text.contains(part), "{part:?} is not shown:\n{text}");
    }
    state.problem = Some("nobody answers".into());
    assert!(painted(&mut state, 120, 30)[0].contains("as it was last seen: nobody answers"));
}

#[test]
fn a_small_terminal_is_filled_and_not_more() {
    let servers: Vec<_> = (0..50).map(|n| server(&format!("s{n}"), "ready", "chess", n)).collect();
    let mut state = state(&servers);
    for rows in 13..60 {
        assert_eq!(painted(&mut state, 20, rows).len(), rows);
    }
}

#[test]
fn keys_choose_sort_filter_and_end() {
    let mut state = state(&[
        server("old", "allocated", "chess", 1),
        server("mid", "ready", "arena", 2),
        server("new", "starting", "chess", 3),
    ]);
    assert_eq!(ids(&state), ["new", "mid", "old"]);
    let sorted = [Sort::Oldest, Sort::State, Sort::Game, Sort::Name, Sort::Newest].map(|sort| {
        state.typed(Key::Char('s'));
        assert_eq!(state.sort, sort);
        ids(&state).join(" ")
    });
    assert_eq!(sorted, ["old mid new", "new mid old", "mid new old", "mid new old", "new mid old"]);
    state.typed(Key::Down);
    state.typed(Key::End);
    assert_eq!(state.chosen, 2);
    state.typed(Key::Down);
    assert_eq!(state.chosen, 2, "there is none below the last");
    for key in
        [Key::Char('/'), Key::Char('A'), Key::Char('r'), Key::Char('e'), Key::Char('x'), Key::Backspace]
    {
        assert!(!state.typed(key));
    }
    assert_eq!((ids(&state), state.chosen), (vec!["mid"], 0), "the game is arena");
    assert!(!state.typed(Key::Char('q')), "it belongs to the filter");
    assert_eq!(ids(&state), Vec::<&str>::new());
    state.typed(Key::Escape);
    assert_eq!(ids(&state).len(), 3);
    assert!(state.typed(Key::Char('q')) && state.typed(Key::Interrupt));
}

#[test]
fn the_chosen_server_is_always_seen() {
    let servers: Vec<_> = (0..50).map(|n| server(&format!("s{n:02}"), "ready", "chess", n)).collect();
    let mut state = state(&servers);
    for _ in 0..49 {
        state.typed(Key::Down);
        let id = state.servers()[state.chosen].id.to_string();
        assert!(painted(&mut state, 120, 30).iter().any(|line| line.starts_with(&id)), "{id}");
    }
}

#[test]
fn a_greenroom_that_was_started_anew_counts_anew() {
    let mut state = state(&[]);
    state.saw(overview(100, &[]), Duration::from_secs(1));
    state.saw(overview(1, &[]), Duration::from_secs(2));
    assert!(state.allocations_per_second().abs() < f64::EPSILON);
    state.saw(overview(3, &[]), Duration::from_secs(3));
    assert!((state.allocations_per_second() - 2.0).abs() < f64::EPSILON);
}
