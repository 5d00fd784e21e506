//! An aggregator that keeps its store in memory and follows the ingest contract, or breaks it as a
//! test asks; must not be kinder than the real one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use inquest_proto::v1;
use inquest_proto::v1::ingest_server::{Ingest, IngestServer};
use inquest_proto::v1::{agent_message, aggregator_message};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// How a test wants it to misbehave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Behavior {
    /// Refuses Hello with this status.
    pub(crate) refuse: Option<Status>,
    /// Answers in this protocol instead of 1.
    pub(crate) protocol: Option<u32>,
    /// Ends the next stream with a hole when this many batches came in.
    pub(crate) hole_after: Option<usize>,
    /// Stores, but never acks.
    pub(crate) silent: bool,
    /// Sends each ack twice.
    pub(crate) ack_twice: bool,
}

/// What it stored and saw; outlives a server that is killed.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// How it behaves.
    pub(crate) behavior: Behavior,
    /// Every Hello.
    pub(crate) hellos: Vec<v1::Hello>,
    /// Every status.
    pub(crate) statuses: Vec<v1::NodeStatus>,
    /// Batches as they were stored, each once.
    pub(crate) batches: Vec<v1::SignalBatch>,
    /// Holes found though the agent had said nothing of skipping.
    pub(crate) holes: usize,
    stored: HashMap<u64, u64>,
}

impl Store {
    /// The ids of all signals, in the order of storing.
    pub(crate) fn signal_ids(&self) -> Vec<String> {
        self.batches
            .iter()
            .flat_map(|batch| &batch.signals)
            .map(|s| s.id.clone())
            .collect()
    }

    /// Stores a batch unless it is there already; returns the position to ack.
    fn admit(&mut self, batch: v1::SignalBatch) -> Result<v1::Ack, Status> {
        if self.behavior.hole_after == Some(0) {
            self.behavior.hole_after = None;
            return Err(Status::failed_precondition("expected another sequence"));
        }
        self.behavior.hole_after = self.behavior.hole_after.map(|left| left - 1);
        let start_id = batch.start_id;
        let stored = self.stored.entry(start_id).or_default();
        if batch.sequence > *stored + 1 + batch.skipped {
            self.holes += 1;
            return Err(Status::failed_precondition(format!(
                "expected sequence {}",
                *stored + 1
            )));
        }
        if batch.sequence > *stored {
            *stored = batch.sequence;
            self.batches.push(batch);
        }
        Ok(v1::Ack {
            start_id,
            sequence: *stored,
        })
    }
}

/// A running server; dropping it kills it and all its connections at once.
#[derive(Debug)]
pub(crate) struct Aggregator {
    store: Arc<Mutex<Store>>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Aggregator {
    /// Starts with an empty store on a port of its own.
    pub(crate) fn start(behavior: Behavior) -> Self {
        let store = Store {
            behavior,
            ..Store::default()
        };
        let mut aggregator = Self {
            store: Arc::new(Mutex::new(store)),
            address: ([127, 0, 0, 1], 0).into(),
            runtime: None,
        };
        aggregator.restart();
        aggregator
    }

    /// Takes a port without serving on it, so that connections are refused.
    pub(crate) fn absent() -> Self {
        let mut aggregator = Self::start(Behavior::default());
        aggregator.kill();
        aggregator
    }

    /// Ends at once, with every connection.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // On a thread that may block: the port is free only when the listener is gone.
            let end = move || runtime.shutdown_timeout(Duration::from_secs(10));
            std::thread::spawn(end).join().unwrap();
        }
    }

    /// Serves (again) at the same address, from the same store.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let socket = std::net::TcpListener::from(bind(self.address));
        self.address = socket.local_addr().unwrap();
        socket.set_nonblocking(true).unwrap();
        let service = IngestServer::new(Service(Arc::clone(&self.store)));
        runtime.spawn(async move {
            let listener = TcpListener::from_std(socket).unwrap();
            let incoming = TcpListenerStream::new(listener);
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
        self.runtime = Some(runtime);
    }

    /// The address as an agent's configuration has it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it stored and saw.
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Binds with address reuse, so that a restart gets the port of the server just killed.
fn bind(address: SocketAddr) -> std::os::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&fd, true).unwrap();
    bind(&fd, &address).unwrap();
    listen(&fd, 64).unwrap();
    fd
}

struct Service(Arc<Mutex<Store>>);

#[tonic::async_trait]
impl Ingest for Service {
    type StreamStream = ReceiverStream<Result<v1::AggregatorMessage, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let mut inbound = request.into_inner();
        let welcome = self.greet(inbound.message().await?)?;
        let (outbound, answers) = mpsc::channel(64);
        outbound.send(Ok(welcome)).await.unwrap();
        let store = Arc::clone(&self.0);
        tokio::spawn(async move {
            while let Ok(Some(message)) = inbound.message().await {
                for answer in take(&store, message) {
                    let ended = answer.is_err();
                    if outbound.send(answer).await.is_err() || ended {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

impl Service {
    fn greet(&self, first: Option<v1::AgentMessage>) -> Result<v1::AggregatorMessage, Status> {
        let Some(agent_message::Message::Hello(hello)) = first.and_then(|first| first.message)
        else {
            return Err(Status::invalid_argument("the first message is not Hello"));
        };
        let mut store = self.0.lock().unwrap();
        store.hellos.push(hello);
        if let Some(status) = store.behavior.refuse.clone() {
            return Err(status);
        }
        let stored = store.stored.iter();
        let welcome = v1::Welcome {
            protocol: store.behavior.protocol.unwrap_or(inquest_proto::PROTOCOL),
            stored: stored.map(|(id, sequence)| ack(*id, *sequence)).collect(),
            aggregator_version: "0.0.0-double".to_owned(),
        };
        Ok(wrap(aggregator_message::Message::Welcome(welcome)))
    }
}

fn take(
    store: &Mutex<Store>,
    message: v1::AgentMessage,
) -> Vec<Result<v1::AggregatorMessage, Status>> {
    let mut store = store.lock().unwrap();
    match message.message {
        Some(agent_message::Message::Batch(batch)) => {
            let answer = store
                .admit(batch)
                .map(|ack| wrap(aggregator_message::Message::Ack(ack)));
            let copies = match &store.behavior {
                Behavior { silent: true, .. } if answer.is_ok() => 0,
                Behavior {
                    ack_twice: true, ..
                } => 2,
                _ => 1,
            };
            vec![answer; copies]
        }
        Some(agent_message::Message::Status(status)) => {
            store.statuses.push(status);
            Vec::new()
        }
        other => vec![Err(Status::invalid_argument(format!(
            "{other:?} in the middle of a stream"
        )))],
    }
}

fn ack(start_id: u64, sequence: u64) -> v1::Ack {
    v1::Ack { start_id, sequence }
}

fn wrap(message: aggregator_message::Message) -> v1::AggregatorMessage {
    v1::AggregatorMessage {
        message: Some(message),
    }
}
