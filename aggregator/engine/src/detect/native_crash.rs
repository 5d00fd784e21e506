//! `native-crash`: a process died of a fault in its own code or gave up by itself. Must not hold for
//! a fault signal that another process sent.

use super::killed_by_signal::sent_by_another;
use super::{Detector, Finding, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Death;
use crate::explain::facts::FactKind;
use crate::explain::signal_name::{
    SIGABRT, SIGBUS, SIGILL, SIGSEGV, SIGSYS, fault_meaning, is_fault_signal, signal_name,
};
use crate::explain::story::{self, Story};
use crate::model::Severity;
use crate::model::signal::SignalOrigin;
use crate::rank::{Strength, factors};

const PRIOR: f64 = 0.95;

/// The kernel maps nothing below this address (vm.mmap_min_addr), so a fault there is a null pointer
/// or a field of one.
const NULL_PAGE_END: u64 = 0x1_0000;

/// Finds crashes.
pub(super) struct NativeCrash;

impl Detector for NativeCrash {
    fn cause(&self) -> &'static str {
        "native-crash"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(death) = case.death() else {
            return Verdict::Silent;
        };
        let signal = death.died_of();
        if signal == 0 {
            return match death.oom {
                Some(_) => Verdict::ruled_out("the OOM killer ended it", &[FactKind::OomKill]),
                None => Verdict::Silent,
            };
        }
        if !is_fault_signal(signal) {
            return Verdict::ruled_out(
                format!("{} is not raised by a fault", signal_name(signal)),
                &[FactKind::Exit, FactKind::Sender],
            );
        }
        if sent_by_another(death) {
            return Verdict::ruled_out(
                format!("another process sent {}", signal_name(signal)),
                &[FactKind::Sender],
            );
        }
        let (directness, contradicts) = if is_origin_known(death) {
            (1.0, Vec::new())
        } else {
            (0.8, vec![FactKind::NoSenderRecord])
        };
        let strength = Strength {
            prior: PRIOR,
            specificity: 1.0,
            directness,
        };
        Verdict::Holds(Box::new(Finding {
            cause: self.cause(),
            severity: Severity::Warning,
            entity: death.workload_entity(),
            factors: factors(strength, death),
            supports: vec![FactKind::Sender, FactKind::Exit],
            contradicts,
            story: story(death, signal),
            signs: Vec::new(),
            spell: None,
        }))
    }
}

fn is_origin_known(death: &Death<'_>) -> bool {
    death
        .killer()
        .is_some_and(|fatal| fatal.record.origin != SignalOrigin::Unknown)
}

fn story(death: &Death<'_>, signal: u32) -> Story {
    let victim = death.victim();
    let name = signal_name(signal);
    let fatal = death.killer();
    let code = fatal.map_or(0, |fatal| fatal.record.code);
    let by_itself = fatal.is_some_and(|fatal| fatal.record.origin == SignalOrigin::User);
    let meaning = if by_itself && signal != SIGABRT {
        "it sent the signal to itself, as handlers of a fault do in the end"
    } else {
        fault_meaning(signal, code)
    };
    let place = match fatal.and_then(|fatal| fatal.record.fault_address) {
        Some(address) if signal == SIGSEGV && address < NULL_PAGE_END => {
            format!(" The address, {address:#x}, is that of a null pointer or of a field of one.")
        }
        Some(address) => format!(" The address was {address:#x}."),
        None => String::new(),
    };
    Story {
        headline: format!("{victim} crashed with {name}: {meaning}"),
        explanation: format!("{}{place}", explanation(death)),
        chain: story::chain(death),
        impact: story::impact(death),
        remediation: remediation(death, signal),
    }
}

fn explanation(death: &Death<'_>) -> String {
    let victim = death.victim();
    if is_origin_known(death) {
        format!(
            "The fault is in {victim} itself or in a library that it runs; nothing outside ended it."
        )
    } else {
        format!(
            "Where the signal came from was not recorded; a process mostly raises it by a fault of \
             its own, so look at {victim} and its libraries first."
        )
    }
}

