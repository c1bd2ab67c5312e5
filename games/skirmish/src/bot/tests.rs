use super::*;
use crate::sim::{Settings, TICKS_PER_SECOND};

struct Match {
    world: World,
    bots: Vec<Bot>,
}

impl Match {
    fn new(seed: u64, per_team: usize, skills: [Skill; 2]) -> Self {
        let mut seats = vec![Team::A; per_team];
        seats.extend(vec![Team::B; per_team]);
        let bots = (seats.iter().enumerate())
            .map(|(seat, team)| Bot::new(skills[team.index()], seed * 100 + seat as u64))
            .collect();
        let world =
            World::new(&Settings { seed, seats, match_ticks: 180 * TICKS_PER_SECOND, score_limit: 30 });
        Self { world, bots }
    }

    fn step(&mut self) {
        let inputs: Vec<Input> =
            (self.bots.iter_mut().enumerate()).map(|(seat, bot)| bot.play(&self.world, seat)).collect();
        self.world.step(&inputs);
    }
}

#[test]
fn bots_play_a_match_that_is_neither_over_at_once_nor_empty() {
    for seed in 0..12 {
        let mut game = Match::new(seed, 3, [Skill::Normal; 2]);
        let mut walked = vec![0.0f32; 6];
        while game.world.outcome.is_none() {
            let before: Vec<Vec2> = game.world.players.iter().map(|it| it.position).collect();
            game.step();
            for (seat, player) in game.world.players.iter().enumerate() {
                walked[seat] += before[seat].distance(player.position);
            }
        }
        let seconds = game.world.tick / TICKS_PER_SECOND;
        let takedowns: u32 = game.world.players.iter().map(|it| it.takedowns).sum();
        println!(
            "seed {seed}: {} in {seconds} s, {:?}, {takedowns} takedowns",
            game.world.map.name, game.world.scores
        );
        assert!(seconds >= 45, "seed {seed}: over after {seconds} s");
        assert!(takedowns >= 10, "seed {seed}: {takedowns} takedowns");
        assert!(walked.iter().all(|way| *way > 2000.0), "seed {seed}: {walked:?}");
    }
}

#[test]
fn a_better_skill_wins_more_often() {
    let mut wins = [0, 0];
    for seed in 0..12 {
        let mut game = Match::new(seed, 3, [Skill::Hard, Skill::Easy]);
        while game.world.outcome.is_none() {
            game.step();
        }
        if let Some(team) = game.world.outcome.and_then(|outcome| outcome.winner) {
            wins[team.index()] += 1;
        }
    }
    assert!(wins[0] >= 10, "hard against easy: {wins:?}");
}

#[test]
fn bots_find_their_way_around_obstacles() {
    let world = Match::new(3, 1, [Skill::Normal; 2]).world;
    for spawn in world.map.spawns {
        for pickup in world.map.pickups {
            let mut at = *spawn;
            for _ in 0..900 {
                let towards = next_waypoint(world.map, at, pickup.at) - at;
                at = at + towards.shortened_to(9.5);
                for rect in world.map.obstacles {
                    rect.push_out(&mut at, PLAYER_RADIUS);
                }
            }
            let left = at.distance(pickup.at);
            assert!(left < 40.0, "{}: {left} from {:?}", world.map.name, pickup.at);
        }
    }
}
