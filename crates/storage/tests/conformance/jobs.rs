//! Jobs and their leases.

use std::collections::BTreeSet;

use greenroom_protocol::NodeId;
use greenroom_storage::{Job, JobCounts, JobState, NewJob, StorageError};
use serde_json::json;
use tokio::task::JoinSet;

use crate::fixture::{Fixture, at};

fn job(key: Option<&str>, run_at: i64) -> NewJob {
    NewJob {
        name: "mail".to_owned(),
        payload: json!({ "to": key }),
        run_at: at(run_at),
        attempts_max: 2,
        unique_key: key.map(str::to_owned),
    }
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

async fn claim(fixture: &Fixture, holder: &str, now: i64) -> Vec<Job> {
    fixture.storage.jobs().claim("mail", &node(holder), at(now + 10), 10, at(now)).await.unwrap()
}

pub(crate) async fn a_unique_key_enqueues_once(mut fixture: Fixture) {
    let jobs = fixture.storage.jobs();
    assert!(jobs.enqueue(&job(Some("k"), 1)).await.unwrap());
    assert!(!jobs.enqueue(&job(Some("k"), 2)).await.unwrap());
    assert!(jobs.enqueue(&NewJob { name: "other".to_owned(), ..job(Some("k"), 1) }).await.unwrap());
    assert!(jobs.enqueue(&job(None, 3)).await.unwrap());
    assert!(jobs.enqueue(&job(None, 4)).await.unwrap());
    fixture.restart().await;
    assert!(!fixture.storage.jobs().enqueue(&job(Some("k"), 1)).await.unwrap());
    let claimed = claim(&fixture, "n1", 1).await;
    assert_eq!((claimed.len(), claimed[0].unique_key.as_deref()), (1, Some("k")));
    assert_eq!((&claimed[0].payload, claimed[0].attempts), (&json!({ "to": "k" }), 1));
    fixture.storage.jobs().complete(&claimed[0]).await.unwrap();
    // Done is done: the key is free.
    assert!(fixture.storage.jobs().enqueue(&job(Some("k"), 1)).await.unwrap());
}

pub(crate) async fn two_claimers_never_get_one_job(fixture: Fixture) {
    for number in 0..60 {
        fixture.storage.jobs().enqueue(&job(Some(&format!("k{number}")), 1)).await.unwrap();
    }
    let mut claimers = JoinSet::new();
    for claimer in 0..12 {
        let storage = fixture.storage.clone();
        claimers.spawn(async move {
            let holder = node(&format!("n{claimer}"));
            let claimed = storage.jobs().claim("mail", &holder, at(100), 7, at(1)).await.unwrap();
            assert!(claimed.iter().all(|job| job.lease_holder.as_deref() == Some(holder.as_str())));
            claimed
        });
    }
    let ids: Vec<i64> = claimers.join_all().await.into_iter().flatten().map(|job| job.id).collect();
    assert_eq!(ids.len(), 60);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 60);
}

pub(crate) async fn claims_are_bounded_and_in_order(fixture: Fixture) {
    let jobs = fixture.storage.jobs();
    for run_at in [30, 10, 20, 99] {
        jobs.enqueue(&job(None, run_at)).await.unwrap();
    }
    jobs.enqueue(&NewJob { name: "other".to_owned(), ..job(None, 1) }).await.unwrap();
    let first = jobs.claim("mail", &node("n1"), at(100), 2, at(50)).await.unwrap();
    let second = jobs.claim("mail", &node("n1"), at(100), 2, at(50)).await.unwrap();
    let times = |claimed: Vec<Job>| claimed.iter().map(|job| job.run_at.as_millis()).collect::<Vec<_>>();
    assert_eq!((times(first), times(second)), (vec![10, 20], vec![30]));
}

