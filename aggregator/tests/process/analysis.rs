//! Explanations from outside: what a model's answer may and may not change. The models are doubles
//! that speak the real protocols.

use std::{fs, path::PathBuf};

use serde_json::Value;
use testkit::llm::{Behaviour, KEY, MODEL, Protocol, Script, Server};

use super::{
    agent::{Agent, batch, oom_kill},
    daemon::{Daemon, Home, poll},
    rest::get,
};

const CGROUP: &str = "/pay";
const HONEST: &str = "The kernel killed the process because of memory.";
/// An evidence id, a pod name and a number that are nowhere in the incident.
const INVENTED: [&str; 3] = ["e4711", "redis-5d8f7c9b4-qx2lp", "4815162342"];

fn liar() -> Script {
    let [id, pod, number] = INVENTED;
    Script::sentences(&[
        (HONEST, &["e1"]),
        ("Nobody saw this coming.", &["e1", id]),
        (&format!("The pod {pod} used all of the memory."), &["e1"]),
        (&format!("The limit was {number} MiB."), &["e1"]),
    ])
}

/// Configures a double as the provider; the key file outlives the process.
fn section(home: &Home, server: &Server, provider: &str) -> String {
    let key_file: PathBuf = home.state_dir().with_file_name("key");
    fs::write(&key_file, KEY).unwrap();
    format!(
        "analysis: {{provider: {provider}, base_url: '{}', model: {MODEL}, key_file: {}}}",
        server.base_url(),
        key_file.display()
    )
}

/// Starts an aggregator with this provider.
async fn start(home: &Home, server: &Server, provider: &str) -> Daemon {
    home.configure(&home.state_dir(), &section(home, server, provider));
    home.start().await
}

async fn kill(daemon: &Daemon) {
    let (mut agent, _) = Agent::connect(daemon, "n1", 7).await;
    let mut one = batch(7, 1, []);
    one.signals.push(oom_kill(7, 1, CGROUP));
    agent.send(one).await;
    assert_eq!(agent.ack().await, (7, 1));
}

async fn incident(daemon: &Daemon) -> Value {
    poll("an incident", async || {
        let list = get(daemon, "/api/v1/incidents").await.json();
        list["items"].get(0).cloned()
    })
    .await
}

/// The incident once its analysis is in `state`.
async fn analysed(daemon: &Daemon, state: &str) -> Value {
    poll(state, async || {
        let incident = incident(daemon).await;
        (incident["analysis"]["state"] == state).then_some(incident)
    })
    .await
}

/// The incident as it is without a model.
fn without_analysis(mut incident: Value) -> Value {
    incident.as_object_mut().unwrap().remove("analysis");
    incident
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_invents_is_dropped_and_counted() {
    for (protocol, provider) in [
        (Protocol::OpenAi, "openai"),
        (Protocol::Anthropic, "anthropic"),
    ] {
        let server = Server::start(protocol, Behaviour::Answer(liar()))
            .await
            .unwrap();
        let home = Home::new();
        let daemon = start(&home, &server, provider).await;
        kill(&daemon).await;
        let incident = analysed(&daemon, "done").await;
        let analysis = &incident["analysis"];
        assert_eq!(analysis["droppedSentences"], 3, "{analysis}");
        assert_eq!(analysis["sentences"][0]["text"], HONEST);
        assert_eq!(analysis["sentences"].as_array().unwrap().len(), 1);
        let id = incident["id"].as_str().unwrap();
        for path in [
            "/api/v1/incidents".to_owned(),
            format!("/api/v1/why?target={id}"),
        ] {
            let text = get(&daemon, &path).await.text;
            for invented in INVENTED {
                assert!(!text.contains(invented), "{invented} in {path}: {text}");
            }
        }
        let status = get(&daemon, "/api/v1/status").await.json();
        assert_eq!(status["analysis"]["droppedSentences"], 3);
        assert_eq!(status["analysis"]["state"], "ok");
        assert!(
            !daemon.log().contains(KEY) && !daemon.log().contains(HONEST),
            "no key and no prose in the log"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_keeps_nobody_waiting_and_is_asked_again_after_a_restart() {
    let hanging = Server::start(Protocol::Anthropic, Behaviour::Hang)
        .await
        .unwrap();
    let home = Home::new();
    let daemon = start(&home, &hanging, "anthropic").await;
    kill(&daemon).await;
    poll("the call", async || {
        (!hanging.requests().is_empty()).then_some(())
    })
    .await;
    // Answered although the call still hangs: it has a minute, and no answer waits for it.
    let pending = incident(&daemon).await;
    assert_eq!(pending["analysis"]["state"], "pending");
    let id = pending["id"].as_str().unwrap();
    let report = get(&daemon, &format!("/api/v1/why?target={id}"))
        .await
        .json();
    assert_eq!(report["incidents"][0]["analysis"]["state"], "pending");
    daemon.kill();

    let answering = Server::start(Protocol::Anthropic, Behaviour::Answer(liar()))
        .await
        .unwrap();
    let daemon = start(&home, &answering, "anthropic").await;
    let explained = analysed(&daemon, "done").await;
    assert_eq!(explained["analysis"]["sentences"][0]["text"], HONEST);
    assert_eq!(
        without_analysis(explained),
        without_analysis(pending),
        "nothing else changed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_refuses_is_a_failure_in_words_and_changes_nothing_else() {
    let denying = Server::start(Protocol::OpenAi, Behaviour::Unauthorized)
        .await
        .unwrap();
    let home = Home::new();
    let daemon = start(&home, &denying, "openai").await;
    kill(&daemon).await;
    let failed = analysed(&daemon, "failed").await;
    let error = failed["analysis"]["error"].as_str().unwrap();
    assert!(error.contains("401") && !error.contains("sk-"), "{error}");
    assert_eq!(failed["rootCause"]["cause"], "memory-limit-oom");
    let status = get(&daemon, "/api/v1/status").await.json();
    assert_eq!(status["analysis"]["state"], "failing");
    assert!(!daemon.log().contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_when_it_is_off() {
    let server = Server::start(Protocol::OpenAi, Behaviour::Answer(liar()))
        .await
        .unwrap();
    let home = Home::new();
    let daemon = start(&home, &server, "none").await;
    kill(&daemon).await;
    assert!(incident(&daemon).await.get("analysis").is_none());
    let status = get(&daemon, "/api/v1/status").await.json();
    assert_eq!(status["analysis"]["state"], "off");
    daemon.terminate().await;
    assert_eq!(server.seen(), 0);
}
