//! REST from outside: shapes, paging, waiting, and errors that say what to do.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    agent::{Agent, batch, exit, oom_kill},
    daemon::{Daemon, Home},
    rest::{all_items, first_item, get, get_with, put, signal_ids},
};

/// Stores signals: one kill per named cgroup, each in a batch of its own.
async fn kill_in(daemon: &Daemon, cgroups: &[&str]) -> Agent {
    let (mut agent, stored) = Agent::connect(daemon, "n1", 7).await;
    let before = stored.first().map_or(0, |(_, sequence)| *sequence);
    for (sequence, cgroup) in (before + 1..).zip(cgroups) {
        let mut one = batch(7, sequence, []);
        one.signals.push(oom_kill(7, sequence, cgroup));
        agent.send(one).await;
        assert_eq!(agent.ack().await, (7, sequence));
    }
    agent
}

/// Requests that are refused: status, code, and what the detail must name.
const REFUSED: &[(&str, u16, &str, &str)] = &[
    (
        "/api/v1/incidents?sate=open",
        400,
        "invalid_argument",
        "sate",
    ),
    (
        "/api/v1/incidents?state=broken",
        400,
        "invalid_argument",
        "broken",
    ),
    (
        "/api/v1/incidents?limit=0",
        400,
        "invalid_argument",
        "1..=1000",
    ),
    (
        "/api/v1/incidents?limit=1001",
        400,
        "invalid_argument",
        "1..=1000",
    ),
    (
        "/api/v1/incidents?limit=ten",
        400,
        "invalid_argument",
        "invalid digit",
    ),
    (
        "/api/v1/incidents?continue=x",
        400,
        "invalid_argument",
        "begin again",
    ),
    (
        "/api/v1/incidents?wait=61",
        400,
        "invalid_argument",
        "0..=60",
    ),
    (
        "/api/v1/incidents/inc-none",
        404,
        "incident_not_found",
        "inquest incident list",
    ),
    (
        "/api/v1/incidents/%FF",
        400,
        "invalid_argument",
        "cannot be read",
    ),
    ("/api/v1/why", 400, "invalid_argument", "target"),
    ("/api/v1/why?target=", 400, "invalid_argument", "target"),
    (
        "/api/v1/why?target=nobody",
        404,
        "target_not_found",
        "nobody",
    ),
    (
        "/api/v1/signals?kind=oomkill",
        400,
        "invalid_argument",
        "oom_kill",
    ),
    (
        "/api/v1/signals?since=yesterday",
        400,
        "invalid_argument",
        "yesterday",
    ),
    ("/api/v1/signals?wait=1", 400, "invalid_argument", "after=0"),
    (
        "/api/v1/signals?after=1&continue=2",
        400,
        "invalid_argument",
        "not both",
    ),
    ("/api/v2/incidents", 404, "route_not_found", "docs/api.md"),
];

#[tokio::test]
async fn every_refusal_is_a_problem_with_code_and_request_id() {
    let home = Home::new();
    let daemon = home.start().await;
    for (path, status, code, text) in REFUSED {
        let answer = get(&daemon, path).await;
        let problem = answer.json();
        assert_eq!(answer.status, *status, "{path}: {problem}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(
            (&problem["type"], &problem["status"]),
            (&json!("about:blank"), &json!(status))
        );
        assert_eq!(problem["code"], *code, "{path}: {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(text),
            "{path}: {problem}"
        );
        assert_eq!(problem["request_id"], answer.header("x-request-id"));
    }
    let wrong_method = put(&daemon, "/api/v1/nodes", "").await;
    assert_eq!(
        (wrong_method.status, &wrong_method.json()["code"]),
        (405, &json!("method_not_allowed"))
    );
    let too_large = put(&daemon, "/log-level", "x".repeat(100_000)).await;
    assert_eq!(
        (too_large.status, &too_large.json()["code"]),
        (413, &json!("body_too_large"))
    );
}

#[tokio::test]
async fn echoes_a_sane_request_id_and_replaces_another() {
    let home = Home::new();
    let daemon = home.start().await;
    let named = get_with(&daemon, "/api/v1/nodes", &[("x-request-id", "demo-7")]).await;
    assert_eq!(named.header("x-request-id"), "demo-7");
    let long = "x".repeat(65);
    let replaced = get_with(&daemon, "/api/v1/nodes", &[("x-request-id", &long)]).await;
    assert_eq!(replaced.header("x-request-id").len(), 16);
}

#[tokio::test]
async fn an_empty_store_answers_empty_lists() {
    let home = Home::new();
    let daemon = home.start().await;
    for (path, kind) in [
        ("incidents", "IncidentList"),
        ("signals", "SignalList"),
        ("nodes", "NodeList"),
    ] {
        let list = get(&daemon, &format!("/api/v1/{path}")).await.json();
        let expected =
            json!({"apiVersion": "inquest.dev/v1", "kind": kind, "metadata": {}, "items": []});
        assert_eq!(list, expected);
    }
}

