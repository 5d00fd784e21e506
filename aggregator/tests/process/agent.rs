//! An agent that says exactly what a test wants it to say.

use inquest_proto::{
    PROTOCOL,
    v1::{
        self, AgentMessage, AggregatorMessage, agent_message, aggregator_message,
        ingest_client::IngestClient,
    },
};
use testkit::{agent::now, signal};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::daemon::{Daemon, PATIENCE};

/// One stream to an aggregator.
pub(super) struct Agent {
    to: mpsc::Sender<AgentMessage>,
    from: Streaming<AggregatorMessage>,
}

/// A hello that any aggregator takes.
pub(super) fn hello(agent_id: &str, start_id: u64) -> v1::Hello {
    v1::Hello {
        protocol: PROTOCOL,
        agent_id: agent_id.into(),
        start_id,
        boot_id: "b".into(),
        node: agent_id.into(),
        agent_version: "0.0.0".into(),
    }
}

impl Agent {
    /// Opens a stream without a word.
    pub(super) async fn silent(daemon: &Daemon) -> Self {
        let mut client = IngestClient::connect(format!("http://{}", daemon.ingest))
            .await
            .unwrap();
        let (to, messages) = mpsc::channel(16);
        let call = client.stream(ReceiverStream::new(messages)).await;
        Self {
            to,
            from: call.unwrap().into_inner(),
        }
    }

    /// Opens a stream with a hello; the welcome is still to be heard.
    pub(super) async fn saying(daemon: &Daemon, hello: v1::Hello) -> Self {
        let agent = Self::silent(daemon).await;
        agent.say(agent_message::Message::Hello(hello)).await;
        agent
    }

    /// Opens a stream and hears the welcome: what is stored for each start id.
    pub(super) async fn connect(
        daemon: &Daemon,
        agent_id: &str,
        start_id: u64,
    ) -> (Self, Vec<(u64, u64)>) {
        let mut agent = Self::saying(daemon, hello(agent_id, start_id)).await;
        match agent.hear().await.unwrap() {
            Some(aggregator_message::Message::Welcome(welcome)) => {
                let stored = welcome
                    .stored
                    .iter()
                    .map(|ack| (ack.start_id, ack.sequence));
                (agent, stored.collect())
            }
            other => panic!("expected a welcome, got {other:?}"),
        }
    }

    pub(super) async fn say(&self, message: agent_message::Message) {
        let message = AgentMessage {
            message: Some(message),
        };
        self.to.send(message).await.unwrap();
    }

    pub(super) async fn send(&self, batch: v1::SignalBatch) {
        self.say(agent_message::Message::Batch(batch)).await;
    }

    /// The next message, or why the stream ended.
    pub(super) async fn hear(&mut self) -> Result<Option<aggregator_message::Message>, Status> {
        let heard = tokio::time::timeout(PATIENCE, self.from.message())
            .await
            .expect("an answer in time");
        Ok(heard?.and_then(|message| message.message))
    }

    /// The next ack as (start id, sequence).
    pub(super) async fn ack(&mut self) -> (u64, u64) {
        match self.hear().await.unwrap() {
            Some(aggregator_message::Message::Ack(ack)) => (ack.start_id, ack.sequence),
            other => panic!("expected an ack, got {other:?}"),
        }
    }

    /// Hears until the stream ends, which must be with a status.
    pub(super) async fn end(&mut self) -> Status {
        loop {
            match self.hear().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without a status"),
                Err(status) => return status,
            }
        }
    }

    /// Closes this side and hears the other side do the same.
    pub(super) async fn close(mut self) {
        drop(self.to);
        let last = tokio::time::timeout(PATIENCE, self.from.message())
            .await
            .expect("an end in time");
        assert!(matches!(last, Ok(None)), "{last:?}");
    }
}

/// A batch with signals of these numbers.
pub(super) fn batch(
    start_id: u64,
    sequence: u64,
    numbers: impl IntoIterator<Item = u64>,
) -> v1::SignalBatch {
    v1::SignalBatch {
        start_id,
        sequence,
        signals: numbers
            .into_iter()
            .map(|number| exit(start_id, number))
            .collect(),
        ..Default::default()
    }
}

/// A signal about a process that ended by itself.
pub(super) fn exit(start_id: u64, number: u64) -> v1::Signal {
    let id = signal::id(start_id, number);
    signal::process_exit(id, now().unwrap(), 1000 + number as u32)
}

/// A signal about a process of `/crash/<cgroup>` killed at the memory limit of `/crash`.
pub(super) fn oom_kill(start_id: u64, number: u64, cgroup: &str) -> v1::Signal {
    let id = signal::id(start_id, number);
    let mut kill = signal::oom_kill(id, now().unwrap(), 1000 + number as u32);
    let subject = kill.subject.as_mut().unwrap();
    subject.cgroup.as_mut().unwrap().path = format!("/crash/{cgroup}");
    if let Some(v1::signal::Body::OomKill(kill)) = &mut kill.body {
        kill.chain[0].name = cgroup.into();
    }
    kill
}
