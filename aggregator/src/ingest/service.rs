//! The gRPC service: each call becomes a session of its own. Must not look into messages.

use inquest_proto::v1::{AgentMessage, AggregatorMessage, ingest_server::Ingest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument as _, field::Empty, info_span};

use super::{
    seats::{MAX_SEATS, Seats},
    session::{Context, converse},
};
use crate::{error_code::ErrorCode, metrics::IngestMetrics, pipeline::PipelineInput};

/// Messages to an agent that wait for its connection; acks are small, and an agent that does not
/// read them is not read from either.
const OUTBOUND_CAPACITY: usize = 32;

/// Most streams, those that have not said hello among them; seats bound the others.
const MAX_SESSIONS: usize = 2 * MAX_SEATS;

/// Implements `inquest.v1.Ingest`.
#[derive(Debug)]
pub(super) struct Service {
    context: Context,
    sessions: TaskTracker,
}

impl Service {
    pub(super) fn new(
        pipeline: mpsc::Sender<PipelineInput>,
        metrics: IngestMetrics,
        stop: CancellationToken,
        sessions: TaskTracker,
    ) -> Self {
        let context = Context {
            pipeline,
            metrics,
            stop,
            seats: Seats::default(),
        };
        Self { context, sessions }
    }
}

#[tonic::async_trait]
impl Ingest for Service {
    type StreamStream = ReceiverStream<Result<AggregatorMessage, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        if self.sessions.len() >= MAX_SESSIONS {
            return Err(ErrorCode::TooManyStreams.status("no room for another stream"));
        }
        let peer = request.remote_addr().map(|address| address.to_string());
        let span = info_span!("stream", peer, agent_id = Empty);
        let (outbound, messages) = mpsc::channel(OUTBOUND_CAPACITY);
        let session = converse(self.context.clone(), request.into_inner(), outbound);
        self.sessions.spawn(session.instrument(span));
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}
