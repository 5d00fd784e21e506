//! Where agents' streams come in. Must ack nothing by itself: an ack follows the pipeline's commit.

use std::time::Duration;

use inquest_engine::model::NodeName;
use inquest_proto::v1::ingest_server::IngestServer;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::{Server, server::TcpIncoming};

use crate::{error_code::ErrorCode, metrics::Metrics, pipeline::PipelineInput};

mod admission;
mod seats;
mod service;
mod session;

pub use admission::Admitted;
use service::Service;

/// Largest message taken; agents cut batches at 512 KiB.
const MAX_MESSAGE_BYTES: usize = 2 << 20;
/// A connection whose other side vanished is noticed by pings.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams per connection; an agent has one, and a second for the moment of a reconnect.
const MAX_STREAMS_PER_CONNECTION: u32 = 8;

/// One open stream, as the pipeline knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// Counts up within this process.
    pub number: u64,
    pub agent_id: String,
    pub start_id: u64,
    pub node: NodeName,
    pub agent_version: String,
}

/// Why a stream or message is refused.
#[derive(Debug, thiserror::Error)]
#[error("refused an agent's message: {message}")]
struct Refusal {
    code: ErrorCode,
    message: String,
}

impl From<Refusal> for tonic::Status {
    fn from(refusal: Refusal) -> Self {
        refusal.code.status(refusal.message)
    }
}

/// Serves agents on `listener` until `stop`; returns when the last stream has ended.
pub async fn serve(
    listener: TcpListener,
    pipeline: mpsc::Sender<PipelineInput>,
    metrics: Metrics,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let sessions = TaskTracker::new();
    let service = Service::new(pipeline, metrics.ingest, stop.clone(), sessions.clone());
    let service = IngestServer::new(service).max_decoding_message_size(MAX_MESSAGE_BYTES);
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
        .add_service(service)
        .serve_with_incoming_shutdown(incoming(listener), stop.cancelled_owned())
        .await?;
    sessions.close();
    sessions.wait().await;
    Ok(())
}

fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}
