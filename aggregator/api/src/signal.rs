//! Where wire signals become engine signals. Must accept every signal that a newer agent may send:
//! what this version does not know becomes `Unknown`, what contradicts itself is refused.

use inquest_engine::model::{self as engine, NodeName, Timestamp};
use inquest_proto::v1;

use crate::time;

mod bound;
mod end;
mod failure;
mod json;
mod kind;
mod memory;
mod network;
mod node;
mod resource;
mod traffic;

use bound::{known_text, text};
pub use json::{from_json, to_json};
pub use kind::SignalKind;

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
            .map_or(engine::SignalBody::Unknown, |of| body(of, observed_at)),
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

fn address(from: &v1::SocketAddress) -> engine::signal::SocketAddress {
    engine::signal::SocketAddress {
        address: text(&from.address),
        port: from.port,
    }
}

/// An address that a record may lack.
fn some_address(from: Option<&v1::SocketAddress>) -> engine::signal::SocketAddress {
    from.map(address).unwrap_or_default()
}

/// Where a window begins: with the observation when the signal does not tell or contradicts itself.
fn window(start: Option<pbjson_types::Timestamp>, observed_at: Timestamp) -> Timestamp {
    start
        .and_then(|at| time::from_proto(at.seconds, at.nanos))
        .map_or(observed_at, |start| start.min(observed_at))
}

fn body(from: &v1::signal::Body, observed_at: Timestamp) -> engine::SignalBody {
    use engine::SignalBody as To;
    use v1::signal::Body as From;
    let since = |start: Option<pbjson_types::Timestamp>| window(start, observed_at);
    match from {
        From::OomKill(of) => To::OomKill(memory::oom_kill(of)),
        From::ProcessExit(of) => To::ProcessExit(end::process_exit(of)),
        From::ProcessExec(of) => To::ProcessExec {
            filename: text(&of.filename),
        },
        From::FatalSignal(of) => To::FatalSignal(end::fatal_signal(of)),
        From::CoverageGap(of) => coverage_gap(of),
        From::SyscallFailures(of) => {
            To::SyscallFailures(failure::syscall_failures(of, since(of.start)))
        }
        From::PacketDrops(of) => To::PacketDrops(network::packet_drops(of, since(of.start))),
        From::TcpFlows(of) => To::TcpFlows(traffic::tcp_flows(of, since(of.start))),
        From::ListenOverflow(of) => {
            To::ListenOverflow(network::listen_overflow(of, since(of.start)))
        }
        From::SocketDrops(of) => To::SocketDrops(network::socket_drops(of, since(of.start))),
        From::IcmpErrors(of) => To::IcmpErrors(network::icmp_errors(of, since(of.start))),
        From::NeighborFailures(of) => {
            To::NeighborFailures(network::neighbor_failures(of, since(of.start)))
        }
        From::DnsQueries(of) => To::DnsQueries(traffic::dns_queries(of, since(of.start))),
        From::ConntrackUsage(of) => {
            To::ConntrackUsage(network::conntrack_usage(*of, since(of.start)))
        }
        From::EphemeralPortUsage(of) => {
            To::EphemeralPortUsage(network::ephemeral_port_usage(of, since(of.start)))
        }
        From::ResourceUsage(of) => {
            To::ResourceUsage(Box::new(resource::resource_usage(of, since(of.start))))
        }
        From::FilesystemUsage(of) => {
            To::FilesystemUsage(resource::filesystem_usage(of, since(of.start)))
        }
        From::BlockIo(of) => To::BlockIo(resource::block_io(of, since(of.start))),
        From::WaitProfile(of) => To::WaitProfile(resource::wait_profile(of, since(of.start))),
        From::Denials(of) => To::Denials(failure::denials(of, since(of.start))),
        From::ExecFailure(of) => To::ExecFailure(failure::exec_failure(of)),
        From::PidsLimitHit(of) => To::PidsLimitHit(failure::pids_limit_hit(of)),
        From::ContainerStart(of) => To::ContainerStart(node::container_start(of)),
        From::CgroupRemoved(of) => To::CgroupRemoved {
            lifetime_ns: of.lifetime_ns,
        },
        From::NodeEvent(of) => To::NodeEvent(node::node_event(of)),
        From::DaemonExit(of) => To::DaemonExit(node::daemon_exit(*of)),
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
    fn a_window_never_ends_before_it_begins() {
        let at = |seconds| Wire { seconds, nanos: 0 };
        for (start, expected) in [(Some(at(3)), 3), (Some(at(9)), 7), (None, 7)] {
            let now = Timestamp::from_nanos(7_000_000_000);
            assert_eq!(
                window(start, now).as_nanos(),
                expected * 1_000_000_000,
                "{start:?}"
            );
        }
    }

    /// A signal of every kind whose fields are all absent.
    fn bare_bodies() -> Vec<v1::Signal> {
        use prost::Message as _;
        (10_u32..64)
            .filter_map(|number| {
                let mut bytes = Vec::new();
                prost::encoding::bytes::encode(number, &Vec::new(), &mut bytes);
                let read = v1::Signal::decode(bytes.as_slice()).unwrap();
                read.body.map(|body| signal(Some(body)))
            })
            .collect()
    }

    #[test]
    fn reads_every_kind_that_the_contract_has() {
        let signals = bare_bodies();
        assert_eq!(signals.len(), SignalKind::ALL.len() - 1);
        for signal in signals {
            let kind = SignalKind::of(&signal);
            let read = to_engine(&signal, &node()).unwrap();
            // A gap without times cannot be what it says.
            assert_eq!(
                read.body == engine::SignalBody::Unknown,
                kind == SignalKind::CoverageGap,
                "{}",
                kind.name()
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics_on_any_body_that_decodes(
            number in 10_u32..40,
            inner in proptest::collection::vec(any::<u8>(), 0..96),
        ) {
            use prost::Message as _;
            let mut bytes = Vec::new();
            prost::encoding::bytes::encode(number, &inner, &mut bytes);
            if let Ok(wire) = v1::Signal::decode(bytes.as_slice()) {
                prop_assert!(to_engine(&signal(wire.body), &node()).is_ok());
            }
        }

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
