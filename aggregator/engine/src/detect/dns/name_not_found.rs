//! `dns-name-not-found`: a workload asks again and again for a name that does not exist. Must not hold for
//! the misses of a search list that finds the name in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Resolver, fact, resolvers};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::Domain;
use crate::detect::claim::{Claim, cited};
use crate::detect::{Detector, Verdict};
use crate::explain::address::socket;
use crate::explain::facts::Fact;
use crate::explain::quote::{clean, word};
use crate::model::Severity;
use crate::model::signal::{DnsQueries, DnsQuery};
use crate::rank::Strength;

const PRIOR: f64 = 0.95;

/// Fewer are somebody who mistyped.
const MIN_MISSES: u64 = 5;

/// Whoever needs a name asks for longer than this.
const MIN_DURATION: Duration = Duration::from_secs(5);

/// A program that gives up for a name does so soon after it was not found; windows of questions are seconds
/// long.
const SOON_AFTER: Duration = Duration::from_secs(10);

/// Questions of somebody who wants to connect. Of names of addresses (PTR), of services (SRV) and the like
/// many do not exist, and nobody minds.
const ADDRESS_KINDS: [&str; 2] = ["A", "AAAA"];

/// Finds names that do not exist.
pub(in crate::detect) struct DnsNameNotFound;

impl Detector for DnsNameNotFound {
    fn cause(&self) -> &'static str {
        "dns-name-not-found"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let is_state = case.death().is_none();
        if !is_state && case.failed_main().is_none() {
            return Verdict::Silent;
        }
        for resolver in resolvers(case, |window| window.nxdomain > 0) {
            let Some((name, misses)) = missing(case, &resolver) else {
                continue;
            };
            let holds = match case.death() {
                Some(death) => {
                    let asking = asking(&resolver, name);
                    let newest = asking.last().map(|window| window.at);
                    newest.is_some_and(|newest| death.onset.since(newest) <= SOON_AFTER)
                }
                None => misses >= MIN_MISSES && resolver.lasts() >= MIN_DURATION,
            };
            if holds {
                return claim(case, &resolver, name);
            }
        }
        Verdict::Silent
    }
}

fn claim(case: &Case<'_>, resolver: &Resolver<'_>, name: &str) -> Verdict {
    let (who, address) = (case.subject(), socket(resolver.address));
    let asking = asking(resolver, name);
    let is_extended = resolver
        .queries()
        .any(|query| query.name != name && is_of(query, name));
    let name = clean(name);
    let domains = if is_extended {
        " and with search domains appended"
    } else {
        ""
    };
    let signs: Vec<Fact> = cited(case, &asking)
        .iter()
        .map(|window| fact(case, *window))
        .collect();
    let headline = match case.death() {
        Some(_) => format!("{who} gave up: the name {name} does not exist"),
        None => format!("{who} asks in vain for the name {name}: it does not exist"),
    };
    Claim {
        cause: "dns-name-not-found",
        severity: Severity::Warning,
        entity: case.entity(),
        strength: Strength {
            prior: PRIOR,
            specificity: 1.0,
            directness: if case.death().is_some() { 0.85 } else { 0.95 },
        },
        signs,
        until: asking.last().map(|window| window.at).unwrap_or_default(),
        is_event: false,
        what: format!("the name {name} was not found"),
        headline,
        explanation: format!(
            "The resolver {address} is well and answered NXDOMAIN, for {name}{domains}: nobody has \
             registered that name."
        ),
        impact: format!("{who} does not reach what it knows as {name}"),
        remediation: vec![
            "compare the name with what the workload is configured to use: spelling, namespace, domain".to_owned(),
            format!("with Kubernetes: is there a Service of that name? kubectl get service -A | grep {}", word(first_label(&name))),
        ],
    }
    .holds(case)
}

