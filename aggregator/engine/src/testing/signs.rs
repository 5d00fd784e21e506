//! Builders of what goes wrong before and without a death. Must not know any detector.

use super::{Actor, at_ms, ktime};
use crate::model::signal::{
    Direction, DnsQueries, DnsQuery, ExecFailure, FailedCall, IcmpError, IcmpErrors, PacketDrop,
    PacketDrops, ProcessExit, SocketAddress, TcpFlow, TcpFlows,
};
use crate::model::{Signal, SignalBody};

/// An address of the tests' network.
pub(crate) fn address(address: &str, port: u32) -> SocketAddress {
    SocketAddress {
        address: address.to_owned(),
        port,
    }
}

/// The database of the tests.
pub(crate) fn database() -> SocketAddress {
    address("10.0.0.2", 5432)
}

/// A failed call on a path, at a time in milliseconds.
pub(crate) fn call(pid: u32, ms: i64, syscall: &str, errno: &str, path: &str) -> FailedCall {
    FailedCall {
        ktime_ns: ktime(at_ms(ms)),
        pid,
        comm: "shop".to_owned(),
        syscall: syscall.to_owned(),
        errno: errno.to_owned(),
        path: path.to_owned(),
        ..FailedCall::default()
    }
}

/// A failed connect, at a time in milliseconds.
pub(crate) fn connect(pid: u32, ms: i64, errno: &str, to: SocketAddress) -> FailedCall {
    FailedCall {
        address: Some(to),
        ..call(pid, ms, "connect", errno, "")
    }
}

/// Errors that a router or the destination reports of packets of UDP.
pub(crate) fn icmp_error(kind: u32, code: u32, meaning: &str, count: u64) -> IcmpError {
    IcmpError {
        meaning: meaning.to_owned(),
        kind,
        code,
        ip_version: 4,
        source: address("10.0.0.1", 40_000),
        destination: address("10.0.0.2", 8125),
        count,
        received: true,
        reporter: "10.0.0.254".to_owned(),
        mtu: 0,
        protocol: "udp".to_owned(),
    }
}

impl Actor {
    /// The first process of its cgroup ends by itself with a code, after some last words.
    pub(crate) fn gave_up(
        &self,
        id: &str,
        ms: i64,
        code: u32,
        last_words: Vec<FailedCall>,
    ) -> Signal {
        let exit = ProcessExit {
            code,
            last_words,
            exec_chain: vec!["/app/shop".to_owned()],
            ..ProcessExit::default()
        };
        self.signal(id, at_ms(ms), SignalBody::ProcessExit(exit))
    }

    /// Another process of its cgroup ends with a code, after some last words.
    pub(crate) fn helper_gave_up(
        &self,
        id: &str,
        ms: i64,
        code: u32,
        last_words: Vec<FailedCall>,
    ) -> Signal {
        let mut signal = self
            .clone()
            .child_of(4000)
            .gave_up(id, ms, code, last_words);
        if let SignalBody::ProcessExit(exit) = &mut signal.body {
            exit.exec_chain.clear();
        }
        signal
    }

    /// It failed to execute a file.
    pub(crate) fn exec_failed(&self, id: &str, ms: i64, filename: &str, errno: &str) -> Signal {
        let failure = ExecFailure {
            filename: filename.to_owned(),
            errno: errno.to_owned(),
            count: 1,
            ..ExecFailure::default()
        };
        self.signal(id, at_ms(ms), SignalBody::ExecFailure(failure))
    }

    /// A second of connections, which ends at a time in milliseconds.
    pub(crate) fn flows(&self, id: &str, ms: i64, flows: Vec<TcpFlow>) -> Signal {
        let flows = TcpFlows {
            start: at_ms(ms - 1000),
            netns: 7,
            flows,
            other_peers: 0,
        };
        self.signal(id, at_ms(ms), SignalBody::TcpFlows(flows))
    }

    /// A second of ICMP errors, which ends at a time in milliseconds.
    pub(crate) fn icmp(&self, id: &str, ms: i64, errors: Vec<IcmpError>) -> Signal {
        let errors = IcmpErrors {
            start: at_ms(ms - 1000),
            netns: 7,
            errors,
        };
        self.signal(id, at_ms(ms), SignalBody::IcmpErrors(errors))
    }

    /// A second of packets to a destination that a rule dropped.
    pub(crate) fn dropped(&self, id: &str, ms: i64, to: SocketAddress, packets: u64) -> Signal {
        let drop = PacketDrop {
            reason: "NETFILTER_DROP".to_owned(),
            location: "nf_hook_slow".to_owned(),
            netfilter: true,
            protocol: "tcp".to_owned(),
            source: address("10.0.0.1", 40_000),
            destination: to,
            interface: "eth0".to_owned(),
            count: packets,
            bytes: packets * 60,
        };
        let drops = PacketDrops {
            start: at_ms(ms - 1000),
            netns: 7,
            drops: vec![drop],
        };
        self.signal(id, at_ms(ms), SignalBody::PacketDrops(drops))
    }

    /// A second of questions for one name.
    pub(crate) fn asked(&self, id: &str, ms: i64, rcode: &str, name: &str, count: u64) -> Signal {
        let query = DnsQuery {
            name: name.to_owned(),
            kind: "A".to_owned(),
            rcode: rcode.to_owned(),
            count,
            ..DnsQuery::default()
        };
        let answered = if rcode.is_empty() { 0 } else { count };
        let dns = DnsQueries {
            start: at_ms(ms - 1000),
            netns: 7,
            resolver: address("10.0.0.10", 53),
            queries: vec![query],
            total: count,
            answered,
            timed_out: count - answered,
            nxdomain: if rcode == "NXDOMAIN" { count } else { 0 },
            search_amplified: 0,
        };
        self.signal(id, at_ms(ms), SignalBody::DnsQueries(dns))
    }
}

/// Connections to a peer of which so many were refused and so many established.
pub(crate) fn flow(to: SocketAddress, refused: u64, established: u64) -> TcpFlow {
    TcpFlow {
        direction: Direction::Out,
        peer: to,
        attempts: refused + established,
        established,
        refused,
        comm: "shop".to_owned(),
        ..TcpFlow::default()
    }
}
