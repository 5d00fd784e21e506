//! One signal as one line of a table. Must conclude nothing from it.

use inquest_api::signal::{self, SignalKind};
use inquest_engine::model::signal::{GapReason, Process, SocketAddress};
use inquest_engine::model::{NodeName, Signal, SignalBody, Timestamp};
use serde_json::Value;

use crate::output::table::{Column, column, wide};
use crate::output::text;

mod end;
mod failure;
mod network;
mod node;
mod resource;

pub(in crate::commands) use resource::state;

pub(super) const COLUMNS: [Column; 7] = [
    column("TIME"),
    column("NODE"),
    column("KIND"),
    column("PROCESS"),
    column("WHAT"),
    wide("CGROUP"),
    wide("ID"),
];

/// The same columns for a table that comes row by row: as wide as a usual cell.
pub(super) const FOLLOWED: [Column; 7] = [
    column("TIME"),
    column("NODE").at_least(8),
    column("KIND").at_least(16),
    column("PROCESS").at_least(20),
    column("WHAT"),
    wide("CGROUP"),
    wide("ID"),
];

/// `signal/ID`.
pub(in crate::commands) fn name(signal: &Value) -> String {
    format!("signal/{}", id(signal))
}

/// When it happened, for sorting; unreadable times come first.
pub(super) fn time(signal: &Value) -> Option<jiff::Timestamp> {
    signal.get("observedAt")?.as_str()?.parse().ok()
}

/// The cells of its row; what this version cannot read is said so.
pub(super) fn cells(signal: &Value) -> [String; 7] {
    let read = signal::from_json(signal.clone()).ok().and_then(|wire| {
        let signal = signal::to_engine(&wire, &NodeName::default()).ok()?;
        Some((SignalKind::of(&wire), signal))
    });
    match read {
        Some((kind, signal)) => known(kind, &signal),
        None => [
            "<unknown>".to_owned(),
            String::new(),
            "<unknown>".to_owned(),
            String::new(),
            "this version cannot read it".to_owned(),
            String::new(),
            id(signal),
        ],
    }
}

fn id(signal: &Value) -> String {
    let id = signal.get("id").and_then(Value::as_str);
    id.unwrap_or("<unknown>").to_owned()
}

fn known(kind: SignalKind, signal: &Signal) -> [String; 7] {
    let subject = &signal.subject;
    let cgroup = subject.cgroup.as_ref();
    [
        clock(signal.observed_at),
        signal.node.0.clone(),
        kind_word(kind).to_owned(),
        subject.process.as_ref().map(process).unwrap_or_default(),
        describe(&signal.body),
        cgroup
            .and_then(|cgroup| cgroup.path.clone())
            .unwrap_or_default(),
        signal.id.0.clone(),
    ]
}

/// The kind as `--kind` takes it.
const fn kind_word(kind: SignalKind) -> &'static str {
    match kind {
        SignalKind::Unknown => "<unknown>",
        kind => kind.name(),
    }
}

