//! `filesystem-read-only`: a file system takes no writes, because it was mounted so or because the kernel
//! gave up on it. Must tell the two apart.

use super::claim::{Claim, cited, last_spell};
use super::startup::is_noise;
use super::{Detector, Verdict, last_word, node_event};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::Workload;
use crate::explain::facts::Fact;
use crate::explain::quote::{clean, word};
use crate::model::Severity;
use crate::model::signal::{FilesystemUsage, NodeEvent, NodeEventKind};
use crate::rank::Strength;

const PRIOR: f64 = 0.95;

/// What the kernel says when it gives up on a file system.
const GIVEN_UP: [NodeEventKind; 2] = [
    NodeEventKind::FilesystemReadOnly,
    NodeEventKind::FilesystemError,
];

/// Finds file systems that take no writes.
pub(super) struct FilesystemReadOnly;

impl Detector for FilesystemReadOnly {
    fn cause(&self) -> &'static str {
        "filesystem-read-only"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.workload == Workload::Node {
            return self.of_node(case);
        }
        if let Some(last) = last_word::find(case, |call| call.errno == "EROFS" && !is_noise(call)) {
            let place = match last.call.mount_point.as_str() {
                "" => clean(&last.call.path),
                mount_point => clean(mount_point),
            };
            let fact = last.fact(case);
            return self.claim(case, &place, vec![fact], last.specificity());
        }
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let all = case.troubles.of::<FilesystemUsage>();
        let all: Vec<_> = all
            .into_iter()
            .filter(|usage| usage.record.became_read_only)
            .collect();
        let spell = last_spell(&all);
        let Some(first) = spell.first() else {
            return Verdict::Silent;
        };
        let signs = cited(case, spell);
        let signs = signs.iter().map(|usage| fact(case, *usage)).collect();
        self.claim(case, &clean(&first.record.mount_point), signs, 1.0)
    }
}

