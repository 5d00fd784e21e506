//! The bounded on-disk queue of batches that the aggregator has not acked; must not talk to it.
//!
//! A batch counts as spooled once `write(2)` has taken it: it then survives the death of the
//! process, however sudden. Nothing is synced to the device, so a power cut may cost what the
//! kernel had not written back (usually the last 30 seconds); whatever it leaves is detected by
//! checksum, skipped and counted.
//!
//! Order is the order of appending, across processes: what earlier processes left comes first,
//! under their own start id. Since batches are sent and acked in that order, one place in the log
//! tells what is settled.

mod cursor;
mod log;
mod record;
mod segment;
mod shared;
mod status;
mod tail;
mod unsettled;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inquest_proto::v1;
use inquest_proto::v1::loss::Stage;
use prost::Message as _;
use thiserror::Error;
use tokio::time::Instant;
use tracing::{info, warn};

pub use self::shared::SharedSpool;
pub use self::status::{Settled, SpoolStatus};
pub use self::unsettled::read_unsettled;

use self::cursor::{BatchId, Cursor, CursorFile, Place, Stored};
use self::log::{Damage, GivenUp, Log, Read};
use self::record::{HEADER_LEN, Header};
use self::tail::{Tail, TailEntry};
use crate::loss::{LossTotal, Losses, reason};

/// Encoded bytes of the largest batch that can be spooled.
pub const MAX_BATCH_LEN: usize = record::MAX_PAYLOAD_LEN as usize;
/// Smallest bound of a spool: two segments, so that one can be given up while the other grows.
pub const MIN_MAX_BYTES: u64 = 2 << 20;
/// Encoded bytes that `append` adds to a batch at most: start id, sequence, and losses no batch has
/// told, a set that fits into the cursor's page with more to spare than the first two need.
const MAX_TOLD_BYTES: usize = cursor::MAX_FILE_LEN;
/// How long a disk that refused a write is left alone.
const RETRY_DISK_AFTER: Duration = Duration::from_secs(1);
/// How often a full spool is worth a line in the log.
const WARN_FULL_EVERY: Duration = Duration::from_secs(30);

