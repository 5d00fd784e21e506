//! Datagrams that found a receive buffer full, by socket. Must not judge whether its program could have read faster.

use aya::Ebpf;
use inquest_agent_abi::{Counted, SocketDropKey, names};
use inquest_proto::v1::{self, signal::Body};
use tracing::debug;

use super::Window;
use crate::{
    attribute::Attributor,
    collect::{
        address::socket_address,
        counted::{CountedMap, Generations},
        ring_buffer::OpenError,
    },
};

/// The map of sockets.
pub(super) struct SocketDrops(CountedMap<SocketDropKey, u64>);

impl SocketDrops {
    /// Takes the map out of `ebpf`.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        CountedMap::open(ebpf, Counted::SocketDrops, names::SOCKET_DROPS).map(Self)
    }

    /// Returns what was dropped, one signal for each socket.
    pub(super) fn read(
        &mut self,
        generations: &mut Generations,
        window: Window,
        attributor: &mut Attributor,
    ) -> Vec<v1::Signal> {
        let counted = match self.0.drain(generations) {
            Ok(counted) => counted,
            Err(error) => {
                debug!(%error, "failed to read the map of datagrams that sockets did not take");
                return Vec::new();
            }
        };
        let signals = counted.into_iter().map(|(key, count)| {
            let subject = attributor.netns_subject(key.netns, key.cgroup, window.end_ktime_ns);
            let body = v1::SocketDrops {
                start: Some(attributor.wall(window.start_ktime_ns)),
                netns: u64::from(key.netns),
                local: socket_address(key.ip_version, key.local, key.port),
                count,
            };
            attributor.signal(window.end_ktime_ns, subject, Body::SocketDrops(body))
        });
        signals.collect()
    }
}
