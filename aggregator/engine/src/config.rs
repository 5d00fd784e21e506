//! How long things stay open and how much is kept: the engine's settings and bounds. Must not read
//! a file or the environment: whoever starts the engine fills it in.

use std::time::Duration;

/// How long a fault's incident stays open without a repeat.
pub const QUIET_PERIOD: Duration = Duration::from_mins(30);

/// How long after its newest fault a repeat still belongs to the same incident.
pub const REOPEN_WITHIN: Duration = Duration::from_hours(24);

/// How much of each node's past detectors may look at. An OOM kill, its signal and the exit come
/// within seconds; ten minutes leave room for a slow exit and for a batch that was sent again.
pub const WINDOW: Duration = Duration::from_mins(10);

/// Ends of processes kept of each node for correlation: at about 1 KiB each some 8 MiB.
pub const MAX_ENDS_PER_NODE: usize = 8192;

/// Signs of trouble kept of each node, and as many samples of its usual state: what is sampled all the
/// time must not push out what is told once.
pub const MAX_SIGNS_PER_NODE: usize = 4096;

/// Signs and samples kept of each workload: ten minutes of six windows a minute of four kinds. A storm
/// in one workload costs only that workload its past.
pub const MAX_SIGNS_PER_WORKLOAD: usize = 256;

/// Stored signals that an engine continues from; of more than this the newest matter.
pub const MAX_RECENT_SIGNALS: usize = 32_768;

/// Signals judged together. What is held for judging grows with it and with the window; a larger
/// step, as after an outage, is taken in parts.
pub const MAX_SIGNALS_AT_ONCE: usize = 2048;

/// How long a condition must be gone to be over; a return within it goes on with the same spell.
/// Several windows of what is sampled, so that one quiet window ends nothing; wait profiles come every
/// two minutes.
pub const CONDITION_QUIET: Duration = Duration::from_mins(3);

/// How often an incident takes note that its condition goes on: far below [`CONDITION_QUIET`], and far
/// above the windows of signals, for each note is written to the store.
pub const CONDITION_NOTED_EVERY: Duration = Duration::from_secs(30);

/// Incidents kept in memory, open and resolved. Twice what a node of 110 pods could open on each of
/// 18 nodes at once; the store keeps the others.
pub const MAX_INCIDENTS: usize = 4096;

/// Evidence kept per incident: more than a person reads, and enough for the first fault and the newest.
pub const MAX_EVIDENCE: usize = 64;

/// Evidence of the first fault that is never given up.
pub const MAX_FIRST_EVIDENCE: usize = 16;

/// Names kept per incident; a crash loop brings a new pid each time.
pub const MAX_ALIASES: usize = 64;

/// Cause changes kept per incident, newest last.
pub const MAX_HISTORY: usize = 16;

/// How far a node's clock may run ahead before its times are not believed.
pub const MAX_CLOCK_AHEAD: Duration = Duration::from_mins(5);

/// The life cycle's settings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Config {
    /// How long an incident stays open without a repeat.
    pub quiet_period: Duration,
    /// How long the incident of a condition stays open after the newest sign of it.
    pub condition_quiet: Duration,
    /// How long after its newest fault a repeat reopens an incident rather than making another.
    pub reopen_within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            quiet_period: QUIET_PERIOD,
            condition_quiet: CONDITION_QUIET,
            reopen_within: REOPEN_WITHIN,
        }
    }
}
