//! Which failed call a program most likely ended for. Must tell what every start fails at from what the
//! program needed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::startup::file_name;
use crate::correlate::case::Case;
use crate::correlate::death::Death;
use crate::explain::address::socket;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quote::clean;
use crate::model::signal::FailedCall;
use crate::model::{Signal, Timestamp};

/// A program that ends for a failed call does so within this time; what failed before was survived.
const CLOSE: Duration = Duration::from_secs(2);

/// A failed call near the end of the main process.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastWord<'a> {
    pub(super) call: &'a FailedCall,
    /// How long before the end.
    pub(super) before_end: Duration,
    /// Nothing else that mattered failed after it.
    pub(super) is_last: bool,
    exit: &'a Signal,
    at: Timestamp,
}

/// The newest call of the process that ended, near its end, of those that `wanted` takes; of its cgroup
/// when the process itself had none, as when a shell ends for its child.
pub(super) fn find<'a>(
    case: &Case<'a>,
    wanted: impl Fn(&FailedCall) -> bool,
) -> Option<LastWord<'a>> {
    let death = case.failed_main()?;
    let own = death.process.map(|process| process.pid);
    let near = near_end(case, death);
    let newest = |takes: &dyn Fn(&FailedCall) -> bool| near.iter().rfind(|(call, _)| takes(call));
    let own = newest(&|call| Some(call.pid) == own && wanted(call));
    let (call, before_end) = *own.or_else(|| newest(&wanted))?;
    let exit = death.exit?;
    let later = near.iter().rev();
    let is_last = !later
        .take_while(|(other, _)| !std::ptr::eq(*other, call))
        .any(|(other, _)| other.pid == call.pid && is_telling(other));
    Some(LastWord {
        call,
        before_end,
        is_last,
        exit: exit.signal,
        at: exit.at.minus(before_end),
    })
}

/// Names that the main process looked for in several directories near its end: the search may have found
/// them in the next one.
pub(super) fn searched_for<'a>(case: &Case<'a>) -> BTreeSet<&'a str> {
    let near = case.failed_main().map(|death| near_end(case, death));
    let mut places: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (call, _) in near.unwrap_or_default() {
        if call.errno == "ENOENT" && is_look(&call.syscall) {
            let of_name = places.entry(file_name(&call.path)).or_default();
            of_name.insert(&call.path);
        }
    }
    places.retain(|_, paths| paths.len() > 1);
    places.into_keys().collect()
}

/// The failed calls near the end, oldest first, each with how long before.
fn near_end<'a>(case: &Case<'a>, death: &Death<'a>) -> Vec<(&'a FailedCall, Duration)> {
    let end = death.exit.map_or(0, |exit| exit.signal.ktime_ns);
    // Agents tell calls of the process itself first, then those of others.
    let mut words: Vec<&FailedCall> = case.last_words().iter().collect();
    words.sort_by_key(|call| call.ktime_ns);
    let timed = words.into_iter().map(|call| {
        let is_known = call.ktime_ns != 0 && end != 0;
        let apart = if is_known {
            end.saturating_sub(call.ktime_ns)
        } else {
            0
        };
        (call, Duration::from_nanos(apart))
    });
    timed
        .filter(|(_, before_end)| *before_end <= CLOSE)
        .collect()
}

/// Whether a failure says something about the end: not what every start fails at, nor a file that was
/// only looked for.
fn is_telling(call: &FailedCall) -> bool {
    let is_look_for_nothing = call.errno == "ENOENT" && is_look(&call.syscall);
    !is_look_for_nothing && !super::startup::is_noise(call)
}

/// Whether a call only asks for a file, as programs do for what they can do without.
pub(super) fn is_look(syscall: &str) -> bool {
    const LOOKS: [&str; 10] = [
        "stat",
        "lstat",
        "newfstatat",
        "statx",
        "access",
        "faccessat",
        "faccessat2",
        "readlink",
        "readlinkat",
        "unlink",
    ];
    LOOKS.contains(&syscall) || syscall == "unlinkat" || syscall == "rmdir"
}

impl LastWord<'_> {
    /// The call as a fact of its case.
    pub(super) fn fact(&self, case: &Case<'_>) -> Fact {
        let call = self.call;
        let who = if call.comm.is_empty() {
            format!("process {}", call.pid)
        } else {
            format!("{}[{}]", clean(&call.comm), call.pid)
        };
        let text = format!(
            "{who}: {}{} failed with {}, {} before the end",
            clean(&call.syscall),
            object(call),
            clean(&call.errno),
            duration(self.before_end)
        );
        Fact {
            at: self.at,
            signal: Some(self.exit.id.clone()),
            ..case.sign_of(self.exit, self.at, text)
        }
    }

    /// How much of a claim it carries: less when other calls failed after it.
    pub(super) fn specificity(&self) -> f64 {
        if self.is_last { 1.0 } else { 0.8 }
    }
}

fn object(call: &FailedCall) -> String {
    let place = if call.mount_point.is_empty() {
        String::new()
    } else {
        format!(" on the file system at {}", clean(&call.mount_point))
    };
    match &call.address {
        Some(address) => format!(" {}", socket(address)),
        None if call.path.is_empty() => place,
        None => format!(" {}{place}", clean(&call.path)),
    }
}
