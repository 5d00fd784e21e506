//! `dependency-unavailable`: whom a workload needs does not answer, or says no. Must not hold for a probe
//! that failed once, nor where a rule on this node drops the packets.

use std::time::Duration;

use super::claim::{Claim, cited, ruled_out};
use super::dropped;
use super::last_word::{self, LastWord};
use super::peer::{self, Answers, Outcome, Peer};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::workload::{Domain, peer_entity};
use crate::explain::address::socket;
use crate::explain::facts::Fact;
use crate::model::signal::SocketAddress;
use crate::model::{Severity, Timestamp};
use crate::rank::Strength;

const PRIOR: f64 = 0.95;

/// Fewer failures than this are a dependency that restarts.
const MIN_FAILURES: u64 = 5;

/// Failures that end sooner are over before anybody could look.
const MIN_DURATION: Duration = Duration::from_secs(5);

/// With more connections established than a tenth of the failures, the dependency is there.
const MAX_ESTABLISHED: u64 = 10;

/// A program that gives up for its connections does so soon after they failed; windows of connections are
/// seconds long.
const SOON_AFTER: Duration = Duration::from_secs(10);

/// Finds dependencies that cannot be reached.
pub(super) struct DependencyUnavailable;

impl Detector for DependencyUnavailable {
    fn cause(&self) -> &'static str {
        "dependency-unavailable"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let connect = last_word::find(case, |call| {
            call.syscall == "connect" && Outcome::of_errno(&call.errno).is_some()
        });
        let refused = connect.and_then(|word| Some((word, word.call.address.as_ref()?)));
        // Resolvers of names try each address for a way to it, without a port.
        let refused = refused.filter(|(_, address)| {
            address.port != 0 && !Answers::of(case).by_twin_of(address, Timestamp::EPOCH)
        });
        if let Some((word, address)) = refused {
            return self.of_last_word(case, word, address);
        }
        let is_state = case.death().is_none();
        if !is_state && case.failed_main().is_none() {
            return Verdict::Silent;
        }
        let peers = peer::failing(case);
        let is_wanted = |peer: &&Peer<'_>| !peer.twin_answers && is_near(case, peer);
        let Some(peer) = peers.iter().find(is_wanted) else {
            return Verdict::Silent;
        };
        self.of_peer(case, peer, is_state)
    }
}

impl DependencyUnavailable {
    fn of_last_word(
        &self,
        case: &Case<'_>,
        word: LastWord<'_>,
        address: &SocketAddress,
    ) -> Verdict {
        let outcome = Outcome::of_errno(&word.call.errno).unwrap_or(Outcome::Unanswered);
        let fact = word.fact(case);
        if let Some(verdict) = self.dropped_here(case, address, outcome) {
            return verdict;
        }
        let subject = Subject {
            address,
            outcome,
            comm: None,
        };
        let strength = Strength {
            prior: PRIOR,
            specificity: word.specificity(),
            directness: 0.95,
        };
        let until = fact.at;
        subject.claim(case, strength, vec![fact], until)
    }

    fn of_peer(&self, case: &Case<'_>, peer: &Peer<'_>, is_state: bool) -> Verdict {
        let signs: Vec<Fact> = cited(case, &peer.failing)
            .iter()
            .map(|window| peer.fact(case, *window))
            .collect();
        let failures = peer.failures();
        if peer.established.saturating_mul(MAX_ESTABLISHED) > failures {
            return if failures >= MIN_FAILURES {
                ruled_out(
                    self.cause(),
                    format!(
                        "connections to {} were established in the same time",
                        socket(peer.address)
                    ),
                    signs,
                )
            } else {
                Verdict::Silent
            };
        }
        if is_state && (failures < MIN_FAILURES || peer.lasts() < MIN_DURATION) {
            return Verdict::Silent;
        }
        let outcome = peer.outcome();
        if let Some(verdict) = self.dropped_here(case, peer.address, outcome) {
            return verdict;
        }
        let subject = Subject {
            address: peer.address,
            outcome,
            comm: peer.comm(),
        };
        let strength = Strength {
            prior: PRIOR,
            specificity: 1.0,
            // Of a death it is known that connections failed, not that they were what it ended for.
            directness: if is_state { 1.0 } else { 0.85 },
        };
        let until = peer.failing.last().map(|window| window.at);
        subject.claim(case, strength, signs, until.unwrap_or_default())
    }

