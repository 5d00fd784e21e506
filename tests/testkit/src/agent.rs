//! An agent that watches nothing: it speaks the real protocol to a real aggregator, makes signals
//! under load and remembers which of them were acked. Must resend exactly as a real agent would.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use inquest_proto::v1;
use inquest_proto::v1::agent_message::Message as ToAggregator;
use inquest_proto::v1::aggregator_message::Message as FromAggregator;
use inquest_proto::v1::ingest_client::IngestClient;
use pbjson_types::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::signal;

/// Batches that may be on their way without an ack; a real agent has a window too.
const MAX_IN_FLIGHT: usize = 32;
/// Pause before the next connection attempt: short, because the harness restarts its server at once.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Longest wait for one connection attempt, and for the welcome.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How an agent loads the aggregator.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the aggregator takes streams, for example `http://127.0.0.1:7701`.
    pub url: String,
    /// The agent's and its node's name.
    pub agent_id: String,
    /// Names the agent process; never 0.
    pub start_id: u64,
    pub signals_per_batch: u64,
    /// Every so many batches the first signal is an OOM kill, so that incidents are written too.
    pub oom_every: u64,
    /// Pause between batches.
    pub pause: Duration,
    /// How long it may take after the end until everything is acked.
    pub drain_deadline: Duration,
}

/// What became of an agent's batches.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Delivered {
    /// Sequences made, from 1.
    pub made: u64,
    /// Everything up to and including this sequence was acked.
    pub acked: u64,
    /// Batches that were sent again after a broken stream.
    pub resent: u64,
    /// Streams opened.
    pub connections: u64,
    /// Times a welcome told of less than had been acked before: acked signals were lost.
    pub forgotten: u64,
}

/// Ids of the signals in the batches `1..=sequence` of an agent process.
pub fn ids(load: &Load, sequence: u64) -> impl Iterator<Item = String> {
    let start_id = load.start_id;
    (1..=sequence * load.signals_per_batch).map(move |number| signal::id(start_id, number))
}

/// Loads the aggregator until `stop` turns true, then waits until everything made is acked.
///
/// Lives through any death of the aggregator. Fails when the aggregator breaks the protocol, or
/// when the rest is not acked within the deadline.
pub async fn run(load: Load, stop: watch::Receiver<bool>) -> anyhow::Result<Delivered> {
    let mut sender = Sender {
        load,
        stop,
        unacked: VecDeque::new(),
        delivered: Delivered::default(),
        drain_since: None,
    };
    while !sender.is_done()? {
        match sender.connect().await {
            Ok(stream) => sender.stream(stream).await?,
            Err(_unreachable) => sleep(RECONNECT_PAUSE).await,
        }
    }
    Ok(sender.delivered)
}

struct Sender {
    load: Load,
    stop: watch::Receiver<bool>,
    unacked: VecDeque<v1::SignalBatch>,
    delivered: Delivered,
    drain_since: Option<Instant>,
}

struct Stream {
    to: mpsc::Sender<v1::AgentMessage>,
    from: Streaming<v1::AggregatorMessage>,
}

impl Sender {
    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    fn is_done(&mut self) -> anyhow::Result<bool> {
        if !self.is_stopping() {
            return Ok(false);
        }
        if self.unacked.is_empty() {
            return Ok(true);
        }
        let since = *self.drain_since.get_or_insert_with(Instant::now);
        anyhow::ensure!(
            since.elapsed() < self.load.drain_deadline,
            "agent `{}`: {} batches are still not acked {:?} after the end of the load",
            self.load.agent_id,
            self.unacked.len(),
            self.load.drain_deadline,
        );
        Ok(false)
    }

    /// Opens a stream and resumes behind what the aggregator says it has.
    async fn connect(&mut self) -> anyhow::Result<Stream> {
        let endpoint =
            Endpoint::from_shared(self.load.url.clone())?.connect_timeout(CONNECT_DEADLINE);
        let mut client = IngestClient::new(endpoint.connect().await?);
        let (to, outgoing) = mpsc::channel(MAX_IN_FLIGHT);
        to.send(message(ToAggregator::Hello(self.hello()))).await?;
        let opened = client.stream(ReceiverStream::new(outgoing));
        let mut from = tokio::time::timeout(CONNECT_DEADLINE, opened)
            .await??
            .into_inner();
        let first = tokio::time::timeout(CONNECT_DEADLINE, from.message()).await??;
        let Some(FromAggregator::Welcome(welcome)) = first.and_then(|first| first.message) else {
            anyhow::bail!("the stream did not begin with a welcome");
        };
        self.delivered.connections += 1;
        self.adopt(&welcome);
        Ok(Stream { to, from })
    }

