//! What there is a probe for. Must not know how probes are attached.

use super::{
    Probe, block, capability, cgroup, drop, exec, exit, neighbor, oom, packet, removal, sched,
    signal, socket_drop, syscall, tcp,
};

/// What one probe tells about; also the name of its file here, in the object and in the abi.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// OOM kills.
    Oom,
    /// Ends of processes.
    Exit,
    /// Executions.
    Exec,
    /// Where fatal signals come from.
    Signal,
    /// New cgroups.
    Cgroup,
    /// Cgroups that are removed.
    Removal,
    /// Dropped packets.
    Drop,
    /// Datagrams that find a receive buffer full.
    SocketDrop,
    /// Addresses on the link that nobody answers for.
    Neighbor,
    /// DNS messages and ICMP errors that are sent.
    PacketSent,
    /// Those that are received.
    PacketReceived,
    /// Steps of TCP connections.
    TcpState,
    /// Segments of TCP that are sent again.
    TcpRetransmit,
    /// Resets sent.
    TcpResetSent,
    /// Resets received.
    TcpResetReceived,
    /// Requests that block devices are given.
    BlockIssue,
    /// Requests that block devices are done with.
    BlockComplete,
    /// Threads that leave and enter a CPU.
    SchedSwitch,
    /// Threads that can run again.
    SchedWakeup,
    /// System calls that failed.
    Syscall,
    /// Capabilities that a thread was asked for and lacks.
    Capability,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Oom,
        Self::Exit,
        Self::Exec,
        Self::Signal,
        Self::Cgroup,
        Self::Removal,
        Self::Drop,
        Self::SocketDrop,
        Self::Neighbor,
        Self::PacketSent,
        Self::PacketReceived,
        Self::TcpState,
        Self::TcpRetransmit,
        Self::TcpResetSent,
        Self::TcpResetReceived,
        Self::BlockIssue,
        Self::BlockComplete,
        Self::SchedSwitch,
        Self::SchedWakeup,
        Self::Syscall,
        Self::Capability,
    ];

    /// Returns the name of its probe.
    pub fn name(self) -> &'static str {
        self.probe().name
    }

    /// Returns whether it is attached only while somebody wants to know.
    pub(super) fn is_on_demand(self) -> bool {
        matches!(self, Self::SchedSwitch | Self::SchedWakeup)
    }

    pub(super) fn probe(self) -> &'static Probe {
        match self {
            Self::Oom => &oom::PROBE,
            Self::Exit => &exit::PROBE,
            Self::Exec => &exec::PROBE,
            Self::Signal => &signal::PROBE,
            Self::Cgroup => &cgroup::PROBE,
            Self::Removal => &removal::PROBE,
            Self::Drop => &drop::PROBE,
            Self::SocketDrop => &socket_drop::PROBE,
            Self::Neighbor => &neighbor::PROBE,
            Self::PacketSent => &packet::SENT,
            Self::PacketReceived => &packet::RECEIVED,
            Self::TcpState => &tcp::STATE,
            Self::TcpRetransmit => &tcp::RETRANSMIT,
            Self::TcpResetSent => &tcp::RESET_SENT,
            Self::TcpResetReceived => &tcp::RESET_RECEIVED,
            Self::BlockIssue => &block::ISSUE,
            Self::BlockComplete => &block::COMPLETE,
            Self::SchedSwitch => &sched::SWITCH,
            Self::SchedWakeup => &sched::WAKEUP,
            Self::Syscall => &syscall::PROBE,
            Self::Capability => &capability::PROBE,
        }
    }
}
