//! Pairs DNS queries with their answers, and tells what became of them by owner and resolver: at once when one failed, else
//! every ten seconds. Must not resolve anything itself, nor tell a query as unanswered whose answer it may have missed.

mod message;
mod search;
mod tally;

use std::collections::{BTreeMap, VecDeque};

use inquest_agent_abi::DnsMessage;
use inquest_proto::v1::{self, DnsQueries, loss::Stage, signal::Body};

use super::{address::socket_address, clock::ktime_now_ns};
use crate::{attribute::Attributor, loss::Losses};
use message::{Message, Question};
use search::Searches;
use tally::{Outcome, Tally};

/// Time after which a query without an answer has timed out: what resolver libraries wait for before they try again.
const TIMEOUT_NS: u64 = 5_000_000_000;
/// A second packet of the same query this soon is the same one at another network device.
const SAME_PACKET_NS: u64 = 20_000_000;
/// Longest time for which queries without a failure are gathered.
const GATHERED_NS: u64 = 10_000_000_000;
/// Time in which failures are gathered, so that a storm of them is no storm of signals.
const FAILURES_GATHERED_NS: u64 = 1_000_000_000;
/// Queries that wait for their answer, some 200 bytes each.
const MAX_PENDING: usize = 8192;
/// Times of queries that are kept, those of answered ones included, at 24 bytes each.
const MAX_ORDER: usize = 4 * MAX_PENDING;
/// As what queries are counted of which nobody knows whether they were answered.
const UNKNOWN_END: &str = "dns_end_unknown";
/// Owners and resolvers told apart at once.
const MAX_TALLIES: usize = 1024;

/// By what an answer finds its query: network namespace, port that asked, id of the message.
type PendingKey = (u32, u16, u16);
/// Whose queries to whom: network namespace, cgroup, resolver's IP version, address and port.
type TallyKey = (u32, u64, u8, [u8; 16], u16);

/// The queries that wait, and those that ended since they were told.
#[derive(Debug, Default)]
pub(super) struct Dns {
    /// Answers are not recorded.
    is_deaf: bool,
    pending: BTreeMap<PendingKey, Pending>,
    /// In the order in which they were made, those answered included.
    order: VecDeque<(u64, PendingKey)>,
    tallies: BTreeMap<TallyKey, Tally>,
    searches: Searches,
    /// At the next occasion, whether or not it is time to.
    all_due: bool,
}

#[derive(Debug)]
struct Pending {
    ktime_ns: u64,
    question: Question,
    pid: u32,
    tally: TallyKey,
}

impl Dns {
    /// Takes note of a query or an answer.
    pub(super) fn saw(&mut self, record: &DnsMessage, losses: &mut Losses) {
        let len = usize::from(record.message_len);
        let bytes = record.message.get(..len).unwrap_or(&record.message);
        let Some(message) = message::parse(bytes) else {
            losses.add(Stage::Decode, "dns_message", 1);
            if record.is_answer == 1 {
                self.answered_somehow(record, losses);
            }
            return;
        };
        // The port alone does not make a query: a server that runs here sends answers from it.
        match (record.is_answer == 1, message.is_answer) {
            (true, true) => self.answered(record, &message),
            (false, false) => self.asked(record, message, losses),
            _ => {}
        }
    }

    /// Takes note of whether answers are recorded from now on. Without them, queries are not told.
    pub(super) fn set_sees_answers(&mut self, sees_answers: bool, losses: &mut Losses) {
        if !sees_answers {
            self.missed_answers(losses);
        }
        self.is_deaf = !sees_answers;
    }

    /// Takes note that records were lost, answers perhaps: whether what waits now was answered is not known.
    pub(super) fn missed_answers(&mut self, losses: &mut Losses) {
        losses.add(Stage::Decode, UNKNOWN_END, self.pending.len() as u64);
        self.pending.clear();
        self.order.clear();
    }

