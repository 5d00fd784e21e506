//! How name resolution goes for a workload, shared by the detectors of its failures. Must not say why.

mod name_not_found;
mod search_amplification;
mod unanswered;

use std::collections::BTreeMap;
use std::time::Duration;

use super::claim::last_spell;
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::explain::address::socket;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::explain::quote::clean;
use crate::model::signal::{DnsQueries, DnsQuery, SocketAddress};

pub(super) use name_not_found::DnsNameNotFound;
pub(super) use search_amplification::DnsSearchAmplification;
pub(super) use unanswered::{ClusterDnsDown, PodDnsMisconfigured};

/// The windows of one resolver that a detector wants, since the last pause.
#[derive(Debug)]
struct Resolver<'a> {
    address: &'a SocketAddress,
    /// Oldest first, never empty.
    windows: Vec<Observed<'a, DnsQueries>>,
}

/// The windows of each resolver that `wanted` takes.
fn resolvers<'a>(case: &Case<'a>, wanted: impl Fn(&DnsQueries) -> bool) -> Vec<Resolver<'a>> {
    let mut windows: BTreeMap<&SocketAddress, Vec<Observed<'a, DnsQueries>>> = BTreeMap::new();
    for observed in case.troubles.of::<DnsQueries>() {
        if wanted(observed.record) {
            let of_resolver = windows.entry(&observed.record.resolver).or_default();
            of_resolver.push(observed);
        }
    }
    windows
        .into_iter()
        .map(|(address, windows)| Resolver {
            address,
            windows: last_spell(&windows).to_vec(),
        })
        .collect()
}

impl<'a> Resolver<'a> {
    fn sum(&self, of: impl Fn(&DnsQueries) -> u64) -> u64 {
        self.windows.iter().map(|window| of(window.record)).sum()
    }

    fn lasts(&self) -> Duration {
        match (self.windows.first(), self.windows.last()) {
            (Some(first), Some(last)) => last.at.since(first.record.start),
            _ => Duration::ZERO,
        }
    }

    fn queries(&self) -> impl Iterator<Item = &'a DnsQuery> + '_ {
        let windows = self.windows.iter();
        windows.flat_map(|window| &window.record.queries)
    }
}

/// One window as a fact of its case.
fn fact(case: &Case<'_>, window: Observed<'_, DnsQueries>) -> Fact {
    let record = window.record;
    let outcomes = [
        (record.answered, "answered"),
        // Given up long after they were asked: there may be more of them than were asked in the window.
        (record.timed_out, "given up without an answer"),
        (record.nxdomain, "for a name that does not exist"),
        (
            record.search_amplified,
            "for an earlier name with another search domain",
        ),
    ];
    let outcomes: Vec<String> = outcomes
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let most = record
        .queries
        .iter()
        .max_by_key(|query| (query.count, &query.name));
    let most = most.map_or(String::new(), |query| {
        let rcode = if query.rcode.is_empty() {
            "no answer".to_owned()
        } else {
            clean(&query.rcode)
        };
        format!("; {} {}: {rcode}", clean(&query.name), clean(&query.kind))
    });
    let text = format!(
        "{} asked the resolver {} {} within {}: {}{most}",
        case.subject(),
        socket(&record.resolver),
        count(record.total, "question"),
        duration(window.at.since(record.start)),
        outcomes.join(", ")
    );
    case.sign(window, text)
}
