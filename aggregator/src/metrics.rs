//! What the process counts about itself, one struct per component, in one registry. Must take labels
//! from closed lists only.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};

/// Prefix of every metric.
const PREFIX: &str = "inquest_aggregator";

/// Why something was not kept; a word of a closed list.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct Reason {
    pub reason: &'static str,
}

/// What failed; a word of a closed list.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct Kind {
    pub kind: &'static str,
}

/// A REST route and the class of its answer.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct Route {
    pub route: &'static str,
    pub status: u16,
}

/// Signals and streams at the door. Received = stored + duplicate + dropped + in flight.
#[derive(Clone, Debug, Default)]
pub struct IngestMetrics {
    pub received: Counter,
    pub stored: Counter,
    pub duplicate: Counter,
    pub dropped: Family<Reason, Counter>,
    pub errors: Family<Kind, Counter>,
    pub lost_at_agents: Family<Reason, Counter>,
    pub future: Counter,
    pub streams: Gauge,
}

/// The one loop.
#[derive(Clone, Debug)]
pub struct PipelineMetrics {
    pub steps: Counter,
    pub queue_depth: Gauge,
    pub errors: Family<Kind, Counter>,
    /// One step of the engine.
    pub step_seconds: Histogram,
    /// One transaction, until it is durable.
    pub commit_seconds: Histogram,
}

/// What the store merged and removed.
#[derive(Clone, Debug, Default)]
pub struct StoreMetrics {
    pub expired_signals: Counter,
    pub expired_incidents: Counter,
}

/// REST answers.
#[derive(Clone, Debug)]
pub struct ApiMetrics {
    pub requests: Family<Route, Counter>,
    /// Long polls that wait now.
    pub waiting: Gauge,
    /// Without long polls, which take as long as they are told to.
    pub latency_seconds: Histogram,
}

/// All components' metrics, and the registry that prints them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    pub ingest: IngestMetrics,
    pub pipeline: PipelineMetrics,
    pub store: StoreMetrics,
    pub api: ApiMetrics,
}

impl Metrics {
    /// Makes and registers every metric. `extend` registers those of components that bring their own.
    pub fn new(extend: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of this aggregator", version);
        let metrics = Self {
            ingest: IngestMetrics::register(&mut registry),
            pipeline: PipelineMetrics::register(&mut registry),
            store: StoreMetrics::register(&mut registry),
            api: ApiMetrics::register(&mut registry),
            registry: Arc::new(Registry::default()),
        };
        extend(&mut registry);
        Self {
            registry: Arc::new(registry),
            ..metrics
        }
    }

    /// All metrics as OpenMetrics text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl IngestMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self {
            received,
            stored,
            duplicate,
            dropped,
            errors,
            lost_at_agents,
            future,
            streams,
        } = metrics.clone();
        let mut add = |name: &str, help: &str, counter: Counter| {
            registry.register(format!("ingest_{name}"), help, counter);
        };
        add("received", "Signals in batches that arrived", received);
        add("stored", "Signals committed to the store", stored);
        add(
            "duplicate",
            "Signals of batches that were stored before",
            duplicate,
        );
        add(
            "future",
            "Signals observed more than 5 minutes ahead of this clock",
            future,
        );
        let mut add = |name: &str, help: &str, family: Family<Reason, Counter>| {
            registry.register(format!("ingest_{name}"), help, family);
        };
        add(
            "dropped",
            "Signals refused for being damaged or oversized",
            dropped,
        );
        add(
            "lost_at_agents",
            "Records that agents say they lost, by stage",
            lost_at_agents,
        );
        registry.register(
            "ingest_errors",
            "Streams ended by an error, by its code",
            errors,
        );
        registry.register("ingest_streams", "Open streams of agents", streams);
        metrics
    }
}

