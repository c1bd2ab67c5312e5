//! A studio's program that appends events.

use greenroom_test_support::greenroom::{Api, GAME, STUDIO};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::actor::think;

/// Most of them that are appended at once.
const TOGETHER_MAX: u32 = 5;

pub(crate) struct Events {
    rng: StdRng,
    made: u32,
    /// Acknowledged: each has a subject of its own.
    pub(crate) subjects: Vec<String>,
    /// What was acknowledged last: the events and their sequences.
    last: Option<(Vec<Value>, Vec<u64>)>,
    under_way: Option<Vec<Value>>,
}

impl Events {
    pub(crate) fn new(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { rng, made: 0, subjects: Vec::new(), last: None, under_way: None }
    }

    pub(crate) async fn check(&mut self, api: &Api) {
        if let Some(events) = self.under_way.take() {
            self.append(api, events).await;
        }
        let Some((events, sequences)) = &self.last else { return };
        let read = api.events(sequences[0]).await;
        for ((event, sequence), read) in events.iter().zip(sequences).zip(&read) {
            assert_eq!(read["sequence"], sequence.to_string());
            assert_eq!((&read["id"], &read["data"]), (&event["id"], &event["data"]));
        }
    }

    pub(crate) async fn work(&mut self, api: &Api) {
        loop {
            think(&mut self.rng).await;
            let events = (0..self.rng.random_range(1..=TOGETHER_MAX)).map(|_| {
                self.made += 1;
                json!({
                    "subject": format!("v1.{GAME}.news.{}", self.made),
                    "id": format!("news-{}", self.made),
                    "source": "/kill",
                    "data": { "number": self.made },
                })
            });
            let events = events.collect();
            if !self.append(api, events).await {
                return;
            }
        }
    }

    async fn append(&mut self, api: &Api, events: Vec<Value>) -> bool {
        let path = format!("/v1/events?studio={STUDIO}");
        let answer = api.ask(Method::POST, &path, Some(&Value::from(events.clone()))).await;
        if answer.is_unknown() {
            self.under_way = Some(events);
            return false;
        }
        assert_eq!(answer.status, 202, "{answer:?}");
        let sequence = |event: &Value| event["sequence"].as_str().unwrap().parse().unwrap();
        let sequences: Vec<u64> = answer.body["events"].as_array().unwrap().iter().map(sequence).collect();
        assert_eq!(sequences.len(), events.len());
        self.subjects.extend(events.iter().map(|event| event["subject"].as_str().unwrap().to_owned()));
        self.last = Some((events, sequences));
        true
    }
}