pub(crate) async fn a_failed_job_comes_back_later(fixture: Fixture) {
    let jobs = fixture.storage.jobs();
    jobs.enqueue(&job(Some("k"), 1)).await.unwrap();
    let first = claim(&fixture, "n1", 1).await.remove(0);
    jobs.fail(&first, "no route", at(20), at(2)).await.unwrap();
    assert_eq!(claim(&fixture, "n1", 19).await, []);
    let second = claim(&fixture, "n1", 20).await.remove(0);
    assert_eq!((second.attempts, second.last_error.as_deref()), (2, Some("no route")));
    jobs.fail(&second, "still none", at(40), at(30)).await.unwrap();
    assert_eq!(claim(&fixture, "n1", 50).await, []);
    let failed = jobs.list(JobState::Failed, None, 10).await.unwrap().items;
    assert_eq!((failed[0].failed_at, failed[0].last_error.as_deref()), (Some(at(30)), Some("still none")));
    // It waits for a person, and holds its key so long.
    assert!(!jobs.enqueue(&job(Some("k"), 60)).await.unwrap());
}

pub(crate) async fn a_lost_lease_is_claimed_anew(mut fixture: Fixture) {
    fixture.storage.jobs().enqueue(&job(None, 1)).await.unwrap();
    let first = claim(&fixture, "n1", 1).await.remove(0);
    assert_eq!(first.lease_until, Some(at(11)));
    fixture.restart().await;
    assert_eq!(claim(&fixture, "n2", 10).await, []);
    let second = claim(&fixture, "n2", 11).await.remove(0);
    assert_eq!((second.id, second.attempts), (first.id, 2));
    // The second loss was the last attempt.
    assert_eq!(claim(&fixture, "n3", 21).await, []);
    let failed = fixture.storage.jobs().list(JobState::Failed, None, 10).await.unwrap().items;
    assert_eq!(failed[0].last_error.as_deref(), Some("the lease ran out"));
}

pub(crate) async fn the_late_holder_changes_nothing(fixture: Fixture) {
    let jobs = fixture.storage.jobs();
    jobs.enqueue(&job(None, 1)).await.unwrap();
    let late = claim(&fixture, "n1", 1).await.remove(0);
    // The same node again: only the attempt tells the claims apart.
    let current = claim(&fixture, "n1", 11).await.remove(0);
    let is_conflict = |result| matches!(result, Err(StorageError::Conflict { .. }));
    assert!(is_conflict(jobs.complete(&late).await));
    assert!(is_conflict(jobs.fail(&late, "late", at(1), at(12)).await));
    jobs.complete(&current).await.unwrap();
    assert!(is_conflict(jobs.complete(&current).await));
    assert_eq!(jobs.counts(at(12)).await.unwrap(), JobCounts::default());
}

pub(crate) async fn lists_and_counts(fixture: Fixture) {
    let jobs = fixture.storage.jobs();
    for run_at in [1, 50, 60] {
        jobs.enqueue(&job(None, run_at)).await.unwrap();
    }
    jobs.enqueue(&NewJob { attempts_max: 1, ..job(None, 2) }).await.unwrap();
    let claimed = claim(&fixture, "n1", 2).await;
    jobs.fail(&claimed[1], "no", at(3), at(3)).await.unwrap();
    assert_eq!(jobs.counts(at(3)).await.unwrap(), JobCounts { waiting: 2, running: 1, failed: 1 });
    assert_eq!(jobs.counts(at(12)).await.unwrap(), JobCounts { waiting: 3, running: 0, failed: 1 });
    let first = jobs.list(JobState::Open, None, 2).await.unwrap();
    let second = jobs.list(JobState::Open, first.next.as_ref(), 2).await.unwrap();
    let times: Vec<_> = first.items.iter().chain(&second.items).map(|job| job.run_at.as_millis()).collect();
    assert_eq!((times, second.next), (vec![1, 50, 60], None));
}

pub(crate) async fn the_next_due_is_told(fixture: Fixture) {
    let jobs = fixture.storage.jobs();
    assert_eq!((jobs.next_due("mail").await.unwrap(), jobs.open("mail").await.unwrap()), (None, 0));
    for (key, run_at) in [("late", 50), ("soon", 5)] {
        jobs.enqueue(&job(Some(key), run_at)).await.unwrap();
    }
    jobs.enqueue(&NewJob { name: "other".to_owned(), ..job(None, 1) }).await.unwrap();
    assert_eq!((jobs.next_due("mail").await.unwrap(), jobs.open("mail").await.unwrap()), (Some(at(5)), 2));
    claim(&fixture, "n1", 5).await;
    assert_eq!(jobs.next_due("mail").await.unwrap(), Some(at(15)), "when the lease ends");
}
