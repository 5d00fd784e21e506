//! `process-hung`: no thread of a workload does anything or waits for anything from outside. Must not hold
//! while one of them sleeps, polls or reads a socket: that is a server without work.

use super::claim::{Claim, cited, last_spell};
use super::lock_contention::{percent, share_of};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::Domain;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::model::signal::{ContendedLock, WaitProfile, WaitState};
use crate::rank::Strength;

/// What remains is the noise of measuring.
const MIN_PERMILLE: u32 = 990;

/// Finds workloads in which nothing happens any more.
pub(super) struct ProcessHung;

impl Detector for ProcessHung {
    fn cause(&self) -> &'static str {
        "process-hung"
    }

    fn domain(&self) -> Domain {
        Domain::Performance
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let all = case.troubles.of::<WaitProfile>();
        // The newest profiles without any sign of life, back to the last one with some.
        let hung: Vec<_> = all
            .into_iter()
            .rev()
            .take_while(|profile| is_stuck(profile.record))
            .collect();
        let hung: Vec<_> = hung.into_iter().rev().collect();
        let spell = last_spell(&hung);
        let (Some(first), Some(newest)) = (spell.first(), spell.last()) else {
            return Verdict::Silent;
        };
        let who = case.subject();
        let on_disk =
            permille(first.record, WaitState::Disk) > permille(first.record, WaitState::Futex);
        let (what, next) = if on_disk {
            (
                "in the kernel, for a disk or a network file system",
                "see what they wait for: cat /proc/PID/task/*/stack, and the kernel's log",
            )
        } else {
            (
                "for each other's locks",
                "take a stack trace of all threads (gdb, jstack, a SIGQUIT for Go): two that hold what the other wants are the deadlock",
            )
        };
        let strength = Strength {
            prior: 0.95,
            specificity: 0.9,
            directness: 0.9,
        };
        Claim {
            signs: cited(case, spell).iter().map(|profile| fact(case, *profile)).collect(),
            until: newest.at,
            what: "nothing happened any more".to_owned(),
            headline: format!("{who} hangs: all of its threads wait {what}"),
            explanation: "No thread ran, slept, polled or read a socket while it was watched, so that nothing from \
                          outside can wake it: that is a deadlock, or a device that does not answer."
                .to_owned(),
            impact: format!("{who} does nothing until it is restarted"),
            remediation: vec![
                next.to_owned(),
                "a liveness probe would have it restarted".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

/// Nothing happens, and it is not for want of work: for that threads wait in futex(2), too, but not for mutexes, or with
/// one of them that holds the mutex and waits for a condition.
fn is_stuck(profile: &WaitProfile) -> bool {
    let (futex, disk) = (
        permille(profile, WaitState::Futex),
        permille(profile, WaitState::Disk),
    );
    let is_held = |lock: &ContendedLock| !lock.passed && lock.other_waiters == 0;
    futex + disk >= MIN_PERMILLE && (disk > futex || profile.locks.iter().any(is_held))
}

fn permille(profile: &WaitProfile, state: WaitState) -> u32 {
    share_of(profile, state).map_or(0, |share| share.permille)
}

fn fact(case: &Case<'_>, profile: Observed<'_, WaitProfile>) -> Fact {
    let text = format!(
        "{}: over {} its threads spent {} of their time in futex(2), {} waiting uninterruptibly, and none on a CPU, asleep or on a socket",
        case.subject(),
        duration(profile.at.since(profile.record.start)),
        percent(permille(profile.record, WaitState::Futex)),
        percent(permille(profile.record, WaitState::Disk))
    );
    case.sign(profile, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{ContendedLock, WaitProfile, WaitShare, WaitState};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "process-hung",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1],
        look_alikes,
    };

    /// A mutex that nobody lets go of, with so many threads that wait for something else.
    fn held(other_waiters: u32) -> ContendedLock {
        ContendedLock {
            waiters: 1,
            other_waiters,
            ..ContendedLock::default()
        }
    }

    fn profile(id: &str, ms: i64, shares: &[(WaitState, u32)], locks: &[ContendedLock]) -> Signal {
        let shares = shares.iter().map(|(state, permille)| WaitShare {
            state: *state,
            permille: *permille,
            longest_ns: 5_000_000_000,
            threads: 2,
            ..WaitShare::default()
        });
        let profile = WaitProfile {
            start: at_ms(ms - 5000),
            thread_time_ns: 10_000_000_000,
            shares: shares.collect(),
            looked_stuck: false,
            locks: locks.to_vec(),
        };
        Actor::new("shop", 40).signal(id, at_ms(ms), SignalBody::WaitProfile(profile))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![profile(
            &format!("profile-{round}"),
            ms,
            &[(WaitState::Futex, 1000)],
            &[held(0)],
        )]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let idle = [(WaitState::Futex, 900), (WaitState::Sleep, 100)];
        let busy = [(WaitState::Futex, 700), (WaitState::OnCpu, 300)];
        let of = |shares: &[_], locks: &[_]| vec![profile("p", 0, shares, locks)];
        let waiting = [(WaitState::Futex, 1000)];
        vec![
            ("a server without work", of(&idle, &[held(0)])),
            ("threads that work in turn", of(&busy, &[held(0)])),
            ("workers that wait for work", of(&waiting, &[])),
            (
                "workers of which one waits for work under a lock",
                of(&waiting, &[held(1)]),
            ),
        ]
    }

    stands!(SCENARIO);
}
