//! `memory-limit-oom/child-process`: the OOM killer took a process of a container whose process 1
//! lives on, so that nothing restarts and Kubernetes shows nothing. Must not hold once process 1 ended.

use super::memory_limit_oom::{SUPPORTS, entity, limit_reached, remediation};
use super::{Detector, Finding, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Death;
use crate::explain::facts::{FactKind, victim_memory};
use crate::explain::quantity::bytes;
use crate::explain::story::{self, Story};
use crate::model::Severity;
use crate::model::signal::{MemoryCgroup, OomKill};
use crate::rank::{Strength, factors};

const PRIOR: f64 = 0.98;

/// Finds processes lost inside a living container.
pub(super) struct ChildProcessOom;

impl Detector for ChildProcessOom {
    fn cause(&self) -> &'static str {
        "memory-limit-oom/child-process"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(death) = case.death() else {
            return Verdict::Silent;
        };
        let (Some(oom), Some((index, level))) = (death.oom, death.limiting()) else {
            return Verdict::Silent;
        };
        if death.is_container_init() {
            return Verdict::ruled_out(
                "the victim was process 1 of its container",
                &[FactKind::OomKill],
            );
        }
        if !death.is_container_child() {
            return Verdict::Silent;
        }
        if death.init_exit.is_some() {
            return Verdict::ruled_out(
                "process 1 of the container ended too",
                &[FactKind::InitExit],
            );
        }
        let strength = Strength {
            prior: PRIOR,
            specificity: 1.0,
            directness: 1.0,
        };
        let mut supports = SUPPORTS.to_vec();
        supports.push(FactKind::InitAlive);
        Verdict::Holds(Box::new(Finding {
            cause: self.cause(),
            severity: Severity::Warning,
            entity: entity(death),
            factors: factors(strength, death),
            supports,
            contradicts: Vec::new(),
            story: story(death, oom.record, index, level),
            signs: Vec::new(),
            spell: None,
        }))
    }
}

fn story(death: &Death<'_>, kill: &OomKill, index: usize, level: &MemoryCgroup) -> Story {
    let victim = death.victim();
    let mut steps = vec![format!(
        "check whether the application noticed that {victim} is gone: the container was not restarted"
    )];
    steps.extend(remediation(death, kill));
    Story {
        headline: format!(
            "{victim}, a child process, was killed inside a running container: {}",
            limit_reached(death, index, level)
        ),
        explanation: format!(
            "The cgroup had {} in use of {} allowed, so the kernel killed {victim}, which held {}. \
             It was not process 1 of the container, so the container runs on and nothing was restarted.",
            bytes(level.usage_bytes),
            bytes(level.max_bytes.unwrap_or(0)),
            victim_memory(kill),
        ),
        chain: story::chain(death),
        impact: story::impact(death),
        remediation: steps,
    }
}

#[cfg(test)]
mod tests {
    use crate::Engine;
    use crate::model::{Severity, Signal};
    use crate::testing::checks::{causes, rests_on_facts};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::step;
    use crate::testing::{Actor, at_ms};

    const CAUSE: &str = "memory-limit-oom/child-process";

    /// One fault of this kind: process `pid`, at `ms`.
    fn fault(pid: u32, ms: i64) -> Vec<Signal> {
        let child = Actor::new("worker", pid).in_container("c0ffee", 17);
        vec![
            child.oom(&format!("oom-{pid}"), at_ms(ms)),
            child.killed_by_kernel(&format!("kill-{pid}"), at_ms(ms + 1)),
            child.exit(&format!("exit-{pid}"), at_ms(ms + 2), 9),
        ]
    }

    const SCENARIO: Scenario = Scenario {
        cause: CAUSE,
        severity: Severity::Warning,
        nature: Nature::Fault,
        signals: |round, ms| fault(4242 + round, ms),
        supports: &[1, 3, 2, 6, 7, 5, 8, 9, 10],
        look_alikes,
    };

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let init = Actor::new("server", 50).in_container("c0ffee", 1);
        let mut with_init = fault(4242, 0);
        with_init.push(init.exit("init", at_ms(500), 0));
        vec![("process 1 ended too", with_init)]
    }

    stands!(SCENARIO);

    #[test]
    fn does_not_hold_once_process_1_ended_too() {
        let init = Actor::new("server", 50).in_container("c0ffee", 1);
        for end in [at_ms(-500), at_ms(500)] {
            let mut signals = fault(4242, 0);
            signals.push(init.exit("init", end, 0));
            assert_eq!(causes(signals), ["memory-limit-oom"]);
        }
    }

    #[test]
    fn gives_way_when_process_1_ends_a_moment_later() {
        let init = Actor::new("server", 50).in_container("c0ffee", 1);
        let mut engine = Engine::default();
        let opened = step(&mut engine, at_ms(10), fault(4242, 0)).changed;
        let output = step(
            &mut engine,
            at_ms(600),
            vec![init.exit("init", at_ms(500), 0)],
        );
        let changed = &output.changed[0];
        assert_eq!(changed.id, opened[0].id);
        assert_eq!(changed.root_cause.cause.0, "memory-limit-oom");
        assert_eq!(changed.occurrences, 1);
        assert_eq!(changed.history[0].from.0, CAUSE);
        assert_eq!(output.requested_analyses, std::slice::from_ref(&changed.id));
        rests_on_facts(changed);
    }

    #[test]
    fn looks_only_at_the_own_container() {
        let other = Actor::new("server", 51).in_container("decaf", 1);
        let mut signals = fault(4242, 0);
        signals.push(other.exit("other", at_ms(500), 0));
        assert_eq!(causes(signals), [CAUSE]);
    }
}
