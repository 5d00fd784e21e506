//! What the agent counts about itself, and the page on which it shows that; must not label by pod,
//! pid or error text.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;

use inquest_proto::v1::agent_cost::MemoryLevel;
use inquest_proto::v1::loss::Stage;
use inquest_proto::v1::probe_status::State;

use crate::loss::LossTotal;
use crate::ship::status::NodeReport;
use crate::spool::SharedSpool;

/// First word of every metric's name.
const PREFIX: &str = "inquest_agent";

/// What intake and stream count.
#[derive(Clone, Debug)]
pub struct ShipMetrics {
    /// Signals that the collector handed on.
    pub received: Counter,
    /// Signals that the aggregator acked.
    pub sent: Counter,
    /// Observations that wait for intake.
    pub queue_depth: Gauge,
    /// From sending a batch to its ack.
    pub ack_latency: Histogram,
    /// 1 while a stream is open.
    pub stream_connected: Gauge,
    /// 1 while the coverage file cannot be written.
    pub coverage_failing: Gauge,
    errors: Family<ErrorLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    kind: &'static str,
}

impl Default for ShipMetrics {
    fn default() -> Self {
        Self {
            received: Counter::default(),
            sent: Counter::default(),
            queue_depth: Gauge::default(),
            // 1 ms to about 4 s.
            ack_latency: Histogram::new(exponential_buckets(0.001, 2.0, 13)),
            stream_connected: Gauge::default(),
            coverage_failing: Gauge::default(),
            errors: Family::default(),
        }
    }
}

impl ShipMetrics {
    /// Counts the end of a stream, by its kind from a closed list.
    pub fn count_error(&self, kind: &'static str) {
        self.errors.get_or_create(&ErrorLabels { kind }).inc();
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("received", "Signals taken in", self.received.clone());
        registry.register("sent", "Signals acked by the aggregator", self.sent.clone());
        registry.register("errors", "Streams that ended, by kind", self.errors.clone());
        registry.register(
            "queue_depth",
            "Observations not taken in yet",
            self.queue_depth.clone(),
        );
        registry.register_with_unit(
            "ack_latency",
            "From sending a batch to its ack",
            Unit::Seconds,
            self.ack_latency.clone(),
        );
        registry.register(
            "stream_connected",
            "1 while a stream to the aggregator is open",
            self.stream_connected.clone(),
        );
        registry.register(
            "coverage_failing",
            "1 while the coverage file cannot be written",
            self.coverage_failing.clone(),
        );
    }
}

/// Makes the registry of all that the agent shows.
pub fn registry(
    ship: &ShipMetrics,
    lost: LossTotal,
    spool: SharedSpool,
    report: watch::Receiver<NodeReport>,
) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    ship.register(&mut registry);
    registry.register(
        "build",
        "Version of this agent",
        Info::new([("version", env!("CARGO_PKG_VERSION"))]),
    );
    registry.register_collector(Box::new(Observer {
        lost,
        spool,
        report,
    }));
    registry
}

/// Reads, when asked, what others keep anyway.
#[derive(Debug)]
struct Observer {
    lost: LossTotal,
    spool: SharedSpool,
    report: watch::Receiver<NodeReport>,
}

impl Collector for Observer {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.encode_losses(&mut encoder)?;
        self.encode_spool(&mut encoder)?;
        self.encode_probes(&mut encoder)?;
        self.encode_cost(&mut encoder)
    }
}

type Encoded = Result<(), std::fmt::Error>;

impl Observer {
    fn encode_losses(&self, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
        let samples = self
            .lost
            .snapshot()
            .by_kind()
            .to_wire()
            .into_iter()
            .map(|loss| {
                let stage = stage_word(loss.stage());
                (
                    vec![
                        ("stage", stage.to_owned()),
                        ("reason", loss.reason),
                        ("kind", loss.kind),
                    ],
                    ConstCounter::new(loss.count),
                )
            });
        encode_family(
            encoder,
            "dropped",
            "What was not kept, by stage, reason and kind of signal",
            samples,
        )
    }

