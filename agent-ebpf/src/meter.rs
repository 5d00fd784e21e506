//! Measures what the programs cost, for the agent to keep within its budget. Must not decide what is too much.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use inquest_agent_abi::{Meter, MeterReading, TIMED_RUN_OF};

use crate::maps::METERS;

/// Runs the body of a program, counts that it ran, and times one run in [`TIMED_RUN_OF`], the first included.
#[inline(always)]
pub(crate) fn metered<T>(meter: Meter, body: impl FnOnce() -> T) -> T {
    let reading = reading(meter);
    let began = count_run(reading);
    // Called in one place only: a second one would double the program.
    let outcome = body();
    if began != 0 && !reading.is_null() {
        // SAFETY: as in `count_run`.
        unsafe {
            (*reading).timed_ns += now_ns() - began;
            (*reading).timed_runs += 1;
        }
    }
    outcome
}

/// Returns this CPU's reading of `meter`, null when the map has none, which it always has.
#[inline(always)]
fn reading(meter: Meter) -> *mut MeterReading {
    match METERS.get_ptr_mut(0) {
        // SAFETY: `index` is below the length of the array, which the pointer covers.
        Some(meters) => unsafe {
            (&raw mut (*meters).probes)
                .cast::<MeterReading>()
                .add(meter.index())
        },
        None => core::ptr::null_mut(),
    }
}

/// Returns when the run began if it is to be timed, else 0.
#[inline(always)]
fn count_run(reading: *mut MeterReading) -> u64 {
    if reading.is_null() {
        return 0;
    }
    // SAFETY: the value is this CPU's, the meter this probe's. An interrupt that runs the same probe in between
    // costs one count, no more.
    let run = unsafe {
        let run = (*reading).runs;
        (*reading).runs = run + 1;
        run
    };
    if run % TIMED_RUN_OF == 0 { now_ns() } else { 0 }
}

#[inline(always)]
fn now_ns() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}
