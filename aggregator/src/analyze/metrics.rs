//! What analysis counts about itself. Must not label by incident, model or error text.

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use super::validate;
use crate::metrics::{Kind, Reason};

/// Why a request got no answer of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DropReason {
    /// A newer request of the same incident took its place.
    Superseded,
    QueueFull,
    Budget,
    /// The incident has nothing to tell a model.
    NoEvidence,
}

impl DropReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::QueueFull => "queue_full",
            Self::Budget => "budget",
            Self::NoEvidence => "no_evidence",
        }
    }
}

/// Requests, calls and sentences.
#[derive(Clone, Debug)]
pub(crate) struct AnalysisMetrics {
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
    dropped: Family<Reason, Counter>,
    errors: Family<Kind, Counter>,
    dropped_sentences: Family<Reason, Counter>,
    pub(crate) queue_depth: Gauge,
    pub(crate) latency_seconds: Histogram,
}

impl AnalysisMetrics {
    /// Registers every metric under `analysis_`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            received: Counter::default(),
            sent: Counter::default(),
            dropped: Family::default(),
            errors: Family::default(),
            dropped_sentences: Family::default(),
            queue_depth: Gauge::default(),
            // 0.1 s to a little under two minutes: models are slow.
            latency_seconds: Histogram::new(exponential_buckets(0.1, 2.0, 11)),
        };
        let registry = registry.sub_registry_with_prefix("analysis");
        registry.register(
            "received",
            "Explanations requested",
            metrics.received.clone(),
        );
        registry.register(
            "sent",
            "Calls made to the provider, retries included",
            metrics.sent.clone(),
        );
        registry.register(
            "dropped",
            "Requests that were not asked or whose answer was not kept",
            metrics.dropped.clone(),
        );
        registry.register(
            "errors",
            "Calls that gave no usable answer",
            metrics.errors.clone(),
        );
        registry.register(
            "dropped_sentences",
            "Sentences of answers that the evidence does not cover",
            metrics.dropped_sentences.clone(),
        );
        registry.register(
            "queue_depth",
            "Requests that wait",
            metrics.queue_depth.clone(),
        );
        registry.register(
            "latency_seconds",
            "Time from taking a request off the queue to its outcome",
            metrics.latency_seconds.clone(),
        );
        metrics
    }

    /// Counts a request that was dropped.
    pub(crate) fn dropped(&self, reason: DropReason) {
        let reason = reason.as_str();
        self.dropped.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a call that failed.
    pub(crate) fn failed(&self, kind: &'static str) {
        self.errors.get_or_create(&Kind { kind }).inc();
    }

    /// Counts a sentence that was dropped.
    pub(crate) fn dropped_sentence(&self, reason: validate::DropReason) {
        let reason = reason.as_str();
        self.dropped_sentences
            .get_or_create(&Reason { reason })
            .inc();
    }
}
