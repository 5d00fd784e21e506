//! `lock-contention`: the threads of a workload spend their time waiting for each other's locks. Must not
//! hold for a pool of threads that waits for work.

use super::claim::Claim;
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::{Domain, label};
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::model::Severity;
use crate::model::signal::{ContendedLock, WaitProfile, WaitShare, WaitState};
use crate::rank::Strength;
use std::time::Duration;

const PRIOR: f64 = 0.9;

/// Most of the threads' time must go into it.
const MIN_PERMILLE: u32 = 500;

/// One thread that waits for another is a program's design.
const MIN_THREADS: u32 = 2;

/// What is left of a claim when the holder may be a thread that waits for work.
const MAYBE_IDLE: f64 = 0.8;

/// Finds locks that too many want.
pub(super) struct LockContention;

impl Detector for LockContention {
    fn cause(&self) -> &'static str {
        "lock-contention"
    }

    fn domain(&self) -> Domain {
        Domain::Performance
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let all = case.troubles.of::<WaitProfile>();
        // Each profile tells of its own window; the newest is how it is now.
        let Some(newest) = all.last() else {
            return Verdict::Silent;
        };
        let Some(futex) = share_of(newest.record, WaitState::Futex) else {
            return Verdict::Silent;
        };
        if futex.permille < MIN_PERMILLE {
            return Verdict::Silent;
        }
        let contended = newest.record.locks.iter();
        let lock = contended.max_by_key(|lock| lock.waiters);
        let Some(lock) = lock.filter(|lock| lock.waiters >= MIN_THREADS) else {
            return super::claim::ruled_out(
                self.cause(),
                "threads wait in futex(2), but not for a mutex that somebody was seen to hold: they may wait for work",
                vec![fact(case, *newest, futex)],
            );
        };
        if !lock.passed {
            return super::claim::ruled_out(
                self.cause(),
                "no thread was seen to get the lock: whoever holds it hangs, or waits for work under it",
                vec![fact(case, *newest, futex), lock_fact(case, *newest, lock)],
            );
        }
        claim(case, *newest, futex, lock)
    }
}

fn claim(
    case: &Case<'_>,
    profile: Observed<'_, WaitProfile>,
    futex: &WaitShare,
    lock: &ContendedLock,
) -> Verdict {
    let who = case.subject();
    let percent = percent(futex.permille);
    let (lock_name, waiters) = (name(lock), count(u64::from(lock.waiters), "thread"));
    let thread = futex.thread.as_ref().map(label);
    let most = thread.map_or(String::new(), |thread| format!(" {thread} waits most."));
    let on_cpu = share_of(profile.record, WaitState::OnCpu).map_or(0, |share| share.permille);
    let cpu = if on_cpu < 100 {
        " They hardly use a CPU: whoever holds the lock waits for something itself."
    } else {
        ""
    };
    let (specificity, doubt) = match lock.other_waiters {
        0 => (1.0, ""),
        _ => (
            MAYBE_IDLE,
            " Other threads wait for conditions: if one of them takes work from a queue while it holds the lock, the \
             rest is idle, not slow.",
        ),
    };
    Claim {
        cause: "lock-contention",
        severity: Severity::Warning,
        entity: case.entity(),
        strength: Strength {
            prior: PRIOR,
            specificity: if on_cpu < 500 { specificity } else { specificity * 0.9 },
            directness: 1.0,
        },
        signs: vec![fact(case, profile, futex), lock_fact(case, profile, lock)],
        until: profile.at,
        is_event: false,
        what: format!("threads queued for {lock_name}"),
        headline: format!("{who} is slow: its threads spend {percent} of their time waiting for a lock"),
        explanation: format!(
            "Up to {waiters} at once wait for {lock_name}, which is passed from one to the next.{most}{cpu}{doubt}"
        ),
        impact: format!("{who} does one thing at a time, however many threads it has"),
        remediation: vec![
            "take stack traces of its threads, twice: the frame above the lock that they share names it".to_owned(),
            "look for what is done under the lock that could be done outside: I/O, sleeps, calls to others".to_owned(),
        ],
    }
    .holds(case)
}

