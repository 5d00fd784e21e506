//! The closed list of outward errors and what each is in HTTP and gRPC. Must be the only such mapping.

use axum::http::StatusCode;
use tonic::Code;

/// Why a request or stream was refused, for programs. Never reused for another meaning.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorCode {
    /// A parameter or field that cannot be read, or that does not exist.
    InvalidArgument,
    RouteNotFound,
    MethodNotAllowed,
    IncidentNotFound,
    TargetNotFound,
    BodyTooLarge,
    /// The answer was not ready within the route's time limit.
    Timeout,
    /// The store does not answer or takes no writes.
    StoreUnavailable,
    /// The first message of a stream named a protocol version that is not spoken here.
    ProtocolUnsupported,
    /// A batch that leaves out sequences without saying so.
    SequenceHole,
    /// A newer stream of the same agent took over.
    StreamSuperseded,
    /// Nothing arrived on a stream for longer than a live agent is ever silent.
    StreamIdle,
    TooManyStreams,
    /// The process is shutting down.
    Stopping,
    Internal,
}

impl ErrorCode {
    /// The code as problem bodies and metrics spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::RouteNotFound => "route_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::IncidentNotFound => "incident_not_found",
            Self::TargetNotFound => "target_not_found",
            Self::BodyTooLarge => "body_too_large",
            Self::Timeout => "timeout",
            Self::StoreUnavailable => "store_unavailable",
            Self::ProtocolUnsupported => "protocol_unsupported",
            Self::SequenceHole => "sequence_hole",
            Self::StreamSuperseded => "stream_superseded",
            Self::StreamIdle => "stream_idle",
            Self::TooManyStreams => "too_many_streams",
            Self::Stopping => "stopping",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status of a problem with this code.
    pub const fn http(self) -> StatusCode {
        match self {
            Self::InvalidArgument | Self::ProtocolUnsupported => StatusCode::BAD_REQUEST,
            Self::RouteNotFound | Self::IncidentNotFound | Self::TargetNotFound => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout | Self::StreamIdle => StatusCode::GATEWAY_TIMEOUT,
            Self::StoreUnavailable | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::SequenceHole | Self::StreamSuperseded => StatusCode::CONFLICT,
            Self::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The gRPC code of a status with this code.
    pub const fn grpc(self) -> Code {
        match self {
            Self::InvalidArgument => Code::InvalidArgument,
            Self::RouteNotFound | Self::MethodNotAllowed => Code::Unimplemented,
            Self::IncidentNotFound | Self::TargetNotFound => Code::NotFound,
            Self::BodyTooLarge | Self::TooManyStreams => Code::ResourceExhausted,
            Self::Timeout | Self::StreamIdle => Code::DeadlineExceeded,
            Self::StoreUnavailable | Self::Stopping => Code::Unavailable,
            Self::ProtocolUnsupported | Self::SequenceHole => Code::FailedPrecondition,
            Self::StreamSuperseded => Code::Aborted,
            Self::Internal => Code::Internal,
        }
    }

    /// A gRPC status with this code.
    pub fn status(self, message: impl Into<String>) -> tonic::Status {
        tonic::Status::new(self.grpc(), message)
    }
}