impl PipelineMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            steps: Counter::default(),
            queue_depth: Gauge::default(),
            errors: Family::default(),
            step_seconds: latency(),
            commit_seconds: latency(),
        };
        let Self {
            steps,
            queue_depth,
            errors,
            step_seconds,
            commit_seconds,
        } = metrics.clone();
        registry.register("pipeline_steps", "Engine steps taken", steps);
        registry.register(
            "pipeline_queue_depth",
            "Inputs that wait for the loop",
            queue_depth,
        );
        registry.register(
            "pipeline_errors",
            "Failed writes to the store, by what was written",
            errors,
        );
        registry.register(
            "pipeline_step_seconds",
            "Time of one engine step",
            step_seconds,
        );
        registry.register(
            "pipeline_commit_seconds",
            "Time of one durable commit",
            commit_seconds,
        );
        metrics
    }
}

impl StoreMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self {
            expired_signals,
            expired_incidents,
        } = metrics.clone();
        registry.register(
            "store_expired_signals",
            "Signals removed by retention",
            expired_signals,
        );
        registry.register(
            "store_expired_incidents",
            "Incidents removed by retention",
            expired_incidents,
        );
        metrics
    }
}

impl ApiMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            waiting: Gauge::default(),
            latency_seconds: latency(),
        };
        registry.register(
            "api_waiting",
            "Long polls that wait now",
            metrics.waiting.clone(),
        );
        registry.register("api_requests", "REST answers", metrics.requests.clone());
        registry.register(
            "api_latency_seconds",
            "Time to answer, long polls left out",
            metrics.latency_seconds.clone(),
        );
        metrics
    }
}

/// Observes how long something took.
pub fn observe(histogram: &Histogram, took: Duration) {
    histogram.observe(took.as_secs_f64());
}

/// From 0.1 ms to 3.3 s.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 16))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn prints_every_component_with_prefix_and_suffix() {
        let metrics = Metrics::new(|_| {});
        metrics.ingest.received.inc();
        metrics
            .ingest
            .dropped
            .get_or_create(&Reason { reason: "no_id" })
            .inc();
        let page = metrics.encode().unwrap();
        for line in [
            "inquest_aggregator_build_info{version=",
            "inquest_aggregator_ingest_received_total 1",
            "inquest_aggregator_ingest_dropped_total{reason=\"no_id\"} 1",
            "inquest_aggregator_pipeline_queue_depth 0",
            "inquest_aggregator_pipeline_commit_seconds_count 0",
            "# EOF",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
    }

    /// Names in the first column of the manual's aggregator part.
    fn documented() -> BTreeSet<String> {
        let manual = include_str!("../../docs/metrics.md");
        let (_, part) = manual.split_once("\n## Aggregator\n").unwrap();
        let names = part
            .lines()
            .filter_map(|line| line.strip_prefix("| `inquest_aggregator_"));
        names
            .map(|line| line.split(['`', '{']).next().unwrap().to_owned())
            .collect()
    }

    /// A family without a member is not printed.
    fn with_every_label() -> Metrics {
        let metrics = Metrics::new(|_| {});
        let (reason, kind) = (Reason { reason: "r" }, Kind { kind: "k" });
        metrics.ingest.dropped.get_or_create(&reason).inc();
        metrics.ingest.lost_at_agents.get_or_create(&reason).inc();
        metrics.ingest.errors.get_or_create(&kind).inc();
        metrics.pipeline.errors.get_or_create(&kind).inc();
        let (route, status) = ("/healthz", 200);
        let answered = Route { route, status };
        metrics.api.requests.get_or_create(&answered).inc();
        metrics
    }

    #[test]
    fn the_manual_lists_every_metric_and_no_other() {
        let page = with_every_label().encode().unwrap();
        let typed = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE inquest_aggregator_"));
        let printed: BTreeSet<String> = typed
            .map(|line| match line.split_once(' ').unwrap() {
                (name, "counter") => format!("{name}_total"),
                (name, "info") => format!("{name}_info"),
                (name, _) => name.to_owned(),
            })
            .collect();
        assert_eq!(printed, documented());
    }
}
