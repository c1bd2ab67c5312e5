//! What a fleet says of its servers' SDK.

use std::{collections::BTreeMap, time::Duration};

use greenroom_domain::{
    sdk::{Counter, Health, LIST_CAPACITY_MAX, LIST_VALUE_BYTES_MAX, List, SdkSettings},
    settings::{Readiness, WarmPayload},
};

use crate::config::{
    reader::{Context, join},
    sections::{self, Fleet},
    value::ProviderKind,
};

use super::{at_least, at_most, between};

/// What a server is given to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// The same with the SDK, as its users expect.
const STOP_GRACE_WITH_SDK: Duration = Duration::from_secs(45);
/// Most counters of one server, and most lists.
const DECLARED_MAX: usize = 64;
/// Longest period and longest delay of pings.
const HEALTH_MAX: Duration = Duration::from_hours(1);

/// How long it has to stop unless that is said.
pub(super) fn stop_grace(fleet: &Fleet) -> Duration {
    if fleet.sdk { STOP_GRACE_WITH_SDK } else { STOP_GRACE }
}

/// What the rules are given, if the fleet has the SDK.
pub(super) fn settings(fleet: &Fleet) -> Option<SdkSettings> {
    let health = Health {
        is_disabled: fleet.health.disabled,
        period: fleet.health.period,
        failure_threshold: fleet.health.failure_threshold,
        initial_delay: fleet.health.initial_delay,
    };
    let counter = |(name, counter): (&String, &sections::Counter)| {
        let counter = Counter { count: counter.count.into(), capacity: counter.capacity.into() };
        (name.clone(), counter)
    };
    let list = |(name, list): (&String, &sections::List)| {
        (name.clone(), List { capacity: list.capacity.into(), values: list.values.clone() })
    };
    fleet.sdk.then(|| SdkSettings {
        health,
        counters: fleet.counters.iter().map(counter).collect(),
        lists: fleet.lists.iter().map(list).collect(),
    })
}

/// Whether it fits together.
pub(super) fn check(context: &mut Context, path: &str, fleet: &Fleet) {
    if fleet.sdk {
        with(context, path, fleet);
    } else {
        without(context, path, fleet);
    }
}

fn with(context: &mut Context, path: &str, fleet: &Fleet) {
    if fleet.provider == ProviderKind::HostingApi {
        let sentence = "the other host starts the program and speaks with its SDK; leave it out";
        context.error(join(path, "sdk"), sentence);
    }
    let at = join(path, "health");
    for (key, time) in [("period", fleet.health.period), ("initial_delay", fleet.health.initial_delay)] {
        at_most(context, &join(&at, key), time, HEALTH_MAX);
    }
    at_least(context, &join(&at, "period"), fleet.health.period, Duration::from_secs(1));
    between(context, &join(&at, "failure_threshold"), fleet.health.failure_threshold, 1..=1000);
    names(context, &join(path, "counters"), &fleet.counters);
    for (name, counter) in &fleet.counters {
        if counter.count > counter.capacity {
            let sentence = format!("it is {}, more than capacity = {}", counter.count, counter.capacity);
            context.error(format!("{path}.counters.{name}.count"), sentence);
        }
    }
    names(context, &join(path, "lists"), &fleet.lists);
    for (name, list) in &fleet.lists {
        self::list(context, &format!("{path}.lists.{name}"), list);
    }
}

fn list(context: &mut Context, path: &str, list: &sections::List) {
    between(context, &join(path, "capacity"), list.capacity, 0..=LIST_CAPACITY_MAX as u32);
    if list.values.len() as u64 > u64::from(list.capacity) {
        let sentence = format!("it has {} values, more than capacity = {}", list.values.len(), list.capacity);
        context.error(join(path, "values"), sentence);
    }
    let mut known: Vec<&str> = Vec::new();
    for value in &list.values {
        if value.is_empty() || value.len() > LIST_VALUE_BYTES_MAX {
            let sentence = format!("{value:?} is no value; expected 1 to {LIST_VALUE_BYTES_MAX} bytes");
            context.error(join(path, "values"), sentence);
        }
        if known.contains(&value.as_str()) {
            context.error(join(path, "values"), format!("{value:?} is in it twice; expected each one once"));
        }
        known.push(value);
    }
}

fn names<T>(context: &mut Context, path: &str, declared: &BTreeMap<String, T>) {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte == b'.';
    for name in declared.keys() {
        if name.is_empty() || name.len() > 63 || !name.bytes().all(fits) {
            let sentence = format!("{name:?} is no name; expected 1 to 63 of A-Z, a-z, 0-9, _, . and -");
            context.error(path, sentence);
        }
    }
    if declared.len() > DECLARED_MAX {
        let sentence = format!("there are {}; expected at most {DECLARED_MAX}", declared.len());
        context.error(path, sentence);
    }
}

/// Nothing that needs it.
fn without(context: &mut Context, path: &str, fleet: &Fleet) {
    const NEEDED: &str = "it needs the SDK's endpoint; set sdk = true, or";
    if fleet.ready == Readiness::Sdk {
        context.error(join(path, "ready"), format!("{NEEDED} write \"listening\""));
    }
    if fleet.warm_payload == Some(WarmPayload::Sdk) {
        context.error(join(path, "warm_payload"), format!("{NEEDED} write \"file\""));
    }
    for (key, is_there) in [("counters", !fleet.counters.is_empty()), ("lists", !fleet.lists.is_empty())] {
        if is_there {
            context.error(join(path, key), format!("{NEEDED} leave it out"));
        }
    }
}
