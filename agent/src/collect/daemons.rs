//! Knows the daemons that the node's containers need, and tells their ends, clean ones too: the kernel side is given their
//! ids. A name alone makes nobody one of them: it has to run where such daemons do.

use std::collections::HashMap;

use aya::{
    Ebpf,
    maps::{HashMap as Map, MapData},
};
use inquest_agent_abi::{DAEMONS, ProcessExec, ProcessExit, names};
use inquest_proto::v1::{self, daemon_exit::Role, signal::Body};
use tracing::debug;

use super::{
    cgroupfs::Memberships,
    procfs,
    ring_buffer::{OpenError, take},
};
use crate::{
    attribute::{Attributor, owner},
    decode,
};

/// Daemons by the file that they run. k3s, RKE2 and MicroK8s have the kubelet in a program of their own.
const BY_PROGRAM: &[(&str, Role)] = &[
    ("kubelet", Role::Kubelet),
    ("hyperkube", Role::Kubelet),
    ("k3s", Role::Kubelet),
    ("k3s-agent", Role::Kubelet),
    ("k3s-server", Role::Kubelet),
    ("rke2", Role::Kubelet),
    ("kubelite", Role::Kubelet),
    ("containerd", Role::Runtime),
    ("crio", Role::Runtime),
    ("cri-dockerd", Role::Runtime),
    ("dockerd", Role::Runtime),
    ("conmon", Role::Shim),
    ("conmonrs", Role::Shim),
    ("kube-proxy", Role::Proxy),
    ("node-cache", Role::Dns),
    ("dnsmasq", Role::Dns),
    ("systemd-resolved", Role::Dns),
];
/// What the programs of containerd's shims begin with; a runtime and a version follow.
const SHIM_PREFIX: &str = "containerd-shim";
/// Processes looked at when the agent starts.
const MAX_LOOKED_AT: usize = 65_536;
/// A program that ends well before was asked something (`kubelet --version`) and is no daemon.
const MIN_LIFETIME_NS: u64 = 10_000_000_000;

/// The daemons that run now.
pub(super) struct Daemons {
    told: Map<MapData, u32, u32>,
    running: HashMap<u32, Daemon>,
}

/// One of them.
#[derive(Clone, Copy)]
struct Daemon {
    role: Role,
    /// 0 when it ran before the agent.
    start_ktime_ns: u64,
}

impl Daemons {
    /// Takes the map of their ids out of `ebpf` and finds those that run already, by their cgroup as `memberships` has it.
    pub(super) fn find(ebpf: &mut Ebpf, memberships: &Memberships) -> Result<Self, OpenError> {
        let name = names::DAEMONS;
        let told =
            Map::try_from(take(ebpf, name)?).map_err(|source| OpenError::Map { name, source })?;
        let mut daemons = Self {
            told,
            running: HashMap::new(),
        };
        for pid in procfs::all_pids(MAX_LOOKED_AT) {
            if let Some(role) = running_role(pid, memberships) {
                let start_ktime_ns = 0;
                daemons.add(
                    pid,
                    Daemon {
                        role,
                        start_ktime_ns,
                    },
                );
            }
        }
        Ok(daemons)
    }

    /// Takes note of a program that may be a daemon.
    pub(super) fn executed(&mut self, exec: &ProcessExec, attributor: &mut Attributor) {
        let pid = exec.process.pid;
        let role = role(program_of(&decode::text(&exec.filename))).filter(|role| {
            let cgroup = attributor.identity(&exec.cgroups);
            let path = attributor.path(cgroup, exec.header.ktime_ns);
            path.is_some_and(|path| is_where_daemons_are(*role, &path))
        });
        match role {
            Some(role) => {
                let start_ktime_ns = exec.process.start_ktime_ns;
                self.add(
                    pid,
                    Daemon {
                        role,
                        start_ktime_ns,
                    },
                );
            }
            // It may have been one until now.
            None => {
                self.remove(pid);
            }
        }
    }

    /// Returns the end of a daemon, `None` when the process was none or its end is as it should be.
    pub(super) fn exited(
        &mut self,
        exit: &ProcessExit,
        attributor: &mut Attributor,
    ) -> Option<v1::Signal> {
        let Daemon {
            role,
            start_ktime_ns,
        } = self.remove(exit.process.pid)?;
        let is_same = [0, exit.process.start_ktime_ns].contains(&start_ktime_ns);
        let ktime_ns = exit.header.ktime_ns;
        let lived_ns = ktime_ns.saturating_sub(exit.process.start_ktime_ns);
        if !is_same || !is_told(role, exit.wait_status, lived_ns) {
            return None;
        }
        let subject = attributor.subject(&exit.process, &exit.cgroups, ktime_ns);
        let daemon_exit = v1::DaemonExit {
            role: role.into(),
            code: exit.wait_status >> 8 & 0xff,
            signal: exit.wait_status & 0x7f,
        };
        Some(attributor.signal(ktime_ns, subject, Body::DaemonExit(daemon_exit)))
    }