fn remediation(death: &Death<'_>, signal: u32) -> Vec<String> {
    let victim = death.victim();
    let core = death.exit.is_some_and(|exit| exit.record.core_dumped);
    let trace = if core {
        format!(
            "open its core dump in a debugger for the stack trace: coredumpctl gdb {}, or gdb with the file that kernel.core_pattern names",
            pid(death)
        )
    } else {
        format!(
            "let {victim} leave a core dump the next time (ulimit -c unlimited, kernel.core_pattern) and read its stack trace in gdb"
        )
    };
    let hint = match signal {
        SIGABRT => {
            "read its last lines of output: a failed assertion or an uncaught exception prints its reason before it aborts"
        }
        SIGILL => "check that the binary was built for this CPU's instruction set",
        SIGBUS => "check for mapped files that were cut short and for full tmpfs or /dev/shm",
        SIGSYS => {
            "compare its seccomp profile with what it calls: dmesg names the system call in a line with type=1326"
        }
        _ => "check what changed last: the binary, its libraries, its input",
    };
    vec![hint.to_owned(), trace]
}

fn pid(death: &Death<'_>) -> u32 {
    death.process.map_or(0, |process| process.pid)
}

#[cfg(test)]
mod tests {
    use crate::model::{Severity, Signal};
    use crate::testing::checks::{causes, opens, rests_on_facts};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const CAUSE: &str = "native-crash";

    /// One fault of this kind: process `pid`, at `ms`.
    fn fault(pid: u32, ms: i64) -> Vec<Signal> {
        let parser = Actor::new("parser", pid);
        vec![
            parser.faulted(&format!("fault-{pid}"), at_ms(ms), 11, 0x10),
            parser.exit(&format!("exit-{pid}"), at_ms(ms + 1), 11),
        ]
    }

    const SCENARIO: Scenario = Scenario {
        cause: CAUSE,
        severity: Severity::Warning,
        nature: Nature::Fault,
        signals: |round, ms| fault(4242 + round, ms),
        supports: &[1, 2],
        look_alikes,
    };

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let parser = Actor::new("parser", 4242);
        let sender = Actor::new("bully", 9);
        let sent = vec![
            parser.killed_by("s-1", at_ms(0), 11, &sender),
            parser.exit("s-2", at_ms(1), 11),
        ];
        vec![("a signal that another process sent", sent)]
    }

    stands!(SCENARIO);

    #[test]
    fn holds_for_every_fault_signal_and_for_no_other() {
        for (signal, holds) in [
            (4, true),
            (5, true),
            (6, true),
            (7, true),
            (8, true),
            (11, true),
            (31, true),
            (13, false),
            (14, false),
            (10, false),
            (25, false),
        ] {
            let expected: &[&str] = if holds { &[CAUSE] } else { &[] };
            let exit = Actor::new("parser", 4242).exit("s-1", at_ms(0), signal);
            assert_eq!(causes(vec![exit]), expected, "signal {signal}");
        }
    }

    #[test]
    fn tells_a_null_pointer_from_another_address() {
        for (address, is_null) in [(0, true), (0x10, true), (0xdead_beef, false)] {
            let parser = Actor::new("parser", 4242);
            let fault = parser.faulted("s-1", at_ms(0), 11, address);
            let incident = opens(vec![fault], CAUSE, Severity::Warning);
            assert_eq!(incident.explanation.contains("null pointer"), is_null);
            rests_on_facts(&incident);
        }
    }

    #[test]
    fn claims_no_fault_when_the_process_sent_the_signal_to_itself() {
        let worker = Actor::new("worker", 7);
        for (signal, words) in [(11, "it sent the signal to itself"), (6, "abort()")] {
            let signals = vec![
                worker.killed_by("s-1", at_ms(0), signal, &worker),
                worker.exit("s-2", at_ms(1), signal),
            ];
            let incident = &crate::testing::incidents_of(signals)[0];
            assert!(incident.headline.contains(words), "{}", incident.headline);
        }
    }
}
