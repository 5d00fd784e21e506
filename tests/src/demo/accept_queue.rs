//! A server listens and accepts nobody, so that its clients find the queue full.

use std::net::SocketAddr;

use inquest_proto::v1::{self, signal::Body};

use super::play::{About, BY_COUNTERS, Played, Props, Stored, is_address, name, process};
use crate::namespaces::{Link, POD_ADDRESS};
use crate::scratch::Scratch;
use crate::victim::{Act, Launcher};

const PORT: u16 = 8080;
const BACKLOG: u8 = 1;
/// Beside the one that is listened to.
const OTHER_CLIENTS: usize = 3;
/// The kernel takes one connection more than the backlog.
const ACCEPTED_BY_THE_KERNEL: usize = BACKLOG as usize + 1;

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let link = Link::create()?;
    let at = SocketAddr::from((POD_ADDRESS, PORT));
    let cgroup = Scratch::create(None)?;
    let listen = Act::AcceptNobody {
        at,
        backlog: BACKLOG.into(),
    };
    let mut shop = launcher
        .launch_in(&link.pod, &cgroup, "shop", listen)
        .await?;
    shop.release().await?;
    let there = Scratch::create(None)?;
    let mut client = launcher
        .launch_in(&link.peer, &there, "client", Act::Connect { to: at })
        .await?;
    client.release().await?;
    for _ in 0..ACCEPTED_BY_THE_KERNEL {
        client.says("connected").await?;
    }
    let since = client.says("timed out").await?;
    let mut victims = vec![client];
    for _ in 0..OTHER_CLIENTS {
        let connect = Act::Connect { to: at };
        let mut other = launcher
            .launch_in(&link.peer, &there, "client", connect)
            .await?;
        other.release().await?;
        victims.push(other);
    }
    let owner = shop.pid();
    victims.push(shop);
    let netns = link.pod.network_inode()?;
    Ok(Played {
        target: cgroup.path(),
        cause: "accept-queue-full",
        since,
        visible_within: BY_COUNTERS,
        names: vec![
            name("cgroup", cgroup.path()),
            name("process", process("shop", owner)),
            name("socket", at),
        ],
        stored: Stored {
            kind: "listen_overflow",
            about: About::Cgroup(cgroup.path()),
            holds: Box::new(move |signal| holds(signal, netns, at, owner)),
        },
        props: Props {
            victims,
            cgroups: vec![cgroup, there],
            link: Some(link),
            ..Props::default()
        },
    })
}

/// The socket is named with its queue and its owner.
fn holds(signal: &v1::Signal, netns: u64, at: SocketAddr, owner: u32) -> bool {
    let Some(Body::ListenOverflow(overflow)) = &signal.body else {
        return false;
    };
    let is_full = |listener: &v1::FullListener| {
        is_address(listener.local.as_ref(), at)
            && listener.max == u32::from(BACKLOG)
            && listener.queued > u32::from(BACKLOG)
            && listener.owner.as_ref().is_some_and(|it| it.pid == owner)
    };
    overflow.netns == netns && overflow.overflows > 0 && overflow.listeners.iter().any(is_full)
}
