//! A pod's network in small: its namespace, a cable, and a namespace that stands for the rest of the
//! cluster. Must not touch the machine's own network.

use std::net::Ipv4Addr;

use super::Namespaces;
use crate::tool::Tool;

/// The address of the pod's end.
pub const POD_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 87, 0, 2);
/// The address of the other end.
pub const PEER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 87, 0, 1);

/// Two network namespaces that reach each other, and nobody else.
#[derive(Debug)]
pub struct Link {
    /// Where the pod's processes run.
    pub pod: Namespaces,
    /// Where the processes run that it talks to.
    pub peer: Namespaces,
}

impl Link {
    /// Makes both ends.
    pub fn create() -> anyhow::Result<Self> {
        let link = Self {
            pod: Namespaces::network()?,
            peer: Namespaces::network()?,
        };
        let there = link.peer.network_path()?;
        link.pod.run(
            Tool::Ip,
            &[
                "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", &there,
            ],
        )?;
        for (end, address) in [(&link.pod, POD_ADDRESS), (&link.peer, PEER_ADDRESS)] {
            let address = format!("{address}/24");
            end.run(Tool::Ip, &["address", "add", &address, "dev", "eth0"])?;
            end.run(Tool::Ip, &["link", "set", "eth0", "up"])?;
        }
        Ok(link)
    }

    /// Gives the pod mounts of its own, too.
    pub fn with_pod_mounts(self) -> anyhow::Result<Self> {
        Ok(Self {
            pod: self.pod.with_mount()?,
            ..self
        })
    }
}
