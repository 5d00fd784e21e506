//! Decides which samples say something: near a limit, throttled, under pressure, growing towards the limit, or with
//! events since the last one. Pure.

use std::time::Duration;

use inquest_proto::v1::{Pressure, ResourceUsage};

/// Share of a limit from which on it is near.
const NEAR: f64 = 0.9;
/// Of the limit of open files, which programs reach in jumps.
const NEAR_OPEN_FILES: f64 = 0.8;
/// Share of memory's limit from which on failed charges are more than page cache at its limit.
const NEAR_MAX_EVENTS: f64 = 0.8;
/// Share of periods that were throttled: a burst now and then is what quotas are for.
const THROTTLED: f64 = 0.1;
const MIN_THROTTLED_PERIODS: u64 = 5;
/// Shares of time in which tasks waited.
const CPU_PRESSURE: f64 = 0.2;
const STALLED: f64 = 0.1;
/// Time until memory is full that is soon.
const SOON: Duration = Duration::from_mins(30);
/// What a start takes is no growth: a slope has to rest on more.
const MIN_GROWTH_SPAN: Duration = Duration::from_mins(1);

/// What a sample is judged by besides itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    /// Memory that cannot be dropped.
    pub(super) unreclaimable_bytes: Option<u64>,
    /// What the slope rests on.
    pub(super) slope_over: Duration,
    /// How long the window is, zero for a first sample.
    pub(super) window: Duration,
}

/// Returns whether a sample is worth telling for its own sake.
pub(super) fn is_telling(usage: &ResourceUsage, context: Context) -> bool {
    memory(usage, context) || cpu(usage, context.window) || counts(usage)
}

fn memory(usage: &ResourceUsage, context: Context) -> bool {
    let held = context.unreclaimable_bytes;
    let share = share(held, usage.memory_max_bytes);
    let grows = usage
        .memory_seconds_left
        .is_some_and(|left| left <= SOON.as_secs_f64());
    share >= NEAR
        || (share >= NEAR_MAX_EVENTS && any(usage.memory_max_events))
        || any(usage.memory_high_events)
        || any(usage.oom_events)
        || any(usage.oom_kills)
        || (grows && context.slope_over >= MIN_GROWTH_SPAN)
        || stalled(usage.memory_pressure.as_ref())
        || stalled(usage.io_pressure.as_ref())
}

fn cpu(usage: &ResourceUsage, window: Duration) -> bool {
    let throttled = usage.cpu_throttled_periods.unwrap_or(0);
    let waited = usage.run_queue_delay_ns.unwrap_or(0) as f64;
    let pressed = usage
        .cpu_pressure
        .as_ref()
        .is_some_and(|pressure| pressure.some >= CPU_PRESSURE);
    (throttled >= MIN_THROTTLED_PERIODS && share(Some(throttled), usage.cpu_periods) >= THROTTLED)
        || pressed
        || (!window.is_zero() && waited >= CPU_PRESSURE * window.as_nanos() as f64)
}

fn counts(usage: &ResourceUsage) -> bool {
    share(usage.pids, usage.pids_max) >= NEAR
        || any(usage.pids_max_events)
        || share(usage.open_files, usage.open_files_max) >= NEAR_OPEN_FILES
}

fn any(events: Option<u64>) -> bool {
    events.is_some_and(|events| events > 0)
}

fn stalled(pressure: Option<&Pressure>) -> bool {
    pressure.is_some_and(|pressure| pressure.full >= STALLED)
}

/// Returns how much of a limit is used, 0 without one.
fn share(used: Option<u64>, limit: Option<u64>) -> f64 {
    match (used, limit) {
        (Some(used), Some(limit)) if limit > 0 => used as f64 / limit as f64,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: Context = Context {
        unreclaimable_bytes: Some(50),
        slope_over: Duration::from_mins(5),
        window: Duration::from_secs(10),
    };

    fn calm() -> ResourceUsage {
        ResourceUsage {
            memory_bytes: Some(99),
            memory_max_bytes: Some(100),
            memory_max_events: Some(0),
            cpu_periods: Some(100),
            cpu_throttled_periods: Some(4),
            pids: Some(10),
            pids_max: Some(100),
            open_files: Some(10),
            open_files_max: Some(1024),
            ..ResourceUsage::default()
        }
    }

    #[test]
    fn leaves_a_calm_cgroup_alone_though_its_page_cache_fills_it() {
        assert!(!is_telling(&calm(), CONTEXT));
        assert!(!is_telling(&ResourceUsage::default(), Context::default()));
    }

    #[test]
    fn tells_each_reason_by_itself() {
        type Change = fn(&mut ResourceUsage);
        let cases: [(&str, Change); 12] = [
            ("memory.high", |usage| usage.memory_high_events = Some(1)),
            ("oom", |usage| usage.oom_events = Some(1)),
            ("oom kill", |usage| usage.oom_kills = Some(1)),
            ("growth", |usage| usage.memory_seconds_left = Some(1800.0)),
            ("throttling", |usage| usage.cpu_throttled_periods = Some(10)),
            ("run queue", |usage| {
                usage.run_queue_delay_ns = Some(2_000_000_000);
            }),
            ("pids", |usage| usage.pids = Some(90)),
            ("refused forks", |usage| usage.pids_max_events = Some(1)),
            ("open files", |usage| usage.open_files = Some(820)),
            ("cpu pressure", |usage| {
                usage.cpu_pressure = Some(Pressure {
                    some: 0.2,
                    full: 0.0,
                });
            }),
            ("memory pressure", |usage| {
                usage.memory_pressure = Some(Pressure {
                    some: 0.5,
                    full: 0.1,
                });
            }),
            ("io pressure", |usage| {
                usage.io_pressure = Some(Pressure {
                    some: 0.5,
                    full: 0.1,
                });
            }),
        ];
        for (reason, change) in cases {
            let mut usage = calm();
            change(&mut usage);
            assert!(is_telling(&usage, CONTEXT), "{reason}");
        }
    }

    #[test]
    fn tells_memory_by_what_cannot_be_dropped() {
        let full = Context {
            unreclaimable_bytes: Some(90),
            ..CONTEXT
        };
        assert!(is_telling(&calm(), full));
        let mut failing = calm();
        failing.memory_max_events = Some(7);
        assert!(!is_telling(&failing, CONTEXT), "page cache at its limit");
        let fuller = Context {
            unreclaimable_bytes: Some(80),
            ..CONTEXT
        };
        assert!(is_telling(&failing, fuller));
    }

    #[test]
    fn takes_a_start_for_no_growth() {
        let mut usage = calm();
        usage.memory_seconds_left = Some(60.0);
        let starting = Context {
            slope_over: Duration::from_secs(30),
            ..CONTEXT
        };
        assert!(!is_telling(&usage, starting));
    }
}
