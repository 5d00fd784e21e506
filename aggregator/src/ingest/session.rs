//! One agent's stream from hello to end. Must hold at most its named number of batches in flight.

use std::{sync::Arc, time::Duration};

use inquest_engine::model::NodeName;
use inquest_proto::{
    PROTOCOL,
    v1::{self, AgentMessage, AggregatorMessage, agent_message, aggregator_message},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::{Span, info, warn};

use super::{
    Refusal, Session, admission,
    seats::{Seat, Seats},
};
use crate::{
    clock,
    error_code::ErrorCode,
    metrics::{IngestMetrics, Kind},
    pipeline::{BatchReply, PipelineInput},
};

/// How long a stream may take to say hello.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);
/// Agents send their status every 10 seconds; one that is silent six times as long is gone.
const IDLE: Duration = Duration::from_mins(1);
/// How long an agent waits to hear up to where it is stored; longer means that the store is stuck.
const WELCOME: Duration = Duration::from_secs(5);
/// How long the last word to an agent may take to be taken.
const FAREWELL: Duration = Duration::from_secs(1);
/// Batches handed to the pipeline and not yet answered: enough to fill a group commit.
const MAX_IN_FLIGHT: usize = 16;

/// What every session shares.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) pipeline: mpsc::Sender<PipelineInput>,
    pub(super) metrics: IngestMetrics,
    pub(super) stop: CancellationToken,
    pub(super) seats: Seats,
}

type Outbound = mpsc::Sender<Result<AggregatorMessage, Status>>;

/// Serves one stream to its end.
pub(super) async fn converse(
    context: Context,
    mut inbound: Streaming<AgentMessage>,
    outbound: Outbound,
) {
    context.metrics.streams.inc();
    let (metrics, last_word) = (context.metrics.clone(), outbound.clone());
    if let Err(ending) = greet_and_serve(context, &mut inbound, outbound).await {
        ending.log();
        metrics
            .errors
            .get_or_create(&Kind { kind: ending.kind })
            .inc();
        // An agent that is gone, or reads nothing, does not hear why.
        drop(timeout(FAREWELL, last_word.send(Err(ending.status))).await);
    }
    metrics.streams.dec();
}

/// Why a stream ended before the agent closed it.
#[derive(Debug)]
struct Ending {
    kind: &'static str,
    status: Status,
}

impl Ending {
    fn log(&self) {
        let error = self.status.message();
        if self.kind == ErrorCode::Stopping.as_str() {
            info!(error, "stream ended");
        } else {
            warn!(code = self.kind, error, "stream ended");
        }
    }
}

impl From<Refusal> for Ending {
    fn from(refusal: Refusal) -> Self {
        Self {
            kind: refusal.code.as_str(),
            status: refusal.into(),
        }
    }
}

fn ending(code: ErrorCode, message: impl Into<String>) -> Ending {
    Ending {
        kind: code.as_str(),
        status: code.status(message),
    }
}

async fn greet_and_serve(
    context: Context,
    inbound: &mut Streaming<AgentMessage>,
    outbound: Outbound,
) -> Result<(), Ending> {
    let hello = first_message(&context, inbound).await?;
    let Some(seat) = context.seats.take(&hello.agent_id) else {
        let message = "no room for another agent; connect again later";
        return Err(ending(ErrorCode::TooManyStreams, message));
    };
    let node = if hello.node.is_empty() {
        &hello.agent_id
    } else {
        &hello.node
    };
    let session = Arc::new(Session {
        number: seat.number,
        node: NodeName(node.clone()),
        agent_id: hello.agent_id,
        start_id: hello.start_id,
        agent_version: hello.agent_version,
    });
    Span::current().record("agent_id", &session.agent_id);
    let (replies, answers) = mpsc::channel(MAX_IN_FLIGHT);
    let conversation = Conversation {
        context,
        seat,
        session,
        outbound,
        replies,
        answers,
        in_flight: 0,
    };
    conversation.run(inbound).await
}

async fn first_message(
    context: &Context,
    inbound: &mut Streaming<AgentMessage>,
) -> Result<v1::Hello, Ending> {
    let first = tokio::select! {
        first = timeout(FIRST_MESSAGE, inbound.message()) => first,
        () = context.stop.cancelled() => return Err(stopping()),
    };
    let Ok(first) = first else {
        let message = format!("no hello within {} s", FIRST_MESSAGE.as_secs());
        return Err(ending(ErrorCode::StreamIdle, message));
    };
    match first.map_err(unreadable)? {
        Some(first) => Ok(admission::hello(first)?),
        None => Err(ending(
            ErrorCode::InvalidArgument,
            "the stream ended before hello",
        )),
    }
}

fn stopping() -> Ending {
    ending(
        ErrorCode::Stopping,
        "this aggregator is shutting down; connect again later",
    )
}

/// A connection that broke, or bytes that are no message.
fn unreadable(status: Status) -> Ending {
    let kind = match status.code() {
        tonic::Code::Cancelled | tonic::Code::Unknown | tonic::Code::Unavailable => {
            "connection_lost"
        }
        _ => "unreadable_message",
    };
    Ending { kind, status }
}

/// A stream after hello.
struct Conversation {
    context: Context,
    seat: Seat,
    session: Arc<Session>,
    outbound: Outbound,
    /// Where the pipeline answers batches.
    replies: mpsc::Sender<BatchReply>,
    answers: mpsc::Receiver<BatchReply>,
    in_flight: usize,
}

