//! Arguments, configuration, start and stop.

use std::time::Duration;

use super::{
    agent::{Agent, batch},
    daemon::{Home, run},
    rest::{get, put},
};

#[tokio::test]
async fn wrong_usage_exits_64_and_says_what_is_wrong() {
    let output = run(&["--no-such-flag"]).await;
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--no-such-flag"));
}

#[tokio::test]
async fn a_wrong_configuration_exits_64_and_names_the_key() {
    let cases = [
        ("lisen: 127.0.0.1:7700", "lisen"),
        ("retention: {max_size: huge}", "retention.max_size"),
        ("analysis: {provider: oracle}", "oracle"),
    ];
    for (extra, named) in cases {
        let home = Home::with_config(extra);
        let output = home.run().await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains(named), "{named} is not in: {said}");
        assert!(
            !home.state_dir().try_exists().unwrap(),
            "nothing is touched before the check"
        );
    }
}

#[tokio::test]
async fn prints_version_and_effective_configuration() {
    let version = run(&["--version"]).await;
    assert!(version.status.success());
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("inquest-aggregator "));
    let home = Home::with_config("retention: {signals: 36h}");
    let printed = run(&["--config", home.config(), "--check-config"]).await;
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(
        printed.status.success() && text.contains("signals: 36h"),
        "{text}"
    );
}

#[tokio::test]
async fn answers_health_and_stops_on_sigterm_with_agents_connected() {
    let home = Home::new();
    let daemon = home.start().await;
    assert_eq!(get(&daemon, "/healthz").await.status, 200);
    assert_eq!(get(&daemon, "/readyz").await.text, "ready\n");
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    agent.send(batch(7, 1, 1..4)).await;
    assert_eq!(agent.ack().await, (7, 1));
    let (status, took) = daemon.terminate().await;
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(agent.end().await.code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn a_second_aggregator_on_the_same_state_is_refused() {
    let home = Home::new();
    let _daemon = home.start().await;
    let second = home.run().await;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1));
    assert!(said.contains("is in use by another aggregator"), "{said}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = Home::new();
    let text = format!(
        "listen: {address}\ningest_listen: 127.0.0.1:0\nstate_dir: {}\n",
        home.state_dir().display()
    );
    std::fs::write(home.config(), text).unwrap();
    let output = home.run().await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains(&address.to_string()) && said.contains("`listen`"),
        "{said}"
    );
}

#[tokio::test]
async fn a_damaged_store_is_named_with_what_to_do_and_left_as_it_is() {
    let home = Home::new();
    let (status, _) = home.start().await.terminate().await;
    assert!(status.success());
    let note = b"this is no database; it is a note that somebody put here, and it is long enough to be read";
    std::fs::write(home.store(), note).unwrap();
    // A log that the last close left would hold every page of so young a store, and mend it.
    let _none_left = std::fs::remove_file(home.store().with_extension("db-wal"));
    let output = home.run().await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("inquest.db") && said.contains("is damaged") && said.contains("backup"),
        "{said}"
    );
    assert_eq!(std::fs::read(home.store()).unwrap(), note);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_with_what_to_do() {
    let home = Home::new();
    let (status, _) = home.start().await.terminate().await;
    assert!(status.success());
    let connection = rusqlite::Connection::open(home.store()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let output = home.run().await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("version 99") && said.contains("newer aggregator"),
        "{said}"
    );
}

#[tokio::test]
async fn the_log_level_changes_while_running() {
    let home = Home::new();
    let daemon = home.start().await;
    assert_eq!(put(&daemon, "/log-level", "debug").await.status, 204);
    let refused = put(&daemon, "/log-level", "==").await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["code"], "invalid_argument");
    assert!(daemon.log().contains("log level changed"));
}
