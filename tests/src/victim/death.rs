//! When and how a victim died: the harness's own truth, against which the product is held.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use jiff::Timestamp;
use tokio::time::Instant;

/// A death as its parent saw it.
#[derive(Clone, Copy, Debug)]
pub struct Death {
    pub pid: u32,
    /// When the pidfd turned readable, for measuring from.
    pub at: Instant,
    /// The same by the wall clock.
    pub observed_at: Timestamp,
    pub how: Ended,
}

/// How a process ended, by wait(2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Not reaped yet.
    Unknown,
}

impl Death {
    pub(super) fn now(pid: u32) -> Self {
        Self {
            pid,
            at: Instant::now(),
            observed_at: Timestamp::now(),
            how: Ended::Unknown,
        }
    }

    pub(super) fn ended(self, status: ExitStatus) -> Self {
        let how = match (status.signal(), status.code()) {
            (Some(signal), _) => Ended::Signal(signal),
            (None, Some(code)) => Ended::Code(code),
            (None, None) => Ended::Unknown,
        };
        Self { how, ..self }
    }

    /// Fails unless it ended so; what a proof induces must have happened before it is judged.
    pub fn must_be(&self, expected: Ended) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.how == expected,
            "victim {} ended by {:?}, not by {expected:?}: nothing can be proven",
            self.pid,
            self.how
        );
        Ok(())
    }

    /// Milliseconds since then.
    pub fn elapsed_ms(&self) -> f64 {
        self.at.elapsed().as_secs_f64() * 1e3
    }
}