/// Failure to open a spool.
#[derive(Debug, Error)]
pub enum OpenSpoolError {
    /// Its directory cannot be made.
    #[error("failed to create the spool directory {}", .0.display())]
    Create(PathBuf, #[source] io::Error),
    /// The cursor cannot be opened.
    #[error("failed to open the cursor of the spool in {}", .0.display())]
    Cursor(PathBuf, #[source] io::Error),
    /// The segments cannot be listed.
    #[error("failed to list the segments of the spool in {}", .0.display())]
    Segments(PathBuf, #[source] io::Error),
}

/// Batches on disk, in order, with what was sent and what is settled.
#[derive(Debug)]
pub struct Spool {
    log: Log,
    tail: Tail,
    /// As on disk, but for the losses that only batches in memory tell: those are told here, untold
    /// there.
    cursor: Cursor,
    cursor_file: CursorFile,
    /// Where `hand_out_next` goes on.
    read: Place,
    in_flight: VecDeque<InFlight>,
    start_id: u64,
    next_sequence: u64,
    max_bytes: u64,
    trouble: Option<Trouble>,
    warned_full: Option<Instant>,
    lost: LossTotal,
}

/// A batch that was handed out and not acked.
#[derive(Debug)]
struct InFlight {
    start_id: u64,
    sequence: u64,
    signals: u64,
    since: Instant,
    /// Behind its record; none while it is in memory only.
    end: Option<Place>,
}

/// Why the disk is not written to.
#[derive(Debug)]
struct Trouble {
    error: String,
    tried: Instant,
}

impl Spool {
    /// Opens the spool of a directory, creating it when it is not there.
    ///
    /// Batches appended from now on belong to `start_id`, which must be new. Losses are counted in
    /// `lost`. Only one process may have a spool open: see [`crate::state_dir::StateDir`].
    pub fn open(
        dir: &Path,
        start_id: u64,
        max_bytes: u64,
        lost: LossTotal,
    ) -> Result<Self, OpenSpoolError> {
        std::fs::create_dir_all(dir)
            .map_err(|error| OpenSpoolError::Create(dir.to_owned(), error))?;
        let (cursor_file, stored) =
            CursorFile::open(dir).map_err(|error| OpenSpoolError::Cursor(dir.to_owned(), error))?;
        let cursor_damaged = stored == Stored::Damaged;
        let mut cursor = stored.into_cursor();
        let max_bytes = max_bytes.max(MIN_MAX_BYTES);
        let (log, found) = Log::open(dir, max_bytes, cursor.settled)
            .map_err(|error| OpenSpoolError::Segments(dir.to_owned(), error))?;
        if found
            .newest
            .is_some_and(|newest| tells(&newest, cursor.told_by))
        {
            cursor.untold = Losses::default();
        }
        let mut spool = Self {
            read: cursor.settled,
            log,
            tail: Tail::default(),
            cursor,
            cursor_file,
            in_flight: VecDeque::new(),
            start_id,
            next_sequence: 1,
            max_bytes,
            trouble: None,
            warned_full: None,
            lost,
        };
        let counted = spool.cursor.damage_counted;
        for damage in found.damage.iter().filter(|damage| damage.at > counted) {
            spool.count_damage(damage);
        }
        if cursor_damaged {
            warn!(
                dir = %dir.display(),
                "the spool's cursor is damaged; sending again what is there, and counting the losses it \
                 may have held as one (corrupt)"
            );
            spool.count_corrupt(1);
        }
        spool.save_cursor();
        Ok(spool)
    }

    /// Takes a batch in, gives it its start id and sequence, and adds the losses that no batch has
    /// told yet. Never fails: what can be kept neither on disk nor in memory is counted.
    pub fn append(&mut self, mut batch: v1::SignalBatch) {
        self.flush_tail();
        self.make_room(HEADER_LEN + batch.encoded_len() + MAX_TOLD_BYTES);
        batch.start_id = self.start_id;
        batch.sequence = self.next_sequence;
        let mut lost: Losses = batch.lost.iter().collect();
        lost.merge(self.cursor.untold.clone());
        batch.lost = lost.to_wire();
        let payload = batch.encode_to_vec();
        let signals = batch.signals.len() as u32;
        let Some(header) = Header::try_new(batch.start_id, batch.sequence, signals, &payload)
        else {
            return self.refuse(lost, signals, reason::OVERSIZED);
        };
        let tells = self.cursor.untold.clone();
        let told = !tells.is_empty();
        if self.keep(TailEntry {
            header,
            payload,
            tells,
        }) {
            self.next_sequence += 1;
            if told {
                self.cursor.untold = Losses::default();
                self.save_cursor();
            }
        } else {
            self.refuse(lost, signals, reason::DISK_FULL);
        }
    }

    /// Returns the next batch to send, oldest first, and remembers it as in flight.
    pub fn hand_out_next(&mut self) -> Option<v1::SignalBatch> {
        loop {
            let at = self.read;
            match self.log.read(at) {
                Ok(Read::Record {
                    header,
                    payload,
                    end,
                }) => {
                    self.read = end;
                    if let Some(batch) = self.hand_out(&header, &payload, Some(end)) {
                        return Some(batch);
                    }
                    // Intact by its checksum, and yet no batch: written by another version.
                    let signals = u64::from(header.signals);
                    if self.log.condemn(at, signals) {
                        self.count_damage(&Damage {
                            at,
                            end,
                            signals: signals.max(1),
                        });
                    }
                }
                Ok(Read::Damage { damage, new }) => {
                    self.read = damage.end;
                    if new {
                        self.count_damage(&damage);
                        self.recount(damage.at);
                    }
                }
                Ok(Read::End(end)) => {
                    self.read = end;
                    let TailEntry {
                        header, payload, ..
                    } = self.tail.read()?;
                    let (header, payload) = (*header, payload.clone());
                    return self.hand_out(&header, &payload, None);
                }
                Err(error) => self.skip_unreadable(at, &error),
            }
        }
    }

    /// Tells whether `hand_out_next` may have something to return.
    pub fn has_unsent(&self) -> bool {
        self.log.end().is_some_and(|end| self.read < end) || self.tail.has_unread()
    }

    /// Tells how many batches are handed out and not acked.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Forgets what was handed out: `hand_out_next` begins again at the oldest batch that is not acked.
    pub fn rewind(&mut self) {
        self.read = self.cursor.settled;
        self.in_flight.clear();
        self.tail.rewind();
    }

    /// Settles the batches in flight that an ack covers; returns what that was.
    pub fn ack(&mut self, start_id: u64, sequence: u64) -> Settled {
        let mut settled = Settled::default();
        while let Some(first) = self
            .in_flight
            .pop_front_if(|it| it.start_id == start_id && it.sequence <= sequence)
        {
            self.settle(&first);
            settled.batches += 1;
            settled.signals += first.signals;
            settled.waited = first.since.elapsed();
        }
        if settled.batches > 0 {
            self.save_cursor();
        }
        settled
    }

    /// Takes over what the aggregator says it has stored, by start id, and rewinds.
    pub fn adopt(&mut self, stored: &HashMap<u64, u64>) {
        self.rewind();
        while let Some(batch) = self.hand_out_next() {
            let known = stored.get(&batch.start_id).copied().unwrap_or_default();
            if batch.sequence > known {
                break;
            }
            self.ack(batch.start_id, batch.sequence);
        }
        self.rewind();
    }

    /// Tries again to write what is in memory only. To be called now and then.
    pub fn tend(&mut self) {
        self.flush_tail();
    }

    /// Tells whether everything that was appended survives the process.
    pub fn is_durable(&self) -> bool {
        self.tail.is_empty()
    }

    /// Tells whether nothing is left to be acked.
    pub fn is_empty(&self) -> bool {
        self.log.batches() == 0 && self.tail.is_empty()
    }

    /// Returns the spool's state.
    pub fn status(&self) -> SpoolStatus {
        SpoolStatus {
            batches: self.log.batches() + self.tail.batches(),
            signals: self.log.signals() + self.tail.signals(),
            bytes: self.log.len(),
            max_bytes: self.max_bytes,
            memory_batches: self.tail.batches(),
            memory_bytes: self.tail.bytes(),
            degraded: self.trouble.as_ref().map(|trouble| trouble.error.clone()),
        }
    }

    /// Puts a batch on disk, else in memory; tells whether one of them took it.
    fn keep(&mut self, entry: TailEntry) -> bool {
        if self.tail.is_empty() {
            match self
                .log
                .append(&entry.header.frame(&entry.payload), entry.header.signals)
            {
                Ok(_) => {
                    self.recovered();
                    return true;
                }
                Err(error) => self.degrade(&error),
            }
        }
        self.tail.push(entry).is_ok()
    }

    fn refuse(&mut self, lost: Losses, signals: u32, reason: &str) {
        self.lost.add(Stage::Spool, reason, u64::from(signals));
        self.cursor.untold = lost;
        self.cursor
            .untold
            .add(Stage::Spool, reason, u64::from(signals));
        self.save_cursor();
    }

    fn hand_out(
        &mut self,
        header: &Header,
        payload: &[u8],
        end: Option<Place>,
    ) -> Option<v1::SignalBatch> {
        let batch = v1::SignalBatch::decode(payload).ok()?;
        self.in_flight.push_back(InFlight {
            start_id: header.start_id,
            sequence: header.sequence,
            signals: u64::from(header.signals),
            since: Instant::now(),
            end,
        });
        Some(batch)
    }

    fn settle(&mut self, batch: &InFlight) {
        match batch.end {
            // Otherwise its segment was given up while it was in flight.
            Some(end) if end > self.cursor.settled => {
                self.cursor.settled = end;
                self.log.settle(end, batch.signals);
            }
            Some(_) => {}
            None => {
                self.tail.pop();
            }
        }
    }

    /// Moves batches from memory to disk, oldest first, as far as the disk takes them.
    fn flush_tail(&mut self) {
        let left_alone = |trouble: &Trouble| trouble.tried.elapsed() < RETRY_DISK_AFTER;
        if self.tail.is_empty() || self.trouble.as_ref().is_some_and(left_alone) {
            return;
        }
        while let Some(entry) = self.tail.front() {
            let (frame, signals) = (entry.header.frame(&entry.payload), entry.header.signals);
            let told = !entry.tells.is_empty();
            self.make_room(frame.len());
            match self.log.append(&frame, signals) {
                Ok(end) => {
                    self.moved_to_disk(end);
                    if told {
                        self.save_cursor();
                    }
                }
                Err(error) => return self.degrade(&error),
            }
        }
        self.recovered();
    }

    fn moved_to_disk(&mut self, end: Place) {
        if self.tail.pop() {
            // It was read from memory, so everything before it has been read too.
            self.read = end;
            if let Some(batch) = self.in_flight.iter_mut().find(|batch| batch.end.is_none()) {
                batch.end = Some(end);
            }
        }
    }

    /// Gives up the oldest segments until a record of `len` bytes fits.
    fn make_room(&mut self, len: usize) {
        while self.log.len() + len as u64 > self.max_bytes && self.log.len() > 0 {
            match self.log.oldest(self.cursor.settled) {
                Ok(Some(given_up)) => {
                    self.warn_full(given_up.batches, given_up.signals);
                    self.remember_given_up(given_up);
                    self.log.remove_oldest();
                }
                Ok(None) => return,
                Err(error) => return self.degrade(&error),
            }
        }
    }

    /// Counts the oldest segment as lost and settles it. Before it is removed: killed in between, an
    /// agent leaves a segment that the next one removes, and no signal that nobody counted.
    fn remember_given_up(&mut self, given_up: GivenUp) {
        self.lost
            .add(Stage::Spool, reason::SPOOL_FULL, given_up.signals);
        self.cursor.untold.merge(given_up.lost);
        self.cursor
            .untold
            .add(Stage::Spool, reason::SPOOL_FULL, given_up.signals);
        self.cursor.settled = self.cursor.settled.max(given_up.next);
        self.read = self.read.max(given_up.next);
        self.save_cursor();
    }

    fn warn_full(&mut self, batches: u64, signals: u64) {
        if batches == 0
            || self
                .warned_full
                .is_some_and(|at| at.elapsed() < WARN_FULL_EVERY)
        {
            return;
        }
        self.warned_full = Some(Instant::now());
        warn!(
            max_bytes = self.max_bytes,
            batches,
            signals,
            "the spool is full; giving up its oldest batches (counted as spool_full); \
             restore the connection to the aggregator or raise spool.max_size"
        );
    }

    fn count_damage(&mut self, damage: &Damage) {
        warn!(
            segment = damage.at.segment,
            offset = damage.at.offset,
            signals = damage.signals,
            "a part of the spool is damaged; skipping it (counted as corrupt)"
        );
        self.count_corrupt(damage.signals);
        self.cursor.damage_counted = self.cursor.damage_counted.max(damage.at);
    }

    fn count_corrupt(&mut self, signals: u64) {
        self.lost.add(Stage::Spool, reason::CORRUPT, signals);
        self.cursor
            .untold
            .add(Stage::Spool, reason::CORRUPT, signals);
    }

    fn recount(&mut self, damage: Place) {
        let from = if damage.segment == self.cursor.settled.segment {
            self.cursor.settled
        } else {
            Place {
                offset: 0,
                ..damage
            }
        };
        for damage in self.log.recount(from) {
            self.count_damage(&damage);
        }
    }

    /// Passes over the rest of a segment that the disk does not give back.
    fn skip_unreadable(&mut self, at: Place, error: &io::Error) {
        warn!(segment = at.segment, %error, "failed to read a spool segment");
        let (damage, new) = self.log.condemn_rest(at);
        self.read = damage.end;
        if new {
            self.count_damage(&damage);
        }
    }

    fn save_cursor(&mut self) {
        let mut cursor = self.cursor.clone();
        cursor.told_by = BatchId {
            start_id: self.start_id,
            sequence: self.telling_sequence(),
        };
        cursor.untold.merge(self.tail.tells());
        if let Err(error) = self.cursor_file.write(&cursor) {
            self.degrade(&error);
        }
    }

    /// Returns the sequence of the batch with which everything untold will have been told: the next,
    /// or else the last in memory that tells any of it.
    fn telling_sequence(&self) -> u64 {
        if self.cursor.untold.is_empty() {
            self.tail.last_telling().unwrap_or(self.next_sequence)
        } else {
            self.next_sequence
        }
    }

    fn degrade(&mut self, error: &io::Error) {
        if self.trouble.is_none() {
            warn!(%error, "the spool's disk takes no writes; keeping batches in memory");
        }
        self.trouble = Some(Trouble {
            error: error.to_string(),
            tried: Instant::now(),
        });
    }

    fn recovered(&mut self) {
        if self.trouble.take().is_some() {
            info!("the spool's disk takes writes again");
        }
    }
}

/// Tells whether a record is the batch of an id or a later one of its process.
fn tells(record: &Header, told_by: BatchId) -> bool {
    record.start_id == told_by.start_id && record.sequence >= told_by.sequence
}

#[cfg(test)]
mod tests;
