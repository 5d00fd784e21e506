//! What the kernel side counts about the network, taken out of its maps once a second. Must not decide what a count
//! means.

mod drops;
mod flows;
mod icmp;
mod neighbors;
mod socket_drops;

use std::time::Duration;

use aya::Ebpf;
use inquest_agent_abi::Counted;
use inquest_proto::v1::{self, loss::Stage};
use tracing::debug;

use super::namespaces::ShortageDesk;
use crate::{
    attribute::Attributor,
    collect::{clock::ktime_now_ns, counted::Generations, ring_buffer::OpenError, source::Source},
    kernel::Kernel,
    loss::Losses,
};
use drops::Drops;
use flows::Flows;
use icmp::Icmp;
use neighbors::Neighbors;
use socket_drops::SocketDrops;

/// Time between two readings, and so the length of a window.
const INTERVAL: Duration = Duration::from_secs(1);

/// As what each map's lack of room is told.
const UNCOUNTED: [(Counted, &str); 6] = [
    (Counted::Drops, "drop_map"),
    (Counted::Flows, "flow_map"),
    (Counted::OtherFlows, "flow_map"),
    (Counted::SocketDrops, "socket_drop_map"),
    (Counted::NeighborFailures, "neighbor_map"),
    (Counted::IcmpErrors, "icmp_map"),
];

/// All of it, read at once.
pub(crate) struct Network {
    generations: Generations,
    drops: Drops,
    flows: Flows,
    socket_drops: SocketDrops,
    neighbors: Neighbors,
    icmp: Icmp,
    /// When the generation before began to count, and when the present one did.
    began_ktime_ns: [u64; 2],
}

/// A span of kernel time, from when that was counted which is taken out to when it is.
#[derive(Clone, Copy, Debug)]
struct Window {
    start_ktime_ns: u64,
    end_ktime_ns: u64,
}

impl Network {
    /// Takes the maps out of `ebpf`, whose programs read `kernel`. Shortages of local ports are handed in at the desk.
    pub(crate) fn open(
        ebpf: &mut Ebpf,
        generations: Generations,
        kernel: &Kernel,
        shortage_desk: Option<ShortageDesk>,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            generations,
            drops: Drops::open(ebpf, kernel.drop_reasons.clone())?,
            flows: Flows::open(ebpf, kernel.reset_reasons.clone(), shortage_desk)?,
            socket_drops: SocketDrops::open(ebpf)?,
            neighbors: Neighbors::open(ebpf)?,
            icmp: Icmp::open(ebpf)?,
            began_ktime_ns: [ktime_now_ns(); 2],
        })
    }

    /// Adds what found no room in a map to `losses`.
    fn count_uncounted(&mut self, losses: &mut Losses) {
        for (which, reason) in UNCOUNTED {
            match self.generations.uncounted_since(which) {
                Ok(count) => losses.add(Stage::RingBuffer, reason, count),
                Err(error) => debug!(%error, reason, "failed to read what was not counted"),
            }
        }
    }
}

impl Source for Network {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn read(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal> {
        let [start_ktime_ns, present] = self.began_ktime_ns;
        let window = Window {
            start_ktime_ns,
            end_ktime_ns: ktime_now_ns(),
        };
        self.began_ktime_ns = [present, window.end_ktime_ns];
        let generations = &mut self.generations;
        let drops = self.drops.read(generations, window, attributor);
        let flows = self.flows.read(generations, window, attributor);
        let socket_drops = self.socket_drops.read(generations, window, attributor);
        let neighbors = self.neighbors.read(generations, window, attributor);
        let icmp = self.icmp.read(generations, window, attributor);
        self.count_uncounted(losses);
        [drops, flows, socket_drops, neighbors, icmp].concat()
    }

    fn shed(&mut self) {
        self.flows.tell_all();
    }
}

/// Returns the usual name of a protocol that IP carries, or its number.
fn protocol_name(protocol: u8) -> String {
    match protocol {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_protocols_as_people_do() {
        for (number, name) in [
            (6, "tcp"),
            (17, "udp"),
            (1, "icmp"),
            (58, "icmpv6"),
            (47, "47"),
        ] {
            assert_eq!(protocol_name(number), name);
        }
    }
}
