//! The store as a whole: what goes in comes out once, in order, whatever is merged or removed meanwhile.

use std::time::Duration;

use inquest_api::{Analysis, AnalysisState, Incident};
use inquest_engine::model::Timestamp;
use inquest_proto::v1;
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use super::{
    AnalysisUpdate, Committed, Position, RestoreWindow, Step, StreamKey, Writer, incidents,
    signals::{self, From, SignalQuery},
    streams,
};
use crate::config::Retention;

const NOW: Timestamp = Timestamp::from_nanos(1_780_000_000_000_000_000);
const HOUR: Duration = Duration::from_hours(1);
const ALL: RestoreWindow = RestoreWindow {
    signals: 1000,
    resolved_incidents: Duration::from_hours(1000),
};

/// A store in a directory of its own.
struct Fixture {
    dir: TempDir,
    writer: Writer,
    reader: Connection,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = super::file_in(dir.path());
        let writer = Writer::open(&path).unwrap();
        // What is tested here does not hang on power cuts, and thousands of syncs take long.
        writer
            .connection()
            .pragma_update(None, "synchronous", "OFF")
            .unwrap();
        Self {
            writer,
            reader: super::schema::open_reader(&path).unwrap(),
            dir,
        }
    }

    fn store(&mut self, signals: &[v1::Signal], now: Timestamp) {
        let step = Step {
            signals,
            ..nothing(now)
        };
        self.writer.commit(&step).unwrap();
    }

    fn keep(&mut self, incidents: &[Incident]) {
        let step = Step {
            incidents,
            ..nothing(NOW)
        };
        self.writer.commit(&step).unwrap();
    }

    fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.reader.query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    /// Ids of all signals, oldest first, over pages of this size.
    fn followed(&self, limit: u32) -> Vec<String> {
        let (mut ids, mut from) = (Vec::new(), 1);
        loop {
            let query = SignalQuery {
                from: From::At(from),
                limit,
                ..Default::default()
            };
            let page = signals::list(&self.reader, &query).unwrap();
            if page.signals.is_empty() {
                return ids;
            }
            ids.extend(page.signals.into_iter().map(|signal| signal.id));
            from = page.next.unwrap();
        }
    }

    fn compact_all(&mut self, now: Timestamp) {
        while self.writer.compact(now).unwrap() {}
    }

    fn expire_all(&mut self, retention: &Retention, now: Timestamp) {
        while self.writer.expire(retention, now).unwrap().more {}
    }
}

fn nothing(now: Timestamp) -> Step<'static> {
    Step {
        now,
        signals: &[],
        positions: &[],
        incidents: &[],
        analyses: &[],
        nodes: &[],
    }
}

fn signal(number: u64) -> v1::Signal {
    v1::Signal {
        id: format!("s-{number}"),
        observed_at: Some(pbjson_types::Timestamp {
            seconds: number as i64,
            nanos: 0,
        }),
        node: "n1".into(),
        ..Default::default()
    }
}

fn signals_of(numbers: std::ops::Range<u64>) -> Vec<v1::Signal> {
    numbers.map(signal).collect()
}

fn ids_of(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| format!("s-{number}")).collect()
}

fn position(start_id: u64, sequence: u64) -> Position {
    Position {
        key: StreamKey {
            agent_id: "a1".into(),
            start_id,
        },
        sequence,
    }
}

/// An incident with these aliases, last seen at this second.
fn incident(id: &str, state: &str, seen: i64, aliases: &[&str]) -> Incident {
    let entity = json!({"kind": "Cgroup", "name": "/x", "node": "n1"});
    let at = format!("1970-01-01T00:{:02}:{:02}Z", seen / 60, seen % 60);
    serde_json::from_value(json!({
        "id": id, "fingerprint": id, "state": state, "severity": "warning", "openedAt": at, "lastSeenAt": at,
        "occurrences": 1, "headline": "", "explanation": "",
        "rootCause": {"cause": "node-oom", "entity": entity, "confidence": 0.5},
        "hypotheses": [], "chain": [], "evidence": [], "ruledOut": [], "impact": [], "remediation": [],
        "coverage": [], "history": [], "aliases": aliases,
    }))
    .unwrap()
}

