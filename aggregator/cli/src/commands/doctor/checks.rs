//! The checks themselves: pure functions from what the aggregator told to verdicts. Must give a
//! next step with every verdict that is not ok.

use inquest_api::node::{MemoryLevel, Node, Probe};
use inquest_api::status::{AnalysisStatus, Status};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Verdict;
use crate::age;
use crate::commands::version;
use crate::failure::Failure;
use crate::output::text;

/// Gaps older than this no longer concern anyone who asks what happens now.
const RECENT: SignedDuration = SignedDuration::from_hours(24);
/// A spool larger than this is not drained in passing.
const SPOOL_BYTES: u64 = 1024 * 1024;

/// One checked thing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Check {
    pub name: String,
    pub verdict: Verdict,
    pub detail: String,
    /// Absent when there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Check {
    fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            verdict: Verdict::Ok,
            detail: detail.into(),
            next: None,
        }
    }

    fn not_ok(
        verdict: Verdict,
        name: impl Into<String>,
        detail: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            verdict,
            detail: detail.into(),
            next: Some(next.into()),
        }
    }
}

/// The only check left when the aggregator gives no usable answer.
pub(super) fn unreachable(failure: &Failure) -> Check {
    let detail = format!("{}: {}", failure.what, failure.why);
    Check::not_ok(Verdict::Fail, "aggregator", detail, failure.next.as_str())
}

/// Every check, aggregator first, then node by node.
pub(super) fn all(address: &str, status: &Status, nodes: &[Node], now: Timestamp) -> Vec<Check> {
    let mut checks = vec![
        aggregator(address, status),
        store(status),
        connected(nodes),
        analysis(&status.analysis),
    ];
    checks.extend(nodes.iter().flat_map(|node| of_node(node, now)));
    checks
}

fn aggregator(address: &str, status: &Status) -> Check {
    match version::skew(version::CLIENT, &status.version) {
        None => Check::ok("aggregator", format!("{} at {address}", status.version)),
        Some(skew) => Check::not_ok(
            Verdict::Warn,
            "aggregator",
            skew,
            "install the same version of `inquest` and the aggregator",
        ),
    }
}

fn store(status: &Status) -> Check {
    let store = &status.store;
    match &store.error {
        None => Check::ok(
            "store",
            format!(
                "{} in {}",
                text::count(store.signals, "signal"),
                text::bytes(store.size_bytes)
            ),
        ),
        Some(error) => Check::not_ok(
            Verdict::Fail,
            "store",
            format!("writes fail: {error}"),
            format!("check space and permissions of {}", store.path),
        ),
    }
}

fn connected(nodes: &[Node]) -> Check {
    let connected = nodes.iter().filter(|node| node.connected).count();
    let detail = format!("{connected} of {} connected", nodes.len());
    let start = "start an agent on each node: `cargo xtask up` as root on this machine";
    match (connected, nodes.len()) {
        (_, 0) => Check::not_ok(Verdict::Fail, "nodes", "no agent has ever reported", start),
        (0, _) => Check::not_ok(Verdict::Fail, "nodes", detail, start),
        (some, all) if some < all => Check::not_ok(
            Verdict::Warn,
            "nodes",
            detail,
            "look at the agents of the nodes that are not connected",
        ),
        _ => Check::ok("nodes", detail),
    }
}

fn analysis(status: &AnalysisStatus) -> Check {
    let model = format!("{} ({})", status.model, status.provider);
    match status.state.as_str() {
        "off" => Check::ok("analysis", "off: reports are the engine's own words"),
        "ok" => Check::ok("analysis", model),
        _ => Check::not_ok(
            Verdict::Warn,
            "analysis",
            format!(
                "{model} fails: {}",
                status.last_error.as_deref().unwrap_or("no reason is known")
            ),
            "check `analysis` in the aggregator's configuration; reports work without it",
        ),
    }
}

/// What one node's agent sees, lost and holds back.
fn of_node(node: &Node, now: Timestamp) -> Vec<Check> {
    let name = |what: &str| format!("node/{}/{what}", node.name);
    let mut checks: Vec<Check> = [link(node, now), probes(node)]
        .into_iter()
        .flatten()
        .collect();
    checks.extend(memory(node));
    checks.extend(losses(node));
    checks.extend(gaps(node, now));
    if node.spool_bytes > SPOOL_BYTES {
        let detail = format!("{} wait to be sent", text::bytes(node.spool_bytes));
        let next = format!("look at the connection of {} to the aggregator", node.name);
        checks.push(Check::not_ok(Verdict::Warn, name("spool"), detail, next));
    }
    checks
}

