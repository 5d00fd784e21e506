//! Signals as the engine reads them; field meanings are those of `proto/inquest/v1/signal.proto`.
//! Must not be serialized: the wire has its own types. Shares are held in thousandths, so that signals
//! stay comparable.

use super::{NodeName, Timestamp};

mod denial;
mod end;
mod failure;
mod lifecycle;
mod memory;
mod network;
mod node;
mod resource;
mod traffic;
mod wait;

pub use denial::{Denial, DenialKind, Denials};
pub use end::{FailedCall, FatalSignal, ProcessExit, SenderClass, SignalOrigin};
pub use failure::{ExecFailure, PidsLimitHit, SyscallFailure, SyscallFailures};
pub use lifecycle::ContainerStart;
pub use memory::{CgroupMemoryStat, MemoryCgroup, MemoryUsage, OomKill, OomScope, ProcessMemory};
pub use network::{
    ConntrackUsage, EphemeralPortUsage, FullListener, IcmpError, IcmpErrors, ListenOverflow,
    NeighborFailure, NeighborFailures, PacketDrop, PacketDrops, SocketDrops,
};
pub use node::{DaemonExit, DaemonRole, NodeEvent, NodeEventKind};
pub use resource::{BlockIo, FilesystemUsage, Pressure, ResourceUsage};
pub use traffic::{Direction, DnsQueries, DnsQuery, TcpFlow, TcpFlows};
pub use wait::{ContendedLock, WaitProfile, WaitShare, WaitState};

/// Unique for ever, as the agent gave it.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SignalId(pub String);

/// One normalized observation about one subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signal {
    pub id: SignalId,
    pub node: NodeName,
    pub observed_at: Timestamp,
    /// Kernel monotonic time; 0 where the source has none.
    pub ktime_ns: u64,
    pub subject: Subject,
    pub body: SignalBody,
}

/// Whom a signal is about; what is not known is absent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subject {
    pub cgroup: Option<Cgroup>,
    pub container: Option<Container>,
    pub pod_uid: Option<String>,
    pub process: Option<Process>,
}

/// A control group; the id is unique within its hierarchy only.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Cgroup {
    pub id: u64,
    /// 0 is cgroup v2, others are v1 hierarchies.
    pub hierarchy: u32,
    /// Absent when the agent could not resolve the id.
    pub path: Option<String>,
}

/// A container by its runtime's id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Container {
    pub id: String,
    pub runtime: Runtime,
}

/// Which runtime a cgroup path speaks of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Runtime {
    Containerd,
    CriO,
    Docker,
    Podman,
    Other,
}

/// A process of one boot: pid and start time together name it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Process {
    pub pid: u32,
    /// 0 when unknown.
    pub start_ktime_ns: u64,
    pub comm: String,
    /// In its own pid namespace; 0 when unknown.
    pub namespace_pid: u32,
    /// Process 1 of a pid namespace below the node's.
    pub container_init: bool,
    /// 0 when unknown.
    pub parent_pid: u32,
}

/// What was observed. Bodies with a `start` were counted or sampled over the window from there to
/// the signal's `observed_at`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SignalBody {
    OomKill(OomKill),
    ProcessExit(ProcessExit),
    ProcessExec {
        filename: String,
    },
    FatalSignal(FatalSignal),
    CoverageGap {
        start: Timestamp,
        end: Timestamp,
        reason: GapReason,
    },
    SyscallFailures(SyscallFailures),
    PacketDrops(PacketDrops),
    TcpFlows(TcpFlows),
    ListenOverflow(ListenOverflow),
    SocketDrops(SocketDrops),
    IcmpErrors(IcmpErrors),
    NeighborFailures(NeighborFailures),
    DnsQueries(DnsQueries),
    ConntrackUsage(ConntrackUsage),
    EphemeralPortUsage(EphemeralPortUsage),
    /// Boxed: by far the largest, and the most frequent to be passed over.
    ResourceUsage(Box<ResourceUsage>),
    FilesystemUsage(FilesystemUsage),
    BlockIo(BlockIo),
    WaitProfile(WaitProfile),
    Denials(Denials),
    ExecFailure(ExecFailure),
    PidsLimitHit(PidsLimitHit),
    ContainerStart(ContainerStart),
    CgroupRemoved {
        /// 0 when its creation was not seen.
        lifetime_ns: u64,
    },
    NodeEvent(NodeEvent),
    DaemonExit(DaemonExit),
    /// A kind that this version does not know; kept and counted, never judged.
    Unknown,
}

/// The end of a connection: an IPv4 or IPv6 address in text form, or the path of a unix socket.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SocketAddress {
    pub address: String,
    /// 0 for a unix socket, or when unknown.
    pub port: u32,
}

/// Why an agent was not watching.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GapReason {
    AgentRestarted,
    AgentStopped,
    NodeRebooted,
    Unknown,
}
