//! The check of addresses on a link that nobody answers for.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::ensure;
use inquest_proto::v1::signal::Body;

use super::{
    actor::{self, Actor},
    check::{Check, Place},
    link,
};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// At the other end there is nobody at all.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PORT: u16 = 9;
/// Longest wait for the kernel to give up, which it does after three questions, a second each.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) const CHECK: Check = Check {
    name: "neighbor_failures",
    probe: Some("neigh_timer_handler"),
    expects: "the address that nobody answered for, and the device",
    place: Place {
        network: true,
        ..Place::CGROUP
    },
    act: connect_to_nobody_on_the_link,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::NeighborFailures(failures)) => {
            let is_ours = failures.failures.iter().any(|failure| {
                failure.address == NOBODY.to_string()
                    && failure.interface == deed.fact("device")
                    && failure.count == 1
            });
            // Not whose namespace it is: nobody executed in it, and its inode may be one that another check's had.
            failures.netns == deed.netns && is_ours
        }
        _ => false,
    },
};

fn connect_to_nobody_on_the_link(_: &Actor) -> anyhow::Result<()> {
    actor::tell("device", link::make_link(HERE)?)?;
    let address = SocketAddr::from((NOBODY, PORT));
    let refused = TcpStream::connect_timeout(&address, PATIENCE).err();
    // What the kernel says once it has given up.
    ensure!(
        refused.and_then(|error| error.raw_os_error()) == Some(libc::EHOSTUNREACH),
        "the kernel did not say that {NOBODY} cannot be reached"
    );
    Ok(())
}
