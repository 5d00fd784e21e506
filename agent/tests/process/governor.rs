//! The cost governor on the real kernel: probes that are let go tell nothing, and come back when they are armed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use inquest_proto::v1::probe_status::State;
use inquest_proto::v1::signal::Body;
use tokio::time::{Instant, sleep};

use crate::aggregator::{Aggregator, Behavior};
use crate::process::{Agent, DEADLINE, command};

/// Waits until `condition` holds, doing `meanwhile` in between.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool, mut meanwhile: impl FnMut()) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "not so: {what}");
        meanwhile();
        sleep(Duration::from_millis(20)).await;
    }
}

/// The state in which the aggregator last heard that a probe is.
fn state(aggregator: &Aggregator, probe: &str) -> Option<State> {
    let store = aggregator.store();
    let probes = &store.statuses.last()?.probes;
    Some(probes.iter().find(|status| status.name == probe)?.state())
}

fn was_told(aggregator: &Aggregator, program: &Path) -> bool {
    let store = aggregator.store();
    let signals = store.batches.iter().flat_map(|batch| &batch.signals);
    signals
        .filter_map(|signal| signal.body.as_ref())
        .any(|body| matches!(body, Body::ProcessExec(exec) if Path::new(&exec.filename) == program))
}

fn execute(program: &Path) {
    assert!(Command::new(program).status().unwrap().success());
}

#[tokio::test]
async fn a_probe_that_is_let_go_tells_nothing_until_it_is_armed() {
    let aggregator = Aggregator::start(Behavior::default());
    let dir = tempfile::tempdir().unwrap();
    let more = "probes: {mode: on-demand}\nbudget: {cpu_millis_per_core: 500}\n";
    let state_dir = dir.path().join("state");
    let agent = Agent::watch_with(command(), &state_dir, &aggregator.url(), more);
    agent.logged("running").await;
    if agent.log().contains("this node is not watched") {
        return testkit::skip("no probe can be attached here");
    }
    let [unseen, seen] = ["unseen", "seen"].map(|name| {
        let program = dir.path().join(name);
        fs::copy("/bin/true", &program).unwrap();
        program
    });
    let probe = "sched_process_exec";
    let is = |wanted| state(&aggregator, probe) == Some(wanted);
    eventually("it is let go", || is(State::OnDemand), || ()).await;
    execute(&unseen);
    let armed = agent.ask("PUT", "/probes/arm", "2").await;
    assert_eq!(armed.status, 202, "{}", armed.body);
    eventually("it is armed", || is(State::Attached), || ()).await;
    eventually(
        "it tells",
        || was_told(&aggregator, &seen),
        || execute(&seen),
    )
    .await;
    eventually("it is let go again", || is(State::OnDemand), || ()).await;
    assert!(!was_told(&aggregator, &unseen));
    for refused in ["0", "301", "soon"] {
        assert_eq!(agent.ask("PUT", "/probes/arm", refused).await.status, 400);
    }
}
