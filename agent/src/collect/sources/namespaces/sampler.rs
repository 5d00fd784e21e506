//! Goes round the network namespaces of the node, each by one of the processes in it, and finds what went wrong since the
//! last time. Runs on a thread that may block; must not hand anything on itself.

use std::{collections::HashMap, fs, sync::Arc, time::Duration};

use inquest_proto::v1::{
    ConntrackUsage, EphemeralPortUsage, FullListener, ListenOverflow, SocketAddress, signal::Body,
};

use super::{
    counters::{Counters, Sockets},
    listeners::{self, Listener},
    owners::Owners,
};
use crate::collect::{cgroupfs::CgroupFs, procfs};

/// Time between two rounds. Each costs some 50 us a namespace and 5 us a process.
pub(super) const ROUND: Duration = Duration::from_secs(5);
/// Namespaces looked at; more than a node runs pods. Those found last are left out.
const MAX_NAMESPACES: usize = 512;
/// Processes looked at for the namespace they are in.
const MAX_PROCESSES: usize = 20_000;
/// Full listeners named in one signal.
const MAX_LISTENERS: usize = 16;
/// Share of its maximum from which on the connection tracking table is told of, in percent.
const CONNTRACK_TOLD_PERCENT: u64 = 80;
/// Share of the ephemeral ports in use from which on they are told of, in percent.
const PORTS_TOLD_PERCENT: u64 = 80;
const CONNTRACK_MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// One thing that is to be told of a namespace, still without the begin of its window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) netns: u32,
    /// Of whom it is, 0 when only the namespace tells.
    pub(super) cgroup: u64,
    pub(super) start_ktime_ns: u64,
    pub(super) ktime_ns: u64,
    pub(super) body: Body,
}

/// A connect that found no local port, told by the kernel side.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct PortShortage {
    pub(in super::super) netns: u32,
    pub(in super::super) cgroup: u64,
    pub(in super::super) start_ktime_ns: u64,
    /// How often, and where to most of them went.
    pub(in super::super) exhausted: u64,
    pub(in super::super) peer: Option<SocketAddress>,
}

/// Looks at the namespaces of the node in turn.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    known: HashMap<u32, Known>,
    /// When the last round was; `None` before the first.
    looked_ktime_ns: Option<u64>,
    owners: Owners,
}

/// What is remembered of a namespace from one round to the next.
#[derive(Debug)]
struct Known {
    /// A process in it.
    pid: u32,
    before: Counters,
}

impl Sampler {
    /// Prepares to look at namespaces; `cgroups` names those that own a listener.
    pub(super) fn new(cgroups: Arc<CgroupFs>) -> Self {
        Self {
            owners: Owners {
                cgroups: Some(cgroups),
            },
            ..Self::default()
        }
    }

    /// Returns what is to be told by now.
    pub(super) fn round(&mut self, ktime_ns: u64) -> Vec<Finding> {
        self.find_namespaces();
        let start_ktime_ns = self.looked_ktime_ns.replace(ktime_ns).unwrap_or(ktime_ns);
        let mut findings = Vec::new();
        let mut known = std::mem::take(&mut self.known);
        known.retain(|netns, known| {
            let Some(now) = Counters::read(known.pid) else {
                return false;
            };
            let since = now.since(known.before);
            known.before = now;
            let bodies = self.told(*netns, known.pid, since);
            findings.extend(bodies.into_iter().map(|(cgroup, body)| Finding {
                netns: *netns,
                cgroup,
                start_ktime_ns,
                ktime_ns,
                body,
            }));
            true
        });
        self.known = known;
        findings
    }

    /// Returns the state of the ports where a connect found none.
    pub(super) fn ports(&mut self, shortage: PortShortage, ktime_ns: u64) -> Finding {
        let pid = match self.known.get(&shortage.netns) {
            Some(known) => Some(known.pid),
            None => pids().find(|pid| procfs::netns(*pid) == Some(shortage.netns)),
        };
        let sockets = pid.and_then(Counters::read).unwrap_or_default().sockets;
        let range = pid.and_then(port_range);
        let body = EphemeralPortUsage {
            exhausted: shortage.exhausted,
            peer: shortage.peer,
            ..port_usage(shortage.netns, sockets, range)
        };
        Finding {
            netns: shortage.netns,
            cgroup: shortage.cgroup,
            start_ktime_ns: shortage.start_ktime_ns,
            ktime_ns,
            body: Body::EphemeralPortUsage(body),
        }
    }

    /// Finds the namespaces that there are now. Of one that was not there when this began, everything counted is new.
    fn find_namespaces(&mut self) {
        let is_first = self.looked_ktime_ns.is_none();
        let mut found = HashMap::new();
        for pid in pids() {
            let Some(netns) = procfs::netns(pid) else {
                continue;
            };
            found.entry(netns).or_insert(pid);
        }
        self.known.retain(|netns, _| found.contains_key(netns));
        for (netns, pid) in found {
            if let Some(known) = self.known.get_mut(&netns) {
                known.pid = pid;
            } else if self.known.len() < MAX_NAMESPACES {
                let before = if is_first {
                    Counters::read(pid).unwrap_or_default()
                } else {
                    Counters::default()
                };
                self.known.insert(netns, Known { pid, before });
            }
        }
    }

