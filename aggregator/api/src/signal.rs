//! Where wire signals become engine signals. Must accept every signal that a newer agent may send:
//! what this version does not know becomes `Unknown`, what contradicts itself is refused.

use inquest_engine::model::{self as engine, NodeName, Timestamp};
use inquest_proto::v1;

use crate::time;

mod json;

pub use json::{from_json, to_json};

/// Longest text kept from a signal, in bytes; longer ones are cut. A cgroup path is the longest honest one.
const MAX_TEXT_BYTES: usize = 4096;
/// Most memory-cgroup levels kept; the kernel side reports at most 12.
const MAX_CHAIN: usize = 32;
/// Most top processes kept; agents send at most 10.
const MAX_PROCESSES: usize = 32;

/// A signal that cannot be what it says.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignalError {
    #[error("failed to read a signal: it has no id")]
    NoId,
    #[error("failed to read signal `{id}`: it has no valid observation time")]
    NoTime { id: String },
}

/// Reads one wire signal; `node` names the node where the signal itself does not.
pub fn to_engine(signal: &v1::Signal, node: &NodeName) -> Result<engine::Signal, SignalError> {
    if signal.id.is_empty() {
        return Err(SignalError::NoId);
    }
    let id = text(&signal.id);
    let Some(observed_at) = time::observed_at(signal) else {
        return Err(SignalError::NoTime { id });
    };
    let node = if signal.node.is_empty() {
        node.clone()
    } else {
        NodeName(text(&signal.node))
    };
    Ok(engine::Signal {
        id: engine::SignalId(id),
        node,
        observed_at,
        ktime_ns: signal.ktime_ns,
        subject: signal.subject.as_ref().map(subject).unwrap_or_default(),
        body: signal
            .body
            .as_ref()
            .map_or(engine::SignalBody::Unknown, body),
    })
}

fn subject(from: &v1::Subject) -> engine::Subject {
    engine::Subject {
        cgroup: from.cgroup.as_ref().map(cgroup),
        container: from.container.as_ref().map(container),
        pod_uid: known_text(&from.pod_uid),
        process: from.process.as_ref().map(process),
    }
}

fn cgroup(from: &v1::Cgroup) -> engine::signal::Cgroup {
    engine::signal::Cgroup {
        id: from.id,
        hierarchy: from.hierarchy,
        path: known_text(&from.path),
    }
}

fn container(from: &v1::Container) -> engine::signal::Container {
    use v1::container::Runtime as Wire;
    let runtime = match from.runtime() {
        Wire::Containerd => engine::signal::Runtime::Containerd,
        Wire::Crio => engine::signal::Runtime::CriO,
        Wire::Docker => engine::signal::Runtime::Docker,
        Wire::Podman => engine::signal::Runtime::Podman,
        Wire::Other | Wire::Unspecified => engine::signal::Runtime::Other,
    };
    engine::signal::Container {
        id: text(&from.id),
        runtime,
    }
}

fn process(from: &v1::Process) -> engine::signal::Process {
    engine::signal::Process {
        pid: from.pid,
        start_ktime_ns: from.start_ktime_ns,
        comm: text(&from.comm),
        namespace_pid: from.namespace_pid,
        container_init: from.container_init,
        parent_pid: from.parent_pid,
    }
}

fn body(from: &v1::signal::Body) -> engine::SignalBody {
    use v1::signal::Body;
    match from {
        Body::OomKill(kill) => engine::SignalBody::OomKill(oom_kill(kill)),
        Body::ProcessExit(exit) => engine::SignalBody::ProcessExit(engine::signal::ProcessExit {
            code: exit.code,
            signal: exit.signal,
            core_dumped: exit.core_dumped,
        }),
        Body::ProcessExec(exec) => engine::SignalBody::ProcessExec {
            filename: text(&exec.filename),
        },
        Body::FatalSignal(signal) => engine::SignalBody::FatalSignal(fatal_signal(signal)),
        Body::CoverageGap(gap) => coverage_gap(gap),
        _ => engine::SignalBody::Unknown,
    }
}

fn oom_kill(from: &v1::OomKill) -> engine::signal::OomKill {
    use v1::oom_kill::Scope;
    let chain: Vec<_> = from
        .chain
        .iter()
        .take(MAX_CHAIN)
        .map(memory_cgroup)
        .collect();
    let limiting = from
        .limiting
        .map(|index| index as usize)
        .filter(|index| *index < chain.len());
    engine::signal::OomKill {
        scope: match from.scope() {
            Scope::Memcg => engine::signal::OomScope::Memcg,
            Scope::Global => engine::signal::OomScope::Global,
            Scope::Unspecified => engine::signal::OomScope::Unknown,
        },
        chain,
        limiting,
        victim_usage: from
            .victim_usage
            .as_ref()
            .map(memory_usage)
            .unwrap_or_default(),
        oom_score_adj: from.oom_score_adj,
        trigger: from.trigger.as_ref().map(process),
        cgroup_stat: from.cgroup_stat.as_ref().map(cgroup_stat),
        top_processes: from
            .top_processes
            .iter()
            .take(MAX_PROCESSES)
            .map(process_memory)
            .collect(),
    }
}

fn memory_cgroup(from: &v1::MemoryCgroup) -> engine::signal::MemoryCgroup {
    engine::signal::MemoryCgroup {
        id: from.id,
        name: text(&from.name),
        usage_bytes: from.usage_bytes,
        max_bytes: from.max_bytes,
        failcnt: from.failcnt,
        oom_events: from.oom_events,
        oom_group: from.oom_group,
    }
}

