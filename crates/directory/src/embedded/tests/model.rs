//! The engine against a model of a few lines, over random commits, restarts and expiries.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{Bench, LOBBY, PRESENCE, ROOM, skirmish};
use crate::{Action, Change, Class, DirectoryError, Expected, Key, Kind, Notice, Revision};

const KINDS: [Kind; 3] = [LOBBY, ROOM, PRESENCE];
const IDS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Planned>),
    Restart,
    Seconds(u8),
}

#[derive(Clone, Debug)]
struct Planned {
    kind: usize,
    id: usize,
    expected: Wish,
    /// `None` deletes; some seconds, if not 0, expire.
    put: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    Any,
    Absent,
    /// What stands, if anything.
    Newest,
    /// What stood at the beginning of all.
    Stale,
}

fn planned() -> impl Strategy<Value = Planned> {
    let wish = prop_oneof![2 => Just(Wish::Any), 2 => Just(Wish::Absent), 4 => Just(Wish::Newest), 1 => Just(Wish::Stale)];
    (0..KINDS.len(), 0..IDS.len(), wish, proptest::option::weighted(0.7, 0..6_u8))
        .prop_map(|(kind, id, expected, put)| Planned { kind, id, expected, put })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => proptest::collection::vec(planned(), 1..4).prop_map(Step::Commit),
        1 => Just(Step::Restart),
        2 => (1..4_u8).prop_map(Step::Seconds),
    ];
    proptest::collection::vec(step, 1..40)
}

#[derive(Clone, Debug, PartialEq)]
struct Standing {
    revision: Revision,
    value: String,
    deadline: Option<u64>,
}

#[derive(Default)]
struct Model {
    documents: BTreeMap<(Kind, &'static str), Standing>,
    newest: u64,
    seconds: u64,
}

impl Model {
    fn expire(&mut self) {
        let now = self.seconds;
        self.documents.retain(|_, standing| standing.deadline.is_none_or(|deadline| deadline > now));
    }

    fn listed(&self, kind: Kind) -> Vec<(String, String, Revision)> {
        let of_kind = self.documents.iter().filter(|((its, _), _)| *its == kind);
        of_kind
            .map(|((_, id), standing)| ((*id).to_owned(), standing.value.clone(), standing.revision))
            .collect()
    }
}

async fn compare(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut bench = Bench::new().await;
    let mut model = Model::default();
    let mut watch = bench.directory().watch(&KINDS).await.unwrap();
    let mut told = BTreeMap::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Commit(planned) => commit(&bench, &mut model, number, planned).await?,
            Step::Restart => {
                bench.restart().await;
                model.documents.retain(|(kind, _), _| kind.class() == Class::Kept);
                watch = bench.directory().watch(&KINDS).await.unwrap();
                told.clear();
            }
            Step::Seconds(seconds) => {
                bench.pass(Duration::from_secs(seconds.into()));
                model.seconds += u64::from(seconds);
            }
        }
        model.expire();
        for kind in KINDS {
            let listed = bench.directory().list(&skirmish(), kind).await.unwrap();
            let listed: Vec<_> = listed
                .into_iter()
                .map(|found| (found.key.id.to_string(), text(&found.value), found.revision))
                .collect();
            prop_assert_eq!(&listed, &model.listed(kind));
        }
        // A commit that changes nothing passes through the queue behind all others, so that what
        // the sweeper removed is told by then.
        let flush = vec![Change::delete(LOBBY, "flush", Expected::Any)];
        model.newest = bench.directory().commit(&skirmish(), flush).await.unwrap()[0].0;
        while let Some(notice) = watch.try_next() {
            match notice {
                Notice::Put(document) => {
                    told.insert(document.key.clone(), (text(&document.value), document.revision));
                }
                Notice::Deleted { key, .. } => {
                    told.remove(&key);
                }
                Notice::Current => {}
            }
        }
        let stands: BTreeMap<_, _> = model
            .documents
            .iter()
            .map(|((kind, id), s)| (Key::new(skirmish(), *kind, id), (s.value.clone(), s.revision)))
            .collect();
        prop_assert_eq!(&told, &stands);
    }
    Ok(())
}

async fn commit(
    bench: &Bench,
    model: &mut Model,
    number: usize,
    mut planned: Vec<Planned>,
) -> Result<(), TestCaseError> {
    planned.sort_by_key(|planned| (planned.kind, planned.id));
    planned.dedup_by_key(|planned| (planned.kind, planned.id));
    let mut after = model.documents.clone();
    let mut conflict = None;
    let mut changes = Vec::new();
    for Planned { kind, id, expected, put } in planned {
        let (kind, id) = (KINDS[kind], IDS[id]);
        let stands = model.documents.get(&(kind, id));
        let expected = match (expected, stands) {
            (Wish::Any, _) => Expected::Any,
            (Wish::Absent, _) | (Wish::Newest, None) => Expected::Absent,
            (Wish::Newest, Some(standing)) => Expected::At(standing.revision),
            (Wish::Stale, _) => Expected::At(Revision(0)),
        };
        let holds = match expected {
            Expected::Any => true,
            Expected::Absent => stands.is_none(),
            Expected::At(revision) => stands.is_some_and(|standing| standing.revision == revision),
        };
        if !holds && conflict.is_none() {
            conflict = Some(Key::new(skirmish(), kind, id));
        }
        let value = format!("{number} {id}");
        let action = if let Some(seconds) = put {
            let deadline = (seconds > 0).then(|| model.seconds + u64::from(seconds));
            after.insert((kind, id), Standing { revision: Revision(0), value: value.clone(), deadline });
            let expires_after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
            Action::Put { value: value.into(), expires_after }
        } else {
            after.remove(&(kind, id));
            Action::Delete
        };
        changes.push(Change { kind, id: id.into(), expected, action });
    }
    match (bench.directory().commit(&skirmish(), changes.clone()).await, conflict) {
        (Ok(revisions), None) => {
            prop_assert_eq!(revisions.len(), changes.len());
            for (change, revision) in changes.iter().zip(revisions) {
                prop_assert!(revision.0 > model.newest);
                model.newest = revision.0;
                let place =
                    after.iter_mut().find(|((kind, id), _)| *kind == change.kind && **id == *change.id);
                if let Some((_, standing)) = place {
                    standing.revision = revision;
                }
            }
            model.documents = after;
        }
        (answer, conflict) => prop_assert_eq!(answer.err(), conflict.map(DirectoryError::Conflict)),
    }
    Ok(())
}

fn text(value: &[u8]) -> String {
    String::from_utf8(value.to_vec()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_does_as_the_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(steps))?;
    }
}
