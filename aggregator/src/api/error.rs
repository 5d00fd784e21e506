//! Errors of REST answers as RFC 9457 problems. Must not let internals out: those go to the log.

use axum::{
    Json,
    extract::{FromRequestParts, Query, rejection::QueryRejection},
    http::{HeaderValue, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use inquest_api::{Problem, problem};
use serde::de::DeserializeOwned;
use tracing::{error, warn};

use crate::{error_code::ErrorCode, store::ReadError, telemetry::ErrorChain};

/// What a handler gives instead of an answer; `problem` makes the body of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ApiError {
    code: ErrorCode,
    /// What went wrong and what to do next, for a person.
    detail: String,
}

impl ApiError {
    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, detail)
    }

    /// The answer for one request.
    pub(super) fn problem(self, request_id: &str) -> Response {
        let status = self.code.http();
        let problem = Problem {
            type_uri: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            code: self.code.as_str().to_owned(),
            request_id: request_id.to_owned(),
        };
        if status.is_server_error() {
            warn!(request_id, code = problem.code, "request failed");
        }
        let mut response = (status, Json(problem)).into_response();
        let media_type = HeaderValue::from_static(problem::CONTENT_TYPE);
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response
    }
}

impl IntoResponse for ApiError {
    /// Carries the error out to where the request's id is known.
    fn into_response(self) -> Response {
        let mut response = self.code.http().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        error!(error = %ErrorChain(&error), "store did not answer");
        match error {
            ReadError::Slow => Self::new(
                ErrorCode::Timeout,
                "the store took too long to answer; ask for less, or try again",
            ),
            ReadError::Sql(_) | ReadError::Json { .. } | ReadError::Gone => Self::new(
                ErrorCode::StoreUnavailable,
                "the store could not be read; the aggregator's log says why",
            ),
        }
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(source_text(&rejection))
    }
}

/// The innermost reason, which names the parameter; what is around it speaks of the web server.
fn source_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Query parameters, where one that does not exist is an error that names it.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(params) = Query::<T>::from_request_parts(parts, state).await?;
        Ok(Self(params))
    }
}
