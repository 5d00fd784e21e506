//! Measures what the agent costs: its programs in the kernel, by their own readings, and its process. Must not
//! judge it.

use std::time::Duration;

use aya::{
    Ebpf,
    maps::{MapData, MapError, PerCpuArray},
};
use inquest_agent_abi::{MAX_METERS, Meter, MeterReading, Meters, names};
use rustix::time::{ClockId, clock_gettime};

use super::policy::Window;
use crate::{collect::OpenError, probes::Probe};

/// Timed runs from which on a window tells how long a run takes; below, all runs since the start are asked.
const MIN_TIMED_RUNS: u64 = 8;

/// Reads the meters of the programs and of the process.
pub(crate) struct CostMeter {
    map: PerCpuArray<MapData, Meters>,
    seen: [MeterReading; MAX_METERS],
    seen_user: Duration,
}

impl CostMeter {
    /// Takes the map out of `ebpf` and begins a window.
    pub(crate) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        let name = names::METERS;
        let map = ebpf.take_map(name).ok_or(OpenError::Absent(name))?;
        let map = PerCpuArray::try_from(map).map_err(|source| OpenError::Map { name, source })?;
        Ok(Self {
            map,
            seen: [MeterReading::default(); MAX_METERS],
            seen_user: process_time(),
        })
    }

    /// Returns what `probes`, each with what a run costs besides the program itself, and the process cost since the last
    /// time, `length` ago.
    pub(crate) fn window(
        &mut self,
        length: Duration,
        probes: impl Iterator<Item = (&'static Probe, u32)>,
    ) -> Result<Window, MapError> {
        let now = self.sum()?;
        let user = process_time();
        let seconds = length.as_secs_f64();
        let cost = |(probe, attached_ns): (&'static Probe, u32)| {
            let ns = spent_ns(&now, &self.seen, probe.meter, attached_ns);
            (probe.name, ns / seconds / NS_PER_MILLI)
        };
        let window = Window {
            length,
            user_millis: user.saturating_sub(self.seen_user).as_secs_f64() * 1000.0 / seconds,
            probes: probes.map(cost).collect(),
            ..Window::default()
        };
        (self.seen, self.seen_user) = (now, user);
        Ok(window)
    }

    /// Adds up the CPUs.
    fn sum(&self) -> Result<[MeterReading; MAX_METERS], MapError> {
        let mut sums = [MeterReading::default(); MAX_METERS];
        for meters in self.map.get(&0, 0)?.iter() {
            for (sum, reading) in sums.iter_mut().zip(&meters.probes) {
                sum.runs = sum.runs.wrapping_add(reading.runs);
                sum.timed_runs = sum.timed_runs.wrapping_add(reading.timed_runs);
                sum.timed_ns = sum.timed_ns.wrapping_add(reading.timed_ns);
            }
        }
        Ok(sums)
    }
}

/// Nanoseconds a second that make a thousandth of a CPU.
const NS_PER_MILLI: f64 = 1e6;

/// Returns what the runs between two readings took, those that were not timed at the mean of those that were.
fn spent_ns(
    now: &[MeterReading; MAX_METERS],
    before: &[MeterReading; MAX_METERS],
    meter: Meter,
    attached_ns: u32,
) -> f64 {
    let (Some(now), Some(before)) = (now.get(meter.index()), before.get(meter.index())) else {
        return 0.0;
    };
    let runs = now.runs.saturating_sub(before.runs) as f64;
    let timed_runs = now.timed_runs.saturating_sub(before.timed_runs);
    let timed_ns = now.timed_ns.saturating_sub(before.timed_ns);
    let mean = if timed_runs >= MIN_TIMED_RUNS {
        timed_ns as f64 / timed_runs as f64
    } else {
        now.timed_ns as f64 / now.timed_runs.max(1) as f64
    };
    runs * (mean + f64::from(attached_ns))
}

/// Returns the CPU time that this process has taken.
fn process_time() -> Duration {
    // The kernel gives none that is negative.
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(runs: u64, timed_runs: u64, timed_ns: u64) -> [MeterReading; MAX_METERS] {
        [MeterReading {
            runs,
            timed_runs,
            timed_ns,
        }; MAX_METERS]
    }

    #[test]
    fn takes_the_mean_of_the_window_when_enough_of_it_was_timed_else_that_of_all_runs() {
        let before = readings(1000, 16, 16 * 200);
        for (case, now, expected) in [
            ("nothing ran", readings(1000, 16, 16 * 200), 0.0),
            (
                "few timed",
                readings(1100, 17, 16 * 200 + 10_000),
                100.0 * (13_200.0 / 17.0 + 20.0),
            ),
            (
                "many timed",
                readings(2000, 32, 16 * 200 + 16 * 500),
                1000.0 * 520.0,
            ),
            ("the first ever", readings(1001, 16, 16 * 200), 220.0),
        ] {
            let ns = spent_ns(&now, &before, Meter::MARK_VICTIM, 20);
            assert!((ns - expected).abs() < 1e-6, "{case}: {ns}");
        }
    }
}
