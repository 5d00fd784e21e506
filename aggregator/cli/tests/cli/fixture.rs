//! Objects as the aggregator answers them, their times counted back from now so that ages hold
//! still. Must be honest: one real shape of each object.

use inquest_api::incident::{
    CauseChange, ChainLink, Entity, Evidence, Factor, Hypothesis, RootCause, RuledOut, Sentence,
};
use inquest_api::node::{Cost, Gap, Loss, MemoryLevel, Node, Probe};
use inquest_api::status::{AnalysisStatus, IncidentCounts, NodeCounts, Status, StoreStatus};
use inquest_api::time::Time;
use inquest_api::{API_VERSION, Analysis, AnalysisState, Incident};
use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::{Value, json};

/// The moments of one test.
#[derive(Clone, Copy)]
pub(crate) struct Fixture {
    onset: Timestamp,
}

impl Fixture {
    /// Everything began 3 hours, 20 minutes and a half ago: its age reads 3h20m for half a minute.
    pub(crate) fn new() -> Self {
        let ago = SignedDuration::from_secs(3 * 3600 + 20 * 60 + 30);
        let now = Timestamp::now().round(Unit::Second).unwrap();
        let micros = SignedDuration::from_micros(123_456);
        Self {
            onset: now - ago + micros,
        }
    }

    pub(crate) fn at(self, offset: SignedDuration) -> Time {
        Time(self.onset + offset)
    }

    fn after_micros(self, micros: i64) -> Time {
        self.at(SignedDuration::from_micros(micros))
    }

    /// Replaces what changes from run to run by words of the same width.
    pub(crate) fn masked(self, text: &str) -> String {
        let onset = self.onset;
        text.replace(
            &onset.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            "YYYY-MM-DD hh:mm:ss UTC",
        )
        .replace(
            &onset.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            "YYYY-MM-DDThh:mm:ss",
        )
        .replace(
            &onset.strftime("%H:%M:%S%.6f").to_string(),
            "hh:mm:ss.ffffff",
        )
    }

