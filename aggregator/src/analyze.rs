//! Has a language model explain incidents and keeps of its answer what the evidence covers. Must never
//! open, close or score an incident, and never make anybody wait: without it every report is complete.
//!
//! Requests go onto a bounded queue; one call at a time is made to the configured provider; the answer
//! goes back to the pipeline, which stores it with the incident.

use std::sync::Arc;

use inquest_api::{
    Analysis, AnalysisState, Incident, incident::Sentence, status::AnalysisStatus, time::Time,
};
use inquest_engine::model::Timestamp;
use prometheus_client::registry::Registry;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    clock,
    pipeline::{PipelineInput, RequestAnalysis},
    store::AnalysisUpdate,
    telemetry::ErrorChain,
};

mod anthropic;
mod budget;
mod config;
mod facts;
mod http;
mod key;
mod metrics;
mod openai;
mod prompt;
mod provider;
mod queue;
mod reply;
mod retry;
mod standing;
mod validate;

pub use config::{Config, ConfigError, RawConfig};
pub use prompt::PROMPT_VERSION;
pub use provider::StartError;

use budget::Budget;
use config::ProviderConfig;
use facts::Facts;
use metrics::AnalysisMetrics;
use provider::{AskError, Provider};
use queue::{Pushed, Queue, Request};
use retry::Retries;
use standing::Standing;
use validate::Checked;

/// Calls the provider, one request at a time: explanations are not urgent, and a provider's own limits
/// are met soonest by calling it in parallel.
#[derive(Debug)]
pub struct Analyzer {
    shared: Arc<Shared>,
    provider: Provider,
    budget: Budget,
}

/// Takes requests for explanations and tells where they stand; never waits.
#[derive(Clone, Debug)]
pub struct Requests {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    provider: &'static str,
    model: String,
    queue: Queue,
    standing: Standing,
    metrics: AnalysisMetrics,
}