#[tokio::test]
async fn status_counts_what_is_there() {
    let home = Home::new();
    let daemon = home.start().await;
    let _agent = kill_in(&daemon, &["cart", "mail"]).await;
    let status = get(&daemon, "/api/v1/status").await.json();
    assert_eq!(status["kind"], "Status");
    assert_eq!(status["incidents"], json!({"open": 2, "resolved": 0}));
    assert_eq!(
        status["nodes"],
        json!({"known": 1, "connected": 1, "shortOfMemory": 0})
    );
    assert_eq!(status["store"]["signals"], 2);
    assert_eq!(status["store"]["path"], home.store().to_str().unwrap());
    assert_eq!(status["store"].get("error"), None);
    assert_eq!(status["analysis"]["state"], "off");
}

#[tokio::test]
async fn incidents_page_without_repeats_while_new_ones_arrive() {
    let home = Home::new();
    let daemon = home.start().await;
    let _agent = kill_in(&daemon, &["a", "b", "c", "d", "e"]).await;
    let all = all_items(&daemon, "/api/v1/incidents").await;
    assert_eq!(all.len(), 5);
    let first = get(&daemon, "/api/v1/incidents?limit=2").await.json();
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    let _agent = kill_in(&daemon, &["f"]).await;
    let rest = all_items_from(&daemon, &token).await;
    let paged: Vec<Value> = first["items"]
        .as_array()
        .unwrap()
        .iter()
        .cloned()
        .chain(rest)
        .collect();
    assert_eq!(paged, all);
}

/// The pages after `token`, two items each.
async fn all_items_from(daemon: &Daemon, token: &str) -> Vec<Value> {
    let (mut items, mut token) = (Vec::new(), Some(token.to_owned()));
    while let Some(next) = token {
        let page = get(
            daemon,
            &format!("/api/v1/incidents?limit=2&continue={next}"),
        )
        .await
        .json();
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        token = page["metadata"]["continue"].as_str().map(str::to_owned);
    }
    items
}

#[tokio::test]
async fn incidents_are_filtered_by_each_parameter() {
    let home = Home::new();
    let daemon = home.start().await;
    let _agent = kill_in(&daemon, &["cart", "mail"]).await;
    let cases = [
        ("state=open", 2),
        ("state=resolved", 0),
        ("cause=memory-limit-oom", 2),
        ("cause=node-oom", 0),
        ("node=n1", 2),
        ("node=n2", 0),
        ("target=/crash/mail", 1),
        ("target=/crash/mail&state=resolved", 0),
        ("target=/crash/none", 0),
    ];
    for (filter, expected) in cases {
        let found = get(&daemon, &format!("/api/v1/incidents?{filter}"))
            .await
            .json();
        assert_eq!(
            found["items"].as_array().unwrap().len(),
            expected,
            "{filter}: {found}"
        );
    }
}

#[tokio::test]
async fn a_wait_ends_with_the_first_incident_that_matches() {
    let home = Home::new();
    let daemon = home.start().await;
    let waiting = get(&daemon, "/api/v1/incidents?target=/crash/late&wait=60");
    let (found, _agent) = tokio::join!(waiting, kill_in(&daemon, &["early", "late"]));
    assert_eq!(found.json()["items"].as_array().unwrap().len(), 1);
    let in_vain = get(&daemon, "/api/v1/incidents?target=/crash/none&wait=1").await;
    assert_eq!(in_vain.json()["items"], json!([]));
}

