//! Many sockets that send small messages at a rate of their own, and time each until it comes back.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::ensure;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use crate::load::{
    arrivals::Arrivals,
    latency::Latency,
    sockets::{Socket, Sockets},
};

/// A message, as a game sends them many times a second.
const MESSAGE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// How long a rate is offered before it is measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long the last messages are waited for.
const LAST_MAX: Duration = Duration::from_secs(10);

/// Sockets that all go the same way.
pub(super) struct Crowd {
    sockets: Sockets,
    /// When the messages arrived that each socket waits for, oldest first.
    under_way: Vec<VecDeque<Duration>>,
    random: SmallRng,
}

/// What one time came to.
pub(super) struct Window {
    /// From a message's arrival until it was back.
    pub(super) latency: Latency,
    /// From a message's arrival until it was sent: the load generator's own part.
    pub(super) delay: Latency,
    messages: u64,
    cpu: Duration,
    time: Duration,
}

impl Window {
    pub(super) fn cpu_each_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.messages.max(1) as f64
    }

    pub(super) fn line(&self) -> String {
        format!(
            "{:.0}/s, p50 {:.3} ms, p99 {:.3} ms, longest {:.1} ms, generator late by {:.3} ms at p99, {:.1} µs a message",
            self.messages as f64 / self.time.as_secs_f64(),
            self.latency.quantile_ms(0.5),
            self.latency.quantile_ms(0.99),
            self.latency.max_ms(),
            self.delay.quantile_ms(0.99),
            self.cpu_each_us(),
        )
    }
}

impl Crowd {
    pub(super) fn connect(address: SocketAddr, path: &str, count: usize, seed: u64) -> anyhow::Result<Self> {
        let sockets: Vec<_> = (0..count).map(|_| Socket::open(address, path)).collect::<Result<_, _>>()?;
        Ok(Self {
            sockets: Sockets::new(sockets)?,
            under_way: vec![VecDeque::new(); count],
            random: SmallRng::seed_from_u64(seed),
        })
    }

    /// Offers `per_second` messages for `time`, after a time to warm up; `cpu` tells what the proxy
    /// has used so far.
    pub(super) fn run(
        &mut self,
        per_second: f64,
        time: Duration,
        cpu: &mut dyn FnMut() -> anyhow::Result<Duration>,
    ) -> anyhow::Result<Window> {
        let (mut latency, mut delay) = (Latency::new()?, Latency::new()?);
        let (first, end) = (WARM_UP, WARM_UP + time);
        let mut arrivals = Arrivals::new(per_second, self.random.random()).peekable();
        let mut messages = 0;
        let mut cpu_before = None;
        let mut cpu_used = Duration::ZERO;
        let mut last = None;
        let began = Instant::now();
        loop {
            let now = began.elapsed();
            if cpu_before.is_none() && now >= first {
                cpu_before = Some(cpu()?);
            }
            if last.is_none() && now >= end {
                cpu_used = cpu()?.saturating_sub(cpu_before.unwrap_or_default());
                last = Some(now + LAST_MAX);
            }
            while let Some(arrived) = arrivals.next_if(|arrived| *arrived <= now.min(end)) {
                let socket = self.random.random_range(0..self.under_way.len());
                self.sockets.send(socket, MESSAGE)?;
                self.under_way[socket].push_back(arrived);
                if arrived >= first {
                    messages += 1;
                    delay.record(began.elapsed().saturating_sub(arrived));
                }
            }
            if let Some(last) = last {
                if self.under_way.iter().all(VecDeque::is_empty) {
                    break;
                }
                ensure!(now < last, "messages did not come back within {LAST_MAX:?}");
            }
            let next = arrivals.peek().copied().unwrap_or(end).min(last.unwrap_or(end));
            let next = if last.is_some() { now + Duration::from_millis(10) } else { next };
            let under_way = &mut self.under_way;
            self.sockets.poll(began + next, |socket, _| {
                let Some(arrived) = under_way[socket].pop_front() else { return };
                if arrived >= first {
                    latency.record(began.elapsed().saturating_sub(arrived));
                }
            })?;
        }
        Ok(Window { latency, delay, messages, cpu: cpu_used, time })
    }
}