/// Why an incident got no explanation.
#[derive(Debug, thiserror::Error)]
enum AnalyzeError {
    #[error(
        "the hourly budget of {limit} requests is spent (configuration key `analysis.max_requests_per_hour`)"
    )]
    BudgetSpent { limit: u32 },
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl Analyzer {
    /// Makes the analyzer that is configured; `None` when analysis is off.
    pub fn new(config: &Config, registry: &mut Registry) -> Result<Option<Self>, StartError> {
        let Config::On(config) = config else {
            return Ok(None);
        };
        let provider = Provider::new(config)?;
        let standing = Standing::default();
        if let Err(error) = provider.check_key() {
            warn!(error = %ErrorChain(&error), "no model can be asked until the key can be read");
            standing.failed(ErrorChain(&error).to_string());
        }
        warn_about_plain_text(config);
        let shared = Shared {
            provider: config.protocol.as_str(),
            model: config.model.clone(),
            queue: Queue::default(),
            standing,
            metrics: AnalysisMetrics::register(registry),
        };
        Ok(Some(Self {
            shared: Arc::new(shared),
            provider,
            budget: Budget::new(config.max_requests_per_hour),
        }))
    }

    /// The end that takes requests.
    pub fn requests(&self) -> Requests {
        Requests {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Answers requests until `stop`. One that is not answered by then stays marked as pending, and is
    /// requested again after the next start.
    pub async fn run(mut self, results: mpsc::Sender<PipelineInput>, stop: CancellationToken) {
        info!(
            provider = self.shared.provider,
            model = self.shared.model,
            "analysis is on"
        );
        while let Some(update) = stop.run_until_cancelled(self.next_answer()).await {
            let Some(update) = update else { continue };
            if results.send(PipelineInput::Analysis(update)).await.is_err() {
                break;
            }
        }
    }

    /// The outcome of the next request; `None` when a newer request replaced it meanwhile.
    async fn next_answer(&mut self) -> Option<AnalysisUpdate> {
        let request = self.shared.queue.next().await;
        self.shared
            .metrics
            .queue_depth
            .set(self.shared.queue.len() as i64);
        let started = Instant::now();
        let outcome = self.explain(&request).await;
        self.shared
            .metrics
            .latency_seconds
            .observe(started.elapsed().as_secs_f64());
        let analysis = match outcome {
            Ok(checked) => self.done(&request, checked),
            Err(error) => self.failed(&request, &error),
        };
        if self.shared.queue.holds(&request.incident_id) {
            self.shared.metrics.dropped(metrics::DropReason::Superseded);
            return None;
        }
        Some(AnalysisUpdate {
            incident_id: request.incident_id,
            analysis,
        })
    }

    async fn explain(&mut self, request: &Request) -> Result<Checked, AnalyzeError> {
        let prompt = prompt::prompt(&request.facts);
        let mut retries = Retries::default();
        loop {
            if !self.budget.take(Instant::now()) {
                return Err(AnalyzeError::BudgetSpent {
                    limit: self.budget.limit(),
                });
            }
            self.shared.metrics.sent.inc();
            let error = match self.provider.ask(&prompt).await {
                Ok(claims) => return Ok(validate::check(&claims, &request.facts)),
                Err(error) => error,
            };
            self.shared.metrics.failed(error.kind());
            let Some(wait) = retries.wait(&error) else {
                return Err(error.into());
            };
            debug!(error = %ErrorChain(&error), ?wait, "asking the provider again");
            sleep(wait).await;
        }
    }

    fn done(&self, request: &Request, checked: Checked) -> Analysis {
        for reason in &checked.dropped {
            self.shared.metrics.dropped_sentence(*reason);
        }
        let dropped = checked.dropped.len() as u64;
        self.shared.standing.answered(dropped);
        info!(
            incident_id = request.incident_id,
            sentences = checked.sentences.len(),
            dropped,
            "incident explained"
        );
        Analysis {
            state: AnalysisState::Done,
            sentences: checked.sentences,
            dropped_sentences: dropped,
            answered_at: Some(clock::now().into()),
            ..self.shared.pending(request.requested_at)
        }
    }

    fn failed(&self, request: &Request, error: &AnalyzeError) -> Analysis {
        let text = ErrorChain(error).to_string();
        warn!(
            incident_id = request.incident_id,
            error = text,
            "no explanation"
        );
        if matches!(error, AnalyzeError::BudgetSpent { .. }) {
            self.shared.metrics.dropped(metrics::DropReason::Budget);
        }
        self.shared.standing.failed(text.clone());
        self.shared.failed(request.requested_at, text)
    }
}

impl Requests {
    /// For `GET /api/v1/status`.
    pub fn status(&self) -> AnalysisStatus {
        self.shared
            .standing
            .status(self.shared.provider, &self.shared.model)
    }

    /// Queues a request; gives the analysis to store with the incident until the answer comes.
    fn push(&self, incident: &Incident, requested_at: Time) -> Analysis {
        let shared = &self.shared;
        shared.metrics.received.inc();
        let facts = Facts::of(incident);
        if facts.is_empty() {
            shared.metrics.dropped(metrics::DropReason::NoEvidence);
            return shared.failed(
                requested_at,
                "the incident has no evidence to explain".to_owned(),
            );
        }
        let pushed = shared.queue.push(Request {
            incident_id: incident.id.clone(),
            facts,
            requested_at,
        });
        shared.metrics.queue_depth.set(shared.queue.len() as i64);
        match pushed {
            Pushed::Queued => shared.pending(requested_at),
            Pushed::Replaced => {
                shared.metrics.dropped(metrics::DropReason::Superseded);
                shared.pending(requested_at)
            }
            Pushed::Full => {
                shared.metrics.dropped(metrics::DropReason::QueueFull);
                shared.failed(requested_at, "the queue of explanations is full".to_owned())
            }
        }
    }
}

impl RequestAnalysis for Requests {
    fn request(&mut self, incident: &Incident, now: Timestamp) -> Option<Analysis> {
        Some(self.push(incident, now.into()))
    }
}

impl Shared {
    fn pending(&self, requested_at: Time) -> Analysis {
        Analysis {
            state: AnalysisState::Pending,
            provider: self.provider.to_owned(),
            model: self.model.clone(),
            prompt_version: PROMPT_VERSION.to_owned(),
            sentences: Vec::<Sentence>::new(),
            dropped_sentences: 0,
            requested_at,
            answered_at: None,
            error: None,
        }
    }

    fn failed(&self, requested_at: Time, error: String) -> Analysis {
        Analysis {
            state: AnalysisState::Failed,
            answered_at: Some(clock::now().into()),
            error: Some(error),
            ..self.pending(requested_at)
        }
    }
}

fn warn_about_plain_text(config: &ProviderConfig) {
    let host = config.base_url.host_str().unwrap_or_default();
    let is_loopback = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
    if config.base_url.scheme() == "http" && config.key_file.is_some() && !is_loopback {
        warn!(
            host,
            "the provider's key and the facts leave this machine unencrypted"
        );
    }
}

#[cfg(test)]
mod tests;