#[test]
fn a_step_that_is_there_already_is_not_written_again() {
    let mut fixture = Fixture::new();
    let (signals, positions) = (signals_of(1..4), [position(7, 1), position(8, 5)]);
    let step = Step {
        signals: &signals,
        positions: &positions,
        ..nothing(NOW)
    };
    // Like a writer whose commit became durable but seemed to fail: it does not know of it.
    let mut unaware = Writer::open(&super::file_in(fixture.dir.path())).unwrap();
    for (writer, was_there) in [(&mut fixture.writer, false), (&mut unaware, true)] {
        let committed = Committed {
            next_signal: 4,
            was_there,
        };
        assert_eq!(writer.commit(&step).unwrap(), committed);
    }
    assert_eq!(fixture.followed(10), ids_of(1..4));
    let restored = fixture.writer.restore(NOW, ALL).unwrap();
    assert_eq!((restored.signals, restored.next_signal), (signals, 4));
    assert_eq!(restored.positions, positions);
}

#[test]
fn a_position_that_the_store_has_already_swallows_no_other_agents_batch() {
    let mut fixture = Fixture::new();
    let forgotten = Step {
        positions: &[position(7, 9)],
        ..nothing(NOW)
    };
    fixture.writer.commit(&forgotten).unwrap();
    let (signals, positions) = (signals_of(1..4), [position(7, 1), position(8, 1)]);
    let step = Step {
        signals: &signals,
        positions: &positions,
        ..nothing(NOW)
    };
    assert!(!fixture.writer.commit(&step).unwrap().was_there);
    assert_eq!(fixture.followed(10), ids_of(1..4));
    assert_eq!(
        fixture.writer.restore(NOW, ALL).unwrap().positions,
        positions
    );
}

#[test]
fn a_restart_continues_from_the_newest_signals_however_long_it_was_away() {
    let mut fixture = Fixture::new();
    fixture.store(&signals_of(1..4), NOW);
    fixture.store(&signals_of(4..6), NOW.plus(HOUR));
    let newest = RestoreWindow { signals: 4, ..ALL };
    for away in [Duration::ZERO, HOUR * 100] {
        let now = NOW.plus(HOUR).plus(away);
        let signals = fixture.writer.restore(now, newest).unwrap().signals;
        assert_eq!(signals, signals_of(2..6), "the newest of several blocks");
    }
}

#[test]
fn a_restart_continues_from_incidents_seen_shortly_before_the_end() {
    let mut fixture = Fixture::new();
    let end = Timestamp::from_nanos(601_000_000_000);
    fixture.keep(&[
        incident("inc-1", "open", 1, &[]),
        incident("inc-2", "resolved", 2, &[]),
        incident("inc-3", "resolved", 600, &[]),
    ]);
    let window = RestoreWindow {
        resolved_incidents: Duration::from_mins(5),
        ..ALL
    };
    let ids = |fixture: &Fixture, now| -> Vec<String> {
        let restored = fixture.writer.restore(now, window).unwrap();
        restored.incidents.into_iter().map(|i| i.id).collect()
    };
    assert_eq!(ids(&fixture, end), ["inc-1", "inc-3"]);
    fixture.store(&signals_of(1..2), end);
    for away in [Duration::ZERO, HOUR] {
        assert_eq!(ids(&fixture, end.plus(away)), ["inc-1", "inc-3"]);
    }
}

#[test]
fn what_a_model_wrote_outlives_a_change_of_its_incident() {
    let mut fixture = Fixture::new();
    fixture.keep(&[incident("inc-1", "open", 1, &[])]);
    let analysis = Analysis {
        state: AnalysisState::Failed,
        provider: "openai".into(),
        model: "m".into(),
        prompt_version: "1".into(),
        sentences: Vec::new(),
        dropped_sentences: 3,
        requested_at: NOW.into(),
        answered_at: None,
        error: Some("no answer".into()),
    };
    let update = |id: &str| AnalysisUpdate {
        incident_id: id.into(),
        analysis: analysis.clone(),
    };
    let analyses = [update("inc-1"), update("inc-gone")];
    let step = Step {
        analyses: &analyses,
        ..nothing(NOW)
    };
    fixture.writer.commit(&step).unwrap();
    fixture.keep(&[incident("inc-1", "resolved", 2, &[])]);
    let stored = incidents::get(&fixture.reader, "inc-1").unwrap().unwrap();
    assert_eq!(
        (stored.state.as_str(), stored.analysis),
        ("resolved", Some(analysis))
    );
}

