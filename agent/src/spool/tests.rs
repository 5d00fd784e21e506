//! The spool against a model, against damage and against kills; must not reach into
//! its parts, but to stop between two steps as a killed process does.

mod refusing_disk;

use std::collections::VecDeque;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::segment::Segment;
use super::*;

const LARGE: u64 = 64 << 20;

/// A spool in a directory of its own, reopened as often as a test likes.
struct Bench {
    dir: TempDir,
    max_bytes: u64,
    start_id: u64,
    lost: LossTotal,
    spool: Spool,
    last_signal: u64,
}

impl Bench {
    fn new(max_bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lost = LossTotal::default();
        let spool = Spool::open(dir.path(), 1, max_bytes, lost.clone()).unwrap();
        Self {
            dir,
            max_bytes,
            start_id: 1,
            lost,
            spool,
            last_signal: 0,
        }
    }

    /// What a new agent process finds; the old one is gone without a word.
    fn reopen(&mut self) {
        self.start_id += 1;
        self.spool = Spool::open(
            self.dir.path(),
            self.start_id,
            self.max_bytes,
            self.lost.clone(),
        )
        .unwrap();
    }

    fn append(&mut self, signals: u64, filler: usize) -> Vec<String> {
        let mut ids = Vec::new();
        let mut batch = v1::SignalBatch::default();
        for _ in 0..signals {
            self.last_signal += 1;
            ids.push(self.last_signal.to_string());
            let node = "x".repeat(filler);
            let id = self.last_signal.to_string();
            batch.signals.push(v1::Signal {
                id,
                node,
                ..Default::default()
            });
        }
        self.spool.append(batch);
        ids
    }

    fn drain(&mut self) -> Vec<v1::SignalBatch> {
        self.spool.rewind();
        std::iter::from_fn(|| self.spool.hand_out_next()).collect()
    }

    fn lost(&self, reason: &str) -> u64 {
        self.lost.snapshot().count(Stage::Spool, reason)
    }

    fn segments(&self) -> Vec<PathBuf> {
        let numbers = Segment::list(self.dir.path()).unwrap();
        numbers
            .into_iter()
            .map(|number| Segment::path_of(self.dir.path(), number))
            .collect()
    }
}

fn ids(batch: &v1::SignalBatch) -> Vec<String> {
    batch
        .signals
        .iter()
        .map(|signal| signal.id.clone())
        .collect()
}

fn told(batches: &[v1::SignalBatch], reason: &str) -> u64 {
    let lost = batches.iter().flat_map(|batch| &batch.lost);
    lost.filter(|loss| loss.reason == reason)
        .map(|loss| loss.count)
        .sum()
}

#[derive(Clone, Debug)]
enum Step {
    Append { signals: u64, filler: usize },
    HandOut(usize),
    Ack(usize),
    Rewind,
    Reopen,
}

