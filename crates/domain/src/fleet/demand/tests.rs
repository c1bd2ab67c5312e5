use proptest::prelude::*;

use super::*;

mod day;

const BOUNDS: PoolBounds = PoolBounds { ready_min: 1, ready_max: 40 };

fn at(seconds: u64) -> Timestamp {
    Timestamp::default().after(Duration::from_secs(seconds))
}

/// A history whose servers take `start` seconds, with one allocation at each of `seconds`.
fn history(start: u64, seconds: impl IntoIterator<Item = u64>) -> DemandHistory {
    let mut history = DemandHistory::default();
    history.became_ready(Duration::from_secs(start));
    for second in seconds {
        history.asked(at(second));
    }
    history
}

#[test]
fn a_quiet_game_keeps_what_it_must() {
    assert_eq!(DemandHistory::default().wanted(BOUNDS, at(0)), 1);
    let fixed = PoolBounds { ready_min: 3, ready_max: 3 };
    assert_eq!(history(10, 0..60).wanted(fixed, at(60)), 3, "without room it follows nothing");
}

#[test]
fn it_holds_what_comes_within_one_start_and_half_as_many_again() {
    assert_eq!(history(10, 0..60).wanted(BOUNDS, at(60)), 15, "one a second, ten seconds to start");
    assert_eq!(history(2, 0..60).wanted(BOUNDS, at(60)), 3);
    assert_eq!(history(60, 0..600).wanted(BOUNDS, at(600)), 40, "never above ready_max");
    let burst = history(10, std::iter::repeat_n(7, 20));
    assert_eq!(burst.wanted(BOUNDS, at(7)), 30, "at once");
}

#[test]
fn it_falls_only_after_a_while_and_slowly() {
    let history = history(10, std::iter::repeat_n(0, 20));
    let wanted = |seconds| history.wanted(BOUNDS, at(seconds));
    assert_eq!((wanted(0), wanted(300)), (30, 30));
    assert_eq!((wanted(300 + 60), wanted(300 + 300), wanted(300 + 599)), (27, 15, 1));
    assert_eq!(wanted(100_000), 1);
}

#[test]
fn nine_of_ten_starts_took_no_longer_than_what_is_planned_for() {
    let mut history = DemandHistory::default();
    assert_eq!(history.start_time(), START_TIME_UNKNOWN);
    for _ in 0..9 {
        history.became_ready(Duration::from_secs(2));
    }
    history.became_ready(Duration::from_secs(200));
    assert_eq!(history.start_time(), Duration::from_secs(2), "one that hung says nothing of the others");
    for _ in 0..START_TIMES_MAX {
        history.became_ready(Duration::from_hours(1));
    }
    assert_eq!(history.start_time(), START_TIME_MAX);
}

#[test]
fn what_a_node_finds_goes_as_slowly_as_if_it_had_been_asked_for() {
    let mut history = DemandHistory::default();
    history.found(20, at(0));
    let wanted = |seconds| history.wanted(BOUNDS, at(seconds));
    assert_eq!((wanted(0), wanted(300), wanted(600), wanted(900)), (20, 20, 10, 1));
}

#[test]
fn the_history_is_bounded_and_a_clock_that_is_set_back_breaks_nothing() {
    let mut history = history(10, 0..10_000);
    assert!(history.seconds.len() as i64 <= SECONDS_MAX + 1);
    history.asked(at(5));
    assert!(history.seconds.iter().is_sorted());
    assert_eq!(history.wanted(BOUNDS, at(5)), 17, "what was asked for counts, whenever it was");
}

proptest! {
    #[test]
    fn between_two_allocations_it_only_falls_and_never_fast(
        start in 1_u64..90,
        mut asked in proptest::collection::vec(0_u64..2_000, 0..80),
        max in 1_u32..100,
    ) {
        asked.sort_unstable();
        let bounds = PoolBounds { ready_min: 0, ready_max: max };
        let mut history = history(start, []);
        let mut asked = asked.into_iter().peekable();
        let mut before = 0_u32;
        let mut height = 0_u32;
        for second in 0..3_000 {
            let left = history.wanted(bounds, at(second));
            prop_assert!(left <= before, "it rises on demand alone");
            prop_assert!(before - left <= height.div_ceil(60), "it takes more than a minute to go");
            while asked.next_if_eq(&second).is_some() {
                history.asked(at(second));
            }
            let wanted = history.wanted(bounds, at(second));
            prop_assert!((left..=max).contains(&wanted), "demand never makes it fall");
            height = wanted.max(height);
            before = wanted;
        }
        prop_assert_eq!(before, 0, "it comes to rest");
    }
}
