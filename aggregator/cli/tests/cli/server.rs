//! A small HTTP server with canned answers. Must answer like the aggregator: JSON, RFC 9457
//! problems, 404 for what it does not know.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use inquest_api::Problem;
use serde::Serialize;

/// What is answered to one path, or path and query.
#[derive(Clone)]
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: String,
}

#[derive(Default)]
struct Canned {
    answers: Mutex<BTreeMap<String, Answer>>,
    asked: Mutex<Vec<String>>,
}

/// A running server; it lives as long as the test process.
pub(crate) struct Server {
    address: SocketAddr,
    canned: Arc<Canned>,
}

impl Server {
    /// Starts one on a free port of loopback.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let canned = Arc::new(Canned::default());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&canned));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self { address, canned }
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers `path` below `/api/v1` with an object. A path with `?query` wins over one without.
    pub(crate) fn object(self, path: &str, object: &impl Serialize) -> Self {
        let body = serde_json::to_string(object).unwrap();
        self.put(path, StatusCode::OK, "application/json", body)
    }

    /// Answers `path` with a problem.
    pub(crate) fn problem(self, path: &str, status: u16, code: &str, detail: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        let problem = Problem {
            type_uri: "about:blank".into(),
            title: status.canonical_reason().unwrap().into(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.into(),
            request_id: "r-17".into(),
        };
        let body = serde_json::to_string(&problem).unwrap();
        self.put(path, status, "application/problem+json", body)
    }

    /// Answers `path`, which need not be below `/api/v1`, with a status and any text.
    pub(crate) fn status(self, path: &str, status: u16, text: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        self.put(path, status, "text/plain", text.to_owned())
    }

    /// Answers `path` with 200 and any text.
    pub(crate) fn text(self, path: &str, content_type: &'static str, body: &str) -> Self {
        self.put(path, StatusCode::OK, content_type, body.to_owned())
    }

    /// The paths with queries asked so far, below `/api/v1`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.canned.asked.lock().unwrap().clone()
    }

    fn put(self, path: &str, status: StatusCode, content_type: &'static str, body: String) -> Self {
        let answer = Answer {
            status,
            content_type,
            body,
        };
        let mut answers = self.canned.answers.lock().unwrap();
        answers.insert(path.to_owned(), answer);
        drop(answers);
        self
    }
}

async fn answer(State(canned): State<Arc<Canned>>, uri: Uri) -> Response {
    let asked = uri.to_string();
    let asked = asked.strip_prefix("/api/v1/").unwrap_or(&asked).to_owned();
    canned.asked.lock().unwrap().push(asked.clone());
    let answers = canned.answers.lock().unwrap();
    let path = asked.split('?').next().unwrap();
    let answer = answers.get(&asked).or_else(|| answers.get(path)).cloned();
    drop(answers);
    let Some(answer) = answer else {
        return (StatusCode::NOT_FOUND, "no such path").into_response();
    };
    let headers = [(header::CONTENT_TYPE, answer.content_type)];
    (answer.status, headers, answer.body).into_response()
}

/// A server that takes connections and does `talk` with each of them.
pub(crate) fn raw(talk: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            talk(stream);
        }
    });
    format!("http://{address}")
}

/// Takes connections, reads, and never answers.
pub(crate) fn silent() -> String {
    raw(|mut stream| {
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
        });
    })
}
