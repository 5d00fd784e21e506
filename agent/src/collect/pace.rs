//! The steady pace at which the bulk lane is read: one wake-up of the process for each tick. Must not
//! be used for anything that has no such pace.
//!
//! A timer of the runtime costs three waits and a write a tick: its wheel wakes once for the coarse slot and
//! once for the exact time, and setting the next tick wakes the event loop that is already running. At a few
//! ticks a second that is most of what an idle agent costs; this is one wait and a read.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::{
    io::read,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use tokio::io::{Interest, unix::AsyncFd};

/// Ticks of the kernel's, at a fixed interval. Those that nobody waited for count as one.
#[derive(Debug)]
pub(crate) struct Pace(AsyncFd<OwnedFd>);

impl Pace {
    /// Begins to tick, one `interval` from now for the first time.
    pub(crate) fn every(interval: Duration) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let interval = Timespec::try_from(interval).map_err(io::Error::other)?;
        let spec = Itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &spec)?;
        // SAFETY: the descriptor is owned by `Pace`, which neither closes nor replaces it while it is
        // registered.
        unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }
            .map(Self)
            .map_err(io::Error::from)
    }

    /// Waits for the next tick. An error is one of the runtime, and lasts.
    pub(crate) async fn tick(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            // Reading is what makes the kernel set the next tick.
            let read = ready.try_io(|timer| Ok(read(timer, &mut [0; size_of::<u64>()])?));
            if let Ok(read) = read {
                // Nothing is left until the next tick, which sets this again.
                ready.clear_ready();
                return read.map(drop);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn ticks_again_and_again_and_not_early() {
        let interval = Duration::from_millis(20);
        let began = Instant::now();
        let mut pace = Pace::every(interval).unwrap();
        for _ in 0..5 {
            let ticked = tokio::time::timeout(Duration::from_secs(20), pace.tick()).await;
            ticked.expect("no tick").unwrap();
        }
        assert!(began.elapsed() >= interval * 5);
    }

    #[tokio::test]
    async fn ticks_nobody_waited_for_are_one() {
        let mut pace = Pace::every(Duration::from_millis(10)).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        pace.tick().await.unwrap();
        let late = tokio::time::timeout(Duration::ZERO, pace.tick()).await;
        assert!(late.is_err(), "a tick was left over");
    }
}
