//! Packets that a firewall rule dropped, against the rule's own counter.

use std::net::SocketAddr;

use anyhow::Context as _;
use inquest_proto::v1::{self, signal::Body};

use super::{Counts, compare, told};
use crate::client::Client;
use crate::demo::is_address;
use crate::namespaces::{DropRule, Hook, Link, PEER_ADDRESS};
use crate::proof::Proof;
use crate::scratch::Scratch;
use crate::victim::{Act, Done, Launcher, Load, Work};

/// The discard service.
const PORT: u16 = 9;
const PACKETS: u64 = 5_000;

pub(super) async fn prove(
    client: &Client,
    launcher: &Launcher,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let link = Link::create()?;
    let to = SocketAddr::from((PEER_ADDRESS, PORT));
    let rule = DropRule::add(&link.peer, Hook::Input, "udp", PORT)?;
    let cgroup = Scratch::create(None)?;
    let load = Act::Load(Load {
        work: Work::Send,
        count: Some(PACKETS),
        rate: None,
        to: Some(to),
    });
    let mut sender = launcher
        .launch_in(&link.pod, &cgroup, "sender", load)
        .await?;
    sender.release().await?;
    let said = sender.next_line().await?;
    Done::parse(&said).with_context(|| format!("the sender said `{said}`"))?;
    let truth = Counts::from([("packets", rule.dropped(&link.peer)?)]);
    let count = |signal: &v1::Signal, counts: &mut Counts<&str>| {
        let Some(Body::PacketDrops(drops)) = &signal.body else {
            return;
        };
        let dropped = drops.drops.iter().filter(|drop| {
            drop.netfilter
                && drop.reason == "NETFILTER_DROP"
                && is_address(drop.destination.as_ref(), to)
        });
        *counts.entry("packets").or_default() += dropped.map(|drop| drop.count).sum::<u64>();
    };
    let told = told(client, &[("kind", "packet_drops")], &truth, count).await?;
    compare("nft", &told, &truth, proof);
    Ok(())
}
