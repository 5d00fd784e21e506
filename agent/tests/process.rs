//! The agent as a process: how it starts, refuses, serves, stops and comes back.

#[cfg(test)]
#[path = "double/aggregator.rs"]
mod aggregator;
#[cfg(test)]
#[path = "process/governor.rs"]
mod governor;
#[cfg(test)]
#[path = "double/process.rs"]
mod process;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use inquest_agent::loss::LossTotal;
    use inquest_agent::spool::{Spool, read_unsettled};
    use inquest_proto::v1;
    use inquest_proto::v1::coverage_gap::Reason;
    use inquest_proto::v1::probe_status::State;
    use inquest_proto::v1::signal::Body;
    use jiff::Timestamp;
    use rustix::process::Signal;
    use tokio::time::{Instant, sleep};

    use super::aggregator::{Aggregator, Behavior};
    use super::process::{Agent, DEADLINE, command, run};

    /// A user without any privileges.
    const NOBODY: u32 = 65534;

    /// Leaves batches in a state directory, as an agent that died before it could send them.
    fn leave_batches(state_dir: &Path, count: usize) -> Vec<String> {
        let dir = state_dir.join("spool");
        let mut spool = Spool::open(&dir, 0xa, 64 << 20, LossTotal::default()).unwrap();
        let ids: Vec<_> = (1..=count)
            .map(|n| format!("000000000000000a-{n}"))
            .collect();
        for id in &ids {
            let signal = v1::Signal {
                id: id.clone(),
                ..Default::default()
            };
            spool.append(v1::SignalBatch {
                signals: vec![signal],
                ..Default::default()
            });
        }
        ids
    }

    async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition() {
            assert!(Instant::now() < deadline, "not so: {what}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[test]
    fn wrong_usage_exits_64_and_help_does_not() {
        for (args, code, words) in [
            (vec!["--nonsense"], 64, "--nonsense"),
            (vec!["--config"], 64, "--config"),
            (
                vec!["--config", "/nonexistent/agent.yaml"],
                64,
                "/nonexistent/agent.yaml",
            ),
            (vec!["--version"], 0, "inquest-agent 0."),
            (vec!["--help"], 0, "--check-config"),
        ] {
            let output = run(&args);
            assert_eq!(output.status.code(), Some(code), "{args:?}");
            let said = [output.stdout, output.stderr].concat();
            assert!(String::from_utf8_lossy(&said).contains(words), "{args:?}");
        }
    }

    #[test]
    fn a_bad_configuration_names_the_key_and_touches_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        for (line, words) in [
            (
                "admin_listen: 0.0.0.0:7702",
                "`admin_listen` cannot be `0.0.0.0:7702`",
            ),
            ("spool: {max_size: 64}", "`spool.max_size`"),
            ("agregator: http://a:1", "agregator"),
            ("probes: {disabled: [no_such_probe]}", "no_such_probe"),
        ] {
            let path = dir.path().join("agent.yaml");
            fs::write(
                &path,
                format!("state_dir: {}\n{line}\n", state_dir.display()),
            )
            .unwrap();
            for check in [&["--check-config"][..], &[]] {
                let args = [&["--config", path.to_str().unwrap()], check].concat();
                let output = run(&args);
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(output.status.code(), Some(64), "{line}: {said}");
                assert!(said.contains(words), "{line}: {said}");
            }
        }
        assert!(!state_dir.try_exists().unwrap());
    }

    #[test]
    fn prints_the_configuration_it_would_run_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.yaml");
        fs::write(&path, "node_name: node-a\nspool: {max_size: 8MiB}\n").unwrap();
        let output = run(&["--config", path.to_str().unwrap(), "--check-config"]);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0));
        for words in [
            "node_name: node-a",
            "max_size: 8MiB",
            "http://127.0.0.1:7701/",
            "7702",
        ] {
            assert!(printed.contains(words), "{words} in {printed}");
        }
    }

    #[tokio::test]
    async fn sigterm_ends_it_soon_and_in_good_order() {
        let aggregator = Aggregator::start(Behavior::default());
        let dir = tempfile::tempdir().unwrap();
        for signal in [Signal::TERM, Signal::INT] {
            let mut agent = Agent::start(&dir.path().join("state"), &aggregator.url());
            agent.logged("connected to the aggregator").await;
            agent.signal(signal);
            let told = Instant::now();
            assert_eq!(agent.ended().await.code(), Some(0), "{}", agent.log());
            // It may ship for 5 s; with nothing to ship it does not.
            assert!(told.elapsed() < Duration::from_secs(5));
            agent.logged("\"stopped; ").await;
        }
    }

    #[tokio::test]
    async fn sigterm_before_anybody_answered_leaves_the_spool_for_later() {
        let aggregator = Aggregator::absent();
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        leave_batches(&state_dir, 3);
        let mut agent = Agent::start(&state_dir, &aggregator.url());
        agent.logged("not connected to the aggregator").await;
        agent.signal(Signal::TERM);
        assert_eq!(agent.ended().await.code(), Some(0), "{}", agent.log());
        assert_eq!(read_unsettled(&state_dir.join("spool")).unwrap().len(), 3);
    }

    #[tokio::test]
    async fn one_state_directory_serves_one_agent() {
        let aggregator = Aggregator::absent();
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        let first = Agent::start(&state_dir, &aggregator.url());
        first.logged("running").await;
        let mut second = Agent::start(&state_dir, &aggregator.url());
        assert_eq!(second.ended().await.code(), Some(1));
        second.logged("in use by another agent").await;
        drop(first);
        // A lock of a killed agent is no obstacle.
        Agent::start(&state_dir, &aggregator.url())
            .logged("running")
            .await;
    }

    #[tokio::test]
    async fn what_a_damaged_spool_still_holds_is_sent_and_the_rest_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        let ids = leave_batches(&state_dir, 9);
        let segment = state_dir.join("spool/0000000000000001.segment");
        let mut bytes = fs::read(&segment).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(&segment, bytes).unwrap();

        let aggregator = Aggregator::start(Behavior::default());
        let agent = Agent::start(&state_dir, &aggregator.url());
        agent.logged("a part of the spool is damaged").await;
        eventually("the rest is stored", || {
            aggregator.store().signal_ids().len() == 8
        })
        .await;
        let stored = aggregator.store().signal_ids();
        assert!(stored.iter().all(|id| ids.contains(id)));
        assert_eq!(aggregator.store().holes, 0);
        let told = |status: &v1::NodeStatus| {
            status
                .lost_total
                .iter()
                .any(|loss| loss.reason == "corrupt" && loss.count == 1)
        };
        eventually("the loss is told", || {
            aggregator.store().statuses.iter().any(told)
        })
        .await;
        assert!(agent.get("/metrics").await.body.contains(
            "inquest_agent_dropped_total{stage=\"spool\",reason=\"corrupt\",kind=\"\"} 1"
        ));
    }

    #[tokio::test]
    async fn a_killed_agents_batches_are_sent_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        let ids = leave_batches(&state_dir, 20);
        let mut aggregator = Aggregator::absent();
        let mut agent = Agent::start(&state_dir, &aggregator.url());
        agent.logged("not connected to the aggregator").await;
        agent.signal(Signal::KILL);
        agent.ended().await;
        aggregator.restart();
        let agent = Agent::start(&state_dir, &aggregator.url());
        eventually("all is stored", || aggregator.store().signal_ids() == ids).await;
        let start_ids: Vec<_> = aggregator
            .store()
            .hellos
            .iter()
            .map(|h| h.start_id)
            .collect();
        assert_ne!(start_ids, [0]);
        drop(agent);
    }

    #[tokio::test]
    async fn the_admin_page_tells_how_things_stand() {
        let aggregator = Aggregator::absent();
        let dir = tempfile::tempdir().unwrap();
        let agent = Agent::start(&dir.path().join("state"), &aggregator.url());
        agent.logged("not connected to the aggregator").await;
        assert_eq!(agent.get("/healthz").await.status, 200);
        // Cut off from the aggregator, and ready all the same.
        assert_eq!(agent.get("/readyz").await.status, 200);

        let status = agent.get("/status").await.body;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!(status["node"], "node-a");
        assert_eq!(
            status["stream"]["aggregator"],
            format!("{}/", aggregator.url())
        );
        let failure = &status["stream"]["lastError"];
        assert!(
            failure["message"].as_str().unwrap().contains("refused"),
            "{failure}"
        );
        assert!(
            failure["nextStep"].as_str().unwrap().contains("aggregator"),
            "{failure}"
        );
        assert_eq!(status["spool"]["maxBytes"], 64 << 20);
        assert!(status["memory"]["rssBytes"].as_u64().unwrap() > 1 << 20);
        let probes = status["probes"].as_array().unwrap();
        assert!(!probes.is_empty());
        assert!(
            probes.iter().all(|probe| probe["state"] == "disabled"),
            "{probes:?}"
        );

        let metrics = agent.get("/metrics").await.body;
        for name in [
            "inquest_agent_received_total 0",
            "inquest_agent_sent_total 0",
            "inquest_agent_queue_depth 0",
            "inquest_agent_spool_bytes 0",
            "inquest_agent_stream_connected 0",
            "inquest_agent_errors_total{kind=\"connect\"}",
            "inquest_agent_ack_latency_seconds_count 0",
            "inquest_agent_probe_attached{probe=\"mark_victim\"} 0",
            "inquest_agent_build_info{version=\"0.",
            "# EOF",
        ] {
            assert!(metrics.contains(name), "{name} in {metrics}");
        }
    }

    #[tokio::test]
    async fn the_log_level_changes_at_run_time() {
        let aggregator = Aggregator::absent();
        let dir = tempfile::tempdir().unwrap();
        let agent = Agent::start(&dir.path().join("state"), &aggregator.url());
        agent.logged("running").await;
        assert_eq!(agent.ask("PUT", "/log-level", "debug").await.status, 200);
        let refused = agent.ask("PUT", "/log-level", "inquest_agent=loud").await;
        assert_eq!(refused.status, 400);
        assert!(
            refused.body.contains("inquest_agent=loud"),
            "{}",
            refused.body
        );
        assert_eq!(
            agent
                .ask("PUT", "/log-level", &"x".repeat(5000))
                .await
                .status,
            413
        );
        assert_eq!(agent.get("/nonsense").await.status, 404);
    }

    #[tokio::test]
    async fn without_privileges_it_serves_and_says_what_it_does_not_see() {
        if !rustix::process::geteuid().is_root() {
            return testkit::skip("giving privileges up needs root");
        }
        let aggregator = Aggregator::start(Behavior::default());
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let mut command = readable_copy(dir.path());
        command.uid(NOBODY).gid(NOBODY);
        let agent = Agent::watch(command, &dir.path().join("state"), &aggregator.url());
        agent.logged("this node is not watched").await;
        agent.logged("connected to the aggregator").await;
        assert_eq!(agent.get("/readyz").await.status, 200);
        let status = agent.get("/status").await.body;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let lines = status["probes"].as_array().unwrap();
        let (read, missing): (Vec<_>, Vec<_>) =
            lines.iter().partition(|line| line["hook"] == "poll");
        assert!(read.iter().any(|line| line["name"] == "clock"), "{read:?}");
        for probe in missing {
            assert_eq!(probe["state"], "missing", "{probe}");
            assert!(!probe["why"].as_str().unwrap().is_empty(), "{probe}");
            assert!(!probe["without"].as_str().unwrap().is_empty(), "{probe}");
        }
        let all_missing = |status: &v1::NodeStatus| {
            let mut probes = status.probes.iter().filter(|probe| probe.hook != "poll");
            status.probes.len() == lines.len()
                && probes.all(|probe| probe.state() == State::Missing)
        };
        eventually("it is told", || {
            aggregator.store().statuses.iter().any(all_missing)
        })
        .await;
    }

    #[tokio::test]
    async fn the_time_between_two_agents_is_told_as_not_watched() {
        let aggregator = Aggregator::start(Behavior::default());
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        let mut expected = Vec::new();
        for (end, reason) in [
            (Signal::KILL, Reason::AgentRestarted),
            (Signal::TERM, Reason::AgentStopped),
            (Signal::KILL, Reason::AgentRestarted),
        ] {
            let mut agent = Agent::watch(command(), &state_dir, &aggregator.url());
            agent.logged("running").await;
            if agent.log().contains("this node is not watched") {
                return testkit::skip("no probe can be attached here");
            }
            let gaps = || gaps(&aggregator);
            eventually("the gap before is told", || gaps().len() == expected.len()).await;
            let (file, running) = (state_dir.join("coverage"), Timestamp::now());
            eventually("the watermark moves", || {
                let modified = fs::metadata(&file).and_then(|file| file.modified());
                modified.is_ok_and(|at| Timestamp::try_from(at).unwrap() > running)
            })
            .await;
            agent.signal(end);
            agent.ended().await;
            expected.push((Timestamp::now(), reason));
        }
        for ((ended, reason), gap) in expected.iter().zip(gaps(&aggregator)) {
            let [start, end] = [gap.start, gap.end].map(Option::unwrap);
            assert!(start.seconds <= ended.as_second() && ended.as_second() <= end.seconds);
            assert_eq!(gap.reason(), *reason);
        }
    }

    fn gaps(aggregator: &Aggregator) -> Vec<v1::CoverageGap> {
        let store = aggregator.store();
        let bodies = store
            .batches
            .iter()
            .flat_map(|batch| &batch.signals)
            .map(|it| &it.body);
        bodies
            .filter_map(|body| match body {
                Some(Body::CoverageGap(gap)) => Some(*gap),
                _ => None,
            })
            .collect()
    }

    /// Copies the binary to where anybody may run it, and returns the command for that copy.
    fn readable_copy(dir: &Path) -> Command {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        let copy = dir.join("inquest-agent");
        fs::copy(command().get_program(), &copy).unwrap();
        let mut command = Command::new(copy);
        command.env_clear();
        command
    }
}
