//! `dns-search-amplification`: most questions of a workload are for names with a search domain appended,
//! which do not exist. Must not hold for a workload that asks little.

use super::{Resolver, fact, resolvers};
use crate::correlate::case::Case;
use crate::correlate::workload::Domain;
use crate::detect::claim::{Claim, cited};
use crate::detect::{Detector, Verdict};
use crate::explain::facts::Fact;
use crate::explain::quote::clean;
use crate::model::Severity;
use crate::rank::Strength;

const PRIOR: f64 = 0.95;

/// Fewer questions in a spell cost nobody anything.
const MIN_QUESTIONS: u64 = 500;

/// Of so many questions in a hundred.
const MIN_AMPLIFIED_PERCENT: u64 = 50;

/// Finds search lists that multiply questions.
pub(in crate::detect) struct DnsSearchAmplification;

impl Detector for DnsSearchAmplification {
    fn cause(&self) -> &'static str {
        "dns-search-amplification"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        for resolver in resolvers(case, |window| window.search_amplified > 0) {
            let total = resolver.sum(|window| window.total);
            let amplified = resolver.sum(|window| window.search_amplified);
            if total >= MIN_QUESTIONS && amplified * 100 >= total * MIN_AMPLIFIED_PERCENT {
                return claim(case, &resolver);
            }
        }
        Verdict::Silent
    }
}

fn claim(case: &Case<'_>, resolver: &Resolver<'_>) -> Verdict {
    let who = case.subject();
    let signs: Vec<Fact> = cited(case, &resolver.windows)
        .iter()
        .map(|window| fact(case, *window))
        .collect();
    let found = resolver.queries().find(|query| query.rcode == "NOERROR");
    let example = found.map_or(String::new(), |query| {
        format!(" One of the names is {}.", clean(&query.name))
    });
    Claim {
        cause: "dns-search-amplification",
        severity: Severity::Info,
        entity: case.entity(),
        strength: Strength {
            prior: PRIOR,
            specificity: 1.0,
            directness: 0.95,
        },
        signs,
        until: resolver.windows.last().map(|window| window.at).unwrap_or_default(),
        is_event: false,
        what: "each name was asked for with every search domain".to_owned(),
        headline: format!("{who} asks several DNS questions for each name: its search list multiplies them"),
        explanation: format!(
            "A name with fewer dots than the option ndots of its resolver asks for is first asked for with each search \
             domain appended, and each of these does not exist.{example}"
        ),
        impact: format!("lookups of {who} take several round trips, and the resolver works for nothing"),
        remediation: vec![
            "write names with a dot at the end, so that no domain is appended".to_owned(),
            "with Kubernetes: dnsConfig.options ndots 1 or 2 for pods that mostly talk to the outside".to_owned(),
        ],
    }
    .holds(case)
}

#[cfg(test)]
mod tests {
    use crate::model::{Severity, Signal};
    use crate::testing::Actor;
    use crate::testing::scenario::{Nature, Scenario, stands};

    const SCENARIO: Scenario = Scenario {
        cause: "dns-search-amplification",
        severity: Severity::Info,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn window(id: &str, ms: i64, total: u64, amplified: u64) -> Signal {
        let shop = Actor::new("shop", 40);
        let mut signal = shop.asked(id, ms, "NOERROR", "api.example.com", total);
        if let crate::model::SignalBody::DnsQueries(dns) = &mut signal.body {
            dns.search_amplified = amplified;
            dns.nxdomain = amplified;
        }
        signal
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![
            window(&format!("dns-{round}-1"), ms + 1000, 300, 240),
            window(&format!("dns-{round}-2"), ms + 2000, 300, 240),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        vec![
            (
                "a workload that asks little",
                vec![window("dns", 1000, 20, 16)],
            ),
            (
                "many questions that are answered",
                vec![window("dns", 1000, 900, 90)],
            ),
        ]
    }

    stands!(SCENARIO);
}