#[tokio::test]
async fn a_known_tag_waits_for_a_change_and_else_is_not_modified() {
    let home = Home::new();
    let daemon = home.start().await;
    let _agent = kill_in(&daemon, &["cart"]).await;
    let path = "/api/v1/incidents";
    let tag = get(&daemon, path).await.header("etag").to_owned();
    let unchanged = get_with(&daemon, path, &[("if-none-match", &tag)]).await;
    assert_eq!((unchanged.status, unchanged.text.as_str()), (304, ""));
    let headers = [("if-none-match", tag.as_str())];
    let waiting = get_with(&daemon, "/api/v1/incidents?wait=60", &headers);
    let (changed, _agent) = tokio::join!(waiting, kill_in(&daemon, &["mail"]));
    assert_eq!(changed.json()["items"].as_array().unwrap().len(), 2);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn signals_page_back_through_blocks_and_are_filtered() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    for sequence in 1..=4 {
        let mut three = batch(7, sequence, sequence * 3 - 2..sequence * 3);
        three.signals.push(oom_kill(7, sequence * 3, "cart"));
        agent.send(three).await;
        assert_eq!(agent.ack().await, (7, sequence));
    }
    let newest_first: Vec<_> = signal_ids(&daemon).await.into_iter().rev().collect();
    assert_eq!(newest_first.len(), 12);
    for limit in [1, 2, 5, 11, 12] {
        let paged = all_items(&daemon, &format!("/api/v1/signals?limit={limit}")).await;
        let ids: Vec<_> = paged
            .iter()
            .map(|signal| signal["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, newest_first, "limit {limit}");
    }
    let cases = [
        ("kind=oom_kill", 4),
        ("kind=process_exit", 8),
        ("kind=coverage_gap", 0),
        ("pid=1003", 1),
        ("cgroup=/crash/cart", 4),
        ("cgroup=1001", 1),
        ("node=n1", 12),
        ("node=n2", 0),
        ("since=1h", 12),
        ("until=1h", 0),
        ("since=2001-01-01T00:00:00Z&until=2002-01-01T00:00:00Z", 0),
    ];
    for (filter, expected) in cases {
        let found = all_items(&daemon, &format!("/api/v1/signals?{filter}&limit=3")).await;
        assert_eq!(found.len(), expected, "{filter}: {found:?}");
    }
}

#[tokio::test]
async fn signals_are_followed_without_gap_or_repeat() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    let (mut after, mut seen) = ("0".to_owned(), Vec::new());
    for sequence in 1..=5 {
        let path = format!("/api/v1/signals?after={after}&wait=60&limit=2");
        let batch = batch(7, sequence, sequence * 3 - 2..=sequence * 3);
        let (mut page, ()) = tokio::join!(get(&daemon, &path), agent.send(batch));
        assert_eq!(agent.ack().await, (7, sequence));
        loop {
            let list = page.json();
            let items = list["items"].as_array().unwrap();
            after = list["metadata"]["continue"].as_str().unwrap().to_owned();
            if items.is_empty() {
                break;
            }
            seen.extend(
                items
                    .iter()
                    .map(|signal| signal["id"].as_str().unwrap().to_owned()),
            );
            page = get(&daemon, &format!("/api/v1/signals?after={after}&limit=2")).await;
        }
    }
    assert_eq!(seen, signal_ids(&daemon).await);
    assert_eq!(seen.len(), 15);
    let none_of_this_kind = get(&daemon, "/api/v1/signals?after=0&kind=oom_kill&wait=1")
        .await
        .json();
    assert_eq!(
        none_of_this_kind["metadata"]["continue"], after,
        "goes on behind what was looked at"
    );
}

#[tokio::test]
async fn a_stop_ends_a_wait_with_an_answer() {
    let home = Home::new();
    let daemon = home.start().await;
    let rest = daemon.rest.clone();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut waiting = client
        .get(format!("http://{rest}/api/v1/signals?after=0&wait=60"))
        .send();
    let waiting = std::pin::pin!(async move { (&mut waiting).await.unwrap().status() });
    let stopping = async {
        super::daemon::poll("the wait to begin", async || {
            let metrics = get(&daemon, "/metrics").await.text;
            metrics
                .contains("inquest_aggregator_api_waiting 1")
                .then_some(())
        })
        .await;
        daemon.terminate().await
    };
    let (status, (exit, took)) = tokio::join!(waiting, stopping);
    assert_eq!(status, 200);
    assert!(
        exit.success() && took < Duration::from_secs(10),
        "{exit} after {took:?}"
    );
}

#[tokio::test]
async fn a_node_shows_its_probes_gaps_and_end_of_connection() {
    use inquest_proto::v1::{self, agent_message::Message, probe_status::State};
    let home = Home::new();
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    let probe = |name: &str, state: State| v1::ProbeStatus {
        name: name.into(),
        state: state.into(),
        without: "who was killed".into(),
        ..Default::default()
    };
    let status = v1::NodeStatus {
        kernel_release: "6.1.0".into(),
        probes: vec![
            probe("mark_victim", State::Attached),
            probe("exit", State::Missing),
        ],
        spool_bytes: 9,
        cgroup_version: 3,
        ..Default::default()
    };
    agent.say(Message::Status(status)).await;
    let mut gap = exit(7, 1);
    gap.body = Some(v1::signal::Body::CoverageGap(v1::CoverageGap {
        start: gap.observed_at,
        end: gap.observed_at,
        reason: v1::coverage_gap::Reason::AgentRestarted.into(),
    }));
    let mut one = batch(7, 1, []);
    one.signals.push(gap);
    agent.send(one).await;
    assert_eq!(agent.ack().await, (7, 1));
    let node = first_item(&daemon, "/api/v1/nodes").await;
    assert_eq!(node["probes"][1]["state"], "missing");
    assert_eq!(node["gaps"][0]["reason"], "agent_restarted");
    assert_eq!(
        (&node["kernelRelease"], &node["cgroupVersion"]),
        (&json!("6.1.0"), &json!(3))
    );
    agent.close().await;
    super::daemon::poll("the node to be seen as gone", async || {
        let node = first_item(&daemon, "/api/v1/nodes").await;
        (node["connected"] == false).then_some(())
    })
    .await;
    daemon.kill();
    let daemon = home.start().await;
    let kept = first_item(&daemon, "/api/v1/nodes").await;
    assert_eq!(
        (&kept["gaps"], &kept["probes"]),
        (&node["gaps"], &node["probes"])
    );
}
