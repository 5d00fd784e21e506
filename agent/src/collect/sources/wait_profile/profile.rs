//! Adds up the time of a cgroup's threads to shares by state. Must not read maps.

use std::{collections::BTreeMap, fs, net::IpAddr};

use inquest_agent_abi::WaitPeer;
use inquest_proto::v1::{self, wait_share::State};

use super::{
    state::{state, syscall_name},
    wait_maps::Spent,
};
use crate::collect::procfs;

/// `AF_INET` and `AF_INET6` as the kernel has them.
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// The time of all threads in one state.
#[derive(Debug, Default)]
struct Sum {
    total_ns: u64,
    longest_ns: u64,
    open_threads: u32,
    by_thread: BTreeMap<(u32, u32), u64>,
    by_syscall: BTreeMap<u32, u64>,
    by_peer: BTreeMap<([u8; 16], u16, u16), u64>,
}

/// Returns the shares of the states in which time was spent, largest first.
pub(super) fn shares(counted: &[Spent]) -> Vec<v1::WaitShare> {
    let mut sums: BTreeMap<State, Sum> = BTreeMap::new();
    for spent in counted {
        sums.entry(state(spent.reason)).or_default().add(spent);
    }
    let all_ns: u64 = sums.values().map(|sum| sum.total_ns).sum();
    let mut shares: Vec<_> = sums
        .iter()
        .filter(|(_, sum)| sum.total_ns > 0)
        .map(|(state, sum)| sum.share(*state, all_ns))
        .collect();
    shares.sort_by(|one, other| other.share.total_cmp(&one.share));
    shares
}

impl Sum {
    fn add(&mut self, spent: &Spent) {
        self.total_ns += spent.total_ns;
        self.longest_ns = self.longest_ns.max(spent.longest_ns);
        self.open_threads += u32::from(spent.is_open);
        if spent.tid != 0 {
            *self.by_thread.entry((spent.tid, spent.pid)).or_default() += spent.total_ns;
        }
        *self.by_syscall.entry(spent.reason.syscall).or_default() += spent.total_ns;
        if spent.peer.family != 0 {
            let WaitPeer {
                address,
                port,
                family,
                ..
            } = spent.peer;
            *self.by_peer.entry((address, port, family)).or_default() += spent.total_ns;
        }
    }

    fn share(&self, state: State, all_ns: u64) -> v1::WaitShare {
        let syscall = most(&self.by_syscall).map(|number| syscall_name(*number));
        v1::WaitShare {
            state: state.into(),
            share: self.total_ns as f64 / all_ns as f64,
            longest_ns: self.longest_ns,
            peer: most(&self.by_peer).and_then(|peer| socket_address(*peer)),
            thread: most(&self.by_thread).map(|(tid, pid)| thread(*tid, *pid)),
            syscall: syscall.unwrap_or_default(),
            threads: self.open_threads,
        }
    }
}

fn most<K>(sums: &BTreeMap<K, u64>) -> Option<&K> {
    sums.iter().max_by_key(|(_, sum)| **sum).map(|(key, _)| key)
}

fn socket_address((address, port, family): ([u8; 16], u16, u16)) -> Option<v1::SocketAddress> {
    let ip = match family {
        AF_INET => IpAddr::from(*address.first_chunk::<4>()?),
        AF_INET6 => IpAddr::from(address),
        _ => return None,
    };
    Some(v1::SocketAddress {
        address: ip.to_canonical().to_string(),
        port: port.into(),
    })
}

/// Names a thread by its own id and name, which are what `top -H` shows; the name is empty when it is gone.
fn thread(tid: u32, pid: u32) -> v1::Process {
    let comm = procfs::path(pid, &format!("task/{tid}/comm"))
        .and_then(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    v1::Process {
        pid: tid,
        comm: comm.trim_end().to_owned(),
        parent_pid: pid,
        ..v1::Process::default()
    }
}

#[cfg(test)]
mod tests {
    use inquest_agent_abi::{WaitKind, WaitReason};

    use super::*;

    fn spent(tid: u32, kind: WaitKind, syscall: u32, total_ns: u64) -> Spent {
        let reason = WaitReason {
            kind,
            syscall,
            on_socket: 0,
        };
        Spent {
            tid,
            pid: u32::MAX,
            reason,
            total_ns,
            longest_ns: total_ns,
            peer: WaitPeer::NONE,
            is_open: false,
        }
    }

    #[test]
    fn adds_up_to_one_and_puts_the_largest_first() {
        let shares = shares(&[
            spent(1, WaitKind::ON_CPU, u32::MAX, 10),
            spent(2, WaitKind::BLOCKED, 202, 60),
            spent(3, WaitKind::BLOCKED, 202, 20),
            Spent {
                is_open: true,
                ..spent(3, WaitKind::BLOCKED, 230, 10)
            },
        ]);
        let told: Vec<_> = shares
            .iter()
            .map(|share| (share.state(), share.longest_ns, share.threads))
            .collect();
        assert_eq!(
            told,
            [
                (State::Futex, 60, 0),
                (State::OnCpu, 10, 0),
                (State::Sleep, 10, 1)
            ]
        );
        let sum: f64 = shares.iter().map(|share| share.share).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        let futex = &shares[0];
        assert_eq!(futex.syscall, "futex");
        assert_eq!(futex.thread.as_ref().map(|thread| thread.pid), Some(2));
    }

    #[test]
    fn names_the_peer_of_most_time() {
        let to = |last: u8, total_ns| Spent {
            peer: WaitPeer {
                address: {
                    let mut address = [0; 16];
                    address[..4].copy_from_slice(&[10, 0, 0, last]);
                    address
                },
                port: 5432,
                family: AF_INET,
                reserved: 0,
            },
            reason: WaitReason {
                on_socket: 1,
                kind: WaitKind::BLOCKED,
                syscall: 45,
            },
            ..spent(1, WaitKind::BLOCKED, 45, total_ns)
        };
        let shares = shares(&[to(1, 5), to(2, 7), to(1, 3)]);
        let peer = shares[0].peer.clone().unwrap();
        assert_eq!((peer.address.as_str(), peer.port), ("10.0.0.1", 5432));
    }

    #[test]
    fn counts_threads_without_a_total_of_their_own_and_names_none() {
        let shares = shares(&[spent(0, WaitKind::BLOCKED, 202, 5)]);
        assert_eq!(shares[0].thread, None);
        assert!((shares[0].share - 1.0).abs() < 1e-9);
    }

    #[test]
    fn is_empty_without_time() {
        assert_eq!(shares(&[]), []);
        assert_eq!(shares(&[spent(1, WaitKind::ON_CPU, 0, 0)]), []);
    }
}