#[test]
fn small_blocks_are_merged_and_every_signal_keeps_its_number() {
    let mut fixture = Fixture::new();
    for number in 1..=2500 {
        fixture.store(&[signal(number)], NOW);
    }
    fixture.compact_all(NOW);
    assert_eq!(
        fixture.count("signal_block"),
        2500,
        "the newest rest for a while"
    );
    let later = NOW.plus(HOUR);
    fixture.compact_all(later);
    let blocks = fixture.count("signal_block");
    assert!((3..300).contains(&blocks), "{blocks}");
    assert_eq!(fixture.followed(7), ids_of(1..2501));
    fixture.store(&[signal(2501)], later);
    assert_eq!(fixture.followed(1000), ids_of(1..2502));
    fixture.compact_all(later.plus(HOUR));
    assert_eq!(fixture.followed(1000), ids_of(1..2502));
}

#[test]
fn a_damaged_block_costs_its_own_signals_only() {
    let mut fixture = Fixture::new();
    for first in [1, 11, 21] {
        fixture.store(&signals_of(first..first + 10), NOW);
    }
    let damage = "UPDATE signal_block SET payload = x'00ff' WHERE first_number = 11";
    fixture.writer.connection().execute(damage, []).unwrap();
    let kept = [ids_of(1..11), ids_of(21..31)].concat();
    assert_eq!(fixture.followed(3), kept);
    fixture.compact_all(NOW.plus(HOUR));
    assert_eq!(fixture.followed(3), kept);
    assert_eq!(fixture.writer.restore(NOW, ALL).unwrap().signals.len(), 20);
}

#[test]
fn signals_past_their_time_go_and_the_numbers_go_on() {
    let mut fixture = Fixture::new();
    for number in 1..=200 {
        fixture.store(&[signal(number)], NOW.plus(Duration::from_secs(number)));
    }
    let retention = Retention {
        signals: HOUR,
        incidents: HOUR,
        max_size: u64::MAX,
    };
    let half = NOW.plus(HOUR).plus(Duration::from_secs(101));
    fixture.expire_all(&retention, half);
    assert_eq!(fixture.followed(1000), ids_of(101..201));
    fixture.expire_all(&retention, NOW.plus(HOUR * 10));
    assert_eq!(
        fixture.followed(1000),
        ids_of(200..201),
        "the newest block stays"
    );
    fixture.store(&[signal(201)], NOW.plus(HOUR * 10));
    assert_eq!(signals::count(&fixture.reader).unwrap(), 2);
    assert_eq!(fixture.writer.restore(NOW, ALL).unwrap().next_signal, 202);
}

#[test]
fn a_file_that_is_too_large_loses_its_oldest_signals_and_gives_space_back() {
    let mut fixture = Fixture::new();
    for number in 1..=300 {
        let mut large = signal(number);
        large.id = format!("s-{number}-{}", noise(number, 20_000));
        fixture.store(&[large], NOW);
    }
    let pages = |fixture: &Fixture| -> i64 {
        let pages = fixture
            .reader
            .query_row("PRAGMA page_count", [], |row| row.get(0));
        pages.unwrap()
    };
    let before = pages(&fixture);
    let max_size = before.cast_unsigned() * 4096 / 2;
    let retention = Retention {
        signals: HOUR,
        incidents: HOUR,
        max_size,
    };
    fixture.expire_all(&retention, NOW);
    let after = pages(&fixture);
    assert!(
        after.cast_unsigned() * 4096 <= max_size,
        "{after} of {before} pages"
    );
    let kept = fixture.followed(1000);
    assert!(
        kept.len() > 50 && kept.last().unwrap().starts_with("s-300-"),
        "{}",
        kept.len()
    );
}

/// Text that does not compress, the same for the same seed.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn resolved_incidents_past_their_time_go_with_their_aliases_and_open_ones_stay() {
    let mut fixture = Fixture::new();
    fixture.keep(&[
        incident("inc-1", "open", 1, &["one"]),
        incident("inc-2", "resolved", 2, &["two"]),
        incident("inc-3", "resolved", 3000, &["three"]),
    ]);
    let retention = Retention {
        signals: HOUR,
        incidents: Duration::from_mins(10),
        max_size: u64::MAX,
    };
    fixture.expire_all(&retention, Timestamp::from_nanos(3_000_000_000_000));
    assert_eq!(fixture.count("incident"), 2);
    assert_eq!(fixture.count("incident_alias"), 2);
    assert!(incidents::get(&fixture.reader, "inc-2").unwrap().is_none());
}

