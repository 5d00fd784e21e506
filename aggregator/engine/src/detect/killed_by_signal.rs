//! `killed-by-signal`: another process ended this one, and which one is known. Must not hold for the
//! OOM killer's SIGKILL nor for a process's own fault.
//!
//! Which deaths open an incident: SIGKILL always, for nobody sends it lightly; a fault signal from
//! another process always; SIGTERM, SIGINT, SIGHUP and SIGQUIT only for process 1 of a container that
//! somebody else than its own parent stopped, and then as information: stopping processes is how
//! machines are run. SIGPIPE, SIGALRM, SIGUSR1 and the others never.

mod relation;

use self::relation::{Relation, relation};
use super::{Detector, Finding, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::{Death, Observed};
use crate::correlate::workload::label;
use crate::explain::facts::FactKind;
use crate::explain::quote::clean;
use crate::explain::signal_name::{
    SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, is_fault_signal, signal_name,
};
use crate::explain::story::{self, Story};
use crate::model::Severity;
use crate::model::signal::{FatalSignal, SignalOrigin};
use crate::rank::{Strength, factors};

const PRIOR: f64 = 0.95;

/// Signals by which processes are asked to stop.
const STOP_SIGNALS: [u32; 4] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT];

/// Finds kills from outside.
pub(super) struct KilledBySignal;

impl Detector for KilledBySignal {
    fn cause(&self) -> &'static str {
        "killed-by-signal"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(death) = case.death() else {
            return Verdict::Silent;
        };
        if death.oom.is_some() {
            return Verdict::ruled_out(
                "the kernel's OOM killer sent the SIGKILL, no process did",
                &[FactKind::OomKill, FactKind::Sender],
            );
        }
        let signal = death.died_of();
        if is_fault_signal(signal) && !sent_by_another(death) {
            return Verdict::ruled_out(
                format!(
                    "no other process is known to have sent {}",
                    signal_name(signal)
                ),
                &[FactKind::Sender, FactKind::NoSenderRecord],
            );
        }
        if death.is_unexplained_kill() {
            return self.unexplained(death);
        }
        let Some(fatal) = death
            .killer()
            .filter(|fatal| fatal.record.origin == SignalOrigin::User)
        else {
            return Verdict::Silent;
        };
        let relation = relation(death, fatal.record);
        match severity(death, relation) {
            Some(severity) => self.sent(death, fatal, relation, severity),
            None => Verdict::Silent,
        }
    }
}

impl KilledBySignal {
    fn sent(
        &self,
        death: &Death<'_>,
        fatal: Observed<'_, FatalSignal>,
        relation: Relation,
        severity: Severity,
    ) -> Verdict {
        let strength = Strength {
            prior: PRIOR,
            specificity: if fatal.record.sender.is_some() {
                1.0
            } else {
                0.7
            },
            directness: 1.0,
        };
        Verdict::Holds(Box::new(Finding {
            cause: self.cause(),
            severity,
            entity: death.workload_entity(),
            factors: factors(strength, death),
            supports: vec![FactKind::Sender, FactKind::Exit, FactKind::NoOomRecord],
            contradicts: Vec::new(),
            story: story(death, fatal.record, relation),
            signs: Vec::new(),
            spell: None,
        }))
    }

    /// Without a sender it remains a candidate that cannot pass the threshold.
    fn unexplained(&self, death: &Death<'_>) -> Verdict {
        let from_kernel = death
            .killer()
            .is_some_and(|fatal| fatal.record.origin == SignalOrigin::Kernel);
        let strength = Strength {
            prior: PRIOR,
            specificity: if from_kernel { 0.3 } else { 0.5 },
            directness: 0.5,
        };
        let contradicts = if from_kernel {
            vec![FactKind::Sender]
        } else {
            Vec::new()
        };
        Verdict::Holds(Box::new(Finding {
            cause: self.cause(),
            severity: Severity::Warning,
            entity: death.workload_entity(),
            factors: factors(strength, death),
            supports: vec![FactKind::Exit, FactKind::NoOomRecord],
            contradicts,
            story: Story::default(),
            signs: Vec::new(),
            spell: None,
        }))
    }
}

