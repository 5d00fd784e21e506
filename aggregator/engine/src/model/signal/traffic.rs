//! Who talks to whom and how it went: TCP connections and DNS queries of a cgroup. Must not say which
//! side is at fault.

use super::SocketAddress;
use crate::model::Timestamp;

/// The TCP connections of one cgroup by peer, in a window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TcpFlows {
    pub start: Timestamp,
    /// Inode of the network namespace.
    pub netns: u64,
    pub flows: Vec<TcpFlow>,
    /// Connections to peers that found no room in the kernel's map.
    pub other_peers: u64,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Direction {
    /// The cgroup connected to the peer; the port is the peer's.
    Out,
    /// The peer connected to the cgroup; the port is the cgroup's own.
    In,
    #[default]
    Unknown,
}

/// The connections with one peer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TcpFlow {
    pub direction: Direction,
    pub peer: SocketAddress,
    pub attempts: u64,
    pub established: u64,
    pub refused: u64,
    pub timed_out: u64,
    pub reset: u64,
    pub unreachable: u64,
    /// Ended before they were established for another reason; the last such errno.
    pub failed_otherwise: u64,
    pub other_errno: String,
    /// From SYN to established or failed.
    pub connect_latency_sum_ns: u64,
    pub connect_latency_max_ns: u64,
    pub syn_retransmits: u64,
    pub retransmits: u64,
    /// Smoothed round-trip time of connections that closed in the window.
    pub srtt_sum_us: u64,
    pub srtt_samples: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub resets_sent: u64,
    pub resets_received: u64,
    /// Why resets were sent, where the kernel tells.
    pub reset_reason: String,
    /// Process that connected last.
    pub comm: String,
}

/// The DNS queries of one cgroup to one resolver, in a window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DnsQueries {
    pub start: Timestamp,
    pub netns: u64,
    pub resolver: SocketAddress,
    pub queries: Vec<DnsQuery>,
    /// All of the window, also those that `queries` has no room for.
    pub total: u64,
    pub answered: u64,
    /// No answer within 5 s.
    pub timed_out: u64,
    pub nxdomain: u64,
    /// Queries whose name is an earlier one of the same process with a search domain appended.
    pub search_amplified: u64,
}

/// Equal queries.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DnsQuery {
    pub name: String,
    /// `A`, `AAAA`, or the number of a type without a name.
    pub kind: String,
    /// `NOERROR`, `NXDOMAIN`, ...; empty when nobody answered.
    pub rcode: String,
    pub count: u64,
    pub latency_sum_ns: u64,
    pub latency_max_ns: u64,
    /// NOERROR without a record of that type.
    pub no_data: bool,
}