    fn hello(&self) -> v1::Hello {
        v1::Hello {
            protocol: inquest_proto::PROTOCOL,
            agent_id: self.load.agent_id.clone(),
            start_id: self.load.start_id,
            boot_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            node: self.load.agent_id.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn adopt(&mut self, welcome: &v1::Welcome) {
        let own = welcome
            .stored
            .iter()
            .find(|ack| ack.start_id == self.load.start_id);
        let stored = own.map_or(0, |ack| ack.sequence);
        if stored < self.delivered.acked {
            self.delivered.forgotten += 1;
        }
        self.settle(stored);
    }

    fn settle(&mut self, sequence: u64) {
        self.delivered.acked = self.delivered.acked.max(sequence);
        while self
            .unacked
            .front()
            .is_some_and(|batch| batch.sequence <= sequence)
        {
            self.unacked.pop_front();
        }
    }

    /// Sends and takes acks until the stream breaks or all is done.
    async fn stream(&mut self, mut stream: Stream) -> anyhow::Result<()> {
        for batch in self.unacked.clone() {
            self.delivered.resent += 1;
            if send(&stream, batch).await.is_err() {
                return Ok(());
            }
        }
        while !self.is_done()? {
            let may_make = !self.is_stopping() && self.unacked.len() < MAX_IN_FLIGHT;
            tokio::select! {
                incoming = stream.from.message() => match incoming {
                    Ok(Some(v1::AggregatorMessage { message: Some(FromAggregator::Ack(ack)) })) => {
                        self.take(&ack)?;
                    }
                    Ok(Some(other)) => anyhow::bail!("unexpected message {other:?}"),
                    Ok(None) | Err(_) => return Ok(()),
                },
                () = sleep(self.load.pause), if may_make => {
                    let batch = self.make_batch()?;
                    self.unacked.push_back(batch.clone());
                    if send(&stream, batch).await.is_err() {
                        return Ok(());
                    }
                }
                _ = self.stop.changed(), if !self.is_stopping() => {}
                () = sleep(CONNECT_DEADLINE), if self.is_stopping() => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, ack: &v1::Ack) -> anyhow::Result<()> {
        anyhow::ensure!(
            ack.start_id == self.load.start_id && ack.sequence <= self.delivered.made,
            "agent `{}` was acked what it never sent: {ack:?}",
            self.load.agent_id,
        );
        self.settle(ack.sequence);
        Ok(())
    }

    fn make_batch(&mut self) -> anyhow::Result<v1::SignalBatch> {
        let at = now().context("failed to read the clock")?;
        let first = self.delivered.made * self.load.signals_per_batch + 1;
        self.delivered.made += 1;
        let sequence = self.delivered.made;
        let signals = (first..first + self.load.signals_per_batch).map(|number| {
            let id = signal::id(self.load.start_id, number);
            let pid = u32::try_from(number % 4_000_000).unwrap_or(1) + 1;
            if number == first && sequence.is_multiple_of(self.load.oom_every) {
                signal::oom_kill(id, at, pid)
            } else {
                signal::process_exit(id, at, pid)
            }
        });
        Ok(v1::SignalBatch {
            start_id: self.load.start_id,
            sequence,
            skipped: 0,
            lost: Vec::new(),
            signals: signals.collect(),
        })
    }
}

async fn send(stream: &Stream, batch: v1::SignalBatch) -> anyhow::Result<()> {
    let message = message(ToAggregator::Batch(batch));
    Ok(stream.to.send(message).await?)
}

fn message(message: ToAggregator) -> v1::AgentMessage {
    v1::AgentMessage {
        message: Some(message),
    }
}

/// The wall clock as wire time.
pub fn now() -> anyhow::Result<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Timestamp {
        seconds: since.as_secs().try_into()?,
        nanos: since.subsec_nanos().try_into()?,
    })
}
