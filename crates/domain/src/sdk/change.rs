//! What becomes of a server that asks for something through the SDK.

use std::{collections::BTreeMap, time::Duration};

use greenroom_protocol::Timestamp;

use super::{
    ANNOTATION_BYTES_MAX, Change, Counter, CounterChange, LABEL_BYTES_MAX, LABELS_MAX, LIST_CAPACITY_MAX,
    LIST_VALUE_BYTES_MAX, List, PLAYERS, RESERVE_MAX, Refusal, Reserved, Sdk,
};
use crate::server::{Allocation, Exit, ExitCause, Server, ServerState, StopReason};

/// Who an allocation is by that the server made itself.
const BY_ITSELF: &str = "sdk";

impl Server {
    /// Applies what a server asks for through the SDK; tells whether anything is different now. A
    /// server whose life is over can change nothing any more; asking again for its end is fine.
    pub fn change_by_sdk(&mut self, change: &Change, now: Timestamp) -> Result<bool, Refusal> {
        let Some(sdk) = self.sdk.as_deref_mut() else {
            return Err(Refusal::NotFound("The server's fleet has no SDK.".into()));
        };
        let is_ending = matches!(self.state, ServerState::Stopping | ServerState::Ended | ServerState::Lost);
        match change {
            Change::Shutdown if is_ending => Ok(false),
            _ if is_ending => Err(Refusal::WrongState("The server is being stopped, or has ended.".into())),
            Change::Ready => Ok(self.ready_by_sdk(now)),
            Change::Allocate => Ok(self.allocate_by_sdk(now)),
            Change::Reserve(time) => self.reserve_by_sdk(*time, now),
            Change::Shutdown => {
                self.stop_reason = Some(StopReason::Itself);
                self.pass(ServerState::Stopping, now);
                Ok(true)
            }
            Change::Label { key, value } => {
                check_key(key)?;
                if !is_label_value(value) {
                    return Err(Refusal::BadArgument(format!(
                        "The label's value \"{value}\" is not at most {LABEL_BYTES_MAX} letters, digits, '-', '_' or \
                         '.', the first and the last a letter or a digit."
                    )));
                }
                set(&mut sdk.labels, key, value)
            }
            Change::Annotation { key, value } => {
                check_key(key)?;
                if value.len() > ANNOTATION_BYTES_MAX {
                    return Err(Refusal::BadArgument(format!(
                        "The annotation's value has {} bytes; {ANNOTATION_BYTES_MAX} are the most.",
                        value.len()
                    )));
                }
                set(&mut sdk.annotations, key, value)
            }
            Change::Counter { name, change } => sdk.counter(name)?.change(*change),
            Change::List { name, capacity, values } => sdk.list(name)?.change(*capacity, values.as_deref()),
            Change::AddValue { list, value } => sdk.list(list)?.add(value),
            Change::RemoveValue { list, value } => sdk.list(list)?.remove(value),
            Change::PlayerConnect(player) => {
                let players = sdk.list(PLAYERS)?;
                if players.values.contains(player) { Ok(false) } else { players.add(player) }
            }
            Change::PlayerDisconnect(player) => {
                let players = sdk.list(PLAYERS)?;
                if players.values.contains(player) { players.remove(player) } else { Ok(false) }
            }
            Change::PlayerCapacity(capacity) => sdk.list(PLAYERS)?.change(Some(*capacity), None),
        }
    }

    /// The document once a reservation has run out; none if none has.
    pub(crate) fn reservation_over(&self, now: Timestamp) -> Option<Server> {
        self.reserved_until().filter(|until| *until <= now)?;
        let mut server = self.clone();
        server.sdk.as_deref_mut()?.reserved = None;
        server.pass(ServerState::Ready, now);
        Some(server)
    }

    /// When its reservation runs out, if it has one that does.
    pub(crate) fn reserved_until(&self) -> Option<Timestamp> {
        self.sdk.as_deref()?.reserved?.until
    }

    /// Whether it has taken itself out of what is given away.
    pub fn is_reserved(&self) -> bool {
        self.sdk.as_deref().is_some_and(|sdk| sdk.reserved.is_some())
    }

