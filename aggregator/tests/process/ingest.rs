//! The protocol with agents, and what is stored of what they send.

use std::sync::Arc;

use inquest_proto::v1::{self, agent_message::Message};
use tokio::task::JoinSet;
use tonic::Code;

use super::{
    agent::{Agent, batch, hello, oom_kill},
    daemon::Home,
    rest::{all_items, first_item, get, signal_ids},
};

/// Ids of the signals of these numbers.
fn ids(start_id: u64, numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers
        .map(|number| format!("{start_id:016x}-{number}"))
        .collect()
}

#[tokio::test]
async fn a_kill_is_an_incident_as_soon_as_it_is_acked() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, stored) = Agent::connect(&daemon, "n1", 7).await;
    assert_eq!(stored, []);
    let mut kill = batch(7, 1, []);
    kill.signals.push(oom_kill(7, 1, "cart"));
    agent.send(kill).await;
    assert_eq!(agent.ack().await, (7, 1));
    let incident = first_item(&daemon, "/api/v1/incidents").await;
    assert_eq!(incident["rootCause"]["cause"], "memory-limit-oom");
    assert_eq!(incident["state"], "open");
    let id = incident["id"].as_str().unwrap();
    assert_eq!(
        get(&daemon, &format!("/api/v1/incidents/{id}"))
            .await
            .json(),
        incident
    );
    for target in ["1001", "/crash/cart", "cart", id] {
        let report = get(&daemon, &format!("/api/v1/why?target={target}")).await;
        assert_eq!(
            report.json()["incidents"][0]["id"],
            id,
            "{target}: {}",
            report.text
        );
    }
    agent.close().await;
}

#[tokio::test]
async fn refuses_what_is_outside_the_protocol_and_says_why() {
    let daemon_home = Home::new();
    let daemon = daemon_home.start().await;
    let wrong_protocol = v1::Hello {
        protocol: 9,
        ..hello("n1", 7)
    };
    let cases = [
        (
            Message::Hello(wrong_protocol),
            Code::FailedPrecondition,
            "protocol 9 is not spoken here; this aggregator speaks 1",
        ),
        (
            Message::Hello(hello("", 7)),
            Code::InvalidArgument,
            "agent_id must be",
        ),
        (
            Message::Hello(hello("n1", 0)),
            Code::InvalidArgument,
            "start_id must not be 0",
        ),
        (
            Message::Batch(batch(7, 1, 1..2)),
            Code::InvalidArgument,
            "the first message of a stream must be hello",
        ),
    ];
    for (first, code, text) in cases {
        let mut agent = Agent::silent(&daemon).await;
        agent.say(first).await;
        let status = agent.end().await;
        assert_eq!(status.code(), code);
        assert!(status.message().contains(text), "{status}");
    }
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    agent.say(Message::Hello(hello("n1", 7))).await;
    assert_eq!(agent.end().await.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_stream_that_says_nothing_is_ended() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut agent = Agent::silent(&daemon).await;
    let status = agent.end().await;
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("no hello"), "{status}");
}

#[tokio::test]
async fn a_duplicate_batch_is_acked_again_and_not_stored_again() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    agent.send(batch(7, 1, 1..4)).await;
    assert_eq!(agent.ack().await, (7, 1));
    agent.send(batch(7, 2, 4..6)).await;
    assert_eq!(agent.ack().await, (7, 2));
    agent.send(batch(7, 1, 1..4)).await;
    assert_eq!(agent.ack().await, (7, 2));
    assert_eq!(signal_ids(&daemon).await, ids(7, 1..6));
    let metrics = get(&daemon, "/metrics").await.text;
    for line in [
        "inquest_aggregator_ingest_received_total 8",
        "inquest_aggregator_ingest_stored_total 5",
        "inquest_aggregator_ingest_duplicate_total 3",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_hole_ends_the_stream_and_names_the_expected_sequence() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    agent.send(batch(7, 1, 1..2)).await;
    assert_eq!(agent.ack().await, (7, 1));
    agent.send(batch(7, 3, 3..4)).await;
    let status = agent.end().await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("expected sequence 2"), "{status}");

    let (mut agent, stored) = Agent::connect(&daemon, "n1", 7).await;
    assert_eq!(stored, [(7, 1)]);
    let skipping = v1::SignalBatch {
        skipped: 1,
        lost: vec![v1::Loss {
            stage: v1::loss::Stage::Spool.into(),
            reason: "spool_full".into(),
            count: 1,
            ..v1::Loss::default()
        }],
        ..batch(7, 3, 3..4)
    };
    agent.send(skipping).await;
    assert_eq!(agent.ack().await, (7, 3));
    let node = first_item(&daemon, "/api/v1/nodes").await;
    assert_eq!(node["lost"][0]["reason"], "spool_full");
}

