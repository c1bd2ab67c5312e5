use proptest::prelude::*;

use super::*;
use crate::sim::{PLAYERS_MAX, SHOTS_MAX, Settings, TEAM_SIZE_MAX};

proptest! {
    #[test]
    fn any_bytes_are_either_an_input_within_bounds_or_refused(
        frame in prop::collection::vec(any::<u8>(), 0..16),
    ) {
        if let Some(NumberedInput { input, .. }) = decode_input(&frame) {
            prop_assert_eq!(frame.len(), INPUT_BYTES);
            prop_assert!(input.direction.x.abs() <= 1.0 && input.direction.y.abs() <= 1.0);
            prop_assert!((0.0..=std::f32::consts::TAU).contains(&input.aim));
        }
    }
}

#[test]
fn an_input_frame_reads_as_documented() {
    let frame = [1, 0x34, 0x12, 3, 127, 0x81, 0x00, 0x40];
    let expected = NumberedInput {
        sequence: 0x1234,
        input: Input {
            direction: Vec2::new(1.0, -1.0),
            aim: std::f32::consts::FRAC_PI_2,
            fire: true,
            dash: true,
        },
    };
    assert_eq!(decode_input(&frame), Some(expected));
    assert_eq!(decode_input(&frame[..7]), None);
    assert_eq!(decode_input(&[2, 0, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(decode_input(&[1, 0, 0, 4, 0, 0, 0, 0]), None, "an unknown button");
}

#[test]
fn the_fullest_snapshot_stays_below_three_kilobytes() {
    let mut seats = vec![Team::A; TEAM_SIZE_MAX];
    seats.extend(vec![Team::B; TEAM_SIZE_MAX]);
    let mut world = World::new(&Settings { seed: 7, seats, match_ticks: 100, score_limit: 30 });
    let fire = Input { fire: true, ..Input::default() };
    let mut largest = 0;
    for _ in 0..90 {
        world.step(&[fire; PLAYERS_MAX]);
        let length = encode_snapshot(&world, Phase::Playing, 1, &[]).len();
        largest = largest.max(length);
    }
    let bound = 22 + PLAYERS_MAX * 19 + SHOTS_MAX * 9 + 4 + EFFECTS_MAX * 7;
    assert!(bound <= 3 * 1024, "{bound}");
    assert!(largest <= bound, "{largest} of {bound}");
}

#[test]
fn text_frames_are_tagged_and_in_camel_case() {
    let phase = ServerMessage::Phase { phase: Phase::Countdown, in_ms: Some(3000) };
    assert_eq!(phase.to_text(), r#"{"type":"phase","phase":"countdown","inMs":3000}"#);
    let down = ServerMessage::Down { by: 1, who: 2 };
    assert_eq!(down.to_text(), r#"{"type":"down","by":1,"who":2}"#);
}
