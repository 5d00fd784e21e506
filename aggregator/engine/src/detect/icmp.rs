//! ICMP errors that a workload receives about its own packets, shared by the detectors of what they say. Must not say why.

mod path_mtu;
mod routing_loop;
mod unreachable;

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
use crate::model::signal::{IcmpError, IcmpErrors, SocketAddress};

pub(super) use path_mtu::PathMtuExceeded;
pub(super) use routing_loop::RoutingLoop;
pub(super) use unreachable::DestinationUnreachable;

/// A few errors are how networks tell a program what it then heeds.
const MIN_ERRORS: u64 = 10;

/// In one window alone, they are a burst.
const MIN_WINDOWS: usize = 2;

/// What one reporter says of the packets to one destination, in the windows since the last pause.
#[derive(Debug)]
struct Complaint<'a> {
    reporter: &'a str,
    destination: &'a SocketAddress,
    wanted: fn(&IcmpError) -> bool,
    /// Oldest first, never empty.
    windows: Vec<Observed<'a, IcmpErrors>>,
    errors: u64,
}

/// The complaint with the most errors that `wanted` takes, of those that go on.
fn loudest<'a>(case: &Case<'a>, wanted: fn(&IcmpError) -> bool) -> Option<Complaint<'a>> {
    let mut windows: BTreeMap<(&str, &SocketAddress), Vec<Observed<'a, IcmpErrors>>> =
        BTreeMap::new();
    for observed in case.troubles.of::<IcmpErrors>() {
        for error in observed
            .record
            .errors
            .iter()
            .filter(|error| is_about_own(error, wanted))
        {
            let key = (error.reporter.as_str(), &error.destination);
            let of_key = windows.entry(key).or_default();
            if of_key
                .last()
                .is_none_or(|last| last.signal.id != observed.signal.id)
            {
                of_key.push(observed);
            }
        }
    }
    let complaints = windows
        .into_iter()
        .map(|((reporter, destination), windows)| {
            let mut complaint = Complaint {
                reporter,
                destination,
                wanted,
                windows: last_spell(&windows).to_vec(),
                errors: 0,
            };
            let errors = complaint
                .windows
                .iter()
                .flat_map(|window| complaint.of(window.record));
            complaint.errors = errors.map(|error| error.count).sum();
            complaint
        });
    complaints
        .filter(|complaint| {
            complaint.errors >= MIN_ERRORS && complaint.windows.len() >= MIN_WINDOWS
        })
        .max_by_key(|complaint| complaint.errors)
}

/// Errors that are sent are about the packets of others.
fn is_about_own(error: &IcmpError, wanted: fn(&IcmpError) -> bool) -> bool {
    error.received && wanted(error)
}

impl<'a> Complaint<'a> {
    /// Its errors of one window.
    fn of(&self, window: &'a IcmpErrors) -> impl Iterator<Item = &'a IcmpError> {
        let (reporter, destination, wanted) = (self.reporter, self.destination, self.wanted);
        window.errors.iter().filter(move |error| {
            error.reporter == reporter
                && error.destination == *destination
                && is_about_own(error, wanted)
        })
    }

    /// Where the packets go, with their protocol.
    fn destination(&self) -> String {
        let protocol = self.first().map_or("", |error| error.protocol.as_str());
        let protocol = if protocol.is_empty() {
            String::new()
        } else {
            format!(" ({})", clean(protocol))
        };
        format!("{}{protocol}", socket(self.destination))
    }

    fn first(&self) -> Option<&'a IcmpError> {
        let first = self.windows.first()?;
        self.of(first.record).next()
    }

    /// One window as a fact of its case.
    fn fact(&self, case: &Case<'_>, window: Observed<'a, IcmpErrors>) -> Fact {
        let meaning = self.of(window.record).next();
        let meaning = meaning
            .map(|error| clean(&error.meaning))
            .unwrap_or_default();
        let errors = self.of(window.record).map(|error| error.count).sum();
        let span: Duration = window.at.since(window.record.start);
        let text = format!(
            "{}: {} reported \"{meaning}\" of its packets to {}, {} within {}",
            case.subject(),
            clean(self.reporter),
            self.destination(),
            count(errors, "time"),
            duration(span)
        );
        case.sign(window, text)
    }
}
