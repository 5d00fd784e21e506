//! The stream to the aggregator: sends what the spool holds, in order, and settles what is acked;
//! must not make batches or drop any.
//!
//! ```text
//! Connecting -> Greeting -> Streaming -> Waiting -> Connecting ...
//! ```

use std::future::Future;
use std::time::Duration;

use inquest_proto::PROTOCOL;
use inquest_proto::v1;
use inquest_proto::v1::ingest_client::IngestClient;
use inquest_proto::v1::{agent_message, aggregator_message};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, info, warn};

use super::backoff::Backoff;
use super::error::SessionError;
use super::position::SentPosition;
use super::status::{Identity, NodeReport, StreamFailure, StreamState, StreamStatus};
use crate::coverage::to_wire;
use crate::loss::LossTotal;
use crate::metrics::ShipMetrics;
use crate::spool::{SharedSpool, Spool};
use crate::telemetry::ErrorChain;

/// A connection that is not there by then will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The aggregator answers a Hello from memory.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// Finds a peer that vanished without a word; far apart, because each ping is a wake-up.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the node's status is sent; the aggregator ends streams that are silent for a minute.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);
/// A stream that lived so long shows that things are well: the backoff begins anew.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);
/// Between attempts when only a person can help (another protocol, no permission).
const HOPELESS_WAIT: Duration = Duration::from_mins(1);
/// Batches sent and not acked. Enough to keep the line busy over one commit of the aggregator;
/// the rest stays on disk.
const MAX_IN_FLIGHT: usize = 32;
/// Messages between this task and the connection; memory, so few.
const OUTBOUND_QUEUE: usize = 4;

/// What a stream needs.
#[derive(Debug)]
pub struct StreamParts {
    /// The aggregator's address.
    pub aggregator: Endpoint,
    /// Who this agent is.
    pub identity: Identity,
    /// What is to be sent.
    pub spool: SharedSpool,
    /// What is to be said about the node.
    pub report: watch::Receiver<NodeReport>,
    /// What was lost since the process started.
    pub lost: LossTotal,
    /// Where this stream tells its state.
    pub status: watch::Sender<StreamStatus>,
    /// What it counts.
    pub metrics: ShipMetrics,
}

/// Keeps a stream to the aggregator until it is told to drain.
#[derive(Debug)]
pub struct Stream {
    parts: StreamParts,
    backoff: Backoff,
}

/// One open stream.
struct Session {
    outbound: mpsc::Sender<v1::AgentMessage>,
    inbound: Streaming<v1::AggregatorMessage>,
    sent: SentPosition,
}

impl Stream {
    /// Makes a stream; it connects when it runs.
    pub fn new(parts: StreamParts, backoff: Backoff) -> Self {
        parts
            .status
            .send_modify(|status| status.aggregator = parts.aggregator.uri().to_string());
        Self { parts, backoff }
    }

