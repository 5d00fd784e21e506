//! The agent's own page: health, readiness, status, metrics, the log level, and where wait profiles are asked
//! for; must not be reachable
//! from beyond the pod.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use inquest_proto::v1::{self, agent_cost::MemoryLevel};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::governor::{ArmRequests, MemoryBound};
use crate::loss::LossTotal;
use crate::metrics;
use crate::profile_desk::{ProfileDesk, ProfileRefusal};
use crate::ship::status::{Identity, NodeReport, StreamStatus};
use crate::spool::{SharedSpool, SpoolStatus};
use crate::telemetry::{ErrorChain, LogLevel};

/// The only bodies that are taken are a log level and a number of seconds.
const MAX_BODY_BYTES: usize = 1024;
/// Longest time for which probes may be armed at once: a request is for a look, not for good.
const MAX_ARMED_SECONDS: u64 = 300;

/// What the page shows.
#[derive(Debug)]
pub struct Admin {
    /// Who this agent is.
    pub identity: Identity,
    /// When it started.
    pub started: Timestamp,
    /// Becomes true when the probes were tried and intake runs.
    pub ready: watch::Receiver<bool>,
    /// What is known of the node.
    pub report: watch::Receiver<NodeReport>,
    /// Where the stream is.
    pub stream: watch::Receiver<StreamStatus>,
    /// The queue on disk.
    pub spool: SharedSpool,
    /// What was lost.
    pub lost: LossTotal,
    /// All metrics.
    pub registry: Registry,
    /// The level of the log.
    pub log_level: LogLevel,
    /// Where wait profiles are asked for.
    pub profile_desk: ProfileDesk,
    /// Where probes are armed.
    pub arm: ArmRequests,
}

/// How long a request for a profile waits for its answer: the collector takes it up within a second.
const PROFILE_ANSWER: Duration = Duration::from_secs(5);
/// The window of a profile that does not say how long.
const DEFAULT_WINDOW_SECONDS: u64 = 10;

/// What `/profile` is asked: a cgroup by its path, or a container by its id.
#[derive(Debug, Deserialize)]
struct ProfileQuery {
    target: String,
    #[serde(default = "default_window")]
    seconds: u64,
}

const fn default_window() -> u64 {
    DEFAULT_WINDOW_SECONDS
}

/// What `/profile` answers: which signal is going to tell.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProfileBegun {
    node: String,
    cgroup: String,
    seconds: u64,
}

/// What `/status` answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusPage {
    version: &'static str,
    agent_id: String,
    node: String,
    start_id: String,
    boot_id: String,
    #[serde(serialize_with = "as_text")]
    started_at: Timestamp,
    uptime_seconds: i64,
    ready: bool,
    kernel_release: String,
    cgroup_version: u32,
    probes: Vec<ProbeLine>,
    stream: StreamStatus,
    spool: SpoolStatus,
    lost: Vec<v1::Loss>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<v1::AgentCost>,
    memory: Memory,
}

/// A probe as `/status` shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProbeLine {
    name: String,
    state: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    hook: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    without: String,
}

/// The memory of this agent.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    /// Of the process now.
    #[serde(skip_serializing_if = "Option::is_none")]
    rss_bytes: Option<u64>,
    /// What process and maps together may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_by: Option<String>,
    /// At the last look of the governor, a second ago at most.
    level: &'static str,
    /// What it gives up meanwhile.
    #[serde(skip_serializing_if = "str::is_empty")]
    without: &'static str,
}

impl Admin {
    /// Makes the routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/status", get(status))
            .route("/metrics", get(metrics_page))
            .route("/log-level", put(log_level))
            .route("/profile", post(profile))
            .route("/probes/arm", put(arm))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::new(self))
    }
}

/// Being cut off from the aggregator does not make an agent unready: it goes on seeing and spooling.
async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    if *admin.ready.borrow() {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "starting: the probes are being loaded\n",
        )
    }
}

async fn status(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let report = admin.report.borrow().clone();
    Json(StatusPage {
        version: env!("CARGO_PKG_VERSION"),
        agent_id: admin.identity.agent_id.clone(),
        node: admin.identity.node.clone(),
        start_id: format!("{:016x}", admin.identity.start_id),
        boot_id: admin.identity.boot_id.clone(),
        started_at: admin.started,
        uptime_seconds: Timestamp::now().duration_since(admin.started).as_secs(),
        ready: *admin.ready.borrow(),
        kernel_release: report.kernel_release,
        cgroup_version: report.cgroup_version,
        probes: report.probes.into_iter().map(ProbeLine::from).collect(),
        stream: admin.stream.borrow().clone(),
        spool: admin.spool.with(|spool| spool.status()),
        lost: admin.lost.snapshot().to_wire(),
        cost: report.cost,
        memory: Memory::read(report.memory_bound, report.cost),
    })
}

