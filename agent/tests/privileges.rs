//! The agent with exactly the capabilities that `docs/privileges.md` documents, and with each of them missing in turn: what
//! it tells, and what it says about what it does not tell. Skipped without root.

#[cfg(test)]
#[path = "double/aggregator.rs"]
#[expect(dead_code, reason = "an aggregator that misbehaves is for other tests")]
mod aggregator;
#[cfg(test)]
#[path = "privileges/deeds.rs"]
mod deeds;
#[cfg(test)]
#[path = "privileges/grant.rs"]
mod grant;
#[cfg(test)]
#[path = "double/process.rs"]
#[expect(dead_code, reason = "an agent without probes is for other tests")]
mod process;
#[cfg(test)]
#[path = "double/watch.rs"]
#[expect(dead_code, reason = "only its cgroups are needed here")]
mod watch;

#[cfg(test)]
mod tests {
    use rustix::process::Signal;
    use serde_json::Value;

    use super::aggregator::{Aggregator, Behavior};
    use super::deeds::{ALWAYS_ON, Deeds};
    use super::grant;
    use super::process::{Agent, command};

    /// A documented capability, and what is told of its lack: by the probe or source that lacks it most, and in the log.
    struct Lack {
        capability: &'static str,
        probe: &'static str,
        state: &'static str,
        why: &'static [&'static str],
        /// Whether deaths, failed calls and drops are told all the same.
        is_told: bool,
    }

    const LACKS: &[Lack] = &[
        Lack {
            capability: "BPF",
            probe: "mark_victim",
            state: "missing",
            why: &["lacks CAP_BPF", "add it", "docs/privileges.md"],
            is_told: false,
        },
        Lack {
            capability: "PERFMON",
            probe: "mark_victim",
            state: "missing",
            why: &["lacks CAP_PERFMON", "add it", "docs/privileges.md"],
            is_told: false,
        },
        Lack {
            capability: "SYS_PTRACE",
            probe: "filesystem_samples",
            state: "attached",
            why: &["without CAP_SYS_PTRACE", "file systems of containers"],
            is_told: true,
        },
        Lack {
            capability: "DAC_READ_SEARCH",
            probe: "sys_exit",
            state: "attached",
            why: &["without CAP_DAC_READ_SEARCH", "only its owner may read"],
            is_told: true,
        },
        Lack {
            capability: "SYSLOG",
            probe: "kfree_skb",
            state: "attached",
            why: &["without CAP_SYSLOG", "function that dropped"],
            is_told: true,
        },
    ];

    async fn status(agent: &Agent) -> Value {
        agent.logged("\"running\"").await;
        serde_json::from_str(&agent.get("/status").await.body).unwrap()
    }

    fn probe<'a>(status: &'a Value, name: &str) -> &'a Value {
        let mut probes = status["probes"].as_array().unwrap().iter();
        probes.find(|probe| probe["name"] == name).unwrap()
    }

    /// What `/status` says of each probe but why.
    fn hooks(status: &Value) -> Vec<[String; 3]> {
        let lines = status["probes"].as_array().unwrap().iter();
        let fields = ["name", "state", "hook"];
        lines
            .map(|line| fields.map(|field| line[field].to_string()))
            .collect()
    }

    /// What `/status` says of an agent with all that root may do here.
    async fn unrestricted() -> Value {
        let aggregator = Aggregator::absent();
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let agent = Agent::watch_with(command(), &state, &aggregator.url(), ALWAYS_ON);
        status(&agent).await
    }

    async fn ends_well(mut agent: Agent) {
        agent.signal(Signal::TERM);
        assert_eq!(agent.ended().await.code(), Some(0), "{}", agent.log());
        assert!(!agent.log().contains("panicked"), "{}", agent.log());
    }

    #[tokio::test]
    async fn exactly_the_documented_capabilities_are_enough() {
        if !grant::is_possible() {
            return;
        }
        let documented = testkit::documented_capabilities();
        let expected: Vec<_> = LACKS.iter().map(|lack| lack.capability).collect();
        assert_eq!(documented, expected, "one row for each");
        let aggregator = Aggregator::start(Behavior::default());
        let dir = tempfile::tempdir().unwrap();
        let command = grant::agent_with(&documented);
        let state = dir.path().join("state");
        let agent = Agent::watch_with(command, &state, &aggregator.url(), ALWAYS_ON);
        let status = status(&agent).await;
        if probe(&status, "mark_victim")["state"] == "missing" {
            return testkit::skip(format_args!("{}", probe(&status, "mark_victim")["why"]));
        }
        assert_eq!(hooks(&status), hooks(&unrestricted().await));
        assert!(
            !agent
                .log()
                .contains("\"WARN\",\"fields\":{\"message\":\"a privilege is lacking\"")
        );
        let deeds = Deeds::new("documented");
        deeds.until_told(&aggregator).await;
        assert!(deeds.is_file_read(&aggregator).await);
        ends_well(agent).await;
    }

    #[tokio::test]
    async fn without_one_of_them_the_rest_is_told_and_so_is_the_lack() {
        if !grant::is_possible() {
            return;
        }
        for lack in LACKS {
            let name = lack.capability;
            let granted: Vec<_> = testkit::documented_capabilities()
                .into_iter()
                .filter(|capability| *capability != lack.capability)
                .collect();
            let aggregator = Aggregator::start(Behavior::default());
            let dir = tempfile::tempdir().unwrap();
            let command = grant::agent_with(&granted);
            let state = dir.path().join("state");
            let agent = Agent::watch_with(command, &state, &aggregator.url(), ALWAYS_ON);
            let status = status(&agent).await;
            let line = probe(&status, lack.probe);
            assert_eq!(line["state"], lack.state, "{line}");
            for words in lack.why {
                assert!(line["why"].as_str().unwrap().contains(words), "{line}");
            }
            agent.logged(&format!("\"privilege\":\"CAP_{name}\"")).await;
            agent.logged("connected to the aggregator").await;
            // What files tell, it tells whatever the kernel refuses.
            assert_eq!(probe(&status, "clock")["state"], "attached");
            if lack.is_told {
                let deeds = Deeds::new(name);
                deeds.until_told(&aggregator).await;
                let is_blind = lack.capability == "SYS_PTRACE";
                assert_eq!(deeds.is_file_read(&aggregator).await, !is_blind, "{name}");
            } else {
                agent.logged("this node is not watched").await;
            }
            ends_well(agent).await;
        }
    }
}
