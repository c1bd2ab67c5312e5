//! Waiting for many sockets and for a point in time, by epoll and a timer.

use std::{
    net::TcpStream,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime},
};

/// Most sockets that one wait tells of; the others come with the next.
const EVENTS_MAX: usize = 256;

/// What the timer goes by among the sockets.
const TIMER: u64 = u64::MAX;

/// A socket for which there is something to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// What it was added as.
    pub(crate) index: usize,
    /// There is something to read, or its end.
    pub(crate) readable: bool,
    /// It takes more.
    pub(crate) writable: bool,
}

/// Sockets that are waited for.
pub(crate) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    /// None yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // A wait of epoll itself ends at whole milliseconds, which is ten arrivals late.
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Self { epoll, timer, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Waits for `stream` too, from now on; it goes by `index`.
    pub(crate) fn add(&self, stream: &TcpStream, index: usize) -> anyhow::Result<()> {
        Ok(epoll::add(&self.epoll, stream, EventData::new_u64(index as u64), EventFlags::IN)?)
    }

    /// Waits for `stream` to take more as well, or no longer.
    pub(crate) fn want_write(&self, stream: &TcpStream, index: usize, wanted: bool) -> anyhow::Result<()> {
        let flags = if wanted { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        Ok(epoll::modify(&self.epoll, stream, EventData::new_u64(index as u64), flags)?)
    }

    /// Waits until a socket has something to do or `until` has come, and puts those that have in
    /// `ready`. Sleeps in the kernel; it never spins.
    pub(crate) fn wait(&mut self, until: Instant, ready: &mut Vec<Ready>) -> anyhow::Result<()> {
        ready.clear();
        self.events.clear();
        let left = until.saturating_duration_since(Instant::now());
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        if !left.is_zero() {
            self.ring_in(left)?;
        }
        let timeout = left.is_zero().then_some(&at_once);
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().filter(|event| event.data.u64() != TIMER).map(|event| {
            let flags = event.flags;
            Ready {
                index: event.data.u64() as usize,
                readable: flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR),
                writable: flags.contains(EventFlags::OUT),
            }
        }));
        Ok(())
    }

    /// Setting the timer anew also takes back that it has rung.
    fn ring_in(&self, left: Duration) -> anyhow::Result<()> {
        let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
        let timer = Itimerspec { it_interval: nothing, it_value: Timespec::try_from(left)? };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::TcpListener};

    use super::*;

    #[test]
    fn a_wait_ends_at_its_time_and_not_before() {
        let mut poller = Poller::new().unwrap();
        let mut ready = Vec::new();
        for _ in 0..3 {
            let until = Instant::now() + Duration::from_micros(300);
            poller.wait(until, &mut ready).unwrap();
            assert!(Instant::now() >= until);
            assert!(ready.is_empty());
        }
    }

    #[test]
    fn a_socket_with_something_to_read_ends_the_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut theirs = listener.accept().unwrap().0;
        let mut poller = Poller::new().unwrap();
        poller.add(&ours, 5).unwrap();
        theirs.write_all(b"x").unwrap();
        let mut ready = Vec::new();
        poller.wait(Instant::now() + Duration::from_hours(1), &mut ready).unwrap();
        assert_eq!(ready.len(), 1);
        assert!(ready[0].readable && !ready[0].writable && ready[0].index == 5);
    }
}
