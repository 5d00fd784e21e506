//! One signal as one line of a table. Must conclude nothing from it.

use inquest_api::signal;
use inquest_engine::model::signal::{
    FatalSignal, GapReason, OomKill, OomScope, Process, ProcessExit, SignalOrigin,
};
use inquest_engine::model::{NodeName, Signal, SignalBody, Timestamp};
use serde_json::Value;

use crate::output::table::{Column, column, wide};
use crate::output::text;

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
    column("KIND").at_least(12),
    column("PROCESS").at_least(20),
    column("WHAT"),
    wide("CGROUP"),
    wide("ID"),
];

/// `signal/ID`.
pub(super) fn name(signal: &Value) -> String {
    format!("signal/{}", id(signal))
}

/// When it happened, for sorting; unreadable times come first.
pub(super) fn time(signal: &Value) -> Option<jiff::Timestamp> {
    signal.get("observedAt")?.as_str()?.parse().ok()
}

/// The cells of its row; what this version cannot read is said so.
pub(super) fn cells(signal: &Value) -> [String; 7] {
    let read = signal::from_json(signal.clone()).ok();
    let read = read.and_then(|wire| signal::to_engine(&wire, &NodeName::default()).ok());
    match read {
        Some(signal) => known(&signal),
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

fn known(signal: &Signal) -> [String; 7] {
    let subject = &signal.subject;
    let cgroup = subject.cgroup.as_ref();
    let (kind, what) = describe(&signal.body);
    [
        clock(signal.observed_at),
        signal.node.0.clone(),
        kind.to_owned(),
        subject.process.as_ref().map(process).unwrap_or_default(),
        what,
        cgroup
            .and_then(|cgroup| cgroup.path.clone())
            .unwrap_or_default(),
        signal.id.0.clone(),
    ]
}

fn clock(at: Timestamp) -> String {
    let at = inquest_api::time::Time::from(at).0;
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn process(process: &Process) -> String {
    format!("{}[{}]", process.comm, process.pid)
}

/// The kind as `--kind` takes it, and what was observed.
fn describe(body: &SignalBody) -> (&'static str, String) {
    match body {
        SignalBody::OomKill(kill) => ("oom_kill", oom_kill(kill)),
        SignalBody::ProcessExit(exit) => ("process_exit", process_exit(*exit)),
        SignalBody::ProcessExec { filename } => ("process_exec", filename.clone()),
        SignalBody::FatalSignal(signal) => ("fatal_signal", fatal_signal(signal)),
        SignalBody::CoverageGap { start, end, reason } => {
            let seconds = end.since(*start).as_secs_f64();
            let what = format!("not watched for {seconds:.1} s ({})", gap_reason(*reason));
            ("coverage_gap", what)
        }
        SignalBody::Unknown => ("<unknown>", "of a newer version".to_owned()),
    }
}

fn oom_kill(kill: &OomKill) -> String {
    let held = kill.victim_usage;
    let held = held
        .anon_bytes
        .saturating_add(held.file_bytes)
        .saturating_add(held.shmem_bytes);
    let held = text::bytes(held);
    let limiting = kill.limiting.and_then(|index| kill.chain.get(index));
    match (limiting, kill.scope) {
        (Some(level), _) => {
            let limit = level.max_bytes.map_or("its limit".to_owned(), text::bytes);
            format!(
                "killed for memory: {} at {limit}, victim held {held}",
                level.name
            )
        }
        (None, OomScope::Global) => {
            format!("killed for memory: the node ran out, victim held {held}")
        }
        (None, _) => format!("killed for memory, victim held {held}"),
    }
}

fn process_exit(exit: ProcessExit) -> String {
    let core = if exit.core_dumped {
        ", core dumped"
    } else {
        ""
    };
    if exit.signal == 0 {
        format!("exit code {}", exit.code)
    } else {
        format!("ended by {}{core}", signal_name(exit.signal))
    }
}

fn fatal_signal(signal: &FatalSignal) -> String {
    let name = signal_name(signal.signal);
    match (signal.origin, &signal.sender, signal.fault_address) {
        (SignalOrigin::Kernel, ..) => format!("{name} from the kernel"),
        (SignalOrigin::User, Some(sender), _) => format!("{name} from {}", process(sender)),
        (SignalOrigin::Fault, _, Some(address)) => format!("{name}, fault at {address:#x}"),
        (SignalOrigin::Fault, ..) => format!("{name}, a fault"),
        _ => format!("{name} from an unknown sender"),
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
            (json!({"dnsFailure": {}}), "of a newer version"),
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
