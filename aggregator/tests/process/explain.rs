//! Explanations by a model, as far as the store and the restart have a part in them.

use testkit::llm::{Behaviour, Protocol, Script, Server};

use super::{
    agent::{Agent, batch, oom_kill},
    daemon::{Home, poll},
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

#[tokio::test]
async fn what_a_model_had_not_answered_is_asked_again_after_a_restart() {
    let silent = Server::start_without_key(Protocol::OpenAi, Behaviour::Hang)
        .await
        .unwrap();
    let home = Home::with_config(&asking(&silent));
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

    let answer = Script::sentences(&[
        ("The cgroup reached its limit.", &["e1"]),
        ("The pod checkout-77 was evicted.", &["e99"]),
    ]);
    let talking = Server::start_without_key(Protocol::OpenAi, Behaviour::Answer(answer))
        .await
        .unwrap();
    home.configure(&home.state_dir(), &asking(&talking));
    let daemon = home.start().await;
    let analysis = poll("the answer", async || {
        let incident = first_item(&daemon, "/api/v1/incidents").await;
        let analysis = incident["analysis"].clone();
        (analysis["state"] != "pending").then_some(analysis)
    })
    .await;
    assert_eq!(analysis["state"], "done", "{analysis}");
    assert_eq!(analysis["droppedSentences"], 1, "{analysis}");
    let status = get(&daemon, "/api/v1/status").await.json();
    assert_eq!(status["analysis"]["droppedSentences"], 1);
    assert_eq!(status["analysis"]["state"], "ok");
}
