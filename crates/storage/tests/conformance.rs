//! The conformance suite of the records: every case runs, unchanged, on every engine.
#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

#[path = "conformance/accounts.rs"]
mod accounts;
#[path = "conformance/admins.rs"]
mod admins;
#[path = "conformance/fixture.rs"]
mod fixture;
#[path = "conformance/jobs.rs"]
mod jobs;
#[path = "conformance/keys.rs"]
mod keys;
#[path = "conformance/matches.rs"]
mod matches;
#[path = "conformance/players.rs"]
mod players;
#[path = "conformance/servers.rs"]
mod servers;
#[path = "conformance/sessions.rs"]
mod sessions;
#[path = "conformance/units.rs"]
mod units;

macro_rules! cases {
    ($engine:expr; $($group:ident: $($case:ident)+;)+) => {$(
        mod $group {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::$group::$case(crate::fixture::Fixture::open($engine)).await;
                }
            )+
        }
    )+};
}

macro_rules! suite {
    ($name:ident: $engine:expr) => {
        mod $name {
            cases! { $engine;
                units:
                    a_unit_is_applied_whole
                    a_unit_that_fails_leaves_nothing
                    a_unit_that_fails_harms_no_other
                    a_missed_expectation_undoes_the_unit
                    statements_see_what_those_before_them_did
                    placeholders_are_bound_by_their_number
                    a_wrong_number_of_values_is_refused
                    an_empty_unit_does_nothing
                    values_come_back_as_they_went
                    reads_see_what_was_acknowledged
                    after_close_everything_is_closed
                    secrets_are_made_once
                    studios_are_recorded_once;
                players:
                    a_player_is_found_again
                    an_identity_has_one_player_per_game
                    renames_and_profiles
                    search_by_prefix_pages_in_order
                    search_takes_names_as_they_are
                    pages_hold_while_others_come
                    bans
                    a_foreign_cursor_is_refused;
                sessions:
                    a_session_is_found_again
                    a_session_needs_its_player
                    of_two_rotations_one_wins
                    a_reused_token_is_told
                    only_a_live_session_rotates
                    ending_one_and_all
                    lists_pages_newest_first
                    expired_ones_are_deleted_in_chunks;
                accounts:
                    the_last_identity_stays
                    an_identity_is_linked_once
                    passwords_are_replaced
                    a_token_is_used_once
                    of_one_subject_the_newest_token_is_good
                    tokens_end
                    a_deleted_player_leaves_nothing;
                keys:
                    a_key_is_found_again
                    revoking_and_touching
                    lists_by_studio;
                admins:
                    names_are_unique
                    one_that_is_deleted_takes_its_sessions_along
                    sessions_end
                    another_password_ends_the_sessions
                    sessions_are_listed_and_ended_by_their_owner
                    an_invitation_is_spent_once
                    invitations_end_with_the_right_to_make_them
                    a_personal_token_has_its_administrators_role
                    the_audit_log_pages_backwards
                    the_audit_log_is_bounded;
                servers:
                    a_server_is_replaced_but_never_revived
                    lists_by_game_and_state
                    pruning_tells_which;
                matches:
                    an_event_is_applied_once
                    a_match_is_replaced_whole
                    a_failed_application_moves_no_position
                    of_many_appliers_one_wins
                    a_player_lists_its_matches;
                jobs:
                    a_unique_key_enqueues_once
                    two_claimers_never_get_one_job
                    claims_are_bounded_and_in_order
                    a_failed_job_comes_back_later
                    a_lost_lease_is_claimed_anew
                    the_late_holder_changes_nothing
                    lists_and_counts
                    the_next_due_is_told;
            }
        }
    };
}

suite! { embedded: crate::fixture::Engine::Embedded }