    /// The document after its pings did not come for `silence`: it is stopped, or its try to start has
    /// failed. None if its life is over anyway.
    pub fn unhealthy(&self, silence: Duration, tries_max: u32, now: Timestamp) -> Option<Server> {
        if self.state == ServerState::Starting {
            let why = format!("it sent no health ping for {} s", silence.as_secs());
            let cause = ExitCause::NotReady(why);
            let exit = Exit { at: now, cause, was_ready: false, last_lines: Vec::new() };
            return Some(self.start_failed(exit, tries_max, now));
        }
        let mut server = self.clone();
        let is_alive = matches!(self.state, ServerState::Ready | ServerState::Allocated);
        (is_alive && server.stop(StopReason::Unhealthy, now).is_ok()).then_some(server)
    }

    fn ready_by_sdk(&mut self, now: Timestamp) -> bool {
        let was_reserved = self.is_reserved();
        let Some(sdk) = self.sdk.as_deref_mut() else { return false };
        let is_said_now = !sdk.is_ready_said;
        sdk.is_ready_said = true;
        sdk.reserved = None;
        match self.state {
            // The first word of a server that was found ready otherwise, and given away before it came to say so.
            ServerState::Allocated if is_said_now => true,
            ServerState::Allocated => {
                self.give_back();
                self.pass(ServerState::Ready, now);
                true
            }
            ServerState::Ready if was_reserved => {
                self.pass(ServerState::Ready, now);
                true
            }
            _ => is_said_now,
        }
    }

    fn allocate_by_sdk(&mut self, now: Timestamp) -> bool {
        let Some(sdk) = self.sdk.as_deref_mut() else { return false };
        // Whoever gives itself away accepts players.
        let is_said_now = !sdk.is_ready_said;
        sdk.is_ready_said = true;
        sdk.reserved = None;
        if self.allocation.is_some() {
            return is_said_now;
        }
        self.allocation = Some(Allocation {
            id: format!("{BY_ITSELF}-{}-{}", self.birth.id, now.as_millis()),
            idempotency: None,
            payload: String::new(),
            payload_delivered: true,
            match_id: None,
            at: now,
            by: BY_ITSELF.into(),
        });
        if self.state == ServerState::Ready {
            self.allocated_at = Some(now);
            self.pass(ServerState::Allocated, now);
        }
        true
    }

    fn reserve_by_sdk(&mut self, time: Option<Duration>, now: Timestamp) -> Result<bool, Refusal> {
        if time.is_some_and(|time| time > RESERVE_MAX) {
            let days = RESERVE_MAX.as_secs() / 86_400;
            return Err(Refusal::BadArgument(format!("A server is reserved for {days} days at the most.")));
        }
        if self.state == ServerState::Starting && self.allocation.is_some() {
            return Err(Refusal::WrongState("The server is about to be given away.".into()));
        }
        let Some(sdk) = self.sdk.as_deref_mut() else { return Ok(false) };
        sdk.is_ready_said = true;
        sdk.reserved = Some(Reserved { until: time.map(|time| now.after(time)) });
        match self.state {
            ServerState::Allocated => {
                self.give_back();
                self.pass(ServerState::Ready, now);
            }
            ServerState::Ready => self.pass(ServerState::Ready, now),
            _ => {}
        }
        Ok(true)
    }

    /// It is nobody's any more: whoever had it has gone.
    fn give_back(&mut self) {
        self.allocation = None;
        self.allocated_at = None;
    }
}

impl Sdk {
    fn counter(&mut self, name: &str) -> Result<&mut Counter, Refusal> {
        let found = self.counters.get_mut(name);
        found.ok_or_else(|| {
            Refusal::NotFound(format!("There is no counter \"{name}\"; the fleet's settings declare them."))
        })
    }

    fn list(&mut self, name: &str) -> Result<&mut List, Refusal> {
        let found = self.lists.get_mut(name);
        found.ok_or_else(|| {
            Refusal::NotFound(format!("There is no list \"{name}\"; the fleet's settings declare them."))
        })
    }
}

