//! `cluster-dns-down` and `pod-dns-misconfigured`: a resolver does not answer. Which of the two is told by
//! who else asks it, and whether it ever answered; must not hold for one question that was lost.

use std::time::Duration;

use super::{Resolver, fact, resolvers};
use crate::correlate::case::Case;
use crate::correlate::workload::{Domain, Workload, home_of, peer_entity};
use crate::detect::claim::{Claim, cited, ruled_out};
use crate::detect::{Detector, Verdict};
use crate::explain::address::socket;
use crate::explain::facts::Fact;
use crate::explain::quote::{clean, word};
use crate::model::Severity;
use crate::model::signal::DnsQueries;
use crate::rank::Strength;

const PRIOR: f64 = 0.95;

/// Fewer questions without an answer are lost packets, which resolvers ask again for.
const MIN_UNANSWERED: u64 = 3;

/// Silence that ends sooner is a resolver that restarts.
const MIN_DURATION: Duration = Duration::from_secs(2);

/// Finds resolvers that fail everybody.
pub(in crate::detect) struct ClusterDnsDown;

/// Finds workloads that ask whom nobody else asks.
pub(in crate::detect) struct PodDnsMisconfigured;

/// What is known of a resolver that does not answer.
struct Silence<'a> {
    resolver: Resolver<'a>,
    /// It answered this workload before.
    answered_before: bool,
    /// Other workloads of the node that it does, and does not, answer.
    answers_others: bool,
    fails_others: bool,
}

impl Detector for ClusterDnsDown {
    fn cause(&self) -> &'static str {
        "cluster-dns-down"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(silence) = Silence::of(case) else {
            return Verdict::Silent;
        };
        if silence.is_of_everybody() {
            return silence.claim(case, self.cause());
        }
        let because = if silence.answers_others {
            "the resolver answers other workloads of this node"
        } else {
            "no other workload of this node asks this resolver, and it never answered this one"
        };
        ruled_out(self.cause(), because, silence.signs(case))
    }
}

impl Detector for PodDnsMisconfigured {
    fn cause(&self) -> &'static str {
        "pod-dns-misconfigured"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(silence) = Silence::of(case) else {
            return Verdict::Silent;
        };
        if !silence.is_of_everybody() {
            return silence.claim(case, self.cause());
        }
        let because = if silence.fails_others {
            "the resolver fails other workloads of this node too"
        } else {
            "the resolver answered this workload before"
        };
        ruled_out(self.cause(), because, silence.signs(case))
    }
}

impl<'a> Silence<'a> {
    fn of(case: &Case<'a>) -> Option<Self> {
        let is_state = case.death().is_none();
        if !is_state && case.failed_main().is_none() {
            return None;
        }
        let all = resolvers(case, is_silent);
        let mut silent = all.into_iter().filter(|resolver| {
            resolver.sum(|window| window.timed_out) >= MIN_UNANSWERED
                && (!is_state || resolver.lasts() >= MIN_DURATION)
        });
        let resolver = silent.next()?;
        let since = resolver.windows.first()?.at;
        let is_same = |window: &DnsQueries| window.resolver == *resolver.address;
        let own = case.troubles.of::<DnsQueries>();
        let answers = |window: &DnsQueries| is_same(window) && window.answered > 0;
        // Answers in the midst of silence are of a resolver that is there.
        if own
            .iter()
            .any(|window| window.at >= since && answers(window.record))
        {
            return None;
        }
        let mut others = case.elsewhere::<DnsQueries>();
        // Of questions without an owner nobody knows that it was another workload that asked.
        others.retain(|other| home_of(other.signal) != Workload::Node);
        Some(Self {
            answered_before: own.iter().any(|window| answers(window.record)),
            answers_others: others.iter().any(|window| answers(window.record)),
            fails_others: others
                .iter()
                .any(|window| is_same(window.record) && is_silent(window.record)),
            resolver,
        })
    }

    fn is_of_everybody(&self) -> bool {
        !self.answers_others && (self.fails_others || self.answered_before)
    }

    fn signs(&self, case: &Case<'_>) -> Vec<Fact> {
        let windows = cited(case, &self.resolver.windows);
        windows.iter().map(|window| fact(case, *window)).collect()
    }

    fn claim(&self, case: &Case<'_>, cause: &'static str) -> Verdict {
        let (who, resolver) = (case.subject(), socket(self.resolver.address));
        let is_down = cause == ClusterDnsDown.cause();
        let name = self.unanswered_name();
        let asked = name
            .as_ref()
            .map_or(String::new(), |name| format!(" It was asked for {name}."));
        let headline = match case.death() {
            Some(_) => format!("{who} gave up: its DNS resolver {resolver} does not answer"),
            None => {
                format!("{who} cannot resolve names: its DNS resolver {resolver} does not answer")
            }
        };
        let meaning = if self.fails_others {
            "Other workloads of this node get no answer from it either: the resolver is down, or the way to it."
        } else if is_down {
            "It answered this workload before and does not any more: the resolver is down, or the way to it."
        } else if self.answers_others {
            "It answers other workloads of this node: what this one sends does not arrive, or its answers do not."
        } else {
            "It never answered this workload, and nobody else on this node asks it: probably no resolver is at that address."
        };
        Claim {
            cause,
            severity: Severity::Warning,
            entity: if is_down {
                peer_entity(case.node, resolver.clone())
            } else {
                case.entity()
            },
            strength: Strength {
                prior: PRIOR,
                specificity: if self.answers_others { 0.8 } else { 1.0 },
                directness: 0.95,
            },
            signs: self.signs(case),
            until: self
                .resolver
                .windows
                .last()
                .map(|window| window.at)
                .unwrap_or_default(),
            is_event: false,
            what: format!("the resolver {resolver} did not answer"),
            headline,
            explanation: format!("{meaning}{asked}"),
            impact: format!(
                "{who} reaches nobody whom it knows by name, and waits seconds for each"
            ),
            remediation: self.remediation(is_down, name.as_deref().unwrap_or(".")),
        }
        .holds(case)
    }

