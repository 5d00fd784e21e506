//! The bound of the agent's memory, held by a running agent: whatever storms, and when there is next to nothing left.

#[cfg(test)]
#[path = "double/aggregator.rs"]
#[expect(dead_code, reason = "how an aggregator misbehaves is for other tests")]
mod aggregator;
#[cfg(test)]
#[path = "memory/cgroup.rs"]
mod cgroup;
#[cfg(test)]
#[path = "double/process.rs"]
#[expect(dead_code, reason = "how an agent starts and stops is for other tests")]
mod process;
#[cfg(test)]
#[path = "memory/seen.rs"]
mod seen;
#[cfg(test)]
#[path = "memory/storm.rs"]
mod storm;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use inquest_proto::v1::agent_cost::MemoryLevel;
    use inquest_proto::v1::loss::Stage;
    use inquest_proto::v1::probe_status::State;
    use rustix::process::Signal;

    use super::aggregator::{Aggregator, Behavior};
    use super::cgroup::Scratch;
    use super::process::{Agent, command};
    use super::seen::{Seen, eventually, within};
    use super::storm::{Amounts, Storm};

    /// The default of `memory.max_size`.
    const BOUND: u64 = 96 << 20;
    const STORM: Amounts = Amounts {
        // More than one cgroup may cause at once.
        deaths: 3000,
        destinations: 50_000,
        missing_paths: 300_000,
        refused_opens: 300_000,
        cgroups: 500,
    };
    /// On a busy machine; it takes some 20 s on an idle one.
    const STORM_DEADLINE: Duration = Duration::from_mins(5);
    /// A bound of which an idle agent takes more than nine tenths, though not always as much as the first time.
    const ABOVE_IDLE_PERCENT: u64 = 102;
    /// Of the agent's own cgroup; three quarters of it are less than the default.
    const OWN_LIMIT_BYTES: u64 = 120 << 20;
    /// Of a cgroup in which a process runs out of memory.
    const LIMIT_BYTES: u64 = 16 << 20;

    /// Starts an agent that lets nothing go for its CPU time.
    async fn start(
        aggregator: &Aggregator,
        dir: &tempfile::TempDir,
        memory: &str,
    ) -> Option<Agent> {
        let more = format!("probes: {{mode: always-on}}\n{memory}");
        let state_dir = dir.path().join("state");
        let agent = Agent::watch_with(command(), &state_dir, &aggregator.url(), &more);
        agent.logged("running").await;
        if agent.log().contains("this node is not watched") {
            testkit::skip("no probe can be attached here");
            return None;
        }
        Some(agent)
    }

    #[tokio::test]
    async fn stays_within_the_default_bound_in_every_storm_at_once_and_counts_each_death() {
        let aggregator = Aggregator::start(Behavior::default());
        let dir = tempfile::tempdir().unwrap();
        let Some(agent) = start(&aggregator, &dir, "").await else {
            return;
        };
        let idle = agent.memory_bytes();
        let seen = Seen::of(&aggregator);
        let deaths = Scratch::new("deaths");
        let mut most = 0;
        let mut look = || {
            most = agent.memory_bytes().max(most);
            assert!(most <= BOUND, "{most} bytes");
        };
        let mut storm = Storm::begin(&deaths, STORM);
        within(STORM_DEADLINE, "the storm is over", || {
            look();
            storm.is_over()
        })
        .await;
        storm.end();
        eventually("all deaths are accounted for", || {
            look();
            seen.deaths_told(&deaths.path) + seen.deaths_lost(&deaths.path) >= STORM.deaths
        })
        .await;
        println!(
            "idle {} KiB, at most {} KiB, at the end {} KiB",
            idle >> 10,
            most >> 10,
            agent.memory_bytes() >> 10
        );
        let (told, lost) = (
            seen.deaths_told(&deaths.path),
            seen.deaths_lost(&deaths.path),
        );
        assert_eq!(told + lost, STORM.deaths, "{told} told, {lost} lost");
        for (stage, reason) in [
            (Stage::RingBuffer, "urgent_lane"),
            (Stage::Queue, "urgent_lane"),
        ] {
            assert_eq!(seen.lost(stage, reason), 0, "{stage:?}");
        }
        eventually("memory is told", || {
            seen.cost().is_some_and(|cost| cost.memory_bytes > 0)
        })
        .await;
        let told = seen.cost().unwrap();
        assert_eq!(told.memory_max_bytes, BOUND);
        assert!(told.memory_bytes <= BOUND);
        assert_eq!(agent.get("/readyz").await.status, 200);
    }

    #[tokio::test]
    async fn just_above_idle_it_lets_go_what_is_not_urgent_says_so_and_still_tells_a_kill() {
        let aggregator = Aggregator::start(Behavior::default());
        let dir = tempfile::tempdir().unwrap();
        let Some(agent) = start(&aggregator, &dir, "").await else {
            return;
        };
        let seen = Seen::of(&aggregator);
        eventually("memory is told", || {
            seen.cost().is_some_and(|cost| cost.memory_bytes > 0)
        })
        .await;
        let idle = agent.memory_bytes();
        drop(agent);

        let aggregator = Aggregator::start(Behavior::default());
        let dir = tempfile::tempdir().unwrap();
        let bound = idle * ABOVE_IDLE_PERCENT / 100;
        let memory = format!("memory: {{max_size: {bound}B}}\n");
        let Some(agent) = start(&aggregator, &dir, &memory).await else {
            return;
        };
        let seen = Seen::of(&aggregator);
        eventually("it says that memory is short", || {
            let level = seen.cost().map(|cost| cost.memory_level());
            level == Some(MemoryLevel::Short)
        })
        .await;
        eventually("it has let a probe go", || {
            let probe = seen.probe("sched_process_exec").unwrap();
            probe.state() == State::OnDemand && probe.detail.contains("bound of memory")
        })
        .await;
        let kept = seen.probe("mark_victim").unwrap();
        assert_eq!(kept.state(), State::Attached);
        let status: serde_json::Value =
            serde_json::from_str(&agent.get("/status").await.body).unwrap();
        assert_eq!(status["memory"]["level"], "short", "{status}");
        assert_eq!(status["memory"]["maxBytes"], bound, "{status}");
        assert!(agent.log().contains("the agent's memory is short"));

        // Removals are told by a probe that is never let go, but are not urgent.
        let gone = Scratch::new("gone").path.clone();
        let of_gone = || seen.lost_of("cgroup_removed", &gone, "memory_bound");
        eventually("what is not urgent is counted by kind and cgroup", || {
            of_gone() == 1
        })
        .await;

        let limited = Scratch::with_limit("limited", LIMIT_BYTES);
        let killed = limited.run_out_of_memory();
        eventually("the kill is told", || seen.oom_kills().contains(&killed)).await;
        assert_eq!(seen.lost(Stage::RingBuffer, "urgent_lane"), 0);
    }

    #[tokio::test]
    async fn a_lower_limit_of_its_own_cgroup_comes_first_and_is_said_at_start() {
        if !rustix::process::geteuid().is_root() {
            return testkit::skip("making a cgroup needs root");
        }
        let aggregator = Aggregator::start(Behavior::default());
        let dir = tempfile::tempdir().unwrap();
        let own = Scratch::with_limit("own", OWN_LIMIT_BYTES);
        let binary = command();
        let inside = own.command(binary.get_program());
        let state_dir = dir.path().join("state");
        let mut agent = Agent::watch(inside, &state_dir, &aggregator.url());
        agent.logged("running").await;
        if agent.log().contains("this node is not watched") {
            testkit::skip("no probe can be attached here");
        } else {
            let status: serde_json::Value =
                serde_json::from_str(&agent.get("/status").await.body).unwrap();
            let memory = &status["memory"];
            assert_eq!(memory["maxBytes"], OWN_LIMIT_BYTES / 4 * 3, "{memory}");
            let words = "three quarters of 120MiB, the limit of the agent's own cgroup";
            assert!(
                memory["setBy"].as_str().unwrap().contains(words),
                "{memory}"
            );
            assert!(agent.log().contains(words));
        }
        agent.signal(Signal::KILL);
        agent.ended().await;
    }
}