    /// When nothing came back, and this node dropped what was sent, the dependency may be well.
    fn dropped_here(
        &self,
        case: &Case<'_>,
        address: &SocketAddress,
        outcome: Outcome,
    ) -> Option<Verdict> {
        if !outcome.is_silence() {
            return None;
        }
        let drops = dropped::by_destination(case, |_| true);
        let dropped = drops
            .iter()
            .find(|dropped| dropped.destination == address)?;
        let window = dropped.windows.first()?;
        Some(ruled_out(
            self.cause(),
            format!("this node drops what is sent to {}", socket(address)),
            vec![dropped.fact(case, *window)],
        ))
    }
}

/// Whether connections failed until the death, if there is one.
fn is_near(case: &Case<'_>, peer: &Peer<'_>) -> bool {
    let newest = peer.failing.last().map(|window| window.at);
    case.death()
        .is_none_or(|death| newest.is_some_and(|newest| death.onset.since(newest) <= SOON_AFTER))
}

/// What is claimed of which dependency.
struct Subject<'a> {
    address: &'a SocketAddress,
    outcome: Outcome,
    comm: Option<String>,
}

impl Subject<'_> {
    fn claim(
        &self,
        case: &Case<'_>,
        strength: Strength,
        signs: Vec<Fact>,
        until: Timestamp,
    ) -> Verdict {
        let (who, peer) = (case.subject(), socket(self.address));
        let headline = match case.death() {
            Some(_) => format!("{who} gave up: {}", self.clause(&peer)),
            None => format!("{who} cannot reach {peer}: {}", self.clause("it")),
        };
        let by = self
            .comm
            .as_ref()
            .map_or(String::new(), |comm| format!(" The process is {comm}."));
        Claim {
            cause: "dependency-unavailable",
            severity: Severity::Warning,
            entity: peer_entity(case.node, peer.clone()),
            strength,
            signs,
            until,
            is_event: false,
            what: format!("connections to {peer} failed"),
            headline,
            explanation: format!("{}{by}", self.meaning(&peer)),
            impact: format!("{who} goes on without what it needs from {peer}"),
            remediation: self.remediation(&peer),
        }
        .holds(case)
    }

    fn clause(&self, peer: &str) -> String {
        match self.outcome {
            Outcome::Refused => format!("connections to {peer} are refused (ECONNREFUSED)"),
            Outcome::TimedOut | Outcome::Unanswered => format!("{peer} does not answer"),
            Outcome::Reset => format!("{peer} resets connections before they are established"),
            Outcome::Unreachable => format!("there is no way to {peer}"),
        }
    }

    fn meaning(&self, peer: &str) -> String {
        match self.outcome {
            Outcome::Refused => format!(
                "The host of {peer} is there and answered that nobody listens at that port: its service \
                 is not running, or it listens elsewhere."
            ),
            Outcome::TimedOut | Outcome::Unanswered => format!(
                "Nothing came back from {peer}, and this node is not known to have dropped anything: the \
                 host is down, or something on the way drops without a word."
            ),
            Outcome::Reset => format!(
                "Something answered for {peer} and ended the connection at once: a service that is not \
                 ready, or a proxy without a backend."
            ),
            Outcome::Unreachable => format!(
                "The kernel or a router answered that {peer} cannot be reached: no route, or nobody on the \
                 link answers for the address."
            ),
        }
    }

    fn remediation(&self, peer: &str) -> Vec<String> {
        let port = self.address.port;
        match self.outcome {
            Outcome::Refused => vec![
                format!(
                    "ask why the service at {peer} is not running: inquest why, for its own pod or cgroup"
                ),
                format!("on its host, see who listens there: ss -ltnp 'sport = :{port}'"),
                "compare the address with what the client is configured to use".to_owned(),
            ],
            Outcome::Unreachable => vec![
                format!(
                    "ask the kernel for the way: ip route get {}",
                    self.address.address
                ),
                "compare the address with what the client is configured to use".to_owned(),
            ],
            _ => vec![
                format!(
                    "check that the host of {peer} is up, and that its firewall lets port {port} through"
                ),
                "look for network policies that select its pod or the client's".to_owned(),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Severity, Signal};
    use crate::testing::Actor;
    use crate::testing::checks::opens;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::{address, connect, database, flow};

    const SCENARIO: Scenario = Scenario {
        cause: "dependency-unavailable",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2, 3],
        look_alikes,
    };

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let shop = Actor::new("shop", 40);
        let window = |second: i64| {
            let id = format!("flows-{round}-{second}");
            shop.flows(&id, ms + second * 1000, vec![flow(database(), 5, 0)])
        };
        vec![window(1), window(3), window(5), window(7)]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let shop = Actor::new("shop", 40);
        let windows = |flows: &[(u64, u64)]| -> Vec<Signal> {
            let numbered = flows.iter().zip(1..);
            numbered
                .map(|((refused, established), second)| {
                    let flows = vec![flow(database(), *refused, *established)];
                    shop.flows(&format!("flows-{second}"), second * 1000, flows)
                })
                .collect()
        };
        let dropped = vec![
            shop.gave_up(
                "exit",
                0,
                1,
                vec![connect(40, -10, "ETIMEDOUT", database())],
            ),
            shop.dropped("drops", -100, database(), 5),
        ];
        let by_name = |name: &str| address(name, 6379);
        let local: Vec<Signal> = (1..9)
            .map(|second| {
                let flows = vec![flow(by_name("::1"), 2, 0), flow(by_name("127.0.0.1"), 0, 2)];
                shop.flows(&format!("flows-{second}"), second * 1000, flows)
            })
            .collect();
        let words = vec![connect(40, 7990, "ENETUNREACH", by_name("2001:db8::1"))];
        let resolved = vec![
            shop.flows("flows", 8000, vec![flow(by_name("192.0.2.1"), 0, 1)]),
            shop.gave_up("exit", 8000, 1, words),
        ];
        let waited_at_start = vec![
            shop.flows("flows", 1000, vec![flow(database(), 1, 0)]),
            shop.gave_up("exit", 50_000, 1, vec![]),
        ];
        vec![
            ("a server that listens in one family of addresses", local),
            (
                "a name with an address in a family that has no way out",
                resolved,
            ),
            ("one probe long before the end", waited_at_start),
            ("one probe that was refused", windows(&[(1, 0)])),
            ("a burst that ended at once", windows(&[(50, 0)])),
            (
                "a dependency that answers most of the time",
                windows(&[(2, 40); 8]),
            ),
            ("connections that all work", windows(&[(0, 9); 8])),
            ("packets that this node drops", dropped),
        ]
    }

    stands!(SCENARIO);

    #[test]
    fn explains_the_end_of_a_process_that_gave_up() {
        for (errno, words) in [
            (
                "ECONNREFUSED",
                "connections to 10.0.0.2:5432 are refused (ECONNREFUSED)",
            ),
            ("ETIMEDOUT", "10.0.0.2:5432 does not answer"),
            ("EHOSTUNREACH", "there is no way to 10.0.0.2:5432"),
        ] {
            let shop = Actor::new("shop", 40);
            let words_of = vec![connect(40, -10, errno, database())];
            let exit = shop.gave_up("exit", 0, 1, words_of);
            let incident = opens(vec![exit], SCENARIO.cause, Severity::Critical);
            assert!(incident.headline.ends_with(words), "{}", incident.headline);
            assert_eq!(incident.root_cause.entity.name, "10.0.0.2:5432");
        }
    }

    #[test]
    fn a_death_of_it_joins_the_condition_whatever_comes_first() {
        let shop = Actor::new("shop", 40);
        let words = vec![connect(40, 7490, "ECONNREFUSED", database())];
        let exit = shop.gave_up("exit", 7500, 1, words);
        for death_first in [true, false] {
            let mut engine = crate::Engine::default();
            let mut steps = vec![signals(0, 0), vec![exit.clone()]];
            if death_first {
                steps.reverse();
            }
            for signals in steps {
                crate::testing::step(&mut engine, crate::testing::at_ms(8000), signals);
            }
            let incidents: Vec<_> = engine.incidents().collect();
            assert_eq!(incidents.len(), 1);
            assert_eq!(incidents[0].severity, Severity::Critical);
            assert_eq!(incidents[0].occurrences, 1);
            assert!(incidents[0].headline.starts_with("shop[40] gave up"));
        }
    }
}
