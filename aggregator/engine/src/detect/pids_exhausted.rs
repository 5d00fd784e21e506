//! `pids-exhausted`: no process or thread can be started, for a limit of tasks is reached. Must not hold for
//! a fork that failed for lack of memory.

use super::claim::{Claim, cited, last_spell};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::{Workload, cgroup_entity, label};
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::explain::quote::{clean, word};
use crate::model::Severity;
use crate::model::signal::PidsLimitHit;
use crate::rank::Strength;

const PRIOR: f64 = 0.98;

/// Finds limits of tasks that are reached.
pub(super) struct PidsExhausted;

impl Detector for PidsExhausted {
    fn cause(&self) -> &'static str {
        "pids-exhausted"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() && case.failed_main().is_none() {
            return Verdict::Silent;
        }
        let hits = case.troubles.of::<PidsLimitHit>();
        let hits = last_spell(&hits);
        // One failed fork is enough: the kernel says so only at the limit.
        let (Some(first), Some(last)) = (hits.first(), hits.last()) else {
            return Verdict::Silent;
        };
        let mut limit = Limit::of(first.record);
        let (who, step) = (case.subject(), format!("{} was reached", limit.name));
        if matches!((&case.workload, &limit.cgroup), (Workload::Cgroup(own), Some(path)) if clean(own) == *path)
        {
            limit.name = format!("its limit of {} tasks (pids.max)", first.record.max);
        }
        let signs: Vec<Fact> = cited(case, hits)
            .iter()
            .map(|hit| fact(case, *hit))
            .collect();
        let headline = match case.death() {
            Some(_) => format!(
                "{who} gave up: it could start no process or thread at {}",
                limit.name
            ),
            None => format!(
                "{who} can start no process or thread: {} is reached",
                limit.name
            ),
        };
        Claim {
            cause: self.cause(),
            severity: Severity::Warning,
            entity: match &limit.cgroup {
                Some(path) => cgroup_entity(case.node, path.clone()),
                None => case.entity(),
            },
            strength: Strength {
                prior: PRIOR,
                specificity: 1.0,
                directness: if case.death().is_some() { 0.9 } else { 1.0 },
            },
            signs,
            until: last.at,
            is_event: false,
            what: step,
            headline,
            explanation: limit.explanation,
            impact: format!("every fork and every new thread of {who} fails with EAGAIN"),
            remediation: limit.remediation,
        }
        .holds(case)
    }
}

fn fact(case: &Case<'_>, hit: Observed<'_, PidsLimitHit>) -> Fact {
    let record = hit.record;
    let process = hit.signal.subject.process.as_ref();
    let by = process.map_or(String::new(), |process| format!(" of {}", label(process)));
    let forks = count(record.count, "fork");
    let at = match Limit::of(record).cgroup {
        Some(path) => format!(
            "cgroup {path} is at its limit (pids.max), {} of {} tasks",
            record.current, record.max
        ),
        None => "no cgroup above it is at its limit".to_owned(),
    };
    let text = format!("{}: {forks}{by} failed with EAGAIN; {at}", case.subject());
    case.sign(hit, text)
}

/// Which limit it was.
struct Limit {
    cgroup: Option<String>,
    name: String,
    explanation: String,
    remediation: Vec<String>,
}

impl Limit {
    fn of(hit: &PidsLimitHit) -> Self {
        match hit.limiting.as_ref().filter(|_| !hit.not_cgroup) {
            Some(cgroup) => {
                let unresolved = || format!("id {}", cgroup.id);
                let name = cgroup.path.as_deref().map_or_else(unresolved, clean);
                Self::of_cgroup(name, hit)
            }
            None => Self::of_user_or_node(),
        }
    }

    fn of_cgroup(path: String, hit: &PidsLimitHit) -> Self {
        Self {
            name: format!("the limit of {} tasks (pids.max) of cgroup {path}", hit.max),
            explanation: format!(
                "The cgroup {path} holds {} tasks, threads included, and may hold {}: the kernel refuses \
                 any more with EAGAIN, which programs call \"Resource temporarily unavailable\".",
                hit.current, hit.max
            ),
            remediation: vec![
                format!("see what they are: systemd-cgls {}, or the file cgroup.threads", word(&path)),
                "threads that are never joined and children that are never reaped add up: look for a pool without a bound".to_owned(),
                "raise the limit if that many are needed: podPidsLimit of the kubelet, TasksMax= of the unit, --pids-limit".to_owned(),
            ],
            cgroup: Some(path),
        }
    }

    fn of_user_or_node() -> Self {
        Self {
            cgroup: None,
            name: "a limit of tasks of the user or of the node".to_owned(),
            explanation:
                "No cgroup above it is at its limit of tasks: the user's limit is reached \
                          (RLIMIT_NPROC), or the node's (pid_max, threads-max)."
                    .to_owned(),
            remediation: vec![
                "compare with ulimit -u of the process, kernel.pid_max and kernel.threads-max"
                    .to_owned(),
                "count the user's tasks: ps -eLo user | sort | uniq -c".to_owned(),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{Cgroup, PidsLimitHit};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::call;
    use crate::testing::{Actor, at_ms, incidents_of};

    const SCENARIO: Scenario = Scenario {
        cause: "pids-exhausted",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn hit(not_cgroup: bool) -> PidsLimitHit {
        let limiting = Cgroup {
            id: 76,
            hierarchy: 0,
            path: Some("/demo/limited".to_owned()),
        };
        PidsLimitHit {
            limiting: (!not_cgroup).then_some(limiting),
            max: 12,
            current: 12,
            count: 3,
            not_cgroup,
        }
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let shop = Actor::new("shop", 40);
        let hit = |second: i64| {
            let id = format!("hit-{round}-{second}");
            shop.signal(
                &id,
                at_ms(ms + second * 1000),
                SignalBody::PidsLimitHit(hit(false)),
            )
        };
        vec![hit(1), hit(2)]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let shop = Actor::new("shop", 40);
        let words = vec![call(40, -10, "clone", "ENOMEM", "")];
        vec![(
            "a fork without memory",
            vec![shop.gave_up("exit", 0, 1, words)],
        )]
    }

    stands!(SCENARIO);

    #[test]
    fn names_the_limiting_ancestor_or_says_that_no_cgroup_was() {
        let incident = &incidents_of(signals(0, 0))[0];
        assert_eq!(incident.root_cause.entity.name, "/demo/limited");
        let body = SignalBody::PidsLimitHit(hit(true));
        let of_user = Actor::new("shop", 40).signal("hit", at_ms(0), body);
        let incident = &incidents_of(vec![of_user])[0];
        assert!(incident.explanation.contains("RLIMIT_NPROC"));
    }

    #[test]
    fn a_limiting_cgroup_without_a_path_is_still_a_cgroup() {
        let mut hit = hit(false);
        hit.limiting.as_mut().unwrap().path = None;
        let unresolved =
            Actor::new("shop", 40).signal("hit", at_ms(0), SignalBody::PidsLimitHit(hit));
        let incident = &incidents_of(vec![unresolved])[0];
        assert!(
            incident
                .explanation
                .starts_with("The cgroup id 76 holds 12 tasks")
        );
    }
}