fn link(node: &Node, now: Timestamp) -> Vec<Check> {
    if node.connected {
        return Vec::new();
    }
    let ago = age::since(node.last_seen_at.0, now);
    let next = format!("look at the log of the agent on {}", node.name);
    let name = format!("node/{}/connection", node.name);
    let detail = format!("not connected, last seen {ago} ago");
    vec![Check::not_ok(Verdict::Warn, name, detail, next)]
}

fn probes(node: &Node) -> Vec<Check> {
    let name = |probe: &str| format!("node/{}/{probe}", node.name);
    let (on_demand, missing): (Vec<&Probe>, Vec<&Probe>) = node
        .probes
        .iter()
        .filter(|probe| !probe.is_attached() && !probe.is_at_rest())
        .partition(|probe| probe.is_on_demand());
    let mut checks: Vec<Check> = missing
        .into_iter()
        .map(|probe| {
            let why = match probe.detail.as_str() {
                "" => probe.state.clone(),
                detail => format!("{} ({detail})", probe.state),
            };
            let detail = format!("{why}; cannot be told: {}", probe.without);
            let next = format!(
                "see why `{}` is not attached on {}: capabilities, kernel and its BTF",
                probe.name, node.name
            );
            Check::not_ok(Verdict::Warn, name(&probe.name), detail, next)
        })
        .collect();
    // Letting a probe go for its cost is what the agent is asked to do.
    checks.extend(on_demand.iter().map(|probe| {
        let detail = format!(
            "on-demand ({}); until then cannot be told: {}",
            probe.detail, probe.without
        );
        Check::ok(name(&probe.name), detail)
    }));
    if checks.is_empty() && !node.probes.is_empty() {
        let detail = format!(
            "all {} attached or at rest, kernel {}",
            node.probes.len(),
            node.kernel_release
        );
        checks.push(Check::ok(name("probes"), detail));
    }
    checks
}

fn memory(node: &Node) -> Option<Check> {
    let cost = node.cost.filter(|cost| cost.memory_level.is_scarce())?;
    let gives_up = if cost.memory_level == MemoryLevel::Short {
        "only kills, failed exits and ends of containers are told, and probes are let go"
    } else {
        "most of what comes in bursts and is not urgent is left out"
    };
    let detail = format!(
        "the agent takes {} where {} are its bound: {gives_up}",
        text::bytes(cost.memory_bytes),
        text::bytes(cost.memory_max_bytes)
    );
    let next = format!(
        "raise `memory.max_size` or the limit of the agent's cgroup on {}; its `/status` says which one holds",
        node.name
    );
    let name = format!("node/{}/memory", node.name);
    Some(Check::not_ok(Verdict::Warn, name, detail, next))
}

fn losses(node: &Node) -> Option<Check> {
    let lost: Vec<String> = node
        .lost
        .iter()
        .filter(|loss| loss.count > 0)
        .map(|loss| format!("{} at {} ({})", loss.count, loss.stage, loss.reason))
        .collect();
    if lost.is_empty() {
        return None;
    }
    let name = format!("node/{}/losses", node.name);
    let detail = format!("records lost: {}", lost.join(", "));
    let next = "see docs/metrics.md for each stage and reason; reports lower their confidence";
    Some(Check::not_ok(Verdict::Warn, name, detail, next))
}

fn gaps(node: &Node, now: Timestamp) -> Option<Check> {
    let start = now.checked_sub(RECENT).unwrap_or(Timestamp::MIN);
    let recent = node.gaps.iter().filter(|gap| gap.end.0 >= start);
    let count = recent.clone().count() as u64;
    let last = recent.max_by_key(|gap| gap.end)?;
    let detail = format!(
        "{} unwatched in the last day, the last ended {} ago ({})",
        text::count(count, "span"),
        age::since(last.end.0, now),
        last.reason
    );
    let name = format!("node/{}/gaps", node.name);
    let next = format!(
        "what happened on {} in these spans is unknown; see why its agent stopped",
        node.name
    );
    Some(Check::not_ok(Verdict::Warn, name, detail, next))
}

#[cfg(test)]
mod tests {
    use inquest_api::node::{Cost, Gap, Loss};
    use inquest_api::time::Time;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    const NOW: i64 = 1_780_000_000;

