//! A firewall rule drops what a client sends to a server that would answer.

use std::net::SocketAddr;

use inquest_proto::v1::{self, signal::Body};
use tokio::time::Instant;

use super::play::{About, BY_COUNTERS, Played, Props, Stored, is_address, name};
use crate::namespaces::{DropRule, Hook, Link, PEER_ADDRESS};
use crate::scratch::Scratch;
use crate::victim::{Act, Launcher, Victim};

const PORT: u16 = 5432;

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let link = Link::create()?;
    let database = SocketAddr::from((PEER_ADDRESS, PORT));
    let there = Scratch::create(None)?;
    let mut server = launcher
        .launch_in(&link.peer, &there, "database", Act::Accept { at: database })
        .await?;
    server.release().await?;
    let cgroup = Scratch::create(None)?;
    let mut shop = launcher
        .launch_in(&link.pod, &cgroup, "shop", Act::Connect { to: database })
        .await?;
    shop.release().await?;
    shop.says("connected").await?;
    // Nothing may leave the pod for the port, as a network policy on egress has it.
    DropRule::add(&link.pod, Hook::Output, "tcp", PORT)?;
    let since = first_timeout(&mut shop).await?;
    let netns = link.pod.network_inode()?;
    Ok(Played {
        target: cgroup.path(),
        cause: "network-policy-drop",
        since,
        visible_within: BY_COUNTERS,
        names: vec![
            name("cgroup", cgroup.path()),
            name("destination", database),
            name("reason", "NETFILTER_DROP"),
        ],
        stored: Stored {
            kind: "packet_drops",
            about: About::Cgroup(cgroup.path()),
            holds: Box::new(move |signal| holds(signal, netns, database)),
        },
        props: Props {
            victims: vec![shop, server],
            cgroups: vec![cgroup, there],
            link: Some(link),
            ..Props::default()
        },
    })
}

/// Attempts may have come through before the rule was there.
async fn first_timeout(shop: &mut Victim) -> anyhow::Result<Instant> {
    while shop.next_line().await? == "connected" {}
    shop.says("timed out").await
}

/// A rule dropped what was sent to the database, in the pod's network.
fn holds(signal: &v1::Signal, netns: u64, database: SocketAddr) -> bool {
    let Some(Body::PacketDrops(drops)) = &signal.body else {
        return false;
    };
    let mut dropped = drops.drops.iter();
    drops.netns == netns
        && dropped.any(|drop| {
            drop.netfilter
                && drop.reason == "NETFILTER_DROP"
                && drop.protocol == "tcp"
                && is_address(drop.destination.as_ref(), database)
        })
}