fn memory_usage(from: &v1::MemoryUsage) -> engine::signal::MemoryUsage {
    engine::signal::MemoryUsage {
        anon_bytes: from.anon_bytes,
        file_bytes: from.file_bytes,
        shmem_bytes: from.shmem_bytes,
        swap_bytes: from.swap_bytes,
    }
}

fn cgroup_stat(from: &v1::CgroupMemoryStat) -> engine::signal::CgroupMemoryStat {
    engine::signal::CgroupMemoryStat {
        anon_bytes: from.anon_bytes,
        file_bytes: from.file_bytes,
        shmem_bytes: from.shmem_bytes,
        kernel_bytes: from.kernel_bytes,
        read_after_ns: from.read_after_ns,
    }
}

fn process_memory(from: &v1::ProcessMemory) -> engine::signal::ProcessMemory {
    engine::signal::ProcessMemory {
        pid: from.pid,
        comm: text(&from.comm),
        rss_bytes: from.rss_bytes,
    }
}

fn fatal_signal(from: &v1::FatalSignal) -> engine::signal::FatalSignal {
    use v1::fatal_signal::Origin;
    engine::signal::FatalSignal {
        signal: from.signal,
        code: from.code,
        origin: match from.origin() {
            Origin::Kernel => engine::signal::SignalOrigin::Kernel,
            Origin::User => engine::signal::SignalOrigin::User,
            Origin::Fault => engine::signal::SignalOrigin::Fault,
            Origin::Unspecified => engine::signal::SignalOrigin::Unknown,
        },
        sender: from.sender.as_ref().map(process),
        sender_cgroup: from.sender_cgroup.as_ref().map(cgroup),
        fault_address: from.fault_address,
    }
}

fn coverage_gap(from: &v1::CoverageGap) -> engine::SignalBody {
    use v1::coverage_gap::Reason;
    let at = |t: Option<&pbjson_types::Timestamp>| -> Option<Timestamp> {
        t.and_then(|t| time::from_proto(t.seconds, t.nanos))
    };
    let (Some(start), Some(end)) = (at(from.start.as_ref()), at(from.end.as_ref())) else {
        return engine::SignalBody::Unknown;
    };
    engine::SignalBody::CoverageGap {
        start,
        end: end.max(start),
        reason: match from.reason() {
            Reason::AgentRestarted => engine::signal::GapReason::AgentRestarted,
            Reason::AgentStopped => engine::signal::GapReason::AgentStopped,
            Reason::NodeRebooted => engine::signal::GapReason::NodeRebooted,
            Reason::Unspecified => engine::signal::GapReason::Unknown,
        },
    }
}

fn known_text(from: &str) -> Option<String> {
    (!from.is_empty()).then(|| text(from))
}

/// Cuts at a character boundary and drops control characters, which a terminal would obey.
fn text(from: &str) -> String {
    let end = from.floor_char_boundary(MAX_TEXT_BYTES);
    let (kept, _) = from.split_at(end);
    kept.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use pbjson_types::Timestamp as Wire;
    use proptest::prelude::*;

    use super::*;

    fn signal(body: Option<v1::signal::Body>) -> v1::Signal {
        v1::Signal {
            id: "s-1".into(),
            observed_at: Some(Wire {
                seconds: 7,
                nanos: 1,
            }),
            body,
            ..Default::default()
        }
    }

    fn node() -> NodeName {
        NodeName("n1".into())
    }

    #[test]
    fn refuses_a_signal_without_id_or_time() {
        let mut nameless = signal(None);
        nameless.id.clear();
        assert_eq!(to_engine(&nameless, &node()), Err(SignalError::NoId));
        let mut timeless = signal(None);
        timeless.observed_at = None;
        assert_eq!(
            to_engine(&timeless, &node()),
            Err(SignalError::NoTime { id: "s-1".into() })
        );
    }

    #[test]
    fn keeps_a_body_of_a_newer_version_as_unknown() {
        let read = to_engine(&signal(None), &node()).unwrap();
        assert_eq!(read.body, engine::SignalBody::Unknown);
        assert_eq!(read.node, node());
    }

    #[test]
    fn keeps_an_unknown_enum_value_as_unknown() {
        let kill = v1::OomKill {
            scope: 99,
            ..Default::default()
        };
        let read = to_engine(&signal(Some(v1::signal::Body::OomKill(kill))), &node()).unwrap();
        let engine::SignalBody::OomKill(kill) = read.body else {
            panic!("{:?}", read.body)
        };
        assert_eq!(kill.scope, engine::signal::OomScope::Unknown);
    }

    #[test]
    fn drops_a_limiting_index_outside_the_chain() {
        let kill = v1::OomKill {
            limiting: Some(3),
            ..Default::default()
        };
        let read = to_engine(&signal(Some(v1::signal::Body::OomKill(kill))), &node()).unwrap();
        let engine::SignalBody::OomKill(kill) = read.body else {
            panic!("{:?}", read.body)
        };
        assert_eq!(kill.limiting, None);
    }

    #[test]
    fn removes_what_a_terminal_would_obey_and_bounds_length() {
        let cleaned = text("a\u{1b}[31mred\nb");
        assert_eq!(cleaned, "a[31mredb");
        assert!(text(&"ä".repeat(MAX_TEXT_BYTES)).len() <= MAX_TEXT_BYTES);
    }

    proptest! {
        #[test]
        fn never_panics_on_any_bytes_that_decode(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            use prost::Message as _;
            if let Ok(wire) = v1::Signal::decode(bytes.as_slice()) {
                // Either outcome is fine; a panic is not.
                drop(to_engine(&wire, &node()));
            }
        }
    }
}