    /// Returns what is to be told by now.
    pub(super) fn due(&mut self, attributor: &mut Attributor) -> Vec<v1::Signal> {
        let ktime_ns = ktime_now_ns();
        self.time_out(ktime_ns);
        let all_due = std::mem::take(&mut self.all_due);
        let (due, waiting) = std::mem::take(&mut self.tallies)
            .into_iter()
            .partition(|(_, tally)| all_due || is_due(tally, ktime_ns));
        self.tallies = waiting;
        let due: BTreeMap<TallyKey, Tally> = due;
        let signals = due.into_iter().map(|(key, tally)| {
            let (netns, cgroup, ip_version, resolver, port) = key;
            let subject = attributor.netns_subject(netns, cgroup, ktime_ns);
            let body = DnsQueries {
                start: Some(attributor.wall(tally.start_ktime_ns)),
                netns: u64::from(netns),
                resolver: socket_address(ip_version, resolver, port),
                ..tally.into_body()
            };
            attributor.signal(ktime_ns, subject, Body::DnsQueries(body))
        });
        signals.collect()
    }

    /// Gives up what it can do without: what is gathered is told at the next occasion.
    pub(super) fn shed(&mut self) {
        self.all_due = true;
        self.searches.shed();
    }

    fn asked(&mut self, record: &DnsMessage, message: Message, losses: &mut Losses) {
        let Some(question) = message.question.filter(|_| !self.is_deaf) else {
            return;
        };
        let ktime_ns = record.header.ktime_ns;
        let key = (record.netns, record.local_port, message.id);
        if let Some(earlier) = self.pending.get(&key) {
            let is_same = ktime_ns.saturating_sub(earlier.ktime_ns) < SAME_PACKET_NS;
            if is_same && earlier.question == question {
                return;
            }
        }
        if self.pending.len() >= MAX_PENDING {
            losses.add(Stage::RateLimit, "dns_pending", 1);
            return;
        }
        let tally = (
            record.netns,
            record.cgroup,
            record.ip_version,
            record.resolver,
            record.resolver_port,
        );
        let is_next_try = self
            .searches
            .asked(record.pid, question.kind, &question.name, ktime_ns);
        if !self.with_tally(tally, ktime_ns, |tally| tally.asked(is_next_try)) {
            losses.add(Stage::RateLimit, "dns_resolvers", 1);
            return;
        }
        let pending = Pending {
            ktime_ns,
            question,
            pid: record.pid,
            tally,
        };
        if let Some(unanswered) = self.pending.insert(key, pending) {
            // It was sent again before its time was up.
            self.end(unanswered, Outcome::TimedOut, ktime_ns);
        }
        if self.order.len() >= MAX_ORDER {
            let pending = &self.pending;
            self.order.retain(|(asked_ktime_ns, key)| {
                let pending = pending.get(key);
                pending.is_some_and(|pending| pending.ktime_ns == *asked_ktime_ns)
            });
        }
        self.order.push_back((ktime_ns, key));
    }

    fn answered(&mut self, record: &DnsMessage, message: &Message) {
        let key = (record.netns, record.local_port, message.id);
        let Some(pending) = self.pending.remove(&key) else {
            // Asked before the agent began, or told to have timed out already.
            return;
        };
        let outcome = Outcome::Answered {
            rcode: message.rcode,
            has_data: message.has_data,
        };
        if message.rcode == 0 && message.has_data {
            self.searches
                .found(pending.pid, pending.question.kind, &pending.question.name);
        }
        self.end(pending, outcome, record.header.ktime_ns);
    }

    /// An answer arrived that cannot be read: it may be that of any query which waits at its port.
    fn answered_somehow(&mut self, record: &DnsMessage, losses: &mut Losses) {
        let key = |id| (record.netns, record.local_port, id);
        let waiting = self.pending.extract_if(key(0)..=key(u16::MAX), |_, _| true);
        losses.add(Stage::Decode, UNKNOWN_END, waiting.count() as u64);
    }

    fn time_out(&mut self, ktime_ns: u64) {
        while let Some((asked_ktime_ns, key)) = self.order.front().copied() {
            if ktime_ns.saturating_sub(asked_ktime_ns) < TIMEOUT_NS {
                break;
            }
            self.order.pop_front();
            let is_this = |pending: &Pending| pending.ktime_ns == asked_ktime_ns;
            if self.pending.get(&key).is_some_and(is_this)
                && let Some(pending) = self.pending.remove(&key)
            {
                self.end(pending, Outcome::TimedOut, ktime_ns);
            }
        }
    }

