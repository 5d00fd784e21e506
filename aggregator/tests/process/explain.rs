//! Explanations by a model, as far as the store and the restart have a part in them.

use serde_json::Value;
use testkit::llm::{Behaviour, Protocol, Script, Server};

use super::{
    agent::{Agent, batch, oom_kill},
    daemon::{Daemon, Home, poll},
    rest::{first_item, get},
};

/// The configuration for a server on this machine.
fn asking(server: &Server) -> String {
    format!(
        "analysis: {{provider: openai, base_url: {}, model: {}}}",
        server.base_url(),
        testkit::llm::MODEL
    )
}

/// An aggregator that had asked a model without an answer when it was killed.
async fn left_pending(silent: &Server) -> Home {
    let home = Home::with_config(&asking(silent));
    let daemon = home.start().await;
    let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
    let mut kill = batch(7, 1, []);
    kill.signals.push(oom_kill(7, 1, "cart"));
    agent.send(kill).await;
    agent.ack().await;
    let incident = first_item(&daemon, "/api/v1/incidents").await;
    assert_eq!(incident["analysis"]["state"], "pending");
    poll("the model to be asked", async || {
        (silent.seen() > 0).then_some(())
    })
    .await;
    daemon.kill();
    home
}

/// Where the analysis of the only incident stands once it is not pending.
async fn settled(daemon: &Daemon) -> Value {
    poll("the analysis to be settled", async || {
        let incident = first_item(daemon, "/api/v1/incidents").await;
        let analysis = incident["analysis"].clone();
        (analysis["state"] != "pending").then_some(analysis)
    })
    .await
}

#[tokio::test]
async fn what_a_model_had_not_answered_is_asked_again_after_a_restart() {
    let silent = Server::start_without_key(Protocol::OpenAi, Behaviour::Hang)
        .await
        .unwrap();
    let home = left_pending(&silent).await;
    let answer = Script::sentences(&[
        ("The cgroup reached its limit.", &["e1"]),
        ("The pod checkout-77 was evicted.", &["e99"]),
    ]);
    let talking = Server::start_without_key(Protocol::OpenAi, Behaviour::Answer(answer))
        .await
        .unwrap();
    home.configure(&home.state_dir(), &asking(&talking));
    let daemon = home.start().await;
    let analysis = settled(&daemon).await;
    assert_eq!(analysis["state"], "done", "{analysis}");
    assert_eq!(analysis["droppedSentences"], 1, "{analysis}");
    let status = get(&daemon, "/api/v1/status").await.json();
    assert_eq!(status["analysis"]["droppedSentences"], 1);
    assert_eq!(status["analysis"]["state"], "ok");
}

#[tokio::test]
async fn what_a_model_had_not_answered_is_given_up_when_analysis_is_switched_off() {
    let silent = Server::start_without_key(Protocol::OpenAi, Behaviour::Hang)
        .await
        .unwrap();
    let home = left_pending(&silent).await;
    home.configure(&home.state_dir(), "");
    let daemon = home.start().await;
    let analysis = settled(&daemon).await;
    assert_eq!(analysis["state"], "failed", "{analysis}");
    let error = analysis["error"].as_str().unwrap();
    assert!(error.contains("switched off"), "{error}");
}
