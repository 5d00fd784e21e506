//! Builders of wire signals, plausible and distinct. Must not judge what a signal means.

use inquest_proto::v1;
use pbjson_types::Timestamp;

/// Names a signal as an agent does: its process's start id and a number counting from 1.
pub fn id(start_id: u64, number: u64) -> String {
    format!("{start_id:016x}-{number}")
}

/// A process that ended with code 1 in its own short-lived cgroup.
pub fn process_exit(id: String, observed_at: Timestamp, pid: u32) -> v1::Signal {
    let body = v1::signal::Body::ProcessExit(v1::ProcessExit {
        code: 1,
        ..Default::default()
    });
    of_process(id, observed_at, pid, body)
}

/// A victim of the OOM killer in `/crash/<pid>`, whose parent cgroup was at its limit of 32 MiB.
pub fn oom_kill(id: String, observed_at: Timestamp, pid: u32) -> v1::Signal {
    const LIMIT: u64 = 32 << 20;
    let level = |name: String, max_bytes| v1::MemoryCgroup {
        name,
        usage_bytes: LIMIT,
        max_bytes,
        ..Default::default()
    };
    let body = v1::signal::Body::OomKill(v1::OomKill {
        scope: v1::oom_kill::Scope::Memcg.into(),
        chain: vec![
            level(pid.to_string(), None),
            level("crash".to_owned(), Some(LIMIT)),
            level(String::new(), None),
        ],
        limiting: Some(1),
        victim_usage: Some(v1::MemoryUsage {
            anon_bytes: LIMIT - (1 << 20),
            ..Default::default()
        }),
        ..Default::default()
    });
    of_process(id, observed_at, pid, body)
}

fn of_process(id: String, observed_at: Timestamp, pid: u32, body: v1::signal::Body) -> v1::Signal {
    v1::Signal {
        id,
        observed_at: Some(observed_at),
        ktime_ns: u64::from(pid) * 1_000,
        subject: Some(v1::Subject {
            cgroup: Some(v1::Cgroup {
                id: u64::from(pid),
                hierarchy: 0,
                path: format!("/crash/{pid}"),
            }),
            process: Some(v1::Process {
                pid,
                start_ktime_ns: u64::from(pid),
                comm: "worker".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        body: Some(body),
        ..Default::default()
    }
}