/// Whether another process than the victim is known to have sent the signal that ended it.
pub(super) fn sent_by_another(death: &Death<'_>) -> bool {
    death.killer().is_some_and(|fatal| {
        fatal.record.origin == SignalOrigin::User
            && relation(death, fatal.record) != Relation::Itself
    })
}

fn severity(death: &Death<'_>, relation: Relation) -> Option<Severity> {
    let signal = death.died_of();
    if signal == SIGKILL {
        return Some(match relation {
            Relation::Itself => Severity::Info,
            _ => Severity::Warning,
        });
    }
    if is_fault_signal(signal) {
        return Some(Severity::Warning);
    }
    let stopped_from_outside = STOP_SIGNALS.contains(&signal)
        && death.is_container_init()
        && !matches!(relation, Relation::Itself | Relation::Parent);
    stopped_from_outside.then_some(Severity::Info)
}

fn story(death: &Death<'_>, fatal: &FatalSignal, relation: Relation) -> Story {
    let victim = death.victim();
    let signal = signal_name(fatal.signal);
    let sender = fatal
        .sender
        .as_ref()
        .map_or_else(|| "a process that could not be named".to_owned(), label);
    let who = relation.words();
    let from = fatal
        .sender_cgroup
        .as_ref()
        .and_then(|cgroup| cgroup.path.as_deref())
        .map_or_else(String::new, |path| format!(" in cgroup {}", clean(path)));
    Story {
        headline: format!("{victim} was ended by {signal} from {sender}"),
        explanation: format!(
            "The sender is {who}: {sender}{from}. The kernel recorded who sent the signal; \
             it was not the OOM killer and no fault of {victim}."
        ),
        chain: story::chain(death),
        impact: story::impact(death),
        remediation: remediation(death, relation, &sender),
    }
}