    /// A memory-limit OOM, as the engine tells one.
    pub(crate) fn incident(self) -> Incident {
        let cgroup = entity("Cgroup", "/shop/cart");
        let process = entity("Process", "hog[4242]");
        let fact = |id: &str, micros: i64, text: &str| Evidence {
            id: id.into(),
            source: "kernel".into(),
            entity: process.clone(),
            time: self.after_micros(micros),
            text: text.into(),
            signal: Some(format!("00000000000000a1-{id}")),
        };
        let link = |micros: i64, what: &str, evidence: &str| ChainLink {
            time: self.after_micros(micros),
            entity: process.clone(),
            what: what.into(),
            evidence: vec![evidence.into()],
        };
        Incident {
            id: "inc-3f2a9c01d4e5".into(),
            fingerprint: "n1/shop/cart/runtime".into(),
            state: "open".into(),
            severity: "critical".into(),
            opened_at: self.after_micros(0),
            last_seen_at: self.after_micros(300),
            resolved_at: None,
            occurrences: 1,
            headline: "The kernel killed hog (pid 4242) in /shop/cart because /shop reached its memory limit of 48.0 MiB.".into(),
            explanation: "/shop, one level above the victim's own cgroup, held 48.0 MiB of 48.0 MiB. hog held 45.1 MiB of it, nearly all anonymous memory.".into(),
            root_cause: RootCause {
                cause: "memory-limit-oom".into(),
                entity: cgroup.clone(),
                confidence: 0.97,
            },
            hypotheses: vec![
                Hypothesis {
                    cause: "memory-limit-oom".into(),
                    entity: cgroup.clone(),
                    score: 0.97,
                    factors: vec![
                        Factor { name: "prior".into(), value: 0.98 },
                        Factor { name: "directness".into(), value: 0.99 },
                    ],
                    supports: vec!["e1".into(), "e2".into()],
                    contradicts: Vec::new(),
                },
                Hypothesis {
                    cause: "node-oom".into(),
                    entity: entity("Node", "n1"),
                    score: 0.02,
                    factors: vec![Factor { name: "prior".into(), value: 0.02 }],
                    supports: Vec::new(),
                    contradicts: vec!["e2".into()],
                },
            ],
            chain: vec![
                link(0, "hog[4242] asked for memory that /shop could not give", "e1"),
                link(41, "the kernel chose hog[4242] as the victim", "e1"),
                link(300, "hog[4242] ended by SIGKILL", "e3"),
            ],
            evidence: vec![
                fact("e1", 0, "OOM kill in memory cgroup /shop: usage 48.0 MiB (50331648 bytes), limit 48.0 MiB, failcnt 211"),
                fact("e2", 0, "hog[4242] held 45.1 MiB: 44.9 MiB anonymous, 0.2 MiB file, 0 B shared"),
                fact("e3", 300, "hog[4242] ended by signal 9 (SIGKILL) sent by the kernel"),
            ],
            ruled_out: vec![
                RuledOut {
                    cause: "node-oom".into(),
                    because: "/shop was at its limit, so the node was not what ran out".into(),
                    evidence: vec!["e1".into()],
                },
                RuledOut {
                    cause: "killed-by-signal".into(),
                    because: "the SIGKILL came from the kernel's OOM killer, not from a process".into(),
                    evidence: vec!["e3".into()],
                },
            ],
            impact: vec!["hog[4242] is gone; 1 other process of /shop lives on".into()],
            remediation: vec![
                "Find out what hog keeps in anonymous memory: 44.9 MiB of the 48.0 MiB are its own.".into(),
                "If that is what it needs, raise the limit of /shop above 48.0 MiB.".into(),
            ],
            coverage: vec!["how memory grew before the kill was not recorded".into()],
            history: vec![CauseChange {
                time: self.after_micros(300),
                from: "undetermined".into(),
                to: "memory-limit-oom".into(),
            }],
            aliases: vec!["4242".into(), "/shop/cart".into()],
            analysis: None,
        }
    }

    /// The same incident, resolved, elsewhere, an hour earlier.
    pub(crate) fn resolved(self) -> Incident {
        let earlier = self.at(SignedDuration::from_hours(-1));
        Incident {
            id: "inc-0badc0ffee00".into(),
            state: "resolved".into(),
            severity: "warning".into(),
            opened_at: earlier,
            resolved_at: Some(self.after_micros(0)),
            occurrences: 3,
            root_cause: RootCause {
                cause: "killed-by-signal".into(),
                entity: Entity {
                    kind: "Pod".into(),
                    namespace: "shop".into(),
                    name: "cart-7d9f".into(),
                    container: "app".into(),
                    node: "n2".into(),
                },
                confidence: 0.9,
            },
            ..self.incident()
        }
    }

    /// An answer by a model, checked.
    pub(crate) fn analysis(self, state: AnalysisState) -> Analysis {
        let done = state == AnalysisState::Done;
        let sentence = Sentence {
            text: "hog filled the limit of /shop with its own anonymous memory.".into(),
            evidence: vec!["e1".into(), "e2".into()],
        };
        Analysis {
            state,
            provider: "openai".into(),
            model: "small-8b".into(),
            prompt_version: "1".into(),
            sentences: if done { vec![sentence] } else { Vec::new() },
            dropped_sentences: if done { 2 } else { 0 },
            requested_at: self.after_micros(400),
            answered_at: done.then(|| self.after_micros(900_000)),
            error: (state == AnalysisState::Failed).then(|| "it answered 503".to_owned()),
        }
    }