fn step(filler: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0_u64..6, 0..=filler).prop_map(|(signals, filler)| Step::Append { signals, filler }),
        3 => (1_usize..6).prop_map(Step::HandOut),
        3 => (1_usize..6).prop_map(Step::Ack),
        1 => Just(Step::Rewind),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn hands_out_what_was_appended_and_not_acked(steps in prop::collection::vec(step(3000), 1..80)) {
        let mut bench = Bench::new(LARGE);
        let mut model: VecDeque<(u64, u64, Vec<String>)> = VecDeque::new();
        let (mut in_flight, mut sequence) = (0, 0);
        for step in steps {
            match step {
                Step::Append { signals, filler } => {
                    sequence += 1;
                    let ids = bench.append(signals, filler);
                    model.push_back((bench.start_id, sequence, ids));
                }
                Step::HandOut(count) => for _ in 0..count {
                    let batch = bench.spool.hand_out_next();
                    let expected = model.get(in_flight);
                    prop_assert_eq!(
                        batch.map(|batch| (batch.start_id, batch.sequence, ids(&batch))),
                        expected.cloned());
                    in_flight += usize::from(expected.is_some());
                },
                Step::Ack(count) => for _ in 0..count.min(in_flight) {
                    let (start_id, sequence, ids) = model.pop_front().unwrap();
                    let settled = bench.spool.ack(start_id, sequence);
                    prop_assert_eq!((settled.batches, settled.signals), (1, ids.len() as u64));
                    in_flight -= 1;
                },
                Step::Rewind => {
                    bench.spool.rewind();
                    in_flight = 0;
                }
                Step::Reopen => {
                    bench.reopen();
                    (in_flight, sequence) = (0, 0);
                }
            }
            prop_assert_eq!(bench.spool.status().batches, model.len() as u64);
            prop_assert_eq!(bench.spool.is_empty(), model.is_empty());
            prop_assert_eq!(bench.spool.has_unsent(), in_flight < model.len());
        }
        let left = read_unsettled(bench.dir.path()).unwrap();
        prop_assert_eq!(left.iter().map(ids).collect::<Vec<_>>(),
            model.into_iter().map(|(_, _, ids)| ids).collect::<Vec<_>>());
        prop_assert!(bench.lost.snapshot().is_empty());
    }

    #[test]
    fn stays_within_its_bound_and_accounts_for_every_signal(
        steps in prop::collection::vec(step(120_000), 1..60))
    {
        let mut bench = Bench::new(MIN_MAX_BYTES);
        let mut acked = Vec::new();
        let mut in_flight: VecDeque<v1::SignalBatch> = VecDeque::new();
        for step in steps {
            match step {
                Step::Append { signals, filler } => drop(bench.append(signals, filler)),
                Step::HandOut(count) => {
                    for _ in 0..count {
                        in_flight.extend(bench.spool.hand_out_next());
                    }
                }
                Step::Ack(count) => for _ in 0..count {
                    if let Some(batch) = in_flight.pop_front() {
                        bench.spool.ack(batch.start_id, batch.sequence);
                        acked.push(batch);
                    }
                },
                Step::Rewind => {
                    bench.spool.rewind();
                    in_flight.clear();
                }
                Step::Reopen => {
                    bench.reopen();
                    in_flight.clear();
                }
            }
            prop_assert!(bench.spool.status().bytes <= MIN_MAX_BYTES);
            prop_assert_eq!(bench.spool.status().degraded, None);
        }
        // A batch without a bound on its losses: it tells whatever was not told yet.
        bench.append(0, 0);
        let kept = bench.drain();
        let mut seen: Vec<u64> =
            acked.iter().chain(&kept).flat_map(ids).map(|id| id.parse().unwrap()).collect();
        prop_assert!(seen.is_sorted());
        seen.dedup();
        let lost = bench.lost(reason::SPOOL_FULL);
        // Given up while in flight and acked after all counts as both; never as neither.
        prop_assert!(seen.len() as u64 + lost >= bench.last_signal);
        prop_assert!(told(&acked, reason::SPOOL_FULL) + told(&kept, reason::SPOOL_FULL) >= lost);
    }

    #[test]
    fn survives_a_flipped_bit(at in 0.0..1.0_f64, bit in 0_u8..8, batches in 1_u64..30) {
        let mut bench = Bench::new(LARGE);
        let appended: Vec<_> = (0..batches).map(|n| bench.append(1 + n % 4, 50)).collect();
        let path = bench.segments().remove(0);
        let mut bytes = fs::read(&path).unwrap();
        let at = (at * bytes.len() as f64) as usize;
        bytes[at] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();

        bench.reopen();
        let lost = bench.lost(reason::CORRUPT);
        let read: Vec<_> = bench.drain().iter().map(ids).collect();
        prop_assert_eq!(read.len() + 1, appended.len());
        prop_assert!(read.iter().all(|ids| appended.contains(ids)));
        let missing = appended.iter().find(|ids| !read.contains(ids)).unwrap();
        prop_assert!(lost == missing.len() as u64 || lost == 1, "{} of {:?}", lost, missing);
        prop_assert_eq!(bench.spool.status().batches, read.len() as u64);

        bench.append(1, 0);
        bench.reopen();
        prop_assert_eq!(bench.lost(reason::CORRUPT), lost, "counted twice");
        prop_assert_eq!(told(&bench.drain(), reason::CORRUPT), lost);
    }

    #[test]
    fn survives_a_torn_end(keep in 0.0..1.0_f64, batches in 1_usize..20) {
        let mut bench = Bench::new(LARGE);
        let (mut appended, mut ends) = (Vec::new(), vec![0]);
        for _ in 0..batches {
            appended.push(bench.append(2, 20));
            ends.push(bench.spool.status().bytes);
        }
        let keep = (keep * ends[batches] as f64) as u64;
        let path = bench.segments().remove(0);
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(keep).unwrap();

        bench.reopen();
        bench.append(1, 0);
        let mut read: Vec<_> = bench.drain().iter().map(ids).collect();
        prop_assert_eq!(read.pop(), Some(vec![(2 * batches + 1).to_string()]));
        let whole = ends.iter().filter(|end| (1..=keep).contains(*end)).count();
        prop_assert_eq!(&read[..], &appended[..whole]);
        prop_assert_eq!(bench.lost(reason::CORRUPT) > 0, !ends.contains(&keep));
    }

    #[test]
    fn opens_whatever_the_files_hold(
        segment in prop::collection::vec(any::<u8>(), 0..2000),
        cursor in prop::collection::vec(any::<u8>(), 0..100))
    {
        let dir = tempfile::tempdir().unwrap();
        fs::write(Segment::path_of(dir.path(), 1), segment).unwrap();
        fs::write(dir.path().join("cursor"), cursor).unwrap();
        let mut spool = Spool::open(dir.path(), 1, LARGE, LossTotal::default()).unwrap();
        prop_assert_eq!(spool.hand_out_next(), None);
        spool.append(v1::SignalBatch::default());
        prop_assert!(spool.hand_out_next().is_some());
    }
}