    fn end(&mut self, pending: Pending, outcome: Outcome, ktime_ns: u64) {
        let Pending {
            ktime_ns: asked_ktime_ns,
            question,
            tally,
            ..
        } = pending;
        let latency_ns = ktime_ns.saturating_sub(asked_ktime_ns);
        // Without room the query was counted before, and its end is not.
        let _counted = self.with_tally(tally, ktime_ns, |tally| {
            tally.ended(question, outcome, latency_ns);
        });
    }

    /// Has `count` count in a tally, if there is one or room for it; returns whether it could.
    fn with_tally(&mut self, key: TallyKey, ktime_ns: u64, count: impl FnOnce(&mut Tally)) -> bool {
        if self.tallies.len() >= MAX_TALLIES && !self.tallies.contains_key(&key) {
            return false;
        }
        let begin = || Tally::new(ktime_ns);
        count(self.tallies.entry(key).or_insert_with(begin));
        true
    }
}

fn is_due(tally: &Tally, ktime_ns: u64) -> bool {
    let gathered = if tally.has_failure {
        FAILURES_GATHERED_NS
    } else {
        GATHERED_NS
    };
    ktime_ns.saturating_sub(tally.start_ktime_ns) >= gathered
}

#[cfg(test)]
mod tests {
    use inquest_agent_abi::{MAX_COMM, MAX_DNS_MESSAGE, RecordHeader, RecordKind};

    use super::{message::tests::bytes, *};

    const QUERY: u16 = 0x0100;
    const ANSWER: u16 = 0x8180;
    const NXDOMAIN: u16 = 0x8183;
    const SECOND: u64 = 1_000_000_000;

    fn record(ktime_ns: u64, message: &[u8], is_answer: bool) -> DnsMessage {
        let mut kept = [0; MAX_DNS_MESSAGE];
        kept[..message.len()].copy_from_slice(message);
        DnsMessage {
            header: RecordHeader {
                kind: RecordKind::DNS_MESSAGE,
                reserved: 0,
                ktime_ns,
            },
            cgroup: if is_answer { 0 } else { 5 },
            resolver: [10; 16],
            netns: 7,
            pid: 42,
            local_port: 40_000,
            resolver_port: 53,
            message_len: message.len() as u16,
            ip_version: 4,
            is_answer: u8::from(is_answer),
            comm: [0; MAX_COMM],
            message: kept,
        }
    }

    fn only(dns: &mut Dns) -> DnsQueries {
        assert_eq!(dns.tallies.len(), 1);
        let (_, tally) = dns.tallies.pop_first().unwrap();
        tally.into_body()
    }

    fn saw(dns: &mut Dns, ktime_ns: u64, message: &[u8], is_answer: bool) {
        let mut losses = Losses::default();
        dns.saw(&record(ktime_ns, message, is_answer), &mut losses);
        assert!(losses.is_empty());
    }

