//! The engine beside a model: the same calls, the same answers.

use std::collections::HashMap;

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{FakeClock, entry, open, stream};
use crate::{
    engine::Engine,
    error::EventLogError,
    model::{ENTRY_OVERHEAD_BYTES, Sequence, StreamLimits, WhenFull},
    subject::{Subject, SubjectFilter},
};

#[derive(Clone, Debug)]
enum Call {
    Append { entries: Vec<(usize, Option<u8>)>, expected: Option<i8> },
    Read { from: u64, filter: usize, limit: usize },
    Limit { entries_max: u64, bytes_max: u64, refuse: bool },
    Restart,
}

const SUBJECTS: [&str; 4] = ["a", "a.b", "a.b.c", "x.b"];
const FILTERS: [&str; 6] = [">", "a.>", "*.b", "a.b", "*.b.>", "x"];

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let append = (
        prop::collection::vec((0..SUBJECTS.len(), prop::option::of(0_u8..30)), 1..5),
        prop::option::of(-1_i8..2),
    )
        .prop_map(|(entries, expected)| Call::Append { entries, expected });
    let read = (0_u64..60, 0..FILTERS.len(), 1_usize..20).prop_map(|(from, filter, limit)| Call::Read {
        from,
        filter,
        limit,
    });
    let limit = (3_u64..30, 200_u64..2_000, any::<bool>())
        .prop_map(|(entries_max, bytes_max, refuse)| Call::Limit { entries_max, bytes_max, refuse });
    prop::collection::vec(prop_oneof![6 => append, 4 => read, 1 => limit, 1 => Just(Call::Restart)], 1..60)
}

struct Model {
    /// Subject and size of every entry there ever was, from sequence 1.
    entries: Vec<(&'static str, u64)>,
    first: u64,
    ids: HashMap<u8, u64>,
    limits: StreamLimits,
}

impl Model {
    fn last(&self) -> u64 {
        self.entries.len() as u64
    }

    fn here(&self) -> &[(&'static str, u64)] {
        &self.entries[self.first as usize - 1..]
    }

    fn bytes(&self) -> u64 {
        self.here().iter().map(|(_, size)| size).sum()
    }

    fn trim(&mut self) {
        while self.here().len() as u64 > self.limits.entries_max || self.bytes() > self.limits.bytes_max {
            self.first += 1;
        }
    }

    fn append(
        &mut self,
        entries: &[(usize, Option<u8>)],
        expected: Option<u64>,
    ) -> Result<Vec<(u64, bool)>, EventLogError> {
        let (mut new, mut ids, mut answer) = (Vec::new(), self.ids.clone(), Vec::new());
        for (subject, id) in entries {
            if let Some(sequence) = id.and_then(|id| ids.get(&id)) {
                answer.push((*sequence, true));
                continue;
            }
            let subject = SUBJECTS[*subject];
            new.push((subject, subject.len() as u64 + 10 + ENTRY_OVERHEAD_BYTES));
            let sequence = self.last() + new.len() as u64;
            if let Some(id) = id {
                ids.insert(*id, sequence);
            }
            answer.push((sequence, false));
        }
        if new.is_empty() {
            return Ok(answer);
        }
        if expected.is_some_and(|expected| expected != self.last()) {
            return Err(EventLogError::WrongLast { last: Sequence(self.last()) });
        }
        let (count, bytes) = (new.len() as u64, new.iter().map(|(_, size)| size).sum::<u64>());
        if count > self.limits.entries_max || bytes > self.limits.bytes_max {
            return Err(EventLogError::TooLarge(""));
        }
        let over = self.here().len() as u64 + count > self.limits.entries_max
            || self.bytes() + bytes > self.limits.bytes_max;
        if over && self.limits.when_full == WhenFull::Refuse {
            return Err(EventLogError::Full);
        }
        self.entries.extend(new);
        self.ids = ids;
        self.trim();
        Ok(answer)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_the_model(calls in calls()) {
        Runtime::new().unwrap().block_on(run(calls))?;
    }
}

async fn run(calls: Vec<Call>) -> Result<(), TestCaseError> {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let mut engine = open(folder.path(), &clock).await;
    let limits = StreamLimits::default();
    let stream = stream(&engine, limits).await;
    let mut model = Model { entries: Vec::new(), first: 1, ids: HashMap::new(), limits };
    for call in calls {
        match call {
            Call::Append { entries, expected } => {
                let expected = expected.map(|off| model.last().saturating_add_signed(i64::from(off)));
                let new = entries.iter().map(|(subject, id)| {
                    let entry = entry(SUBJECTS[*subject], "0123456789");
                    match id {
                        Some(id) => entry.with_id(id.to_string()),
                        None => entry,
                    }
                });
                let answer = engine.append(&stream, new.collect(), expected.map(Sequence)).await;
                let answer = answer
                    .map(|places| {
                        places
                            .into_iter()
                            .map(|place| (place.sequence.0, place.duplicate))
                            .collect::<Vec<_>>()
                    })
                    .map_err(|error| {
                        if matches!(error, EventLogError::TooLarge(_)) {
                            EventLogError::TooLarge("")
                        } else {
                            error
                        }
                    });
                prop_assert_eq!(answer, model.append(&entries, expected));
            }
            Call::Read { from, filter, limit } => {
                let filter = SubjectFilter::parse(FILTERS[filter]).unwrap();
                let from = from.max(1);
                let page = engine.read(&stream, Sequence(from), Some(&filter), limit).await.unwrap();
                let wanted: Vec<u64> = (from.max(model.first)..=model.last())
                    .filter(|sequence| {
                        filter.matches(&Subject::new(model.entries[*sequence as usize - 1].0).unwrap())
                    })
                    .take(limit)
                    .collect();
                let got: Vec<u64> = page.entries.iter().map(|entry| entry.sequence.0).collect();
                prop_assert_eq!(got, wanted);
                prop_assert_eq!(
                    page.gap,
                    (from < model.first).then(|| (Sequence(from), Sequence(model.first - 1)))
                );
                prop_assert_eq!(page.end, page.next.0 > model.last());
            }
            Call::Limit { entries_max, bytes_max, refuse } => {
                let when_full = if refuse { WhenFull::Refuse } else { WhenFull::DropOldest };
                model.limits = StreamLimits { bytes_max, entries_max, when_full, ..limits };
                model.trim();
                engine.create_stream(&stream, model.limits).await.unwrap();
                engine.shared.maintain_once(false).await.unwrap();
            }
            Call::Restart => {
                engine.close().await;
                engine = open(folder.path(), &clock).await;
            }
        }
        let info = engine.info(&stream).await.unwrap();
        prop_assert_eq!((info.first.0, info.last.0, info.bytes), (model.first, model.last(), model.bytes()));
    }
    engine.close().await;
    Ok(())
}