#[test]
fn damage_behind_an_open_spool_is_passed_over_and_counted_once() {
    let mut bench = Bench::new(LARGE);
    for _ in 0..3 {
        bench.append(2, 10);
    }
    let path = bench.segments().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    for _ in 0..3 {
        assert_eq!(
            bench
                .drain()
                .iter()
                .map(|batch| batch.sequence)
                .collect::<Vec<_>>(),
            [1, 3]
        );
    }
    assert_eq!(bench.lost(reason::CORRUPT), 2);
    bench.spool.ack(1, 3);
    assert!(bench.spool.is_empty());
}

#[test]
fn each_damage_behind_an_open_spool_is_counted() {
    let mut bench = Bench::new(LARGE);
    for _ in 0..5 {
        bench.append(2, 10);
    }
    let path = bench.segments().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let record = bytes.len() / 5;
    for damaged in [1, 3] {
        // In the payload, so that the header still tells how many signals there were.
        bytes[damaged * record + record / 2] ^= 1;
    }
    fs::write(&path, bytes).unwrap();
    assert_eq!(bench.drain().len(), 3);
    assert_eq!(bench.lost(reason::CORRUPT), 4);
    assert_eq!(bench.spool.status().batches, 3);
}

#[test]
fn a_segment_that_cannot_be_opened_is_counted_once_and_passed_over() {
    for unreadable in [0, 1, 2] {
        let mut bench = Bench::new(LARGE);
        for _ in 0..3 {
            bench.append(1, MAX_BATCH_LEN - 100);
        }
        let path = bench.segments().remove(unreadable);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        bench.reopen();
        bench.append(1, 0);
        bench.reopen();
        assert_eq!(bench.lost(reason::CORRUPT), 1);
        let batches = bench.drain();
        assert_eq!(told(&batches, reason::CORRUPT), 1);
        let read: Vec<_> = batches.iter().flat_map(ids).collect();
        let expected = (1..=4).filter(|id| *id != unreadable + 1);
        assert_eq!(read, expected.map(|id| id.to_string()).collect::<Vec<_>>());
        // Settling what lies behind it does not stumble over it either.
        bench.spool.ack(1, 3);
        bench.spool.ack(2, 1);
        bench.reopen();
        assert!(bench.spool.is_empty());
        assert_eq!(bench.lost(reason::CORRUPT), 1);
    }
}

/// Four batches of one signal, the second of which and what follows in its segment cannot be read.
fn with_unreadable_rest() -> Bench {
    let mut bench = Bench::new(LARGE);
    for _ in 0..4 {
        bench.append(1, MAX_BATCH_LEN / 4);
    }
    let path = bench.segments().remove(0);
    // Shorter than the spool knows it to be: reading fails as on a bad disk.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    bench
}

#[test]
fn a_segment_the_disk_stops_giving_back_costs_its_rest_only() {
    let mut bench = with_unreadable_rest();
    let read: Vec<_> = bench.drain().iter().map(|batch| batch.sequence).collect();
    assert_eq!(read, [1, 4]);
    assert!(bench.lost(reason::CORRUPT) >= 2);
}

#[test]
fn reading_through_a_segment_ends_where_the_disk_does_not_give_it_back() {
    let mut bench = with_unreadable_rest();
    // As at the start of an agent, whose disk fails between opening and reading.
    let found = bench.spool.log.recount(Place {
        segment: 1,
        offset: 0,
    });
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].signals, 1);
    assert_eq!(bench.spool.status().batches, 2);
}

#[test]
fn settled_segments_leave_the_disk() {
    let mut bench = Bench::new(LARGE);
    for _ in 0..50 {
        bench.append(1, 100_000);
    }
    assert!(bench.segments().len() > 3);
    bench.drain();
    bench.spool.ack(1, 50);
    assert_eq!(bench.segments().len(), 1);
    bench.reopen();
    assert!(bench.spool.is_empty());
    assert_eq!(bench.spool.hand_out_next(), None);
}

#[test]
fn a_kill_before_a_given_up_segment_is_removed_loses_no_count() {
    let mut bench = Bench::new(LARGE);
    // The second append begins another segment.
    bench.append(3, MAX_BATCH_LEN / 4);
    bench.append(2, MAX_BATCH_LEN / 4);
    bench.append(1, MAX_BATCH_LEN - 100);
    let settled = bench.spool.cursor.settled;
    let given_up = bench.spool.log.oldest(settled).unwrap().unwrap();
    let signals = given_up.signals;
    bench.spool.remember_given_up(given_up);
    let before = bench.segments().len();

    bench.reopen();
    assert_eq!(bench.segments().len(), before - 1);
    bench.append(1, 0);
    let batches = bench.drain();
    let kept: usize = batches.iter().map(|batch| batch.signals.len()).sum();
    assert_eq!(told(&batches, reason::SPOOL_FULL), signals);
    assert_eq!(kept as u64 + signals, bench.last_signal);
}