    /// The shortest of the names that nobody answered: what the program asked for, before the search list had its
    /// way with it.
    fn unanswered_name(&self) -> Option<String> {
        let queries = self.resolver.queries();
        let unanswered = queries.filter(|query| query.rcode.is_empty());
        let names = unanswered.map(|query| query.name.as_str());
        names.min_by_key(|name| (name.len(), *name)).map(clean)
    }

    fn remediation(&self, is_down: bool, name: &str) -> Vec<String> {
        let address = clean(&self.resolver.address.address);
        let ask = format!("dig @{address} {}", word(name));
        if is_down {
            return vec![
                format!("ask it from the node: {ask}"),
                "with Kubernetes: look at the pods of CoreDNS and at the Service kube-dns in kube-system".to_owned(),
            ];
        }
        vec![
            format!(
                "is {address} a resolver at all? compare it with nameserver in /etc/resolv.conf of a healthy workload"
            ),
            format!("if it is, see whether it can be reached from where the workload runs: {ask}"),
            "with Kubernetes: look at dnsPolicy and dnsConfig of the pod, and at network policies that forbid port 53".to_owned(),
        ]
    }
}

/// Nobody answered, of all that were asked.
fn is_silent(window: &DnsQueries) -> bool {
    window.timed_out > 0 && window.answered == 0
}

#[cfg(test)]
mod tests {
    use crate::model::{Severity, Signal, Subject};
    use crate::testing::checks::causes;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms, incidents_of};

    const SCENARIO: Scenario = Scenario {
        cause: "pod-dns-misconfigured",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn shop() -> Actor {
        Actor::new("shop", 40)
    }

    fn other() -> Actor {
        Actor::new("cart", 50).in_cgroup(88, "/cart")
    }

    fn unanswered(who: &Actor, id: &str, ms: i64) -> Signal {
        who.asked(id, ms, "", "database.shop.svc", 2)
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![
            unanswered(&shop(), &format!("dns-{round}-1"), ms + 1000),
            unanswered(&shop(), &format!("dns-{round}-2"), ms + 3000),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let mut answered = signals(0, 0);
        answered.push(shop().asked("dns", 2000, "NOERROR", "cart.shop.svc", 1));
        vec![
            (
                "one question that was lost",
                vec![unanswered(&shop(), "dns", 1000)],
            ),
            ("a resolver that answers in between", answered),
        ]
    }

    stands!(SCENARIO);

    #[test]
    fn a_resolver_that_fails_others_too_or_answered_before_is_down() {
        let mut fails_others = signals(0, 0);
        fails_others.push(unanswered(&other(), "other", 2000));
        assert!(causes(fails_others).contains(&"cluster-dns-down".to_owned()));
        let mut answered_before = signals(0, 0);
        answered_before.push(shop().asked("before", -60_000, "NOERROR", "a.b", 1));
        assert_eq!(causes(answered_before), ["cluster-dns-down"]);
    }

    #[test]
    fn questions_that_nobody_is_known_to_have_asked_are_no_other_workload() {
        let mut signals = signals(0, 0);
        let mut nobody = unanswered(&other(), "nobody", 2000);
        nobody.subject = Subject::default();
        signals.push(nobody);
        assert_eq!(causes(signals), [SCENARIO.cause]);
    }

    #[test]
    fn names_what_was_asked_for_without_search_domains() {
        let mut signals = signals(0, 0);
        signals.push(shop().asked("longer", 2000, "", "database.shop.svc.cluster.local", 4));
        let incident = &incidents_of(signals)[0];
        let said = "It was asked for database.shop.svc.";
        assert!(
            incident.explanation.contains(said),
            "{}",
            incident.explanation
        );
    }

    #[test]
    fn a_resolver_that_answers_others_is_not_down() {
        let mut signals = signals(0, 0);
        signals.push(other().asked("other", 2000, "NOERROR", "a.b", 1));
        let incident = &incidents_of(signals)[0];
        assert_eq!(incident.root_cause.cause.0, SCENARIO.cause);
        assert_eq!(incident.opened_at, at_ms(1000));
        let ruled_out = incident
            .ruled_out
            .iter()
            .map(|ruled| ruled.cause.0.as_str());
        assert!(ruled_out.collect::<Vec<_>>().contains(&"cluster-dns-down"));
    }
}
