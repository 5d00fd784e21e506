//! What a signal weighs for detectors, and so what may push it out of the window. Must look at the signal
//! alone.

use crate::model::signal::{OomScope, ProcessExit};
use crate::model::{Signal, SignalBody};

/// Classes of signals that are bounded apart.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Weight {
    /// How a process that matters ended, or what can explain it.
    End,
    /// That another process ended with an error: only together with a sign does it say anything, and a
    /// busy machine has thousands a minute.
    MinorEnd,
    /// Something went wrong.
    Sign,
    /// How things are; most of the time they are well.
    Sample,
}

impl Weight {
    pub(super) const fn is_end(self) -> bool {
        matches!(self, Self::End | Self::MinorEnd)
    }
}

/// The weight of a signal; nothing when no detector would look at it.
pub(super) fn weigh(signal: &Signal) -> Option<Weight> {
    Some(match &signal.body {
        SignalBody::OomKill(_) | SignalBody::FatalSignal(_) | SignalBody::CoverageGap { .. } => {
            Weight::End
        }
        SignalBody::ProcessExit(exit) => return weigh_exit(signal, exit),
        SignalBody::ExecFailure(_)
        | SignalBody::PidsLimitHit(_)
        | SignalBody::PacketDrops(_)
        | SignalBody::ListenOverflow(_)
        | SignalBody::SocketDrops(_)
        | SignalBody::IcmpErrors(_)
        | SignalBody::NeighborFailures(_)
        | SignalBody::Denials(_)
        | SignalBody::NodeEvent(_)
        | SignalBody::DaemonExit(_) => Weight::Sign,
        SignalBody::TcpFlows(flows) => sign_if(
            flows
                .flows
                .iter()
                .any(|flow| flow.established < flow.attempts),
        ),
        SignalBody::DnsQueries(dns) => sign_if(dns.timed_out > 0 || dns.answered < dns.total),
        SignalBody::ConntrackUsage(usage) => sign_if(usage.insert_failed > 0 || usage.drop > 0),
        SignalBody::EphemeralPortUsage(usage) => sign_if(usage.exhausted > 0),
        SignalBody::FilesystemUsage(usage) => {
            sign_if(usage.failed_writes > 0 || usage.became_read_only)
        }
        SignalBody::BlockIo(io) => sign_if(io.errors > 0),
        SignalBody::SyscallFailures(_)
        | SignalBody::ResourceUsage(_)
        | SignalBody::WaitProfile(_) => Weight::Sample,
        SignalBody::ProcessExec { .. }
        | SignalBody::ContainerStart(_)
        | SignalBody::CgroupRemoved { .. }
        | SignalBody::Unknown => return None,
    })
}

const fn sign_if(is_sign: bool) -> Weight {
    if is_sign {
        Weight::Sign
    } else {
        Weight::Sample
    }
}

fn weigh_exit(signal: &Signal, exit: &ProcessExit) -> Option<Weight> {
    if exit.signal != 0 || is_container_init(signal) || !exit.exec_chain.is_empty() {
        Some(Weight::End)
    } else {
        (exit.code != 0).then_some(Weight::MinorEnd)
    }
}

/// Whether a signal tells of more than its own process.
pub(super) fn is_landmark(signal: &Signal) -> bool {
    match &signal.body {
        SignalBody::OomKill(kill) => kill.scope == OomScope::Global,
        SignalBody::CoverageGap { .. } => true,
        SignalBody::ProcessExit(_) => is_container_init(signal),
        _ => false,
    }
}

fn is_container_init(signal: &Signal) -> bool {
    let process = signal.subject.process.as_ref();
    process.is_some_and(|process| process.container_init)
}