    fn encode_spool(&self, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
        let spool = self.spool.with(|spool| spool.status());
        for (name, help, value) in [
            ("spool_bytes", "Bytes of the spool's files", spool.bytes),
            ("spool_batches", "Batches not acked", spool.batches),
            (
                "spool_memory_batches",
                "Batches in memory, for want of disk",
                spool.memory_batches,
            ),
            (
                "spool_degraded",
                "1 while the disk takes no writes",
                spool.degraded.is_some().into(),
            ),
        ] {
            let gauge = ConstGauge::new(value as i64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }

    fn encode_probes(&self, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
        let probes = self.report.borrow().probes.clone();
        let samples = probes.into_iter().map(|probe| {
            let attached = i64::from(probe.state() == State::Attached);
            (vec![("probe", probe.name)], ConstGauge::new(attached))
        });
        encode_family(
            encoder,
            "probe_attached",
            "1 for each probe that is attached",
            samples,
        )?;
        let probes = self.report.borrow().probes.clone();
        let samples = probes.into_iter().map(|probe| {
            let mode = mode_word(probe.state()).to_owned();
            (
                vec![("probe", probe.name), ("mode", mode)],
                ConstGauge::new(1_i64),
            )
        });
        encode_family(
            encoder,
            "probe_mode",
            "1 for the mode that each probe is in",
            samples,
        )
    }

    fn encode_cost(&self, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
        let cost = self.report.borrow().cost.unwrap_or_default();
        let parts = [
            ("kernel", cost.kernel_millis),
            ("process", cost.user_millis),
        ];
        let samples =
            parts.map(|(part, millis)| (vec![("part", part.to_owned())], ConstGauge::new(millis)));
        let help = "Thousandths of one CPU that the agent took in the last second";
        encode_family(encoder, "cpu_millis", help, samples.into_iter())?;
        let budget = ConstGauge::new(cost.budget_millis);
        let help = "Thousandths of one CPU that the agent may take";
        budget.encode(encoder.encode_descriptor(
            "cpu_budget_millis",
            help,
            None,
            budget.metric_type(),
        )?)?;
        self.encode_memory(encoder)
    }

    fn encode_memory(&self, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
        let cost = self.report.borrow().cost.unwrap_or_default();
        for (name, help, value) in [
            (
                "memory_bytes",
                "Resident memory of the agent and memory of its BPF maps",
                cost.memory_bytes,
            ),
            (
                "memory_max_bytes",
                "What both together may take",
                cost.memory_max_bytes,
            ),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let level = level_word(cost.memory_level()).to_owned();
        let help = "1 for how near the memory is to what it may be";
        let sample = (vec![("level", level)], ConstGauge::new(1_i64));
        encode_family(encoder, "memory_level", help, [sample].into_iter())
    }
}

fn encode_family<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (Vec<(&'static str, String)>, M)>,
) -> Encoded {
    let mut samples = samples.peekable();
    let Some((_, first)) = samples.peek() else {
        return Ok(());
    };
    let mut family = encoder.encode_descriptor(name, help, None, first.metric_type())?;
    for (labels, metric) in samples {
        metric.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// What people call a state of a probe, in metrics and on the status page.
pub fn mode_word(state: State) -> &'static str {
    match state {
        State::Unspecified => "unknown",
        State::Attached => "attached",
        State::Missing => "missing",
        State::Disabled => "disabled",
        State::OnDemand => "on-demand",
    }
}

/// What people call a level of memory, in metrics and on the status page.
pub fn level_word(level: MemoryLevel) -> &'static str {
    match level {
        MemoryLevel::Unspecified => "unknown",
        MemoryLevel::Ample => "ample",
        MemoryLevel::Near => "near",
        MemoryLevel::Short => "short",
    }
}

fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Unspecified => "unknown",
        Stage::RingBuffer => "ring_buffer",
        Stage::Decode => "decode",
        Stage::RateLimit => "rate_limit",
        Stage::Queue => "queue",
        Stage::Spool => "spool",
        Stage::Ingest => "ingest",
    }
}

#[cfg(test)]
mod tests {
    use inquest_proto::v1;

    use super::*;
    use crate::spool::Spool;

    #[test]
    fn the_page_and_the_manual_name_the_same_metrics() {
        let dir = tempfile::tempdir().unwrap();
        let lost = LossTotal::default();
        let spool = Spool::open(dir.path(), 1, 0, lost.clone()).unwrap();
        lost.add(Stage::Spool, "disk_full", 3);
        let probe = v1::ProbeStatus {
            name: "mark_victim".into(),
            ..Default::default()
        };
        let report = NodeReport {
            probes: vec![probe],
            ..Default::default()
        };
        let ship = ShipMetrics::default();
        ship.count_error("connect");
        let registry = registry(
            &ship,
            lost,
            SharedSpool::new(spool),
            watch::Sender::new(report).subscribe(),
        );
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();

        let manual = include_str!("../../docs/metrics.md");
        let listed: Vec<_> = manual
            .lines()
            .filter_map(|line| line.strip_prefix("| `inquest_agent_"))
            .map(|line| line.split(['`', '{']).next().unwrap())
            .collect();
        let shown: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("inquest_agent_"))
            .map(|line| line.split(['{', ' ']).next().unwrap())
            .collect();
        let histogram = |name: &str| page.contains(&format!("TYPE inquest_agent_{name} histogram"));
        for name in &listed {
            assert!(
                shown.contains(name) || histogram(name),
                "`{name}` is not on the page: {page}"
            );
        }
        for name in shown {
            let family = ["_sum", "_count", "_bucket"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            let family = family.unwrap_or(name);
            assert!(
                listed.contains(&family),
                "`{family}` is not in docs/metrics.md"
            );
        }
        assert!(page.contains(
            "inquest_agent_dropped_total{stage=\"spool\",reason=\"disk_full\",kind=\"\"} 3"
        ));
    }
}
