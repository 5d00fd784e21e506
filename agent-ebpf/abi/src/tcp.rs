//! TCP connections, counted by owner and peer in a map rather than told one by one.

use crate::{Generation, MAX_COMM};

/// What the connections that are counted together have in common.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FlowKey {
    /// Of the socket's owner, 0 when it is not known.
    pub cgroup: u64,
    /// The peer's address in network order; an IPv4 address takes the first four bytes.
    pub peer: [u8; 16],
    /// Inode of the network namespace.
    pub netns: u32,
    /// See [`Generation`].
    pub generation: u32,
    /// The peer's port when the owner connected, else the owner's.
    pub port: u16,
    /// 4 or 6.
    pub ip_version: u8,
    /// One of the constants of [`FlowKey`].
    pub direction: u8,
    /// Always 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<FlowKey>() == 8 + 16 + 4 * 2 + 2 + 1 + 1 + 4);

impl FlowKey {
    /// The owner connected to the peer.
    pub const OUT: u8 = 1;
    /// The peer connected to the owner.
    pub const IN: u8 = 2;
}

impl Generation for FlowKey {
    fn generation(&self) -> u32 {
        self.generation
    }
}

/// What happened to such connections. Those of ends are counted at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "each is the field of `TcpFlow` of that name")]
pub struct FlowCounts {
    pub attempts: u64,
    pub established: u64,
    pub refused: u64,
    pub timed_out: u64,
    pub reset: u64,
    pub unreachable: u64,
    pub failed_otherwise: u64,
    /// Those of [`Self::failed_otherwise`] that found no free local port.
    pub without_port: u64,
    pub connect_latency_sum_ns: u64,
    /// Of two connections that end at the same instant on two CPUs, the shorter may win.
    pub connect_latency_max_ns: u64,
    pub syn_retransmits: u64,
    pub retransmits: u64,
    pub srtt_sum_us: u64,
    pub srtt_samples: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub resets_sent: u64,
    pub resets_received: u64,
    /// The last error of [`Self::failed_otherwise`], 0 when the program gave up by itself.
    pub other_errno: u32,
    /// The kernel's number of the last reason to send a reset, [`FlowCounts::NO_REASON`] where it gives none.
    pub reset_reason: u32,
    /// Name of the process that connected last.
    pub comm: [u8; MAX_COMM],
}

const _: () = assert!(size_of::<FlowCounts>() == 8 * 18 + 4 * 2 + MAX_COMM);

impl FlowCounts {
    /// No reset was sent, or without a reason: 0 is a reason.
    pub const NO_REASON: u32 = u32::MAX;
    /// Of connections of which nothing is known yet.
    pub const ZERO: Self = Self {
        attempts: 0,
        established: 0,
        refused: 0,
        timed_out: 0,
        reset: 0,
        unreachable: 0,
        failed_otherwise: 0,
        without_port: 0,
        connect_latency_sum_ns: 0,
        connect_latency_max_ns: 0,
        syn_retransmits: 0,
        retransmits: 0,
        srtt_sum_us: 0,
        srtt_samples: 0,
        bytes_sent: 0,
        bytes_received: 0,
        resets_sent: 0,
        resets_received: 0,
        other_errno: 0,
        reset_reason: Self::NO_REASON,
        comm: [0; MAX_COMM],
    };
}

/// Whose connections found no room among the [`FlowKey`]s.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct OtherFlowsKey {
    /// As in [`FlowKey`].
    pub cgroup: u64,
    /// As in [`FlowKey`].
    pub netns: u32,
    /// See [`Generation`].
    pub generation: u32,
}

const _: () = assert!(size_of::<OtherFlowsKey>() == 16);

impl Generation for OtherFlowsKey {
    fn generation(&self) -> u32 {
        self.generation
    }
}

/// Who made a socket connect or listen, remembered for what happens to it in interrupts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SocketOwner {
    /// Id of its cgroup, 0 when it is not known.
    pub cgroup: u64,
    /// When it began to connect.
    pub start_ktime_ns: u64,
    /// How often its SYN was sent again.
    pub syn_retransmits: u32,
    /// [`FlowKey::OUT`] or [`FlowKey::IN`].
    pub direction: u32,
    /// Name of its process.
    pub comm: [u8; MAX_COMM],
}

const _: () = assert!(size_of::<SocketOwner>() == 8 * 2 + 4 * 2 + MAX_COMM);

/// Where somebody listens.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ListenerKey {
    /// Inode of the network namespace.
    pub netns: u32,
    /// The local port.
    pub port: u32,
}

const _: () = assert!(size_of::<ListenerKey>() == 8);
