use proptest::prelude::*;

use super::*;

fn settings(seed: u64, a: usize, b: usize) -> Settings {
    let mut seats = vec![Team::A; a];
    seats.extend(vec![Team::B; b]);
    Settings { seed, seats, match_ticks: 600, score_limit: 30 }
}

/// Inputs as a hostile client might send them, after the wire's own checks were skipped.
fn any_input() -> impl Strategy<Value = Input> {
    let number = prop_oneof![
        8 => -1.5f32..1.5,
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
        1 => any::<f32>(),
    ];
    (number.clone(), number.clone(), number, any::<bool>(), any::<bool>())
        .prop_map(|(x, y, aim, fire, dash)| Input { direction: Vec2::new(x, y), aim, fire, dash })
}

fn assert_sound(world: &World) {
    for player in &world.players {
        let Vec2 { x, y } = player.position;
        assert!((PLAYER_RADIUS..=world.map.width - PLAYER_RADIUS).contains(&x), "x is {x}");
        assert!((PLAYER_RADIUS..=world.map.height - PLAYER_RADIUS).contains(&y), "y is {y}");
        assert!((0..=HEALTH_MAX).contains(&player.health));
        assert_eq!(player.health == 0, !player.is_alive());
        for rect in world.map.obstacles {
            let depth = PLAYER_RADIUS - rect.nearest(player.position).distance(player.position);
            assert!(depth < 0.5, "{depth} deep inside an obstacle of {}", world.map.name);
        }
    }
    assert!(world.shots.len() <= SHOTS_MAX);
    for shot in &world.shots {
        assert!((0.0..=world.map.width).contains(&shot.position.x));
        assert!((0.0..=world.map.height).contains(&shot.position.y));
    }
    assert!((-1.0..=1.0).contains(&world.zone.progress));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_players_do_the_world_stays_sound(
        seed in any::<u64>(),
        a in 1usize..=TEAM_SIZE_MAX,
        b in 0usize..=TEAM_SIZE_MAX,
        choices in prop::collection::vec(any_input(), 1..64),
    ) {
        let mut world = World::new(&settings(seed, a, b));
        let mut scores = world.scores;
        for tick in 0..700usize {
            // Each choice is held for a while, so that players get somewhere.
            let inputs: Vec<Input> = (0..a + b)
                .map(|seat| choices[(seat * 7 + tick / 12) % choices.len()])
                .collect();
            world.step(&inputs);
            assert_sound(&world);
            prop_assert!(world.scores[0] >= scores[0] && world.scores[1] >= scores[1]);
            scores = world.scores;
        }
        prop_assert!(world.outcome.is_some(), "600 steps are over and so is the match");
        prop_assert_eq!(world.tick.min(600), world.tick);
    }

    #[test]
    fn the_same_seed_and_inputs_go_the_same_way(
        seed in any::<u64>(),
        choices in prop::collection::vec(any_input(), 1..32),
    ) {
        let run = || {
            let mut world = World::new(&settings(seed, 4, 4));
            for tick in 0..300usize {
                let inputs: Vec<Input> =
                    (0..8).map(|seat| choices[(seat * 3 + tick / 9) % choices.len()]).collect();
                world.step(&inputs);
            }
            format!("{world:?}")
        };
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn every_map_is_the_same_from_both_sides() {
    for map in map::MAPS {
        let turned = |at: Vec2| Vec2::new(map.width - at.x, map.height - at.y);
        for rect in map.obstacles {
            let corner = turned(Vec2::new(rect.x + rect.width, rect.y + rect.height));
            let twin = Rect::new(corner.x, corner.y, rect.width, rect.height);
            assert!(map.obstacles.contains(&twin), "{}: {rect:?} has no twin", map.name);
        }
        for pickup in map.pickups {
            let twin = map.pickups.iter().find(|other| other.at == turned(pickup.at));
            assert_eq!(twin.map(|twin| twin.kind), Some(pickup.kind), "{}", map.name);
        }
    }
}

#[test]
fn nothing_that_players_must_reach_is_blocked() {
    for map in map::MAPS {
        let spots = (map.spawns.iter().copied())
            .chain(map.pickups.iter().map(|pickup| pickup.at))
            .chain(map.zones.iter().copied());
        for spot in spots {
            for rect in map.obstacles {
                let distance = rect.nearest(spot).distance(spot);
                assert!(distance > PLAYER_RADIUS + 4.0, "{}: {spot:?} is at {rect:?}", map.name);
            }
        }
    }
}

fn duel() -> World {
    let mut world = World::new(&settings(1, 1, 1));
    // A free line: both on the left edge, above each other.
    world.players[0].position = Vec2::new(100.0, 400.0);
    world.players[1].position = Vec2::new(100.0, 700.0);
    world
}

fn shooting_down() -> [Input; 2] {
    let shooter = Input { aim: std::f32::consts::FRAC_PI_2, fire: true, ..Input::default() };
    [shooter, Input::default()]
}

#[test]
fn a_takedown_scores_for_the_shooters_side_and_the_victim_comes_back_protected() {
    let mut world = duel();
    let mut down_at = None;
    for _ in 0..120 {
        world.step(&shooting_down());
        if world.happenings.iter().any(|it| matches!(it, Happening::Down { who: 1, by: 0, .. })) {
            down_at = Some(world.tick);
            break;
        }
    }
    let down_at = down_at.expect("120 steps of aimed fire take a standing player down");
    assert_eq!((world.scores, world.players[0].takedowns, world.players[1].downs), ([1, 0], 1, 1));
    while world.tick < down_at + RESPAWN_TICKS {
        assert!(!world.players[1].is_alive());
        world.step(&[]);
    }
    assert!(world.players[1].is_alive());
    assert!(world.players[1].protected_ticks > 0);
    assert_eq!(world.players[1].health, HEALTH_MAX);
}

#[test]
fn team_mates_are_not_hurt() {
    let mut world = duel();
    world.players[1].team = Team::A;
    for _ in 0..120 {
        world.step(&shooting_down());
    }
    assert_eq!(world.players[1].health, HEALTH_MAX);
    assert_eq!(world.scores, [0, 0]);
}

#[test]
fn an_obstacle_stops_shots() {
    let mut world = duel();
    let wall = world.map.obstacles[0];
    let beside = wall.y + wall.height / 2.0;
    world.players[0].position = Vec2::new(wall.x - 60.0, beside);
    world.players[1].position = Vec2::new(wall.x + wall.width + 60.0, beside);
    assert!(!world.sees(world.players[0].position, world.players[1].position));
    let straight = Input { fire: true, ..Input::default() };
    for _ in 0..60 {
        world.step(&[straight]);
    }
    assert_eq!(world.players[1].health, HEALTH_MAX);
}

#[test]
fn a_zone_held_alone_is_taken_and_pays_points_until_it_moves() {
    let mut world = duel();
    world.players[0].position = world.zone.centre;
    let mut taken = 0;
    for _ in 0..ZONE_MOVES_TICKS.min(599) {
        world.step(&[]);
        taken += world
            .happenings
            .iter()
            .filter(|it| matches!(it, Happening::ZoneTaken { team: Team::A, .. }))
            .count();
    }
    assert_eq!(taken, 1);
    assert!(world.scores[0] >= 3, "{:?}", world.scores);
    assert_eq!(world.scores[1], 0);
}

#[test]
fn a_dash_is_faster_and_has_to_cool_down() {
    let mut world = duel();
    let right = Input { direction: Vec2::new(0.0, -1.0), dash: true, ..Input::default() };
    let mut dashes = 0;
    for _ in 0..DASH_COOLDOWN_TICKS + 2 {
        world.step(&[right]);
        dashes += world.happenings.iter().filter(|it| matches!(it, Happening::Dash { .. })).count();
    }
    assert_eq!(dashes, 2, "one at once and one when the first has cooled down");
}

#[test]
fn the_score_limit_ends_the_match_at_once() {
    let mut world = duel();
    world.scores = [29, 12];
    while world.outcome.is_none() {
        world.step(&shooting_down());
    }
    let outcome = Outcome { winner: Some(Team::A), reason: EndReason::Score };
    assert_eq!(world.outcome, Some(outcome));
    let frozen = world.tick;
    world.step(&shooting_down());
    assert_eq!(world.tick, frozen);
}