impl Counter {
    fn change(&mut self, change: CounterChange) -> Result<bool, Refusal> {
        let old = *self;
        let new = match change {
            CounterChange::By(difference) => {
                let count = old.count.checked_add(difference).ok_or_else(|| old.out_of_range(difference))?;
                Counter { count, ..old }
            }
            CounterChange::Set { count: None, capacity: None } => {
                return Err(Refusal::BadArgument(
                    "Give a count, a capacity, or a difference other than 0.".into(),
                ));
            }
            CounterChange::Set { count, capacity } => {
                let capacity = capacity.unwrap_or(old.capacity);
                if capacity < 0 {
                    return Err(Refusal::OutOfRange(format!("A capacity of {capacity} is less than 0.")));
                }
                Counter { count: count.unwrap_or(old.count.min(capacity)), capacity }
            }
        };
        if !(0..=new.capacity).contains(&new.count) {
            return Err(new.out_of_range(new.count));
        }
        *self = new;
        Ok(new != old)
    }

    fn out_of_range(self, count: i64) -> Refusal {
        Refusal::OutOfRange(format!("A count of {count} is not from 0 to the capacity, {}.", self.capacity))
    }
}

impl List {
    fn change(&mut self, capacity: Option<i64>, values: Option<&[String]>) -> Result<bool, Refusal> {
        let mut new = self.clone();
        if let Some(capacity) = capacity {
            if !(0..=LIST_CAPACITY_MAX).contains(&capacity) {
                return Err(Refusal::OutOfRange(format!(
                    "A capacity of {capacity} is not from 0 to {LIST_CAPACITY_MAX}."
                )));
            }
            new.capacity = capacity;
        }
        let room = usize::try_from(new.capacity).unwrap_or(0);
        if let Some(values) = values {
            new.values.clear();
            for value in values {
                check_value(value)?;
                if new.values.len() < room && !new.values.contains(value) {
                    new.values.push(value.clone());
                }
            }
        }
        new.values.truncate(room);
        let is_changed = new != *self;
        *self = new;
        Ok(is_changed)
    }

    fn add(&mut self, value: &str) -> Result<bool, Refusal> {
        check_value(value)?;
        if self.values.iter().any(|known| known == value) {
            return Err(Refusal::AlreadyExists(format!("The list has \"{value}\" already.")));
        }
        if self.values.len() as i64 >= self.capacity {
            return Err(Refusal::OutOfRange(format!(
                "The list has no room: its capacity is {}.",
                self.capacity
            )));
        }
        self.values.push(value.to_owned());
        Ok(true)
    }

    fn remove(&mut self, value: &str) -> Result<bool, Refusal> {
        let Some(at) = self.values.iter().position(|known| known == value) else {
            return Err(Refusal::NotFound(format!("The list does not have \"{value}\".")));
        };
        self.values.remove(at);
        Ok(true)
    }
}

fn set(values: &mut BTreeMap<String, String>, key: &str, value: &str) -> Result<bool, Refusal> {
    if !values.contains_key(key) && values.len() >= LABELS_MAX {
        return Err(Refusal::OutOfRange(format!("There are {LABELS_MAX} already, which are the most.")));
    }
    Ok(values.insert(key.to_owned(), value.to_owned()).as_deref() != Some(value))
}

fn check_key(key: &str) -> Result<(), Refusal> {
    if !key.is_empty() && is_label_value(key) {
        return Ok(());
    }
    Err(Refusal::BadArgument(format!(
        "The key \"{key}\" is not 1 to {LABEL_BYTES_MAX} letters, digits, '-', '_' or '.', the first and the last a \
         letter or a digit."
    )))
}

/// As Kubernetes has it.
fn is_label_value(text: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bytes = text.as_bytes();
    bytes.len() <= LABEL_BYTES_MAX
        && bytes.iter().all(|byte| is_inner(*byte))
        && is_edge(bytes.first())
        && is_edge(bytes.last())
}

fn check_value(value: &str) -> Result<(), Refusal> {
    if value.is_empty() || value.len() > LIST_VALUE_BYTES_MAX {
        return Err(Refusal::BadArgument(format!(
            "A value has 1 to {LIST_VALUE_BYTES_MAX} bytes; this one has {}.",
            value.len()
        )));
    }
    Ok(())
}