fn remediation(death: &Death<'_>, relation: Relation, sender: &str) -> Vec<String> {
    let victim = death.victim();
    match relation {
        Relation::Itself => vec![format!(
            "read the last lines of output of {victim}: it ended itself on purpose"
        )],
        Relation::Parent => vec![
            format!("read the log of {sender}: a parent mostly kills a child that ran into a timeout or did not stop when asked"),
            format!("check whether {victim} reacts to SIGTERM in the time that its parent grants"),
        ],
        Relation::Kubelet | Relation::Runtime => vec![
            format!("ask who wanted it stopped: read the log of {sender}, and the pod's events: a probe that failed, a deletion, a restart"),
            format!("check whether {victim} reacts to SIGTERM within its grace period"),
        ],
        Relation::Sibling | Relation::Pod => vec![
            format!("find out what {sender} is for: a watchdog, a sidecar, a script in the same container"),
            format!("read its log around that time: it decided that {victim} has to go"),
        ],
        _ => vec![
            format!("ask why {sender} sent it: read its log around that time"),
            "if it is a supervisor or a container runtime: check for a stop or a restart that somebody asked for, and for a grace period that was too short".to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use crate::model::signal::SenderClass;
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::checks::{causes, opens, rests_on_facts};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const CAUSE: &str = "killed-by-signal";

    /// One fault of this kind: process `pid`, at `ms`.
    fn fault(pid: u32, ms: i64) -> Vec<Signal> {
        let worker = Actor::new("worker", pid);
        let sender = Actor::new("reaper", 9).in_cgroup(8, "/system.slice/reaper.service");
        vec![
            worker.killed_by(&format!("kill-{pid}"), at_ms(ms), 9, &sender),
            worker.exit(&format!("exit-{pid}"), at_ms(ms + 1), 9),
        ]
    }

    const SCENARIO: Scenario = Scenario {
        cause: CAUSE,
        severity: Severity::Warning,
        nature: Nature::Fault,
        signals: |round, ms| fault(4242 + round, ms),
        supports: &[1, 2, 3],
        look_alikes,
    };

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let worker = Actor::new("worker", 4242);
        let sender = Actor::new("reaper", 9);
        let stopped = vec![
            worker.killed_by("kill", at_ms(0), 15, &sender),
            worker.exit("exit", at_ms(1), 15),
        ];
        vec![("a process that was asked to stop", stopped)]
    }

    stands!(SCENARIO);

    #[test]
    fn does_not_open_for_ordinary_stops() {
        let parent = Actor::new("runtime", 1);
        let stranger = Actor::new("reaper", 9);
        let plain = Actor::new("worker", 4242);
        let init = Actor::new("server", 50).in_container("c0ffee", 1);
        for (victim, signal, sender, causes_expected) in [
            (&plain, 15, &stranger, &[][..]),
            (&plain, 2, &stranger, &[]),
            (&plain, 13, &plain, &[]),
            (&plain, 10, &stranger, &[]),
            (&init, 15, &parent, &[]),
            (&init, 15, &init, &[]),
            (&init, 15, &stranger, &[CAUSE]),
            (&init, 3, &stranger, &[CAUSE]),
            (&init, 13, &stranger, &[]),
        ] {
            let signals = vec![
                victim.killed_by("s-1", at_ms(0), signal, sender),
                victim.exit("s-2", at_ms(1), signal),
            ];
            assert_eq!(
                causes(signals),
                causes_expected,
                "signal {signal} from {sender:?}"
            );
        }
    }

    #[test]
    fn believes_the_agent_on_what_the_sender_is() {
        for (class, words) in [
            (SenderClass::Sibling, "a process of the same cgroup"),
            (SenderClass::Pod, "another container of the same pod"),
            (SenderClass::Kubelet, "the kubelet"),
            (SenderClass::Runtime, "the container runtime"),
            (SenderClass::Init, "the init of the node"),
            (SenderClass::Host, "outside containers"),
            (SenderClass::OtherContainer, "another container"),
        ] {
            let worker = Actor::new("worker", 4242).child_of(7);
            let sender = Actor::new("sender", 9).in_hierarchy(4);
            let mut kill = worker.killed_by("s-1", at_ms(0), 9, &sender);
            if let SignalBody::FatalSignal(fatal) = &mut kill.body {
                fatal.sender_class = class;
            }
            let incident = opens(vec![kill], CAUSE, Severity::Warning);
            assert!(
                incident.explanation.contains(words),
                "{}",
                incident.explanation
            );
        }
    }

    #[test]
    fn says_what_the_sender_is_to_the_victim() {
        let worker = Actor::new("worker", 4242).child_of(7);
        for (sender, words, severity) in [
            (worker.clone(), "the process itself", Severity::Info),
            (Actor::new("shell", 7), "its own parent", Severity::Warning),
            (
                Actor::new("twin", 8),
                "a process of the same cgroup",
                Severity::Warning,
            ),
            (
                Actor::new("reaper", 9).in_cgroup(8, "/other"),
                "a process of another cgroup",
                Severity::Warning,
            ),
            (
                Actor::new("ghost", 9).in_hierarchy(4),
                "a process whose place is not known",
                Severity::Warning,
            ),
        ] {
            let kill = worker.killed_by("s-1", at_ms(0), 9, &sender);
            let incident = opens(vec![kill], CAUSE, severity);
            assert!(
                incident.explanation.contains(words),
                "{}",
                incident.explanation
            );
            rests_on_facts(&incident);
        }
    }

    #[test]
    fn leaves_a_kill_by_the_kernel_without_oom_record_undetermined() {
        let worker = Actor::new("worker", 4242);
        let signals = vec![
            worker.killed_by_kernel("s-1", at_ms(0)),
            worker.exit("s-2", at_ms(1), 9),
        ];
        let incident = opens(signals, "undetermined", Severity::Warning);
        assert!(incident.explanation.contains("no OOM kill was recorded"));
        assert!(incident.hypotheses.len() >= 2, "{:#?}", incident.hypotheses);
        rests_on_facts(&incident);
    }

    #[test]
    fn ignores_processes_that_go_down_with_their_container() {
        let init = Actor::new("server", 50).in_container("c0ffee", 1);
        let child = Actor::new("worker", 51).in_container("c0ffee", 2);
        let signals = vec![
            init.exit("s-1", at_ms(0), 0),
            child.killed_by_kernel("s-2", at_ms(1)),
            child.exit("s-3", at_ms(2), 9),
        ];
        assert_eq!(causes(signals), [""; 0]);
    }
}