    #[test]
    fn pairs_a_query_with_its_answer() {
        let mut dns = Dns::default();
        saw(&mut dns, 100, &bytes(1, QUERY, "a.b", 1, &[]), false);
        // The same packet at the device below.
        saw(&mut dns, 110, &bytes(1, QUERY, "a.b", 1, &[]), false);
        saw(&mut dns, 120, &bytes(2, QUERY, "a.b", 28, &[]), false);
        saw(&mut dns, 400, &bytes(1, ANSWER, "a.b", 1, &[1]), true);
        saw(&mut dns, 500, &bytes(1, ANSWER, "a.b", 1, &[1]), true);
        saw(&mut dns, 600, &bytes(2, ANSWER, "a.b", 28, &[]), true);
        let body = only(&mut dns);
        assert_eq!((body.total, body.answered, body.timed_out), (2, 2, 0));
        let of_a = body
            .queries
            .iter()
            .find(|query| query.r#type == "A")
            .unwrap();
        assert_eq!((of_a.latency_max_ns, of_a.no_data), (300, false));
        assert!(body.queries.iter().any(|query| query.no_data));
    }

    #[test]
    fn a_query_times_out_once_and_a_late_answer_is_none() {
        let mut dns = Dns::default();
        saw(&mut dns, SECOND, &bytes(1, QUERY, "a.b", 1, &[]), false);
        dns.time_out(5 * SECOND);
        assert_eq!(dns.pending.len(), 1);
        dns.time_out(6 * SECOND);
        dns.time_out(7 * SECOND);
        saw(
            &mut dns,
            8 * SECOND,
            &bytes(1, ANSWER, "a.b", 1, &[1]),
            true,
        );
        let body = only(&mut dns);
        assert_eq!((body.total, body.answered, body.timed_out), (1, 0, 1));
        assert!(dns.order.is_empty());
    }

    #[test]
    fn tells_no_query_as_unanswered_whose_answer_it_may_have_missed() {
        let ask = |dns: &mut Dns, id| saw(dns, SECOND, &bytes(id, QUERY, "a.b", 1, &[]), false);
        let unreadable = |dns: &mut Dns, losses: &mut Losses| {
            dns.saw(&record(2 * SECOND, &[], true), losses);
        };
        let lost = |dns: &mut Dns, losses: &mut Losses| dns.missed_answers(losses);
        let unseen = |dns: &mut Dns, losses: &mut Losses| dns.set_sees_answers(false, losses);
        for miss in [unreadable, lost, unseen] as [fn(&mut Dns, &mut Losses); 3] {
            let (mut dns, mut losses) = (Dns::default(), Losses::default());
            ask(&mut dns, 1);
            ask(&mut dns, 2);
            miss(&mut dns, &mut losses);
            dns.time_out(60 * SECOND);
            let body = only(&mut dns);
            assert_eq!((body.total, body.timed_out), (2, 0));
            assert_eq!(losses.count(Stage::Decode, UNKNOWN_END), 2);
        }
    }

    #[test]
    fn an_unreadable_answer_says_nothing_of_queries_from_another_port() {
        let (mut dns, mut losses) = (Dns::default(), Losses::default());
        saw(&mut dns, SECOND, &bytes(1, QUERY, "a.b", 1, &[]), false);
        let mut elsewhere = record(2 * SECOND, &[], true);
        elsewhere.local_port += 1;
        dns.saw(&elsewhere, &mut losses);
        dns.time_out(60 * SECOND);
        assert_eq!(only(&mut dns).timed_out, 1);
    }

    #[test]
    fn tells_no_query_while_answers_are_not_seen() {
        let (mut dns, mut losses) = (Dns::default(), Losses::default());
        dns.set_sees_answers(false, &mut losses);
        saw(&mut dns, SECOND, &bytes(1, QUERY, "a.b", 1, &[]), false);
        assert!(dns.tallies.is_empty() && losses.is_empty());
        dns.set_sees_answers(true, &mut losses);
        saw(&mut dns, SECOND, &bytes(2, QUERY, "a.b", 1, &[]), false);
        assert_eq!(only(&mut dns).total, 1);
    }

    #[test]
    fn counts_the_tries_of_a_search() {
        let mut dns = Dns::default();
        let names = [
            "db.shop.svc.cluster.local",
            "db.svc.cluster.local",
            "db.cluster.local",
            "db",
        ];
        for (id, name) in (1..).zip(names) {
            let at = u64::from(id) * SECOND;
            saw(&mut dns, at, &bytes(id, QUERY, name, 1, &[]), false);
            saw(&mut dns, at + 9, &bytes(id, NXDOMAIN, name, 1, &[]), true);
        }
        let body = only(&mut dns);
        assert_eq!(
            (body.total, body.nxdomain, body.search_amplified),
            (4, 4, 3)
        );
    }

    #[test]
    fn is_due_soon_after_a_failure_and_late_without() {
        let mut tally = Tally::new(SECOND);
        assert!(!is_due(&tally, 10 * SECOND) && is_due(&tally, 11 * SECOND));
        let question = Question {
            name: "a".to_owned(),
            kind: 1,
        };
        tally.ended(question, Outcome::TimedOut, 1);
        assert!(is_due(&tally, 2 * SECOND));
    }

    #[test]
    fn stays_bounded_and_counts_what_it_cannot_keep() {
        let mut dns = Dns::default();
        let mut losses = Losses::default();
        for n in 0..MAX_PENDING as u64 + 10 {
            let message = bytes(n as u16, QUERY, "a.b", 1, &[]);
            dns.saw(&record(n * SAME_PACKET_NS, &message, false), &mut losses);
        }
        assert_eq!(dns.pending.len(), MAX_PENDING);
        assert_eq!(losses.count(Stage::RateLimit, "dns_pending"), 10);
        dns.saw(&record(1, b"rubbish", false), &mut losses);
        assert_eq!(losses.count(Stage::Decode, "dns_message"), 1);
    }
}
