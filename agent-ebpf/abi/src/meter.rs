//! How often each probe ran and what that took: measured by the programs themselves, because the kernel's own
//! statistics (`BPF_ENABLE_STATS`) need CAP_SYS_ADMIN and cost each run two more readings of the clock.

/// Which probe a program belongs to, whatever hook it is attached by.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Meter(u32);

impl Meter {
    /// `mark_victim`
    pub const MARK_VICTIM: Self = Self(0);
    /// `sched_process_exit`
    pub const SCHED_PROCESS_EXIT: Self = Self(1);
    /// `sched_process_exec`
    pub const SCHED_PROCESS_EXEC: Self = Self(2);
    /// `signal_generate`
    pub const SIGNAL_GENERATE: Self = Self(3);
    /// `cgroup_mkdir`
    pub const CGROUP_MKDIR: Self = Self(4);
    /// `cgroup_rmdir`
    pub const CGROUP_RMDIR: Self = Self(5);
    /// `kfree_skb`
    pub const KFREE_SKB: Self = Self(6);
    /// `sched_switch`
    pub const SCHED_SWITCH: Self = Self(7);
    /// `sched_wakeup`
    pub const SCHED_WAKEUP: Self = Self(8);
    /// `sys_exit`
    pub const SYS_EXIT: Self = Self(9);
    /// `inet_sock_set_state`
    pub const INET_SOCK_SET_STATE: Self = Self(20);
    /// `tcp_retransmit_skb`
    pub const TCP_RETRANSMIT_SKB: Self = Self(21);
    /// `tcp_send_reset`
    pub const TCP_SEND_RESET: Self = Self(22);
    /// `tcp_receive_reset`
    pub const TCP_RECEIVE_RESET: Self = Self(23);
    /// `block_rq_issue`
    pub const BLOCK_RQ_ISSUE: Self = Self(24);
    /// `block_rq_complete`
    pub const BLOCK_RQ_COMPLETE: Self = Self(25);
    /// `net_dev_queue`
    pub const NET_DEV_QUEUE: Self = Self(26);
    /// `netif_receive_skb`
    pub const NETIF_RECEIVE_SKB: Self = Self(27);
    /// `udp_fail_queue_rcv_skb`
    pub const UDP_FAIL_QUEUE_RCV_SKB: Self = Self(28);
    /// `neigh_timer_handler`
    pub const NEIGH_TIMER_HANDLER: Self = Self(29);
    /// `cap_capable`
    pub const CAP_CAPABLE: Self = Self(30);

    /// Returns its place in [`Meters`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Probes that can be told apart. There is room for a few times as many as there are.
pub const MAX_METERS: usize = 64;

/// One run in this many is timed. A power of two. Two readings of the clock take some 50 ns here, as long as the
/// shortest program, so timing all of them would be most of the cost that it measures.
pub const TIMED_RUN_OF: u64 = 64;

/// What one CPU counted of one probe since the programs were loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MeterReading {
    /// All runs.
    pub runs: u64,
    /// Those that were timed.
    pub timed_runs: u64,
    /// What the timed ones took, in ns.
    pub timed_ns: u64,
}

const _: () = assert!(size_of::<MeterReading>() == 24);

/// What one CPU counted of all probes. One value, so that one call reads all of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Meters {
    /// By [`Meter::index`].
    pub probes: [MeterReading; MAX_METERS],
}

const _: () = assert!(size_of::<Meters>() == MAX_METERS * size_of::<MeterReading>());
const _: () = assert!(TIMED_RUN_OF.is_power_of_two());