    /// Describes the aggregator at an address; sets all the limits of the connection.
    pub fn endpoint(aggregator: &str) -> Result<Endpoint, tonic::transport::Error> {
        Ok(Endpoint::from_shared(aggregator.to_owned())?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true))
    }

    /// Runs until `drain` is cancelled and the spool is empty or an attempt made since then failed.
    pub async fn run(mut self, drain: CancellationToken) {
        loop {
            let last_attempt = drain.is_cancelled();
            let started = Instant::now();
            let idle = nothing_to_drain(&self.parts, drain.clone());
            let error = tokio::select! {
                outcome = self.session(&drain) => match outcome {
                    Ok(()) => return,
                    Err(error) => error,
                },
                () = idle => return,
            };
            self.parts.metrics.stream_connected.set(0);
            let wait = self.wait_after(&error, started);
            self.report_failure(&error, wait);
            if last_attempt {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = drain.cancelled() => {}
            }
        }
    }

    async fn session(&mut self, drain: &CancellationToken) -> Result<(), SessionError> {
        self.enter(StreamState::Connecting);
        let channel = self
            .parts
            .aggregator
            .connect()
            .await
            .map_err(SessionError::Connect)?;
        self.enter(StreamState::Greeting);
        let session = timeout(WELCOME_TIMEOUT, self.greet(channel))
            .await
            .map_err(|_elapsed| SessionError::NoWelcome)??;
        self.parts
            .spool
            .with(|spool| spool.adopt(&session.sent.stored));
        self.enter(StreamState::Streaming);
        self.parts.metrics.stream_connected.set(1);
        self.stream(session, drain).await
    }

    /// Says Hello and waits for Welcome.
    async fn greet(&self, channel: Channel) -> Result<Session, SessionError> {
        let (outbound, queue) = mpsc::channel(OUTBOUND_QUEUE);
        let hello = agent_message::Message::Hello(self.hello());
        outbound
            .send(wrap(hello))
            .await
            .map_err(|_closed| SessionError::Closed)?;
        let mut inbound = IngestClient::new(channel)
            .stream(ReceiverStream::new(queue))
            .await
            .map_err(SessionError::greeting)?
            .into_inner();
        let message = inbound.message().await.map_err(SessionError::greeting)?;
        let Some(aggregator_message::Message::Welcome(welcome)) = message.and_then(|m| m.message)
        else {
            return Err(SessionError::NoWelcome);
        };
        if welcome.protocol != PROTOCOL {
            return Err(SessionError::WelcomeProtocol(welcome.protocol));
        }
        info!(aggregator_version = %welcome.aggregator_version, "connected to the aggregator");
        let sent = SentPosition::new(&welcome.stored);
        Ok(Session {
            outbound,
            inbound,
            sent,
        })
    }

    /// Sends batches and statuses and takes acks until the stream ends or is drained.
    async fn stream(
        &mut self,
        mut session: Session,
        drain: &CancellationToken,
    ) -> Result<(), SessionError> {
        let mut tick = interval(STATUS_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut report = self.parts.report.clone();
        let mut status_due = false;
        loop {
            let draining = drain.is_cancelled();
            if draining && self.parts.spool.with(|spool| spool.is_empty()) {
                return Ok(());
            }
            let send_due = status_due || self.window_has_room();
            tokio::select! {
                message = session.inbound.message() => match message {
                    Ok(Some(message)) => self.take(message),
                    Ok(None) => return Err(SessionError::Closed),
                    Err(status) => return Err(SessionError::streaming(status)),
                },
                permit = session.outbound.reserve(), if send_due => {
                    let permit = permit.map_err(|_closed| SessionError::Closed)?;
                    if std::mem::take(&mut status_due) {
                        permit.send(wrap(agent_message::Message::Status(self.node_status())));
                    } else if let Some(batch) = self.parts.spool.with(Spool::hand_out_next) {
                        let batch = session.sent.place(batch);
                        permit.send(wrap(agent_message::Message::Batch(batch)));
                    }
                }
                () = self.parts.spool.appended(), if !send_due => {}
                _ = tick.tick() => {
                    self.parts.spool.with(Spool::tend);
                    status_due = true;
                }
                Ok(()) = report.changed() => status_due = true,
                () = drain.cancelled(), if !draining => {}
            }
        }
    }

    fn window_has_room(&self) -> bool {
        self.parts
            .spool
            .with(|spool| spool.has_unsent() && spool.in_flight() < MAX_IN_FLIGHT)
    }

    fn take(&self, message: v1::AggregatorMessage) {
        let Some(aggregator_message::Message::Ack(ack)) = message.message else {
            debug!("the aggregator sent a message that this agent does not know");
            return;
        };
        let settled = self
            .parts
            .spool
            .with(|spool| spool.ack(ack.start_id, ack.sequence));
        if settled.batches > 0 {
            self.parts.metrics.sent.inc_by(settled.signals);
            self.parts
                .metrics
                .ack_latency
                .observe(settled.waited.as_secs_f64());
        }
    }

    fn hello(&self) -> v1::Hello {
        let identity = &self.parts.identity;
        v1::Hello {
            protocol: PROTOCOL,
            agent_id: identity.agent_id.clone(),
            start_id: identity.start_id,
            boot_id: identity.boot_id.clone(),
            node: identity.node.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn node_status(&self) -> v1::NodeStatus {
        let report = self.parts.report.borrow();
        let spool = self.parts.spool.with(|spool| spool.status());
        v1::NodeStatus {
            observed_at: Some(to_wire(Timestamp::now())),
            kernel_release: report.kernel_release.clone(),
            probes: report.probes.clone(),
            spool_bytes: spool.bytes,
            spool_batches: spool.batches,
            cgroup_version: report.cgroup_version,
            lost_total: self.parts.lost.snapshot().to_wire(),
            cost: report.cost,
        }
    }

    fn wait_after(&mut self, error: &SessionError, started: Instant) -> Duration {
        if error.needs_a_person() {
            return HOPELESS_WAIT;
        }
        if started.elapsed() >= HEALTHY_AFTER {
            self.backoff.reset();
        }
        // Without randomness all agents come back at once; that is worse, but no reason to fail.
        self.backoff.next_wait(getrandom::u64().unwrap_or(u64::MAX))
    }

    fn report_failure(&self, error: &SessionError, wait: Duration) {
        warn!(
            aggregator = %self.parts.aggregator.uri(),
            error = %ErrorChain(error),
            retry_in_ms = wait.as_millis() as u64,
            next_step = error.next_step(),
            "not connected to the aggregator"
        );
        self.parts.metrics.count_error(error.kind());
        self.parts.status.send_modify(|status| {
            status.last_error = Some(StreamFailure {
                at: Timestamp::now(),
                message: ErrorChain(error).to_string(),
                next_step: error.next_step(),
            });
        });
        self.enter(StreamState::Waiting);
    }

    fn enter(&self, state: StreamState) {
        self.parts.status.send_modify(|status| {
            status.state = state;
            status.since = Timestamp::now();
        });
    }
}

/// Completes when it is time to drain and there is neither anything to send nor an open stream to
/// end in good order.
fn nothing_to_drain(
    parts: &StreamParts,
    drain: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let (spool, status) = (parts.spool.clone(), parts.status.subscribe());
    async move {
        drain.cancelled().await;
        let streaming = status.borrow().state == StreamState::Streaming;
        if streaming || !spool.with(|spool| spool.is_empty()) {
            std::future::pending::<()>().await;
        }
    }
}

fn wrap(message: agent_message::Message) -> v1::AgentMessage {
    v1::AgentMessage {
        message: Some(message),
    }
}
