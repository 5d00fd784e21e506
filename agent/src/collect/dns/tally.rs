//! Adds up the queries of one owner to one resolver until they are told. Pure.

use std::collections::HashMap;

use inquest_proto::v1::{DnsQueries, DnsQuery};

use super::message::{Question, rcode_name, type_name};

/// Different names, types and outcomes told apart of one owner and resolver; more are in the totals alone.
const MAX_QUERIES: usize = 64;
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;

/// What became of queries to one resolver.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// When the first of them was made.
    pub(super) start_ktime_ns: u64,
    totals: DnsQueries,
    queries: HashMap<Key, Sum>,
    /// Somebody did not get what was asked for.
    pub(super) has_failure: bool,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    question: Question,
    outcome: Outcome,
}

/// How a query ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Outcome {
    /// Nobody answered in time.
    TimedOut,
    /// By this code, with or without what was asked for.
    Answered { rcode: u16, has_data: bool },
}

#[derive(Debug, Default)]
struct Sum {
    count: u64,
    latency_sum_ns: u64,
    latency_max_ns: u64,
}

impl Tally {
    /// Begins with nothing at `ktime_ns`.
    pub(super) fn new(ktime_ns: u64) -> Self {
        Self {
            start_ktime_ns: ktime_ns,
            ..Self::default()
        }
    }

    /// Counts a query that was made.
    pub(super) fn asked(&mut self, is_next_try: bool) {
        self.totals.total += 1;
        self.totals.search_amplified += u64::from(is_next_try);
    }

    /// Counts how one ended, `latency_ns` after it was made.
    pub(super) fn ended(&mut self, question: Question, outcome: Outcome, latency_ns: u64) {
        match outcome {
            Outcome::TimedOut => self.totals.timed_out += 1,
            Outcome::Answered { rcode, .. } => {
                self.totals.answered += 1;
                self.totals.nxdomain += u64::from(rcode == NXDOMAIN);
            }
        }
        self.has_failure |= outcome.is_failure();
        let key = Key { question, outcome };
        if self.queries.len() >= MAX_QUERIES && !self.queries.contains_key(&key) {
            return;
        }
        let sum = self.queries.entry(key).or_default();
        sum.count += 1;
        sum.latency_sum_ns = sum.latency_sum_ns.saturating_add(latency_ns);
        sum.latency_max_ns = sum.latency_max_ns.max(latency_ns);
    }

    /// Returns all of it, the most frequent first, without its place.
    pub(super) fn into_body(self) -> DnsQueries {
        let queries = self.queries.into_iter().map(|(key, sum)| {
            let (rcode, no_data) = match key.outcome {
                Outcome::TimedOut => (String::new(), false),
                Outcome::Answered { rcode, has_data } => {
                    (rcode_name(rcode), rcode == 0 && !has_data)
                }
            };
            DnsQuery {
                r#type: type_name(key.question.kind),
                name: key.question.name,
                rcode,
                count: sum.count,
                latency_sum_ns: sum.latency_sum_ns,
                latency_max_ns: sum.latency_max_ns,
                no_data,
            }
        });
        let mut queries: Vec<DnsQuery> = queries.collect();
        queries.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        DnsQueries {
            queries,
            ..self.totals
        }
    }
}

impl Outcome {
    fn is_failure(self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Answered { rcode, .. } => matches!(rcode, SERVFAIL | NXDOMAIN | REFUSED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str) -> Question {
        Question {
            name: name.to_owned(),
            kind: 1,
        }
    }

    const fn answered(rcode: u16, has_data: bool) -> Outcome {
        Outcome::Answered { rcode, has_data }
    }

    #[test]
    fn adds_up_by_name_and_outcome() {
        let mut tally = Tally::new(5);
        for _ in 0..4 {
            tally.asked(false);
        }
        tally.ended(question("a"), answered(0, true), 10);
        tally.ended(question("a"), answered(0, true), 30);
        assert!(!tally.has_failure);
        tally.ended(question("b"), answered(0, false), 20);
        tally.ended(question("a"), Outcome::TimedOut, 5_000);
        assert!(tally.has_failure);
        let body = tally.into_body();
        assert_eq!((body.total, body.answered, body.timed_out), (4, 3, 1));
        let first = &body.queries[0];
        assert_eq!(
            (first.name.as_str(), first.count, first.rcode.as_str()),
            ("a", 2, "NOERROR")
        );
        assert_eq!((first.latency_sum_ns, first.latency_max_ns), (40, 30));
        let of_b = body.queries.iter().find(|query| query.name == "b").unwrap();
        assert!(of_b.no_data);
    }

    #[test]
    fn stays_bounded_and_keeps_its_totals() {
        let mut tally = Tally::new(5);
        for n in 0..1000 {
            tally.asked(true);
            tally.ended(question(&n.to_string()), answered(NXDOMAIN, false), 1);
        }
        let body = tally.into_body();
        assert_eq!(
            (body.total, body.nxdomain, body.search_amplified),
            (1000, 1000, 1000)
        );
        assert_eq!(body.queries.len(), MAX_QUERIES);
    }
}
