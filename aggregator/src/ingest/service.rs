//! The gRPC service: each call becomes a session of its own. Must not look into messages.

use inquest_proto::v1::{AgentMessage, AggregatorMessage, ingest_server::Ingest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};

use super::{
    seats::Seats,
    session::{Context, converse},
};
use crate::{metrics::IngestMetrics, pipeline::PipelineInput};

/// Messages to an agent that wait for its connection; acks are small, and an agent that does not
/// read them is not read from either.
const OUTBOUND_CAPACITY: usize = 32;

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
        let (outbound, messages) = mpsc::channel(OUTBOUND_CAPACITY);
        let session = converse(self.context.clone(), request.into_inner(), outbound);
        self.sessions.spawn(session);
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}
