//! `memory-limit-oom/child-process`: the OOM killer took a process of a container whose process 1
//! lives on, so that nothing restarts and Kubernetes shows nothing. Must not hold once process 1 ended.

use super::memory_limit_oom::{SUPPORTS, entity, limit_reached, remediation};
use super::{Detector, Finding, Verdict};
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

    fn detect(&self, death: &Death<'_>) -> Verdict {
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