    fn node() -> Node {
        Node {
            name: "n1".into(),
            agent_id: "n1".into(),
            agent_version: "0.1.0".into(),
            kernel_release: "6.18.0".into(),
            cgroup_version: 3,
            connected: true,
            last_seen_at: at(NOW - 2),
            probes: vec![Probe {
                name: "mark_victim".into(),
                state: "attached".into(),
                hook: "tp_btf".into(),
                detail: String::new(),
                without: "why a process was killed for memory".into(),
            }],
            gaps: Vec::new(),
            lost: Vec::new(),
            spool_bytes: 0,
            cost: None,
        }
    }

    fn verdicts(checks: &[Check]) -> Vec<(&str, Verdict)> {
        checks
            .iter()
            .map(|check| (check.name.as_str(), check.verdict))
            .collect()
    }

    fn of(node: &Node) -> Vec<Check> {
        of_node(node, at(NOW).0)
    }

    #[test]
    fn a_healthy_node_is_one_ok_line() {
        assert_eq!(verdicts(&of(&node())), [("node/n1/probes", Verdict::Ok)]);
    }

    #[test]
    fn a_missing_probe_says_what_cannot_be_told() {
        let mut node = node();
        node.probes[0].state = "missing".into();
        let checks = of(&node);
        assert_eq!(verdicts(&checks), [("node/n1/mark_victim", Verdict::Warn)]);
        assert!(
            checks[0]
                .detail
                .contains("why a process was killed for memory")
        );
    }

    #[test]
    fn a_probe_let_go_for_its_cost_is_no_warning() {
        let mut node = node();
        node.probes[0].state = "on-demand".into();
        node.probes[0].detail = "over the budget".into();
        assert_eq!(verdicts(&of(&node)), [("node/n1/mark_victim", Verdict::Ok)]);
    }

    #[test]
    fn memory_near_its_bound_is_a_warning_with_what_is_given_up() {
        for (level, words) in [
            (MemoryLevel::Unknown, None),
            (MemoryLevel::Ample, None),
            (MemoryLevel::Near, Some("in bursts")),
            (MemoryLevel::Short, Some("only kills")),
        ] {
            let mut node = node();
            node.cost = Some(Cost {
                memory_bytes: 90 << 20,
                memory_max_bytes: 96 << 20,
                memory_level: level,
                ..Cost::default()
            });
            assert_eq!(node.is_short_of_memory(), words.is_some());
            let checks = of(&node);
            let found = checks.iter().find(|check| check.name == "node/n1/memory");
            assert_eq!(
                found.map(|check| check.verdict),
                words.map(|_| Verdict::Warn)
            );
            if let (Some(check), Some(words)) = (found, words) {
                assert!(check.detail.contains(words), "{}", check.detail);
            }
        }
    }

    #[test]
    fn losses_gaps_spool_and_a_lost_connection_are_warnings() {
        let mut node = node();
        node.connected = false;
        node.lost = vec![Loss {
            stage: "spool".into(),
            reason: "disk_full".into(),
            count: 7,
            ..Loss::default()
        }];
        node.gaps = vec![
            Gap {
                start: at(NOW - 500_000),
                end: at(NOW - 400_000),
                reason: "node_rebooted".into(),
            },
            Gap {
                start: at(NOW - 90),
                end: at(NOW - 60),
                reason: "agent_restarted".into(),
            },
        ];
        node.spool_bytes = 5 << 20;
        let checks = of(&node);
        let expected = [
            ("node/n1/connection", Verdict::Warn),
            ("node/n1/probes", Verdict::Ok),
            ("node/n1/losses", Verdict::Warn),
            ("node/n1/gaps", Verdict::Warn),
            ("node/n1/spool", Verdict::Warn),
        ];
        assert_eq!(verdicts(&checks), expected);
        assert_eq!(
            checks[3].detail,
            "1 span unwatched in the last day, the last ended 60s ago (agent_restarted)"
        );
    }

    #[test]
    fn no_agent_at_all_fails() {
        assert_eq!(connected(&[]).verdict, Verdict::Fail);
        let gone = Node {
            connected: false,
            ..node()
        };
        assert_eq!(
            connected(std::slice::from_ref(&gone)).verdict,
            Verdict::Fail
        );
        assert_eq!(connected(&[gone, node()]).verdict, Verdict::Warn);
        assert_eq!(connected(&[node()]).verdict, Verdict::Ok);
    }

    #[test]
    fn every_verdict_that_is_not_ok_has_a_next_step() {
        let mut node = node();
        node.connected = false;
        node.probes[0].state = "disabled".into();
        node.spool_bytes = u64::MAX;
        for check in of(&node) {
            assert!(check.next.is_some(), "{check:?}");
        }
    }
}
