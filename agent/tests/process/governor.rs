//! The cost governor on the real kernel: probes that are let go tell nothing, and come back when they are armed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
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

/// System calls that fail, as many as one thread can make, until it is dropped.
struct Storm {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Storm {
    fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                for _ in 0..1000 {
                    assert!(
                        rustix::fs::access("/nonexistent", rustix::fs::Access::EXISTS).is_err()
                    );
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[tokio::test]
async fn a_storm_of_failing_calls_is_back_within_the_budget_in_five_seconds() {
    let aggregator = Aggregator::start(Behavior::default());
    let dir = tempfile::tempdir().unwrap();
    // Twice the default: what else runs here is to stay below.
    let more = "budget: {cpu_millis_per_core: 20}\n";
    let state_dir = dir.path().join("state");
    let agent = Agent::watch_with(command(), &state_dir, &aggregator.url(), more);
    agent.logged("running").await;
    let probe = "sys_exit";
    let is = |wanted| state(&aggregator, probe) == Some(wanted);
    eventually(
        "a status came",
        || state(&aggregator, probe).is_some(),
        || (),
    )
    .await;
    if is(State::Missing) {
        return testkit::skip("`sys_exit` cannot be attached here");
    }
    eventually("it is attached", || is(State::Attached), || ()).await;
    let storm = Storm::begin();
    let began = Instant::now();
    eventually("it is let go", || is(State::OnDemand), || ()).await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let mut window_after = 0;
    while window_after < 3 {
        let cost = cost(&agent).await;
        assert!(began.elapsed() < Duration::from_secs(5), "still {cost}");
        let spent = cost["kernelMillis"].as_f64().unwrap() + cost["userMillis"].as_f64().unwrap();
        window_after += u32::from(spent < cost["budgetMillis"].as_f64().unwrap());
        sleep(Duration::from_millis(50)).await;
    }
    drop(storm);
    eventually("it is taken back", || is(State::Attached), || ()).await;
}

async fn cost(agent: &Agent) -> serde_json::Value {
    let status = agent.get("/status").await.body;
    let mut status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["cost"].take()
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