#[test]
fn an_incident_is_found_by_whatever_names_it() {
    let mut fixture = Fixture::new();
    let container = "4f6a12de9b0c4f6a12de9b0c4f6a12de9b0c4f6a12de9b0c4f6a12de9b0c4f6a";
    let pod = "1b9f0c1e-2f3a-4b5c-8d9e-0f1a2b3c4d5e";
    let (open, old, newer) = (
        incident(
            "inc-0a1b2c3d4e5f",
            "open",
            1,
            &["4242", container, pod, "/shop/cart", "100% of_it"],
        ),
        incident("inc-0a99", "resolved", 2, &["4242", "/shop/mail"]),
        incident("inc-ffff", "resolved", 3, &["4242", "/other/cart"]),
    );
    fixture.keep(&[open, old, newer]);
    let cases: &[(&str, &[&str])] = &[
        ("inc-0a1b2c3d4e5f", &["inc-0a1b2c3d4e5f"]),
        ("inc-0a", &["inc-0a1b2c3d4e5f", "inc-0a99"]),
        ("inc-", &[]),
        ("4242", &["inc-0a1b2c3d4e5f", "inc-ffff", "inc-0a99"]),
        ("424", &[]),
        (container, &["inc-0a1b2c3d4e5f"]),
        ("4f6a12de", &["inc-0a1b2c3d4e5f"]),
        ("4f6a12d", &[]),
        (pod, &["inc-0a1b2c3d4e5f"]),
        ("1b9f0c1e-2f3a", &["inc-0a1b2c3d4e5f"]),
        ("/shop/cart", &["inc-0a1b2c3d4e5f"]),
        ("shop/cart", &["inc-0a1b2c3d4e5f"]),
        ("cart", &["inc-0a1b2c3d4e5f", "inc-ffff"]),
        ("cart/", &["inc-0a1b2c3d4e5f", "inc-ffff"]),
        ("art", &[]),
        ("/", &[]),
        ("%", &[]),
        ("100% of_it", &["inc-0a1b2c3d4e5f"]),
        ("' OR 1=1 --", &[]),
    ];
    for (target, expected) in cases {
        let found = incidents::search(&fixture.reader, target, 10).unwrap();
        let ids: Vec<_> = found.iter().map(|incident| incident.id.as_str()).collect();
        assert_eq!(ids, *expected, "{target}");
    }
}

#[test]
fn the_newest_processes_of_an_agent_are_remembered() {
    let mut fixture = Fixture::new();
    for start_id in 1..=100 {
        let step = Step {
            positions: &[position(start_id, 1)],
            ..nothing(NOW.plus(Duration::from_secs(start_id)))
        };
        fixture.writer.commit(&step).unwrap();
    }
    streams::forget_oldest(fixture.writer.connection()).unwrap();
    let kept = fixture.writer.restore(NOW, ALL).unwrap().positions;
    let starts: Vec<_> = kept.iter().map(|position| position.key.start_id).collect();
    assert_eq!(starts, (37..=100).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn paging_in_either_direction_gives_every_signal_once_whatever_is_merged(
        sizes in proptest::collection::vec(1u64..400, 1..12),
        limit in 1u32..500,
        merge_after in 0usize..12,
    ) {
        let mut fixture = Fixture::new();
        let mut next = 1;
        for (step, size) in sizes.iter().enumerate() {
            fixture.store(&signals_of(next..next + size), NOW);
            next += size;
            if step == merge_after {
                fixture.compact_all(NOW.plus(HOUR));
            }
        }
        prop_assert_eq!(fixture.followed(limit), ids_of(1..next));
        let (mut back, mut before) = (Vec::new(), Some(u64::MAX));
        while let Some(number) = before {
            let query = SignalQuery { from: From::Before(number), limit, ..Default::default() };
            let page = signals::list(&fixture.reader, &query).unwrap();
            before = page.next;
            back.extend(page.signals.into_iter().map(|signal| signal.id));
        }
        back.reverse();
        prop_assert_eq!(back, ids_of(1..next));
    }
}