impl FilesystemReadOnly {
    fn claim(
        &self,
        case: &Case<'_>,
        place: &str,
        mut signs: Vec<Fact>,
        specificity: f64,
    ) -> Verdict {
        let who = case.subject();
        let events = case.elsewhere::<NodeEvent>();
        let gave_up = events
            .iter()
            .find(|event| GIVEN_UP.contains(&event.record.kind));
        let meaning = match gave_up {
            Some(event) => {
                signs.push(node_event::fact(case, *event));
                "The kernel found an error in it shortly before and took it out of use for writing."
            }
            None => "No error of it was seen in the kernel's log: it was probably mounted so.",
        };
        let until = signs.iter().map(|sign| sign.at).max().unwrap_or_default();
        let strength = Strength {
            prior: PRIOR,
            specificity,
            directness: 1.0,
        };
        Claim {
            signs,
            until,
            what: format!("the file system at {place} took no writes"),
            headline: match case.death() {
                Some(_) => format!("{who} gave up: the file system at {place} is read-only"),
                None => format!("{who} cannot write: the file system at {place} became read-only"),
            },
            explanation: format!("Writes to {place} fail with EROFS. {meaning}"),
            impact: format!("nothing that {who} writes to {place} is kept"),
            remediation: vec![
                format!("see how it is mounted: findmnt -T {}", word(place)),
                "look in the kernel's log for errors of its device: dmesg -T | grep -iE 'i/o error|remount|ext4|xfs|btrfs'".to_owned(),
                "in a container: readOnlyRootFilesystem and readOnly of the mount make it so on purpose; give the program a volume to write to".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }

    fn of_node(&self, case: &Case<'_>) -> Verdict {
        let Some(events) = node_event::of_kinds(case, &GIVEN_UP) else {
            return Verdict::Silent;
        };
        let device = events.device();
        Claim {
            severity: Severity::Critical,
            what: format!("the kernel found an error in {device}"),
            headline: format!("{} has a file system in trouble: {device}", case.subject()),
            explanation:
                "The kernel found an error in the file system and, as it was told to by its mount \
                          options, may have made it read-only to save what is there."
                    .to_owned(),
            impact: "whoever writes to it fails, and what was written last may be lost".to_owned(),
            remediation: vec![
                "look at the disk before all else: smartctl -a, dmesg -T | grep -i 'i/o error'"
                    .to_owned(),
                "move the workloads away, then check the file system unmounted: fsck, xfs_repair"
                    .to_owned(),
            ],
            ..events.claim(case, self.cause())
        }
        .holds(case)
    }
}

fn fact(case: &Case<'_>, usage: Observed<'_, FilesystemUsage>) -> Fact {
    let record = usage.record;
    let text = format!(
        "{}: the file system at {} ({}, device {}) was writable and is read-only now",
        case.subject(),
        clean(&record.mount_point),
        clean(&record.fs_type),
        clean(&record.device)
    );
    case.sign(usage, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{FailedCall, FilesystemUsage, NodeEvent, NodeEventKind};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::checks::causes;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::call;
    use crate::testing::{Actor, at_ms, incidents_of};

    const SCENARIO: Scenario = Scenario {
        cause: "filesystem-read-only",
        severity: Severity::Critical,
        nature: Nature::Fault,
        signals,
        supports: &[2, 1],
        look_alikes,
    };

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let pid = 40 + round;
        let word = FailedCall {
            mount_point: "/data".to_owned(),
            ..call(pid, ms - 10, "openat", "EROFS", "/data/orders.db")
        };
        let shop = Actor::new("shop", pid);
        vec![shop.gave_up(&format!("exit-{round}"), ms, 1, vec![word])]
    }

    fn usage(id: &str, became_read_only: bool) -> Signal {
        let usage = FilesystemUsage {
            mount_point: "/data".to_owned(),
            fs_type: "ext4".to_owned(),
            device: "8:1".to_owned(),
            read_only: true,
            became_read_only,
            ..FilesystemUsage::default()
        };
        Actor::new("shop", 40).signal(id, at_ms(0), SignalBody::FilesystemUsage(usage))
    }

    fn node_event() -> Signal {
        let event = NodeEvent {
            kind: NodeEventKind::FilesystemReadOnly,
            text: "EXT4-fs (sda1): Remounting filesystem read-only".to_owned(),
            device: "sda1".to_owned(),
            ..NodeEvent::default()
        };
        let node = Actor::new("unused", 1).unattributed();
        node.signal("event", at_ms(-500), SignalBody::NodeEvent(event))
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let cache = call(
            40,
            -10,
            "mkdir",
            "EROFS",
            "/usr/lib/python3/shop/__pycache__",
        );
        let interpreter = Actor::new("shop", 40).gave_up("s", 0, 1, vec![cache]);
        vec![
            ("one that always was", vec![usage("usage", false)]),
            ("an interpreter that keeps no cache", vec![interpreter]),
        ]
    }

    stands!(SCENARIO);

    #[test]
    fn holds_for_a_state_and_for_the_node_too() {
        assert_eq!(causes(vec![usage("usage", true)]), [SCENARIO.cause]);
        let incidents = incidents_of(vec![node_event()]);
        assert_eq!(incidents[0].root_cause.cause.0, SCENARIO.cause);
        assert!(incidents[0].headline.contains("sda1"));
    }

    #[test]
    fn says_whether_the_kernel_gave_up_on_it() {
        let mut with_event = signals(0, 0);
        with_event.push(node_event());
        let incidents = incidents_of(with_event);
        let of_shop = incidents
            .iter()
            .find(|incident| incident.headline.starts_with("shop"));
        assert!(
            of_shop
                .unwrap()
                .explanation
                .contains("found an error in it")
        );
        assert!(
            incidents_of(signals(0, 0))[0]
                .explanation
                .contains("mounted so")
        );
    }
}
