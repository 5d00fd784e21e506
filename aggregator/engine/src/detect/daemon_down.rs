//! `kubelet-down` and `container-runtime-down`: a daemon that the node's containers need ended in a way that
//! nobody asked for. Must not hold for one that was stopped or restarted in order.

use super::claim::{Claim, cited, last_spell};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::{Workload, label};
use crate::explain::facts::Fact;
use crate::explain::signal_name::{SIGTERM, signal_name};
use crate::model::Severity;
use crate::model::signal::{DaemonExit, DaemonRole};
use crate::rank::Strength;

/// The kernel saw the end; whether the daemon is back is not told.
const STRENGTH: Strength = Strength {
    prior: 0.95,
    specificity: 0.9,
    directness: 1.0,
};

/// Finds kubelets that ended.
pub(super) struct KubeletDown;

/// Finds container runtimes that ended.
pub(super) struct ContainerRuntimeDown;

impl Detector for KubeletDown {
    fn cause(&self) -> &'static str {
        "kubelet-down"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        claim(case, self.cause(), DaemonRole::Kubelet)
    }
}

impl Detector for ContainerRuntimeDown {
    fn cause(&self) -> &'static str {
        "container-runtime-down"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        claim(case, self.cause(), DaemonRole::Runtime)
    }
}

fn claim(case: &Case<'_>, cause: &'static str, role: DaemonRole) -> Verdict {
    if case.workload != Workload::Node {
        return Verdict::Silent;
    }
    let all = case.troubles.of::<DaemonExit>();
    let ended: Vec<_> = all
        .into_iter()
        .filter(|exit| exit.record.role == role && !was_stopped(*exit.record))
        .collect();
    let spell = last_spell(&ended);
    let Some(last) = spell.last() else {
        return Verdict::Silent;
    };
    let daemon = last.signal.subject.process.as_ref();
    let daemon = daemon.map_or_else(|| "an unknown process".to_owned(), label);
    let (name, unit, meaning) = match role {
        DaemonRole::Kubelet => (
            "kubelet",
            "kubelet",
            "Containers that run go on, but nothing is started, probed or reported any more; after some 40 s \
             Kubernetes calls the node NotReady.",
        ),
        _ => (
            "container runtime",
            "containerd or crio",
            "Containers that run go on, but none can be started, stopped or looked into until it is back.",
        ),
    };
    Claim {
        severity: Severity::Critical,
        signs: cited(case, spell)
            .iter()
            .map(|exit| fact(case, *exit))
            .collect(),
        until: last.at,
        is_event: true,
        what: format!("the {name} ended"),
        headline: format!("{}: the {name}, {daemon}, ended", case.subject()),
        explanation: meaning.to_owned(),
        impact: "pods of this node cannot be started or replaced until it runs again".to_owned(),
        remediation: vec![
            format!("see whether it is back, and its last words: journalctl -u {unit} -e"),
            "if the kernel killed it for memory, inquest why with its pid says so".to_owned(),
        ],
        ..Claim::of(case, cause, STRENGTH)
    }
    .holds(case)
}

/// Whether it ended as daemons do that are stopped or restarted.
const fn was_stopped(exit: DaemonExit) -> bool {
    (exit.signal == 0 && exit.code == 0) || exit.signal == SIGTERM
}

fn fact(case: &Case<'_>, exit: Observed<'_, DaemonExit>) -> Fact {
    let process = exit.signal.subject.process.as_ref();
    let daemon = process.map_or_else(|| "an unknown process".to_owned(), label);
    let end = match exit.record.signal {
        0 => format!("with exit code {}", exit.record.code),
        signal => format!("by {}", signal_name(signal)),
    };
    case.sign(exit, format!("{daemon} of {} ended {end}", case.subject()))
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{DaemonExit, DaemonRole};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::checks::causes;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "kubelet-down",
        severity: Severity::Critical,
        nature: Nature::Event,
        signals,
        supports: &[1],
        look_alikes,
    };

    fn ended(id: &str, ms: i64, role: DaemonRole, code: u32, signal: u32) -> Signal {
        let daemon = Actor::new("kubelet", 900).in_cgroup(9, "/system.slice/kubelet.service");
        let exit = DaemonExit { role, code, signal };
        daemon.signal(id, at_ms(ms), SignalBody::DaemonExit(exit))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![ended(
            &format!("end-{round}"),
            ms,
            DaemonRole::Kubelet,
            255,
            0,
        )]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        vec![
            (
                "one that was stopped",
                vec![ended("e", 0, DaemonRole::Kubelet, 0, 15)],
            ),
            (
                "one that ended in order",
                vec![ended("e", 0, DaemonRole::Kubelet, 0, 0)],
            ),
            ("a shim", vec![ended("e", 0, DaemonRole::Shim, 1, 0)]),
        ]
    }

    stands!(SCENARIO);

    #[test]
    fn tells_the_runtime_from_the_kubelet() {
        let ended = ended("e", 0, DaemonRole::Runtime, 2, 0);
        assert_eq!(causes(vec![ended]), ["container-runtime-down"]);
    }
}
