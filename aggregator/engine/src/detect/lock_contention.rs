//! `lock-contention`: the threads of a workload spend their time waiting for each other's locks. Must not
//! hold for a pool of threads that waits for work.

use super::claim::{Claim, cited};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::{Domain, label};
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::model::Severity;
use crate::model::signal::{WaitProfile, WaitShare, WaitState};
use crate::rank::Strength;
use std::time::Duration;

const PRIOR: f64 = 0.9;

/// Most of the threads' time must go into it.
const MIN_PERMILLE: u32 = 500;

/// One thread that waits for another is a program's design.
const MIN_THREADS: u32 = 2;

/// A thread that waits for work stays for the whole profile; one that waits for a lock gets it sooner.
const MAX_STAY_PERCENT: u128 = 80;

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
        if futex.threads < MIN_THREADS || !is_lock(*newest, futex) {
            return super::claim::ruled_out(
                self.cause(),
                "threads stay in futex(2) for as long as they are watched: they wait for work, or for ever",
                vec![fact(case, *newest, futex)],
            );
        }
        claim(case, *newest, futex)
    }
}

/// Whether the agent saw a contended mutex, or waits end within the profile, so that the lock is passed on.
fn is_lock(profile: Observed<'_, WaitProfile>, futex: &WaitShare) -> bool {
    if profile.record.looked_stuck {
        return true;
    }
    let window = profile.at.since(profile.record.start).as_nanos();
    u128::from(futex.longest_ns) * 100 < window * MAX_STAY_PERCENT
}

fn claim(case: &Case<'_>, profile: Observed<'_, WaitProfile>, futex: &WaitShare) -> Verdict {
    let who = case.subject();
    let percent = percent(futex.permille);
    let thread = futex.thread.as_ref().map(label);
    let most = thread.map_or(String::new(), |thread| format!(" {thread} waits most."));
    let on_cpu = share_of(profile.record, WaitState::OnCpu).map_or(0, |share| share.permille);
    let cpu = if on_cpu < 100 {
        " They hardly use a CPU: whoever holds the lock waits for something itself."
    } else {
        ""
    };
    Claim {
        cause: "lock-contention",
        severity: Severity::Warning,
        entity: case.entity(),
        strength: Strength {
            prior: PRIOR,
            specificity: if on_cpu < 500 { 1.0 } else { 0.9 },
            directness: 0.9,
        },
        signs: cited(case, &[profile]).iter().map(|profile| fact(case, *profile, futex)).collect(),
        until: profile.at,
        is_event: false,
        what: "threads queued for a lock".to_owned(),
        headline: format!("{who} is slow: its threads spend {percent} of their time waiting for a lock"),
        explanation: format!(
            "The waits are in futex(2), with {} there at once, for a lock that is passed from thread to \
             thread.{most}{cpu}",
            count(u64::from(futex.threads), "thread")
        ),
        impact: format!("{who} does one thing at a time, however many threads it has"),
        remediation: vec![
            "take stack traces of its threads, twice: the frame above the lock that they share names it".to_owned(),
            "look for what is done under the lock that could be done outside: I/O, sleeps, calls to others".to_owned(),
        ],
    }
    .holds(case)
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

#[cfg(test)]
mod tests {
    use crate::model::signal::{WaitProfile, WaitShare, WaitState};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "lock-contention",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1],
        look_alikes,
    };

    fn profile(id: &str, ms: i64, futex_permille: u32, longest_ms: u64) -> Signal {
        let worker = Actor::new("worker-3", 43);
        let share = |state, permille| WaitShare {
            state,
            permille,
            longest_ns: longest_ms * 1_000_000,
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
        };
        worker.signal(id, at_ms(ms), SignalBody::WaitProfile(profile))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![profile(&format!("profile-{round}"), ms + 5000, 780, 160)]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        vec![
            (
                "a pool that waits for work",
                vec![profile("p", 5000, 900, 5000)],
            ),
            ("locks that cost little", vec![profile("p", 5000, 100, 20)]),
        ]
    }

    #[test]
    fn believes_the_agent_that_saw_a_contended_mutex() {
        let mut stuck = profile("p", 5000, 900, 5000);
        if let SignalBody::WaitProfile(profile) = &mut stuck.body {
            profile.looked_stuck = true;
        }
        assert_eq!(
            crate::testing::checks::causes(vec![stuck]),
            [SCENARIO.cause]
        );
    }

    stands!(SCENARIO);
}
