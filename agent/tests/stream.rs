//! The stream against an aggregator over real connections: what is spooled arrives, once and in
//! order, whatever happens in between.

#[cfg(test)]
#[path = "double/aggregator.rs"]
mod aggregator;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use inquest_agent::loss::LossTotal;
    use inquest_agent::metrics::ShipMetrics;
    use inquest_agent::ship::backoff::Backoff;
    use inquest_agent::ship::status::{
        Identity, NodeReport, StreamFailure, StreamState, StreamStatus,
    };
    use inquest_agent::ship::stream::{Stream, StreamParts};
    use inquest_agent::spool::{MIN_MAX_BYTES, SharedSpool, Spool};
    use inquest_proto::v1;
    use tempfile::TempDir;
    use tokio::io::AsyncWriteExt as _;
    use tokio::sync::watch;
    use tokio::task::JoinHandle;
    use tokio::time::{Instant, sleep};
    use tokio_util::sync::CancellationToken;
    use tonic::Status;

    use super::aggregator::{Aggregator, Behavior};

    /// Far beyond what anything here takes; only a hang gets there.
    const DEADLINE: Duration = Duration::from_mins(1);

    /// An agent without eyes: a spool that the test fills, and the stream out of it.
    struct Agent {
        dir: TempDir,
        spool: SharedSpool,
        lost: LossTotal,
        start_id: u64,
        appended: Vec<String>,
        running: Option<Running>,
    }

    struct Running {
        status: watch::Receiver<StreamStatus>,
        report: watch::Sender<NodeReport>,
        drain: CancellationToken,
        task: JoinHandle<()>,
    }

    impl Agent {
        fn new() -> Self {
            Self::with_spool_of(64 << 20)
        }

        fn with_spool_of(max_bytes: u64) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let lost = LossTotal::default();
            let spool = Spool::open(dir.path(), 1, max_bytes, lost.clone()).unwrap();
            let spool = SharedSpool::new(spool);
            Self {
                dir,
                spool,
                lost,
                start_id: 1,
                appended: Vec::new(),
                running: None,
            }
        }

        /// The process dies and another takes its place.
        fn die_and_restart(&mut self) {
            if let Some(running) = self.running.take() {
                running.task.abort();
            }
            self.start_id += 1;
            let spool = Spool::open(self.dir.path(), self.start_id, 64 << 20, self.lost.clone());
            self.spool = SharedSpool::new(spool.unwrap());
        }

        fn append(&mut self, batches: usize) {
            self.append_sized(batches, 0);
        }

        fn append_sized(&mut self, batches: usize, filler: usize) {
            for _ in 0..batches {
                let id = format!("{:016x}-{}", self.start_id, self.appended.len() + 1);
                self.appended.push(id.clone());
                let signal = v1::Signal {
                    id,
                    node: "x".repeat(filler),
                    ..Default::default()
                };
                self.spool.append(v1::SignalBatch {
                    signals: vec![signal],
                    ..Default::default()
                });
            }
        }

        fn connect(&mut self, url: &str) {
            let (status, status_seen) = watch::channel(StreamStatus::default());
            let report = watch::Sender::new(NodeReport::default());
            let drain = CancellationToken::new();
            let parts = StreamParts {
                aggregator: Stream::endpoint(url).unwrap(),
                identity: Identity {
                    agent_id: "agent-a".into(),
                    start_id: self.start_id,
                    boot_id: "boot-a".into(),
                    node: "node-a".into(),
                },
                spool: self.spool.clone(),
                report: report.subscribe(),
                lost: self.lost.clone(),
                status,
                metrics: ShipMetrics::default(),
            };
            let backoff =
                Backoff::try_new(Duration::from_millis(10), Duration::from_millis(200)).unwrap();
            let task = tokio::spawn(Stream::new(parts, backoff).run(drain.clone()));
            self.running = Some(Running {
                status: status_seen,
                report,
                drain,
                task,
            });
        }

        fn running(&self) -> &Running {
            self.running.as_ref().unwrap()
        }

        fn status(&self) -> StreamStatus {
            self.running().status.borrow().clone()
        }

        async fn shipped(&self) {
            eventually("the spool is empty", || {
                self.spool.with(|spool| spool.is_empty())
            })
            .await;
        }

        async fn failure(&self) -> StreamFailure {
            eventually("a failure is told", || self.status().last_error.is_some()).await;
            self.status().last_error.unwrap()
        }
    }

    async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition() {
            assert!(Instant::now() < deadline, "not so: {what}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn ships_what_was_spooled_and_settles_it() {
        let aggregator = Aggregator::start(Behavior::default());
        let mut agent = Agent::new();
        agent.append(3);
        agent.connect(&aggregator.url());
        agent.shipped().await;
        agent.append(2);
        agent.shipped().await;
        let store = aggregator.store();
        assert_eq!(store.signal_ids(), agent.appended);
        assert_eq!(store.hellos[0].agent_id, "agent-a");
        assert_eq!(
            (store.hellos[0].start_id, store.hellos[0].boot_id.as_str()),
            (1, "boot-a")
        );
        assert_eq!(agent.status().state, StreamState::Streaming);
    }

    #[tokio::test]
    async fn what_earlier_processes_left_goes_first_and_under_their_own_start_id() {
        let aggregator = Aggregator::start(Behavior::default());
        let mut agent = Agent::new();
        agent.append(3);
        agent.die_and_restart();
        agent.append(2);
        agent.connect(&aggregator.url());
        agent.shipped().await;
        let store = aggregator.store();
        assert_eq!(store.signal_ids(), agent.appended);
        let positions: Vec<_> = store
            .batches
            .iter()
            .map(|batch| (batch.start_id, batch.sequence))
            .collect();
        assert_eq!(positions, [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]);
    }

    #[tokio::test]
    async fn resumes_where_the_aggregator_says_after_a_hole() {
        let behavior = Behavior {
            hole_after: Some(2),
            ..Behavior::default()
        };
        let aggregator = Aggregator::start(behavior);
        let mut agent = Agent::new();
        agent.append(6);
        agent.connect(&aggregator.url());
        agent.shipped().await;
        let store = aggregator.store();
        assert_eq!(store.signal_ids(), agent.appended);
        assert_eq!(store.hellos.len(), 2);
    }

    #[tokio::test]
    async fn an_ack_that_comes_twice_settles_once() {
        let aggregator = Aggregator::start(Behavior {
            ack_twice: true,
            ..Behavior::default()
        });
        let mut agent = Agent::new();
        agent.append(20);
        agent.connect(&aggregator.url());
        agent.shipped().await;
        agent.append(20);
        agent.shipped().await;
        assert_eq!(aggregator.store().signal_ids(), agent.appended);
    }

    #[tokio::test]
    async fn a_killed_aggregator_costs_nothing_and_doubles_nothing() {
        let mut aggregator = Aggregator::start(Behavior::default());
        let mut agent = Agent::new();
        agent.connect(&aggregator.url());
        for round in 0..8 {
            agent.append(40);
            let enough = agent.appended.len().saturating_sub(round * 5);
            eventually("some are stored", || {
                aggregator.store().signal_ids().len() >= enough
            })
            .await;
            aggregator.restart();
        }
        agent.shipped().await;
        let store = aggregator.store();
        assert_eq!(store.signal_ids(), agent.appended);
        assert_eq!(store.holes, 0);
    }

    #[tokio::test]
    async fn a_killed_agent_costs_nothing_and_doubles_nothing() {
        let aggregator = Aggregator::start(Behavior::default());
        let mut agent = Agent::new();
        for _ in 0..6 {
            agent.connect(&aggregator.url());
            agent.append(30);
            let some = agent.appended.len() - 15;
            eventually("some are stored", || {
                aggregator.store().signal_ids().len() >= some
            })
            .await;
            agent.die_and_restart();
        }
        agent.connect(&aggregator.url());
        agent.shipped().await;
        let store = aggregator.store();
        assert_eq!(store.signal_ids(), agent.appended);
        assert_eq!(store.holes, 0);
    }

    #[tokio::test]
    async fn stored_but_not_acked_is_not_stored_again() {
        let mut aggregator = Aggregator::start(Behavior {
            silent: true,
            ..Behavior::default()
        });
        let mut agent = Agent::new();
        agent.append(5);
        agent.connect(&aggregator.url());
        eventually("all is stored", || aggregator.store().batches.len() == 5).await;
        assert!(!agent.spool.with(|spool| spool.is_empty()));
        aggregator.store().behavior.silent = false;
        aggregator.restart();
        agent.shipped().await;
        assert_eq!(aggregator.store().signal_ids(), agent.appended);
    }

    #[tokio::test]
    async fn sends_no_more_than_its_window_ahead_of_the_acks() {
        let aggregator = Aggregator::start(Behavior {
            silent: true,
            ..Behavior::default()
        });
        let mut agent = Agent::new();
        agent.append(200);
        agent.connect(&aggregator.url());
        eventually("the window is full", || {
            aggregator.store().batches.len() >= 32
        })
        .await;
        // The status that follows shows that the stream lives and has sent nothing more.
        let statuses = aggregator.store().statuses.len();
        agent
            .running()
            .report
            .send_modify(|report| report.kernel_release = "6.1".into());
        eventually("a status came", || {
            aggregator.store().statuses.len() > statuses
        })
        .await;
        assert_eq!(aggregator.store().batches.len(), 32);
    }

    #[tokio::test]
    async fn what_a_full_spool_gave_up_is_skipped_and_told() {
        let mut aggregator = Aggregator::absent();
        let mut agent = Agent::with_spool_of(MIN_MAX_BYTES);
        agent.connect(&aggregator.url());
        agent.append_sized(40, 150_000);
        agent.failure().await;
        aggregator.restart();
        agent.shipped().await;
        agent.append(1);
        agent.shipped().await;
        let store = aggregator.store();
        assert_eq!(store.holes, 0);
        let kept = store.signal_ids();
        assert_eq!(kept, agent.appended[agent.appended.len() - kept.len()..]);
        let gone = (agent.appended.len() - kept.len()) as u64;
        assert!(gone > 0);
        assert_eq!(store.batches[0].skipped, gone);
        let told = store.batches.iter().flat_map(|batch| &batch.lost);
        assert_eq!(told.map(|loss| loss.count).sum::<u64>(), gone);
    }

    #[tokio::test]
    async fn goes_on_trying_until_somebody_listens() {
        let mut aggregator = Aggregator::absent();
        let mut agent = Agent::new();
        agent.append(2);
        agent.connect(&aggregator.url());
        let failure = agent.failure().await;
        assert!(
            failure.message.contains("failed to connect"),
            "{}",
            failure.message
        );
        assert!(failure.message.contains("refused"), "{}", failure.message);
        assert!(failure.next_step.contains("`aggregator`"));
        aggregator.restart();
        agent.shipped().await;
    }

    #[tokio::test]
    async fn another_protocol_is_told_with_what_to_do_and_the_signals_wait() {
        let refusal = Status::failed_precondition("protocol 1 is not spoken here");
        for (behavior, words) in [
            (
                Behavior {
                    refuse: Some(refusal),
                    ..Behavior::default()
                },
                "protocol 1 is not spoken",
            ),
            (
                Behavior {
                    protocol: Some(9),
                    ..Behavior::default()
                },
                "answered in protocol 9",
            ),
        ] {
            let aggregator = Aggregator::start(behavior);
            let mut agent = Agent::new();
            agent.append(2);
            agent.connect(&aggregator.url());
            let failure = agent.failure().await;
            assert!(failure.message.contains(words), "{}", failure.message);
            assert!(
                failure.next_step.contains("same release"),
                "{}",
                failure.next_step
            );
            eventually("waiting", || agent.status().state == StreamState::Waiting).await;
            assert_eq!(agent.spool.with(|spool| spool.status()).batches, 2);
            assert_eq!(
                aggregator.store().hellos.len(),
                1,
                "no second attempt at once"
            );
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_aggregators_words() {
        let refuse = Some(Status::invalid_argument("agent_id is empty"));
        let aggregator = Aggregator::start(Behavior {
            refuse,
            ..Behavior::default()
        });
        let mut agent = Agent::new();
        agent.connect(&aggregator.url());
        assert!(agent.failure().await.message.contains("agent_id is empty"));
    }

    #[tokio::test]
    async fn something_else_behind_the_port_is_no_reason_to_fail() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                drop(socket.write_all(b"220 mail.example.org ESMTP\r\n").await);
            }
        });
        let mut agent = Agent::new();
        agent.append(1);
        agent.connect(&url);
        agent.failure().await;
        assert!(!agent.running().task.is_finished());
        assert_eq!(agent.spool.with(|spool| spool.status()).batches, 1);
    }

    #[tokio::test]
    async fn tells_the_nodes_state_on_connecting_and_on_change() {
        let aggregator = Aggregator::start(Behavior::default());
        let mut agent = Agent::new();
        agent.connect(&aggregator.url());
        eventually("a first status", || !aggregator.store().statuses.is_empty()).await;
        let probe = v1::ProbeStatus {
            name: "mark_victim".into(),
            ..Default::default()
        };
        agent
            .running()
            .report
            .send_modify(|report| report.probes.push(probe.clone()));
        eventually("the change", || {
            aggregator
                .store()
                .statuses
                .last()
                .is_some_and(|last| last.probes == [probe.clone()])
        })
        .await;
    }

    #[tokio::test]
    async fn drains_and_ends() {
        let aggregator = Aggregator::start(Behavior::default());
        let mut agent = Agent::new();
        agent.append(50);
        agent.connect(&aggregator.url());
        agent.running().drain.cancel();
        eventually("the stream ended", || agent.running().task.is_finished()).await;
        assert_eq!(aggregator.store().signal_ids(), agent.appended);
    }

    #[tokio::test]
    async fn with_nobody_there_a_drain_ends_and_leaves_the_spool_alone() {
        let aggregator = Aggregator::absent();
        let mut agent = Agent::new();
        agent.append(5);
        agent.connect(&aggregator.url());
        agent.failure().await;
        agent.running().drain.cancel();
        eventually("the stream ended", || agent.running().task.is_finished()).await;
        assert_eq!(agent.spool.with(|spool| spool.status()).batches, 5);
    }
}