impl Conversation {
    async fn run(mut self, inbound: &mut Streaming<AgentMessage>) -> Result<(), Ending> {
        let served = match self.welcome().await {
            Ok(()) => self.serve(inbound).await,
            Err(ending) => Err(ending),
        };
        let session = Arc::clone(&self.session);
        // The pipeline ends last, so that it hears of every stream's end.
        drop(
            self.context
                .pipeline
                .send(PipelineInput::Closed { session })
                .await,
        );
        served
    }

    async fn welcome(&mut self) -> Result<(), Ending> {
        let (reply, stored) = oneshot::channel();
        let session = Arc::clone(&self.session);
        self.hand_over(PipelineInput::Hello { session, reply })
            .await?;
        let stored = tokio::select! {
            stored = timeout(WELCOME, stored) => stored,
            () = self.context.stop.cancelled() => return Err(stopping()),
        };
        let Ok(Ok(stored)) = stored else {
            let message = "the store does not answer; connect again later";
            return Err(ending(ErrorCode::StoreUnavailable, message));
        };
        info!(
            node = %self.session.node.0,
            agent_version = self.session.agent_version,
            start_id = format_args!("{:016x}", self.session.start_id),
            "agent connected"
        );
        let ack = |(start_id, sequence)| v1::Ack { start_id, sequence };
        self.say(aggregator_message::Message::Welcome(v1::Welcome {
            protocol: PROTOCOL,
            stored: stored.into_iter().map(ack).collect(),
            aggregator_version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
        .await
    }

    /// Reads and answers until the agent closes its side and has every answer.
    async fn serve(&mut self, inbound: &mut Streaming<AgentMessage>) -> Result<(), Ending> {
        let mut is_open = true;
        while is_open || self.in_flight > 0 {
            let reads = is_open && self.in_flight < MAX_IN_FLIGHT;
            tokio::select! {
                biased;
                () = self.context.stop.cancelled() => return Err(stopping()),
                () = self.seat.superseded.cancelled() => return Err(superseded()),
                Some(reply) = self.answers.recv() => self.answer(reply).await?,
                message = timeout(IDLE, inbound.message()), if reads => {
                    let Ok(message) = message else {
                        return Err(idle());
                    };
                    match message.map_err(unreadable)? {
                        Some(message) => self.take(message).await?,
                        None => is_open = false,
                    }
                }
            }
        }
        info!("stream closed by the agent");
        Ok(())
    }

    async fn take(&mut self, message: AgentMessage) -> Result<(), Ending> {
        let session = Arc::clone(&self.session);
        match message.message {
            Some(agent_message::Message::Batch(batch)) => {
                self.context
                    .metrics
                    .received
                    .inc_by(batch.signals.len() as u64);
                let batch = admission::batch(batch, &session.node, clock::now())?;
                let reply = self.replies.clone();
                self.in_flight += 1;
                self.hand_over(PipelineInput::Batch {
                    session,
                    batch,
                    reply,
                })
                .await
            }
            Some(agent_message::Message::Status(status)) => {
                let status = Box::new(status);
                self.hand_over(PipelineInput::Status { session, status })
                    .await
            }
            Some(agent_message::Message::Hello(_)) => {
                let message = "hello may only be the first message of a stream";
                Err(ending(ErrorCode::InvalidArgument, message))
            }
            // A message of a newer protocol revision, which this one may ignore.
            None => Ok(()),
        }
    }

    async fn answer(&mut self, reply: BatchReply) -> Result<(), Ending> {
        self.in_flight = self.in_flight.saturating_sub(1);
        match reply {
            BatchReply::Stored { start_id, sequence } => {
                let ack = v1::Ack { start_id, sequence };
                self.say(aggregator_message::Message::Ack(ack)).await
            }
            BatchReply::Hole {
                start_id,
                expected,
                got,
            } => Err(ending(
                ErrorCode::SequenceHole,
                format!("expected sequence {expected} of start_id {start_id:016x}, got {got}"),
            )),
        }
    }

    async fn say(&self, message: aggregator_message::Message) -> Result<(), Ending> {
        let message = AggregatorMessage {
            message: Some(message),
        };
        let said = tokio::select! {
            said = timeout(IDLE, self.outbound.send(Ok(message))) => said,
            () = self.context.stop.cancelled() => return Err(stopping()),
        };
        match said {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_closed)) => Err(unreadable(Status::cancelled("the agent is gone"))),
            Err(_elapsed) => Err(ending(ErrorCode::StreamIdle, "acks are not being read")),
        }
    }

    /// Waits for room in the pipeline's queue; that wait is the back-pressure on the agent.
    async fn hand_over(&self, input: PipelineInput) -> Result<(), Ending> {
        tokio::select! {
            sent = self.context.pipeline.send(input) => sent.map_err(|_closed| stopping()),
            () = self.context.stop.cancelled() => Err(stopping()),
            () = self.seat.superseded.cancelled() => Err(superseded()),
        }
    }
}

fn superseded() -> Ending {
    let message = "a newer stream of the same agent took over";
    ending(ErrorCode::StreamSuperseded, message)
}

fn idle() -> Ending {
    let message = format!("nothing arrived for {} s", IDLE.as_secs());
    ending(ErrorCode::StreamIdle, message)
}