    fn add(&mut self, pid: u32, daemon: Daemon) {
        if self.running.len() >= DAEMONS as usize {
            self.forget_the_dead();
        }
        if self.running.len() >= DAEMONS as usize {
            return debug!(pid, "too many daemons, the end of this one is not told");
        }
        self.running.insert(pid, daemon);
        if let Err(error) = self.told.insert(pid, 0, 0) {
            debug!(pid, %error, "a clean end of a daemon will not be told");
        }
    }

    fn remove(&mut self, pid: u32) -> Option<Daemon> {
        let daemon = self.running.remove(&pid)?;
        self.untell(pid);
        Some(daemon)
    }

    /// Those that ended, cleanly, before the kernel side knew of them.
    fn forget_the_dead(&mut self) {
        let dead: Vec<u32> = self
            .running
            .keys()
            .copied()
            .filter(|pid| procfs::program_file(*pid).is_none())
            .collect();
        for pid in dead {
            self.remove(pid);
        }
    }

    fn untell(&mut self, pid: u32) {
        if let Err(error) = self.told.remove(&pid) {
            debug!(pid, %error, "failed to forget a daemon");
        }
    }
}

/// A shim goes when its pod does; whoever lived for a moment was asked something.
fn is_told(role: Role, wait_status: u32, lived_ns: u64) -> bool {
    wait_status != 0 || (role != Role::Shim && lived_ns >= MIN_LIFETIME_NS)
}

fn running_role(pid: u32, memberships: &Memberships) -> Option<Role> {
    let role = role(&procfs::program_file(pid)?)?;
    let path = memberships.of(pid)?;
    is_where_daemons_are(role, &path).then_some(role)
}

fn role(program: &str) -> Option<Role> {
    if program.starts_with(SHIM_PREFIX) {
        return Some(Role::Shim);
    }
    let found = BY_PROGRAM.iter().find(|(name, _)| *name == program);
    found.map(|(_, role)| *role)
}

fn program_of(file: &str) -> &str {
    file.rsplit_once('/').map_or(file, |(_, name)| name)
}

/// Proxy and name server of the node may be pods. The others are in no container, unless that is a node itself, which has
/// units of systemd below its own cgroup.
fn is_where_daemons_are(role: Role, cgroup: &str) -> bool {
    matches!(role, Role::Proxy | Role::Dns)
        || owner(cgroup).container.is_none()
        || cgroup.ends_with(".service")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_daemons_by_their_program() {
        for (file, expected) in [
            ("/usr/bin/kubelet", Some(Role::Kubelet)),
            ("/usr/local/bin/k3s", Some(Role::Kubelet)),
            ("containerd", Some(Role::Runtime)),
            ("/opt/bin/containerd-shim-runc-v2", Some(Role::Shim)),
            ("/usr/lib/systemd/systemd-resolved", Some(Role::Dns)),
            ("/usr/local/bin/kube-proxy", Some(Role::Proxy)),
            ("/usr/bin/kubelet-wrapper", None),
            ("/usr/bin/sh", None),
            ("", None),
        ] {
            assert_eq!(role(program_of(file)), expected, "{file}");
        }
    }

    #[test]
    fn takes_no_container_for_a_daemon_of_the_node() {
        let id = "a".repeat(64);
        let pod = format!("/kubepods/burstable/pod0f6c1b2a-3d4e-5f60-7182-93a4b5c6d7e8/{id}");
        let kind = format!("/system.slice/docker-{id}.scope/kubelet.slice/kubelet.service");
        for (role, cgroup, expected) in [
            (Role::Kubelet, "/system.slice/kubelet.service", true),
            (Role::Runtime, "/", true),
            (Role::Kubelet, &kind, true),
            (Role::Runtime, &pod, false),
            (Role::Proxy, &pod, true),
        ] {
            assert_eq!(is_where_daemons_are(role, cgroup), expected, "{cgroup}");
        }
    }

    #[test]
    fn tells_a_clean_end_of_what_should_have_gone_on() {
        let second = 1_000_000_000;
        for (role, wait_status, lived_ns, expected) in [
            (Role::Kubelet, 0, 60 * second, true),
            (Role::Kubelet, 0, second, false),
            (Role::Kubelet, 1 << 8, second, true),
            (Role::Shim, 0, 60 * second, false),
            (Role::Shim, 9, 60 * second, true),
        ] {
            let told = is_told(role, wait_status, lived_ns);
            assert_eq!(told, expected, "{role:?} {wait_status} {lived_ns}");
        }
    }
}