#[tokio::test]
async fn batches_of_an_earlier_agent_process_keep_their_start_id() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 8).await;
    agent.send(batch(7, 41, 1..2)).await;
    assert_eq!(agent.ack().await, (7, 41));
    agent.send(batch(8, 1, 1..2)).await;
    assert_eq!(agent.ack().await, (8, 1));
    let (_, stored) = Agent::connect(&daemon, "n1", 9).await;
    assert_eq!(stored, [(7, 41), (8, 1)]);
    let (_, stored) = Agent::connect(&daemon, "n2", 8).await;
    assert_eq!(stored, [], "another agent's positions are its own");
}

#[tokio::test]
async fn bad_signals_are_counted_and_the_rest_of_their_batch_is_kept() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    let mut bad = batch(7, 1, 1..4);
    bad.signals[0].id.clear();
    bad.signals[1].observed_at = None;
    agent.send(bad).await;
    assert_eq!(agent.ack().await, (7, 1));
    assert_eq!(signal_ids(&daemon).await, ids(7, 3..4));
    let node = first_item(&daemon, "/api/v1/nodes").await;
    let lost = node["lost"].as_array().unwrap();
    assert_eq!(lost.len(), 2);
    assert!(
        lost.iter()
            .all(|loss| loss["stage"] == "ingest" && loss["count"] == 1),
        "{node}"
    );
}

#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_stream_not_the_process() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    let mut huge = batch(7, 1, 1..2);
    huge.signals[0].id = "x".repeat(5 << 20);
    agent.send(huge).await;
    let status = agent.end().await;
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    agent.send(batch(7, 1, 1..2)).await;
    assert_eq!(agent.ack().await, (7, 1));
}

#[tokio::test]
async fn bytes_that_are_no_message_end_the_stream_not_the_process() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let home = Home::new();
    let daemon = home.start().await;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 4096],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\xff",
    ] {
        let mut socket = tokio::net::TcpStream::connect(&daemon.ingest)
            .await
            .unwrap();
        socket.write_all(bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        // Whatever it answers, it must end the connection.
        drop(socket.read_to_end(&mut Vec::new()).await);
    }
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    agent.send(batch(7, 1, 1..2)).await;
    assert_eq!(agent.ack().await, (7, 1));
}