#[test]
fn what_is_added_to_a_batch_is_part_of_the_bound() {
    let mut bench = Bench::new(MIN_MAX_BYTES);
    let third = 600_000;
    // The oldest segment has many losses to tell, which pass to the batch that it makes room for.
    let lost = (0..40).map(|n| v1::Loss {
        stage: Stage::Queue as i32,
        reason: format!("{n:040}"),
        count: u64::MAX,
        ..v1::Loss::default()
    });
    bench.spool.append(v1::SignalBatch {
        lost: lost.collect(),
        signals: vec![v1::Signal {
            node: "x".repeat(third),
            ..Default::default()
        }],
        ..Default::default()
    });
    let oldest = bench.spool.status().bytes;
    bench.append(1, third);
    bench.append(1, third);
    // Without the oldest segment there is room for this batch, but not for the losses too.
    let left = bench.spool.status().bytes - oldest;
    bench.append(1, (MIN_MAX_BYTES - left) as usize - 1000);
    let status = bench.spool.status();
    assert!(status.bytes <= status.max_bytes, "{status:?}");
    assert_eq!(bench.lost(reason::SPOOL_FULL), 2);
}

#[test]
fn takes_over_what_the_aggregator_has_stored() {
    let mut bench = Bench::new(LARGE);
    for _ in 0..4 {
        bench.append(1, 0);
    }
    bench.reopen();
    bench.append(1, 0);
    bench.spool.adopt(&HashMap::from([(1, 3), (9, 9)]));
    let left: Vec<_> = bench
        .drain()
        .iter()
        .map(|b| (b.start_id, b.sequence))
        .collect();
    assert_eq!(left, [(1, 4), (2, 1)]);
    bench.reopen();
    assert_eq!(bench.spool.status().batches, 2);
}

#[test]
fn an_ack_for_something_else_settles_nothing() {
    let mut bench = Bench::new(LARGE);
    bench.append(1, 0);
    bench.append(1, 0);
    bench.spool.hand_out_next();
    assert_eq!(bench.spool.ack(7, 9), Settled::default());
    assert_eq!(bench.spool.ack(1, 0), Settled::default());
    // Further than anything sent: settles what was sent, no more.
    assert_eq!(bench.spool.ack(1, 99).batches, 1);
    assert_eq!(bench.spool.ack(1, 99), Settled::default());
    assert_eq!(bench.spool.status().batches, 1);
}

#[test]
fn a_damaged_cursor_is_counted_once_and_what_is_there_is_sent_again() {
    let mut bench = Bench::new(LARGE);
    for _ in 0..3 {
        bench.append(1, 0);
    }
    bench.drain();
    bench.spool.ack(1, 2);
    fs::write(bench.dir.path().join("cursor"), b"nonsense").unwrap();
    bench.reopen();
    assert_eq!(bench.drain().len(), 3);
    bench.reopen();
    assert_eq!(bench.lost(reason::CORRUPT), 1);
    bench.append(1, 0);
    assert_eq!(told(&bench.drain(), reason::CORRUPT), 1);
}

#[test]
fn a_batch_beyond_any_record_is_counted() {
    let mut bench = Bench::new(LARGE);
    bench.append(3, MAX_BATCH_LEN);
    assert_eq!(bench.lost(reason::OVERSIZED), 3);
    bench.append(1, 0);
    let batches = bench.drain();
    assert_eq!(
        (batches[0].sequence, told(&batches, reason::OVERSIZED)),
        (1, 3)
    );
}

#[test]
fn a_kill_between_telling_a_loss_and_the_cursor_tells_it_once() {
    let mut bench = Bench::new(LARGE);
    bench.append(3, MAX_BATCH_LEN);
    let cursor = bench.dir.path().join("cursor");
    let before = fs::read(&cursor).unwrap();
    bench.append(1, 0);
    fs::write(&cursor, before).unwrap();
    bench.reopen();
    bench.append(1, 0);
    assert_eq!(told(&bench.drain(), reason::OVERSIZED), 3);
}

#[test]
fn a_kill_before_a_loss_is_told_leaves_it_to_the_next() {
    let mut bench = Bench::new(LARGE);
    bench.append(1, 0);
    bench.append(3, MAX_BATCH_LEN);
    bench.reopen();
    bench.reopen();
    bench.append(1, 0);
    assert_eq!(told(&bench.drain(), reason::OVERSIZED), 3);
}
