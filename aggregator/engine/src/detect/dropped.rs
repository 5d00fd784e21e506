//! Packets of a workload that the kernel dropped, by destination. Must not say why.

use std::collections::BTreeMap;
use std::time::Duration;

use super::claim::last_spell;
use super::peer::outgoing;
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::explain::address::socket;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::explain::quote::clean;
use crate::model::signal::{PacketDrop, PacketDrops, SocketAddress, TcpFlows};

/// The windows in which packets to one destination were dropped, since the last pause.
#[derive(Debug)]
pub(super) struct Dropped<'a> {
    pub(super) protocol: &'a str,
    pub(super) destination: &'a SocketAddress,
    /// Oldest first, never empty.
    pub(super) windows: Vec<Observed<'a, PacketDrops>>,
    pub(super) packets: u64,
}

/// Packets that `wanted` takes, by protocol and destination, most packets first.
pub(super) fn by_destination<'a>(
    case: &Case<'a>,
    wanted: fn(&PacketDrop) -> bool,
) -> Vec<Dropped<'a>> {
    let mut windows: BTreeMap<(&str, &SocketAddress), Vec<Observed<'a, PacketDrops>>> =
        BTreeMap::new();
    for observed in case.troubles.of::<PacketDrops>() {
        for drop in observed.record.drops.iter().filter(|drop| wanted(drop)) {
            let key = (drop.protocol.as_str(), &drop.destination);
            let of_key = windows.entry(key).or_default();
            if of_key
                .last()
                .is_none_or(|last| last.signal.id != observed.signal.id)
            {
                of_key.push(observed);
            }
        }
    }
    let mut all: Vec<Dropped<'a>> = windows
        .into_iter()
        .map(|((protocol, destination), windows)| {
            let windows = last_spell(&windows).to_vec();
            let mut dropped = Dropped {
                protocol,
                destination,
                windows,
                packets: 0,
            };
            let drops = dropped
                .windows
                .iter()
                .flat_map(|window| dropped.of(window.record));
            dropped.packets = drops
                .filter(|drop| wanted(drop))
                .map(|drop| drop.count)
                .sum();
            dropped
        })
        .collect();
    // Stable: equally many packets stay in the order of their destinations.
    all.sort_by_key(|dropped| std::cmp::Reverse(dropped.packets));
    all
}

impl<'a> Dropped<'a> {
    /// The drops of one window to this destination.
    pub(super) fn of(&self, window: &'a PacketDrops) -> impl Iterator<Item = &'a PacketDrop> {
        let (protocol, destination) = (self.protocol, self.destination);
        window
            .drops
            .iter()
            .filter(move |drop| drop.protocol == protocol && drop.destination == *destination)
    }

    /// How long packets have been dropped.
    pub(super) fn lasts(&self) -> Duration {
        match (self.windows.first(), self.windows.last()) {
            (Some(first), Some(last)) => last.at.since(first.record.start),
            _ => Duration::ZERO,
        }
    }

    /// Whether the workload is known to connect there, rather than to be connected to.
    pub(super) fn is_peer(&self, case: &Case<'_>) -> bool {
        let flows = case.troubles.of::<TcpFlows>();
        let mut peers = flows.iter().flat_map(|flows| outgoing(flows.record));
        let mut words = case.last_words().iter();
        peers.any(|flow| flow.peer == *self.destination)
            || words.any(|call| call.address.as_ref() == Some(self.destination))
    }

    /// One window as a fact of its case.
    pub(super) fn fact(&self, case: &Case<'_>, window: Observed<'a, PacketDrops>) -> Fact {
        let packets = self.of(window.record).map(|drop| drop.count).sum();
        let first = self.of(window.record).next();
        let reason = first.map(reason).unwrap_or_default();
        let source = first.map(|drop| socket(&drop.source)).unwrap_or_default();
        let interface = first.map_or("", |drop| drop.interface.as_str());
        let interface = if interface.is_empty() {
            String::new()
        } else {
            format!(" on {}", clean(interface))
        };
        let text = format!(
            "{}: the kernel dropped {} ({reason}) of {} from {source} to {}{interface} within {}",
            case.subject(),
            count(packets, "packet"),
            clean(self.protocol),
            socket(self.destination),
            duration(window.at.since(window.record.start))
        );
        case.sign(window, text)
    }
}

/// Why the kernel says it dropped, with the function that did.
fn reason(drop: &PacketDrop) -> String {
    let reason = match (drop.reason.as_str(), drop.netfilter) {
        ("", true) => "by a netfilter rule".to_owned(),
        ("", false) => "for a reason that this kernel does not tell".to_owned(),
        (reason, _) => clean(reason),
    };
    if drop.location.is_empty() {
        reason
    } else {
        format!("{reason} in {}", clean(&drop.location))
    }
}