fn clock(at: Timestamp) -> String {
    let at = inquest_api::time::Time::from(at).0;
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A process with its pid.
pub(in crate::commands) fn process(process: &Process) -> String {
    format!("{}[{}]", process.comm, process.pid)
}

/// What was observed, in words.
fn describe(body: &SignalBody) -> String {
    match body {
        SignalBody::OomKill(of) => end::oom_kill(of),
        SignalBody::ProcessExit(of) => end::process_exit(of),
        SignalBody::ProcessExec { filename } => filename.clone(),
        SignalBody::FatalSignal(of) => end::fatal_signal(of),
        SignalBody::CoverageGap { start, end, reason } => {
            let seconds = end.since(*start).as_secs_f64();
            format!("not watched for {seconds:.1} s ({})", gap_reason(*reason))
        }
        SignalBody::SyscallFailures(of) => failure::syscall_failures(of),
        SignalBody::Denials(of) => failure::denials(of),
        SignalBody::ExecFailure(of) => failure::exec_failure(of),
        SignalBody::PidsLimitHit(of) => failure::pids_limit_hit(of),
        SignalBody::PacketDrops(of) => network::packet_drops(of),
        SignalBody::TcpFlows(of) => network::tcp_flows(of),
        SignalBody::ListenOverflow(of) => network::listen_overflow(of),
        SignalBody::SocketDrops(of) => network::socket_drops(of),
        SignalBody::IcmpErrors(of) => network::icmp_errors(of),
        SignalBody::NeighborFailures(of) => network::neighbor_failures(of),
        SignalBody::DnsQueries(of) => network::dns_queries(of),
        SignalBody::ConntrackUsage(of) => network::conntrack_usage(*of),
        SignalBody::EphemeralPortUsage(of) => network::ephemeral_port_usage(of),
        SignalBody::ResourceUsage(of) => resource::resource_usage(of),
        SignalBody::FilesystemUsage(of) => resource::filesystem_usage(of),
        SignalBody::BlockIo(of) => resource::block_io(of),
        SignalBody::WaitProfile(of) => resource::wait_profile(of),
        SignalBody::ContainerStart(of) => node::container_start(of),
        SignalBody::CgroupRemoved { lifetime_ns } => node::cgroup_removed(*lifetime_ns),
        SignalBody::NodeEvent(of) => node::node_event(of),
        SignalBody::DaemonExit(of) => node::daemon_exit(*of),
        SignalBody::Unknown => "of a newer version".to_owned(),
    }
}

/// An address with its port; a unix socket has none.
pub(in crate::commands) fn address(of: &SocketAddress) -> String {
    if of.port == 0 {
        of.address.clone()
    } else if of.address.contains(':') {
        format!("[{}]:{}", of.address, of.port)
    } else {
        format!("{}:{}", of.address, of.port)
    }
}

/// Nanoseconds as milliseconds.
pub(in crate::commands) fn millis(nanos: u64) -> String {
    format!("{:.1} ms", nanos as f64 / 1e6)
}

/// The item that weighs most, worded, and how many others there are.
fn most<T, W: Ord>(items: &[T], weight: impl Fn(&T) -> W, word: impl Fn(&T) -> String) -> String {
    let Some(top) = items.iter().max_by_key(|item| weight(item)) else {
        return "nothing named".to_owned();
    };
    match items.len() {
        1 => word(top),
        n => format!("{}, and {}", word(top), text::count(n as u64 - 1, "other")),
    }
}

const fn gap_reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::AgentRestarted => "agent restarted",
        GapReason::AgentStopped => "agent stopped",
        GapReason::NodeRebooted => "node rebooted",
        GapReason::Unknown => "unknown reason",
    }
}

