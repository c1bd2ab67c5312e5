//! The history as a reader sees it, from its first event on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use greenroom_test_support::greenroom::Api;
use tokio::time::{Duration, Instant};

use crate::SETTLE_MAX;

/// Everything that was read so far.
#[derive(Default)]
pub(crate) struct History {
    last: u64,
    ids: BTreeSet<(String, String)>,
    subjects: BTreeMap<String, u32>,
}

impl History {
    /// Reads on: sequences without a gap, no fact twice, and by and by each one in `due` once.
    pub(crate) async fn check(&mut self, api: &Api, due: &Vec<String>) {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            self.read_on(api).await;
            let missing: Vec<_> =
                due.iter().filter(|subject| !self.subjects.contains_key(*subject)).collect();
            if missing.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "never came into the history: {missing:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for subject in due {
            assert_eq!(self.subjects[subject], 1, "{subject} is in the history more than once");
        }
    }

    async fn read_on(&mut self, api: &Api) {
        for event in api.events(self.last + 1).await {
            let text = |field: &str| event[field].as_str().unwrap().to_owned();
            let sequence: u64 = text("sequence").parse().unwrap();
            assert_eq!(sequence, self.last + 1, "a gap before {event}");
            self.last = sequence;
            assert!(self.ids.insert((text("source"), text("id"))), "twice in the history: {event}");
            *self.subjects.entry(text("subject")).or_default() += 1;
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events in the history", self.last)
    }
}