async fn metrics_page(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let mut page = String::new();
    match prometheus_client::encoding::text::encode(&mut page, &admin.registry) {
        Ok(()) => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, content_type)], page).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn log_level(State(admin): State<Arc<Admin>>, level: String) -> (StatusCode, String) {
    match admin.log_level.set(level.trim()) {
        Ok(()) => (
            StatusCode::OK,
            format!("the log level is now {}\n", level.trim()),
        ),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{}\n", ErrorChain(&error))),
    }
}

/// Has a cgroup watched; its profile becomes a signal when the window ends.
async fn profile(State(admin): State<Arc<Admin>>, Query(query): Query<ProfileQuery>) -> Response {
    let window = Duration::from_secs(query.seconds);
    let answer = match admin.profile_desk.ask(query.target, window) {
        Ok(answer) => answer,
        Err(refusal) => return refused(refusal),
    };
    match timeout(PROFILE_ANSWER, answer).await {
        Ok(Ok(Ok(cgroup))) => {
            let begun = ProfileBegun {
                node: admin.identity.node.clone(),
                cgroup,
                seconds: query.seconds,
            };
            (StatusCode::ACCEPTED, Json(begun)).into_response()
        }
        Ok(Ok(Err(refusal))) => refused(refusal),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "nothing watches this node, see /status for the reason\n",
        )
            .into_response(),
    }
}

fn refused(refusal: ProfileRefusal) -> Response {
    let code = match refusal {
        ProfileRefusal::Window => StatusCode::BAD_REQUEST,
        ProfileRefusal::NoCgroup => StatusCode::NOT_FOUND,
        ProfileRefusal::Ambiguous => StatusCode::CONFLICT,
        ProfileRefusal::Busy => StatusCode::TOO_MANY_REQUESTS,
        ProfileRefusal::NoProbe => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, format!("{refusal}\n")).into_response()
}

async fn arm(State(admin): State<Arc<Admin>>, seconds: String) -> (StatusCode, String) {
    let asked = seconds.trim().parse().ok();
    let Some(seconds) = asked.filter(|seconds| (1..=MAX_ARMED_SECONDS).contains(seconds)) else {
        let refusal =
            format!("the body must be a number of seconds from 1 to {MAX_ARMED_SECONDS}\n");
        return (StatusCode::BAD_REQUEST, refusal);
    };
    if admin.arm.arm(Duration::from_secs(seconds)) {
        let answer = format!(
            "probes that were let go are held for {seconds} s, as far as the budget allows; see /status\n"
        );
        (StatusCode::ACCEPTED, answer)
    } else {
        let refusal = "nothing is watched, or enough requests wait already; see /status\n";
        (StatusCode::SERVICE_UNAVAILABLE, refusal.to_owned())
    }
}

impl From<v1::ProbeStatus> for ProbeLine {
    fn from(probe: v1::ProbeStatus) -> Self {
        Self {
            state: metrics::mode_word(probe.state()),
            name: probe.name,
            hook: probe.hook,
            why: probe.detail,
            without: probe.without,
        }
    }
}

impl Memory {
    fn read(bound: Option<MemoryBound>, cost: Option<v1::AgentCost>) -> Self {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let resident = statm
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok());
        let page_size = rustix::param::page_size() as u64;
        let level = cost.unwrap_or_default().memory_level();
        Self {
            rss_bytes: resident.map(|pages| pages * page_size),
            max_bytes: bound.map(|bound| bound.bytes()),
            set_by: bound.map(|bound| bound.to_string()),
            level: metrics::level_word(level),
            without: given_up(level),
        }
    }
}

/// Says what is not told at a level of memory.
fn given_up(level: MemoryLevel) -> &'static str {
    match level {
        MemoryLevel::Unspecified | MemoryLevel::Ample => "",
        MemoryLevel::Near => {
            "names of cgroups that have gone, but for the last; most of what comes in bursts and is not urgent (lost: \
             memory_bound)"
        }
        MemoryLevel::Short => {
            "all but kills, failed exits and ends of containers (lost: memory_bound); what probes would tell that were \
             let go (see probes)"
        }
    }
}

/// Serializes a value as it is displayed.
pub fn as_text<T, S>(value: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: std::fmt::Display,
    S: Serializer,
{
    serializer.collect_str(value)
}