#[tokio::test]
async fn a_signal_from_the_future_is_kept_and_counted() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    let mut ahead = batch(7, 1, 1..2);
    ahead.signals[0].observed_at.as_mut().unwrap().seconds += 3600;
    agent.send(ahead).await;
    assert_eq!(agent.ack().await, (7, 1));
    assert_eq!(signal_ids(&daemon).await, ids(7, 1..2));
    let metrics = get(&daemon, "/metrics").await.text;
    assert!(
        metrics.contains("inquest_aggregator_ingest_future_total 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn an_unknown_kind_and_an_unknown_enum_value_are_kept() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    let mut unknown = batch(7, 1, 1..3);
    unknown.signals[0].body = None;
    unknown.signals[1].body = Some(v1::signal::Body::FatalSignal(v1::FatalSignal {
        signal: 9,
        origin: 99,
        ..Default::default()
    }));
    agent.send(unknown).await;
    assert_eq!(agent.ack().await, (7, 1));
    assert_eq!(signal_ids(&daemon).await, ids(7, 1..3));
    assert_eq!(
        all_items(&daemon, "/api/v1/signals?kind=unknown")
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn a_newer_stream_of_the_same_agent_takes_over() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut first, _) = Agent::connect(&daemon, "n1", 7).await;
    let (mut second, _) = Agent::connect(&daemon, "n1", 7).await;
    assert_eq!(first.end().await.code(), Code::Aborted);
    second.send(batch(7, 1, 1..2)).await;
    assert_eq!(second.ack().await, (7, 1));
    let node = first_item(&daemon, "/api/v1/nodes").await;
    assert_eq!(node["connected"], true);
}

#[tokio::test]
async fn killed_at_any_moment_it_has_everything_acked_once() {
    let home = Home::new();
    let (mut acked, mut next) = (0, 1);
    for round in 0..8 {
        let daemon = home.start().await;
        let (mut agent, stored) = Agent::connect(&daemon, "n1", 7).await;
        let kept = stored.first().map_or(0, |(_, sequence)| *sequence);
        assert!(
            kept >= acked,
            "round {round}: acked up to {acked}, stored up to {kept}"
        );
        assert_eq!(
            signal_ids(&daemon).await,
            ids(7, 1..kept * 3 + 1),
            "round {round}"
        );
        next = kept + 1;
        let until = next + 10 + round;
        for sequence in next..until {
            let first = (sequence - 1) * 3 + 1;
            agent.send(batch(7, sequence, first..first + 3)).await;
        }
        // Some acks are heard, some batches are under way when it dies.
        for _ in 0..=round {
            acked = agent.ack().await.1;
        }
        daemon.kill();
    }
    assert!(acked >= next);
}

#[tokio::test]
async fn incidents_go_on_after_a_restart() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    let mut kill = batch(7, 1, []);
    kill.signals.push(oom_kill(7, 1, "cart"));
    agent.send(kill).await;
    agent.ack().await;
    let before = first_item(&daemon, "/api/v1/incidents").await;
    daemon.kill();

    let daemon = home.start().await;
    assert_eq!(first_item(&daemon, "/api/v1/incidents").await, before);
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    let mut again = batch(7, 2, []);
    again.signals.push(oom_kill(7, 2, "cart"));
    agent.send(again).await;
    agent.ack().await;
    let after = all_items(&daemon, "/api/v1/incidents").await;
    assert_eq!(after.len(), 1, "a repeat belongs to the same incident");
    assert_eq!(after[0]["id"], before["id"]);
    assert_eq!(after[0]["occurrences"], 2);
}

#[tokio::test]
async fn many_agents_at_once_are_all_stored() {
    let home = Home::new();
    let daemon = Arc::new(home.start().await);
    let mut streams = JoinSet::new();
    for start_id in 1..=20 {
        let daemon = Arc::clone(&daemon);
        streams.spawn(async move {
            let (mut agent, _) = Agent::connect(&daemon, &format!("n{start_id}"), start_id).await;
            for sequence in 1..=10 {
                agent.send(batch(start_id, sequence, [sequence])).await;
            }
            while agent.ack().await.1 < 10 {}
            agent.close().await;
        });
    }
    streams.join_all().await;
    assert_eq!(signal_ids(&daemon).await.len(), 200);
}

#[tokio::test]
async fn a_follower_under_load_sees_each_signal_of_its_kind_once_and_in_order() {
    const BATCHES: u64 = 200;
    let home = Home::new();
    let daemon = Arc::new(home.start().await);
    let loading = {
        let daemon = Arc::clone(&daemon);
        tokio::spawn(async move {
            let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
            for sequence in 1..=BATCHES {
                let mut mixed = batch(7, sequence, [sequence * 2]);
                mixed.signals.push(oom_kill(7, sequence * 2 + 1, "cart"));
                agent.send(mixed).await;
                agent.ack().await;
            }
        })
    };
    let (mut after, mut seen) = ("0".to_owned(), Vec::new());
    while seen.len() < BATCHES as usize {
        let path = format!("/api/v1/signals?kind=oom_kill&limit=7&wait=30&after={after}");
        let page = get(&daemon, &path).await.json();
        after = page["metadata"]["continue"].as_str().unwrap().to_owned();
        let items = page["items"].as_array().unwrap();
        assert!(
            !items.is_empty(),
            "nothing new after {after} although signals were missed"
        );
        seen.extend(
            items
                .iter()
                .map(|signal| signal["id"].as_str().unwrap().to_owned()),
        );
    }
    loading.await.unwrap();
    let expected: Vec<_> = (1..=BATCHES)
        .map(|n| format!("{:016x}-{}", 7, n * 2 + 1))
        .collect();
    assert_eq!(seen, expected);
}