    fn told(&mut self, netns: u32, pid: u32, since: Counters) -> Vec<(u64, Body)> {
        let mut told = Vec::new();
        if since.overflows > 0 || since.listen_drops > 0 {
            let (cgroup, body) = self.overflow(netns, pid, since);
            told.push((cgroup, Body::ListenOverflow(body)));
        }
        if let Some(body) = conntrack(netns, since) {
            told.push((0, Body::ConntrackUsage(body)));
        }
        if let Some(body) = crowded_ports(netns, pid, since.sockets) {
            told.push((0, Body::EphemeralPortUsage(body)));
        }
        told
    }

    fn overflow(&mut self, netns: u32, pid: u32, since: Counters) -> (u64, ListenOverflow) {
        // Without CAP_SYS_ADMIN it is told without the socket.
        let mut full = listeners::within(pid, listeners::list).unwrap_or_default();
        full.retain(Listener::is_full);
        full.truncate(MAX_LISTENERS);
        let inodes: Vec<u32> = full.iter().map(|listener| listener.inode).collect();
        let owners = self.owners.find(netns, &inodes);
        let cgroup = owners.cgroup();
        let listeners = full.iter().map(|listener| FullListener {
            local: Some(SocketAddress {
                address: listener.address.to_string(),
                port: u32::from(listener.port),
            }),
            queued: listener.queued,
            max: listener.max,
            owner: owners.process(listener.inode),
        });
        let body = ListenOverflow {
            start: None,
            netns: u64::from(netns),
            overflows: since.overflows,
            drops: since.listen_drops,
            listeners: listeners.collect(),
        };
        (cgroup, body)
    }
}

fn pids() -> impl Iterator<Item = u32> {
    procfs::all_pids(MAX_PROCESSES).into_iter()
}

/// Returns the state of the connection tracking table when that is nearly full, or could not take a connection.
fn conntrack(netns: u32, since: Counters) -> Option<ConntrackUsage> {
    let tracked = since.tracked?;
    // One maximum for all namespaces.
    let max = fs::read_to_string(CONNTRACK_MAX).ok()?;
    let max: u64 = max.trim().parse().ok()?;
    let failed = tracked.insert_failed + tracked.drop + tracked.early_drop;
    let is_told = failed > 0 || tracked.entries * 100 >= max * CONNTRACK_TOLD_PERCENT;
    is_told.then(|| ConntrackUsage {
        netns: u64::from(netns),
        entries: tracked.entries,
        max,
        start: None,
        insert_failed: tracked.insert_failed,
        drop: tracked.drop,
        early_drop: tracked.early_drop,
    })
}

/// Returns the state of the ports when most are in use.
fn crowded_ports(netns: u32, pid: u32, sockets: Sockets) -> Option<EphemeralPortUsage> {
    let used = sockets.in_use + sockets.time_wait;
    // The smallest range worth having: fewer sockets cannot crowd it, and asking for it costs a visit.
    if used < 1000 {
        return None;
    }
    let (first, last) = port_range(pid)?;
    let ports = u64::from(last.saturating_sub(first)) + 1;
    (used * 100 >= ports * PORTS_TOLD_PERCENT)
        .then(|| port_usage(netns, sockets, Some((first, last))))
}

fn port_usage(netns: u32, sockets: Sockets, range: Option<(u32, u32)>) -> EphemeralPortUsage {
    let (first_port, last_port) = range.unwrap_or_default();
    EphemeralPortUsage {
        start: None,
        netns: u64::from(netns),
        first_port,
        last_port,
        time_wait: sockets.time_wait,
        in_use: sockets.in_use + sockets.time_wait,
        exhausted: 0,
        peer: None,
    }
}

/// Returns the first and the last ephemeral port of the namespace that process `pid` is in. Needs CAP_SYS_ADMIN.
fn port_range(pid: u32) -> Option<(u32, u32)> {
    let range = listeners::within(pid, || fs::read_to_string(PORT_RANGE)).ok()?;
    let mut ports = range.split_ascii_whitespace();
    Some((ports.next()?.parse().ok()?, ports.next()?.parse().ok()?))
}

/// Sets the begin of the window that a body is over.
pub(super) fn set_start(body: &mut Body, start: pbjson_types::Timestamp) {
    match body {
        Body::ListenOverflow(ListenOverflow { start: field, .. })
        | Body::ConntrackUsage(ConntrackUsage { start: field, .. })
        | Body::EphemeralPortUsage(EphemeralPortUsage { start: field, .. }) => {
            *field = Some(start);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{super::counters::Tracked, *};

    fn since(tracked: Tracked) -> Counters {
        Counters {
            tracked: Some(tracked),
            ..Counters::default()
        }
    }

    #[test]
    fn tells_of_a_table_only_when_it_failed_or_is_nearly_full() {
        if fs::read_to_string(CONNTRACK_MAX).is_err() {
            return testkit::skip("this kernel tracks no connections");
        }
        let failed = Tracked {
            drop: 1,
            ..Tracked::default()
        };
        assert_eq!(conntrack(7, since(failed)).unwrap().drop, 1);
        let full = Tracked {
            entries: u64::from(u32::MAX),
            ..Tracked::default()
        };
        assert!(conntrack(7, since(full)).is_some());
        assert_eq!(conntrack(7, since(Tracked::default())), None);
        assert_eq!(conntrack(7, Counters::default()), None);
    }

    #[test]
    fn looks_at_the_namespaces_that_there_are_and_has_nothing_to_tell_of_the_past() {
        let mut sampler = Sampler::default();
        let first = sampler.round(1);
        assert!(
            first
                .iter()
                .all(|finding| !matches!(finding.body, Body::ListenOverflow(_))),
            "{first:?}"
        );
        let own = procfs::netns(std::process::id()).unwrap();
        assert!(sampler.known.contains_key(&own));
    }
}
