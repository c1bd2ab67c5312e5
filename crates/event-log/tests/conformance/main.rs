//! What the port promises, case by case, on every engine.
#![expect(clippy::unwrap_used, reason = "cases stand outside the functions that clippy knows as tests")]

mod bench;
mod cases;

/// Runs the cases on each engine, one test each.
macro_rules! conformance {
    ($($theme:ident: $($case:ident),+;)+) => {
        mod embedded {
            $(mod $theme {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::cases::$theme::$case(crate::bench::Bench::embedded()).await;
                })+
            })+
        }

        mod faulty {
            $(mod $theme {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::cases::$theme::$case(crate::bench::Bench::faulty()).await;
                })+
            })+
        }
    };
}

conformance! {
    appending: order_and_gapless, expected_last, duplicates, duplicates_within_a_batch, batch_is_all_or_nothing,
        concurrent_appends, too_large, restart, streams_are_apart;
    reading: filters, filters_by_index, pages, tail, unknown_stream;
    limits: oldest_go_and_the_gap_is_told, bytes, refuse, lowered, deleted_stream_begins_anew;
    consuming: acknowledges, gives_back, comes_again, dead_letters, resumes_after_restart,
        attempts_survive_restart, lag, gap_is_told_until_noticed, several_fetches_share, waits_for_entries,
        changed_filter_keeps_the_place, starts, limit_of_consumers, deleted;
}
