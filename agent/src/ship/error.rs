//! Why a stream to the aggregator ended, and what that asks for; must not retry.

use inquest_proto::PROTOCOL;
use thiserror::Error;
use tonic::{Code, Status};

/// End of a stream, or failure to open one.
#[derive(Debug, Error)]
pub enum SessionError {
    /// No connection.
    #[error("failed to connect to the aggregator")]
    Connect(#[source] tonic::transport::Error),
    /// The aggregator wants none of this agent.
    #[error("the aggregator refused this agent: {}", describe(.0))]
    Refused(Status),
    /// The aggregator says that it does not speak this agent's protocol.
    #[error("the aggregator does not speak protocol {PROTOCOL}: {}", .0.message())]
    ProtocolRefused(Status),
    /// The aggregator answered in another protocol.
    #[error("the aggregator answered in protocol {0}; this agent speaks {PROTOCOL}")]
    WelcomeProtocol(u32),
    /// Something else than Welcome, or nothing, came after Hello.
    #[error("the aggregator did not answer Hello with Welcome")]
    NoWelcome,
    /// The aggregator expected another sequence; the next Welcome tells which.
    #[error("the aggregator expected another batch: {}", .0.message())]
    Position(Status),
    /// The stream broke, before or after Welcome.
    #[error("the stream to the aggregator broke: {}", describe(.0))]
    Broken(Status),
    /// The aggregator ended the stream in good order.
    #[error("the aggregator closed the stream")]
    Closed,
}

impl SessionError {
    /// Classifies a status that came in place of Welcome.
    pub fn greeting(status: Status) -> Self {
        match status.code() {
            Code::FailedPrecondition => Self::ProtocolRefused(status),
            Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented => Self::Refused(status),
            _ => Self::Broken(status),
        }
    }

    /// Classifies a status that ended an open stream.
    pub fn streaming(status: Status) -> Self {
        match status.code() {
            Code::FailedPrecondition => Self::Position(status),
            _ => Self::Broken(status),
        }
    }

    /// Tells whether trying again soon is pointless.
    pub fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::ProtocolRefused(_) | Self::WelcomeProtocol(_) | Self::Refused(_)
        )
    }

    /// Returns what a person can do; empty where the agent helps itself.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Connect(_) => {
                "check that the aggregator runs and that `aggregator` names its ingest port"
            }
            Self::ProtocolRefused(_) | Self::WelcomeProtocol(_) => {
                "run agent and aggregator of the same release; signals wait in the spool"
            }
            Self::Refused(_) => {
                "see the aggregator's log for the reason; signals wait in the spool"
            }
            Self::NoWelcome => "check that `aggregator` names an Inquest aggregator's ingest port",
            Self::Position(_) | Self::Broken(_) | Self::Closed => "",
        }
    }

    /// Returns the word under which it is counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Refused(_) => "refused",
            Self::ProtocolRefused(_) | Self::WelcomeProtocol(_) => "protocol",
            Self::NoWelcome => "no_welcome",
            Self::Position(_) => "position",
            Self::Broken(_) => "broken",
            Self::Closed => "closed",
        }
    }
}

/// A status as people read it: its own words, else the name of its code.
fn describe(status: &Status) -> String {
    match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_code_means_a_protocol_before_welcome_and_a_position_after() {
        let status = || Status::failed_precondition("no");
        assert_eq!(SessionError::greeting(status()).kind(), "protocol");
        assert!(SessionError::greeting(status()).needs_a_person());
        assert_eq!(SessionError::streaming(status()).kind(), "position");
        assert!(!SessionError::streaming(status()).needs_a_person());
    }

    #[test]
    fn a_refusal_is_told_from_a_peer_that_goes_away() {
        for (status, kind) in [
            (Status::invalid_argument("empty agent_id"), "refused"),
            (Status::permission_denied("who are you"), "refused"),
            (Status::unavailable("shutting down"), "broken"),
            (Status::internal("h2 protocol error"), "broken"),
        ] {
            assert_eq!(SessionError::greeting(status).kind(), kind);
        }
    }

    #[test]
    fn what_a_person_must_do_is_said() {
        let error = SessionError::WelcomeProtocol(9);
        assert!(error.needs_a_person());
        assert!(error.next_step().contains("same release"));
        assert!(error.to_string().contains("protocol 9"));
    }
}