    /// A connected node that sees everything, and one that does not.
    pub(crate) fn nodes(self) -> [Node; 2] {
        let probe = |name: &str, state: &str| Probe {
            name: name.into(),
            state: state.into(),
            hook: if state == "attached" { "tp_btf" } else { "" }.into(),
            detail: match state {
                "attached" => "",
                "on-demand" => "over the budget",
                _ => "the kernel has no such hook",
            }
            .into(),
            without: "who sent a deadly signal".into(),
        };
        let healthy = Node {
            name: "n1".into(),
            agent_id: "n1".into(),
            agent_version: "0.1.0".into(),
            kernel_release: "6.18.0".into(),
            cgroup_version: 3,
            connected: true,
            last_seen_at: self.after_micros(0),
            probes: vec![
                probe("mark_victim", "attached"),
                probe("signal_deliver", "attached"),
                probe("sys_exit", "on-demand"),
            ],
            gaps: Vec::new(),
            lost: Vec::new(),
            spool_bytes: 0,
            cost: Some(Cost {
                kernel_millis: 3.25,
                user_millis: 1.0,
                budget_millis: 20.0,
                memory_bytes: 30 << 20,
                memory_max_bytes: 96 << 20,
                memory_level: MemoryLevel::Ample,
                syscalls_per_second: 4000.0,
            }),
        };
        let hurt = Node {
            name: "n2".into(),
            connected: false,
            agent_version: String::new(),
            cgroup_version: 0,
            probes: vec![
                probe("mark_victim", "attached"),
                probe("signal_deliver", "missing"),
            ],
            gaps: vec![Gap {
                start: self.at(SignedDuration::from_secs(-60)),
                end: self.after_micros(0),
                reason: "agent_restarted".into(),
            }],
            lost: vec![Loss {
                stage: "spool".into(),
                reason: "disk_full".into(),
                count: 7,
                ..Loss::default()
            }],
            spool_bytes: 5 << 20,
            cost: None,
            ..healthy.clone()
        };
        [healthy, hurt]
    }

    pub(crate) fn status(self) -> Status {
        Status {
            api_version: API_VERSION.into(),
            kind: "Status".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.after_micros(0),
            store: StoreStatus {
                path: "/var/lib/inquest/inquest.db".into(),
                schema_version: 1,
                size_bytes: 3 << 20,
                signals: 1234,
                error: None,
            },
            analysis: AnalysisStatus {
                state: "ok".into(),
                provider: "openai".into(),
                model: "small-8b".into(),
                dropped_sentences: 2,
                last_error: None,
            },
            nodes: NodeCounts {
                known: 2,
                connected: 1,
                short_of_memory: 0,
            },
            incidents: IncidentCounts {
                open: 1,
                resolved: 1,
            },
        }
    }

    /// Signals as REST gives them, newest first.
    pub(crate) fn signals(self) -> Vec<Value> {
        let at = |micros| self.after_micros(micros).0.to_string();
        let subject = json!({
            "process": {"pid": 4242, "comm": "hog"},
            "cgroup": {"id": "77", "path": "/shop/cart"},
        });
        vec![
            json!({"id": "00000000000000a1-3", "observedAt": at(400), "node": "n1",
                "subject": subject, "dnsFailure": {"rcode": 3}}),
            json!({"id": "00000000000000a1-2", "observedAt": at(300), "node": "n1",
                "subject": subject, "processExit": {"signal": 9}}),
            json!({"id": "00000000000000a1-1", "observedAt": at(0), "node": "n1",
            "subject": subject, "oomKill": {
                "scope": "SCOPE_MEMCG", "limiting": 1,
                "chain": [
                    {"id": "77", "name": "cart", "usageBytes": "49000000"},
                    {"id": "76", "name": "shop", "usageBytes": "50331648",
                        "maxBytes": "50331648", "failcnt": "211"},
                ],
                "victimUsage": {"anonBytes": "47185920"},
            }}),
        ]
    }
}

fn entity(kind: &str, name: &str) -> Entity {
    Entity {
        kind: kind.into(),
        namespace: String::new(),
        name: name.into(),
        container: String::new(),
        node: "n1".into(),
    }
}