/// The name of a Linux signal, of those that end processes by default.
fn signal_name(number: u32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        16 => "SIGSTKFLT",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        26 => "SIGVTALRM",
        27 => "SIGPROF",
        29 => "SIGIO",
        30 => "SIGPWR",
        31 => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn what(body: Value) -> String {
        let mut signal = json!({"id": "a-1", "observedAt": "2026-01-31T10:00:00Z"});
        signal
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        cells(&signal)[4].clone()
    }

    #[test]
    fn says_in_one_line_what_was_observed() {
        let cases = [
            (json!({"processExit": {"code": 3}}), "exit code 3"),
            (
                json!({"processExit": {"signal": 11, "coreDumped": true}}),
                "ended by SIGSEGV, core dumped",
            ),
            (
                json!({"processExec": {"filename": "/bin/true"}}),
                "/bin/true",
            ),
            (
                json!({"fatalSignal": {"signal": 9, "origin": "ORIGIN_USER",
                    "sender": {"pid": 7, "comm": "bash"}}}),
                "SIGKILL from bash[7]",
            ),
            (
                json!({"fatalSignal": {"signal": 11, "origin": "ORIGIN_FAULT", "faultAddress": "0"}}),
                "SIGSEGV, fault at 0x0",
            ),
            (
                json!({"oomKill": {"scope": "SCOPE_MEMCG", "limiting": 0,
                    "chain": [{"name": "shop", "maxBytes": "50331648"}],
                    "victimUsage": {"anonBytes": "47185920"}}}),
                "killed for memory: shop at 48.0 MiB, victim held 45.0 MiB",
            ),
            (
                json!({"oomKill": {"scope": "SCOPE_GLOBAL"}}),
                "killed for memory: the node ran out, victim held 0 B",
            ),
            (
                json!({"coverageGap": {"start": "2026-01-31T10:00:00Z",
                    "end": "2026-01-31T10:00:03.2Z", "reason": "REASON_AGENT_RESTARTED"}}),
                "not watched for 3.2 s (agent restarted)",
            ),
            (json!({"dnsForecast": {}}), "of a newer version"),
        ];
        for (body, expected) in cases {
            assert_eq!(what(body.clone()), expected, "{body}");
        }
    }

    #[test]
    fn says_in_one_line_what_failed_or_was_refused() {
        let cases = [
            (
                json!({"processExit": {"code": 1, "lastWords": [
                    {"syscall": "openat", "errno": "ENOENT", "path": "/etc/app.yaml"}]}}),
                "exit code 1; last failure: openat /etc/app.yaml ENOENT",
            ),
            (
                json!({"syscallFailures": {"failures": [
                    {"syscall": "openat", "errno": "ENOENT", "count": "3"},
                    {"syscall": "connect", "errno": "ECONNREFUSED", "count": "9"}]}}),
                "connect failed with ECONNREFUSED 9 times, and 1 other",
            ),
            (
                json!({"denials": {"denials": [{"kind": "KIND_CAPABILITY",
                    "capability": "CAP_NET_ADMIN", "syscall": "socket", "count": "1"}]}}),
                "capability missing: CAP_NET_ADMIN socket",
            ),
            (
                json!({"execFailure": {"filename": "/app/run", "errno": "ENOEXEC", "machine": "aarch64"}}),
                "exec /app/run failed with ENOEXEC (built for aarch64)",
            ),
            (
                json!({"pidsLimitHit": {"limiting": {"path": "/shop"}, "max": "20", "current": "20", "count": "7"}}),
                "7 forks failed: /shop is at 20 of 20 tasks",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(what(body.clone()), expected, "{body}");
        }
    }

    #[test]
    fn says_in_one_line_what_happened_on_the_network() {
        let cases = [
            (
                json!({"packetDrops": {"drops": [{"reason": "NETFILTER_DROP", "netfilter": true,
                    "protocol": "tcp", "source": {"address": "10.0.0.1", "port": 4000},
                    "destination": {"address": "fd00::2", "port": 80}, "count": "5"}]}}),
                "5 packets dropped (NETFILTER_DROP): tcp 10.0.0.1:4000 to [fd00::2]:80",
            ),
            (
                json!({"tcpFlows": {"flows": [{"direction": "DIRECTION_OUT", "attempts": "9",
                    "established": "9", "peer": {"address": "10.0.0.3", "port": 80}},
                    {"direction": "DIRECTION_OUT", "attempts": "4",
                    "established": "1", "refused": "3", "peer": {"address": "10.0.0.2", "port": 5432}}]}}),
                "4 connections to 10.0.0.2:5432: 1 established, 3 refused, and 1 other",
            ),
            (
                json!({"listenOverflow": {"overflows": "12", "listeners": [{"local":
                    {"address": "0.0.0.0", "port": 80}, "queued": 6, "max": 5, "owner": {"pid": 7, "comm": "web"}}]}}),
                "12 connections found the accept queue full at 0.0.0.0:80 web[7] (6 of 5 wait)",
            ),
            (
                json!({"dnsQueries": {"resolver": {"address": "10.0.0.10", "port": 53}, "total": "4",
                    "nxdomain": "4", "queries": [{"name": "db.shop", "type": "A", "count": "4"}]}}),
                "4 queries to 10.0.0.10:53, 4 NXDOMAIN, db.shop A",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(what(body.clone()), expected, "{body}");
        }
    }

    #[test]
    fn says_in_one_line_what_is_used_and_what_the_node_did() {
        let cases = [
            (
                json!({"resourceUsage": {"memoryBytes": "1048576", "memoryMaxBytes": "2097152",
                    "cpuThrottledPeriods": "3", "pids": "4", "pidsMax": "20"}}),
                "memory 1.0 MiB of 2.0 MiB, throttled in 3 periods, tasks 4 of 20",
            ),
            (
                json!({"filesystemUsage": {"mountPoint": "/data", "sizeBytes": "1048576",
                    "availableBytes": "0", "failedWrites": "2"}}),
                "/data: 0 B of 1.0 MiB free, 2 writes failed",
            ),
            (
                json!({"waitProfile": {"shares": [{"state": "STATE_FUTEX", "share": 0.93},
                    {"state": "STATE_ON_CPU", "share": 0.07}]}}),
                "93 % waiting for a lock or condition, and 1 other",
            ),
            (
                json!({"nodeEvent": {"kind": "KIND_CLOCK_STEP", "stepNs": "-2000000"}}),
                "the clock stepped back by 2.0 ms",
            ),
            (
                json!({"daemonExit": {"role": "ROLE_KUBELET", "signal": 9}}),
                "kubelet ended by SIGKILL",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(what(body.clone()), expected, "{body}");
        }
    }

    #[test]
    fn shows_a_row_for_what_it_cannot_read() {
        let cells = cells(&json!({"id": "a-1", "observedAt": 7}));
        assert_eq!(cells[4], "this version cannot read it");
        assert_eq!(cells[6], "a-1");
    }
}