/// The lock by whose it is and where.
fn name(lock: &ContendedLock) -> String {
    let process = lock.process.as_ref();
    let of = process.map_or(String::new(), |process| format!(" of {}", label(process)));
    format!("the lock at {:#x}{of}", lock.address)
}

pub(super) fn share_of(profile: &WaitProfile, state: WaitState) -> Option<&WaitShare> {
    profile.shares.iter().find(|share| share.state == state)
}

/// Thousandths as a person reads them.
pub(super) fn percent(permille: u32) -> String {
    format!("{:.0} %", f64::from(permille) / 10.0)
}

fn fact(case: &Case<'_>, profile: Observed<'_, WaitProfile>, futex: &WaitShare) -> Fact {
    let thread = futex.thread.as_ref();
    let most = thread.map_or(String::new(), |thread| format!(", {} most", label(thread)));
    let syscall = if futex.syscall.is_empty() {
        "futex"
    } else {
        &futex.syscall
    };
    let text = format!(
        "{}: over {} its threads spent {} of their time in {}{most}; {} there when looked at, the longest \
         stay was {}",
        case.subject(),
        duration(profile.at.since(profile.record.start)),
        percent(futex.permille),
        crate::explain::quote::clean(syscall),
        count(u64::from(futex.threads), "thread"),
        duration(Duration::from_nanos(futex.longest_ns))
    );
    case.sign(profile, text)
}

fn lock_fact(case: &Case<'_>, profile: Observed<'_, WaitProfile>, lock: &ContendedLock) -> Fact {
    let fate = if lock.passed {
        "it was passed on"
    } else {
        "nobody was seen to get it"
    };
    let text = format!(
        "{}: up to {} waited for {} at once; {fate} meanwhile",
        case.subject(),
        count(u64::from(lock.waiters), "thread"),
        name(lock)
    );
    case.sign(profile, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{ContendedLock, WaitProfile, WaitShare, WaitState};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms, incidents_of};

    const SCENARIO: Scenario = Scenario {
        cause: "lock-contention",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn lock(waiters: u32, passed: bool, other_waiters: u32) -> ContendedLock {
        ContendedLock {
            process: Some(Actor::new("shop", 40).process().clone()),
            address: 0x7f00_1000,
            waiters,
            passed,
            other_waiters,
        }
    }

    fn profile(id: &str, ms: i64, futex_permille: u32, locks: &[ContendedLock]) -> Signal {
        let worker = Actor::new("worker-3", 43);
        let share = |state, permille| WaitShare {
            state,
            permille,
            longest_ns: 1_200_000_000,
            thread: Some(worker.process().clone()),
            threads: 7,
            ..WaitShare::default()
        };
        let profile = WaitProfile {
            start: at_ms(ms - 5000),
            thread_time_ns: 40_000_000_000,
            shares: vec![
                share(WaitState::Futex, futex_permille),
                share(WaitState::Sleep, 1000 - futex_permille),
            ],
            looked_stuck: false,
            locks: locks.to_vec(),
        };
        worker.signal(id, at_ms(ms), SignalBody::WaitProfile(profile))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let contended = lock(7, true, 0);
        vec![profile(
            &format!("profile-{round}"),
            ms + 5000,
            780,
            &[contended],
        )]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let of = |permille, locks: &[ContendedLock]| vec![profile("p", 5000, permille, locks)];
        vec![
            ("a pool that waits for a condition", of(900, &[])),
            (
                "a pool of which one waits for work under the lock of the queue",
                of(900, &[lock(7, false, 1)]),
            ),
            (
                "one thread that waits for another",
                of(900, &[lock(1, true, 0)]),
            ),
            ("locks that cost little", of(100, &[lock(7, true, 0)])),
        ]
    }

    #[test]
    fn is_less_sure_while_the_holder_may_wait_for_work() {
        let score = |others| {
            let incidents = incidents_of(vec![profile("p", 5000, 900, &[lock(7, true, others)])]);
            incidents[0].root_cause.clone()
        };
        let (sure, unsure) = (score(0), score(1));
        assert_eq!(sure.cause, unsure.cause);
        assert!(unsure.confidence < sure.confidence);
    }

    stands!(SCENARIO);
}