/// The windows in which a name was asked for.
fn asking<'a>(resolver: &Resolver<'a>, name: &str) -> Vec<Observed<'a, DnsQueries>> {
    let windows = resolver.windows.iter().copied();
    windows
        .filter(|window| {
            let mut queries = window.record.queries.iter();
            queries.any(|query| is_of(query, name))
        })
        .collect()
}

/// The name asked for most of those that were never found, with how often it was missed. Names with a
/// search domain appended count as the name itself.
fn missing<'a>(case: &Case<'a>, resolver: &Resolver<'a>) -> Option<(&'a str, u64)> {
    let mut misses: BTreeMap<&str, u64> = BTreeMap::new();
    let queries: Vec<&DnsQuery> = resolver
        .queries()
        .filter(|query| ADDRESS_KINDS.contains(&query.kind.as_str()))
        .collect();
    for query in &queries {
        if query.rcode == "NXDOMAIN" {
            *misses.entry(original(query, &queries)).or_default() += query.count;
        }
    }
    let windows = case.troubles.of::<DnsQueries>();
    let all = || windows.iter().flat_map(|window| &window.record.queries);
    misses.retain(|name, _| !all().any(|query| query.rcode == "NOERROR" && is_of(query, name)));
    misses
        .into_iter()
        .max_by_key(|(name, count)| (*count, std::cmp::Reverse(*name)))
}

/// The name that a program asked for: the shortest of which this one is an extension.
fn original<'a>(query: &'a DnsQuery, all: &[&'a DnsQuery]) -> &'a str {
    let shorter = all.iter().map(|other| other.name.as_str());
    let of_this = shorter.filter(|name| is_extension(&query.name, name));
    of_this
        .min_by_key(|name| (name.len(), *name))
        .unwrap_or(&query.name)
}

fn is_of(query: &DnsQuery, name: &str) -> bool {
    is_extension(&query.name, name)
}

/// Whether a name is another one, or that one with a domain appended.
fn is_extension(name: &str, of: &str) -> bool {
    let rest = name.strip_prefix(of);
    !of.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn first_label(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::Actor;
    use crate::testing::scenario::{Nature, Scenario, stands};

    const SCENARIO: Scenario = Scenario {
        cause: "dns-name-not-found",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2, 3],
        look_alikes,
    };

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let shop = Actor::new("shop", 40);
        let asked = |second: i64, name| {
            let id = format!("dns-{round}-{second}");
            shop.asked(&id, ms + second * 1000, "NXDOMAIN", name, 2)
        };
        vec![
            asked(1, "databse.shop.svc.cluster.local"),
            asked(3, "databse.shop"),
            asked(6, "databse.shop"),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let shop = Actor::new("shop", 40);
        let mut found = signals(0, 0);
        found.push(shop.asked("found", 7000, "NOERROR", "databse.shop.svc", 2));
        let reverse: Vec<Signal> = (1..9)
            .map(|second| {
                let name = "4.2.0.192.in-addr.arpa";
                let id = format!("dns-{second}");
                let mut asked = shop.asked(&id, second * 1000, "NXDOMAIN", name, 2);
                if let SignalBody::DnsQueries(dns) = &mut asked.body {
                    dns.queries[0].kind = "PTR".to_owned();
                }
                asked
            })
            .collect();
        let long_before = vec![
            shop.asked("dns", 1000, "NXDOMAIN", "databse.shop", 1),
            shop.gave_up("exit", 50_000, 1, vec![]),
        ];
        let mistyped = vec![shop.asked("dns", 1000, "NXDOMAIN", "exmaple.com", 1)];
        vec![
            ("a search list that finds it in the end", found),
            ("a name that somebody mistyped once", mistyped),
            ("addresses whose names nobody registered", reverse),
            ("a name that was missed long before the end", long_before),
        ]
    }

    stands!(SCENARIO);

    #[test]
    fn names_what_the_program_asked_for_and_not_the_search_list() {
        let headline = &crate::testing::incidents_of(signals(0, 0))[0].headline;
        assert!(headline.contains("the name databse.shop:"), "{headline}");
    }
}
