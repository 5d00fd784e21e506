//! `inquest profile`: what it asks of whom, and what it shows.

use inquest_api::List;
use serde_json::{Value, json};

use crate::golden;
use crate::run::inquest;
use crate::server::Server;

fn signal() -> Value {
    json!({
        "id": "a1-7",
        "node": "n1",
        "observedAt": "2026-01-31T10:00:10Z",
        "subject": {"cgroup": {"id": "77", "path": "/shop/cart"}},
        "waitProfile": {
            "start": "2026-01-31T10:00:00Z",
            "threadTimeNs": "80000000000",
            "shares": [
                {
                    "state": "STATE_FUTEX", "share": 0.78, "longestNs": "1018200000", "syscall": "futex", "threads": 7,
                    "thread": {"pid": 43, "comm": "worker-3", "parentPid": 40}
                },
                {
                    "state": "STATE_SOCKET", "share": 0.22, "longestNs": "9000000", "syscall": "recvfrom", "threads": 1,
                    "thread": {"pid": 44, "comm": "reader", "parentPid": 40},
                    "peer": {"address": "10.0.0.2", "port": 5432}
                }
            ],
            "locks": [{
                "process": {"pid": 40, "comm": "shop"}, "address": "140000000", "waiters": 7, "passed": true
            }]
        }
    })
}

fn aggregator() -> Server {
    let newest = List::new("SignalList", vec![signal()], Some("6".to_owned()));
    let page = List::new("SignalList", vec![signal()], Some("7".to_owned()));
    Server::start()
        .object("signals?limit=1", &newest)
        .object("signals", &page)
}

fn agent() -> Server {
    let begun = r#"{"node": "n1", "cgroup": "/shop/cart", "seconds": 10}"#;
    Server::start().status("/profile", 202, begun)
}

#[test]
fn asks_the_agent_and_shows_what_the_aggregator_was_told() {
    let (aggregator, agent) = (aggregator(), agent());
    let ended = inquest("profile 3f9d1b7c5a2e --for 1m")
        .env("INQUEST_AGENT", &agent.url())
        .at(&aggregator)
        .run();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stderr, "watching /shop/cart on node n1 for 60 s\n");
    golden::check("profile.txt", &ended.stdout);
    assert_eq!(agent.asked(), ["/profile?target=3f9d1b7c5a2e&seconds=60"]);
    let [_, asked] = <[String; 2]>::try_from(aggregator.asked()).unwrap();
    assert_eq!(
        asked,
        "signals?kind=wait_profile&node=n1&cgroup=%2Fshop%2Fcart&limit=1&wait=5&after=6"
    );
}

#[test]
fn as_json_it_is_the_signal_unchanged() {
    let ended = inquest("profile /shop/cart -o json")
        .env("INQUEST_AGENT", &agent().url())
        .at(&aggregator())
        .run();
    assert_eq!(
        serde_json::from_str::<Value>(&ended.stdout).unwrap(),
        signal()
    );
}

#[test]
fn a_refusal_keeps_the_agents_reason_and_decides_the_exit_code() {
    for (status, exit) in [(404, 3), (409, 3), (400, 2), (429, 1), (503, 1)] {
        let agent = Server::start().status("/profile", status, "the very reason\n");
        let error = inquest("profile /shop/cart")
            .env("INQUEST_AGENT", &agent.url())
            .at(&aggregator())
            .run()
            .failed(exit);
        assert!(error.contains("the very reason"), "{error}");
    }
}

#[test]
fn an_agent_that_cannot_be_reached_says_how_to() {
    let error = inquest("profile /shop/cart --agent http://127.0.0.1:9")
        .at(&aggregator())
        .run()
        .failed(1);
    assert!(error.contains("forward a port and set --agent"), "{error}");
}
