//! The segments of a spool as one log with a beginning that is given back and an end that grows;
//! must not know of acks, memory or sequences.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use inquest_proto::v1;
use prost::Message as _;
use tracing::warn;

use super::cursor::Place;
use super::record::Header;
use super::segment::{Segment, Step};
use crate::loss::Losses;

/// A segment is this size, or larger where `MAX_SEGMENTS` asks for it.
const MIN_SEGMENT_LEN: u64 = 1 << 20;
/// Bounds the open files of a large spool.
const MAX_SEGMENTS: u64 = 64;

/// Segments in order, the last of which grows.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    parts: VecDeque<Part>,
    segment_len: u64,
    next_number: u64,
    /// The last segment must not grow: it ends in damage or before the settled place.
    sealed: bool,
}

/// A segment with what is still to be settled in it.
#[derive(Debug)]
struct Part {
    segment: Segment,
    batches: u64,
    signals: u64,
    /// Where damage was met already.
    damage: Vec<u64>,
}

/// A stretch that is no intact record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Where it begins.
    pub(super) at: Place,
    /// Where reading goes on.
    pub(super) end: Place,
    /// How many signals were in it; at least one where that can no longer be told.
    pub(super) signals: u64,
}

/// What is next in the log.
#[derive(Debug)]
pub(super) enum Read {
    /// An intact record and the place behind it.
    Record {
        header: Header,
        payload: Vec<u8>,
        end: Place,
    },
    /// Damage; `new` unless it was met before.
    Damage { damage: Damage, new: bool },
    /// Nothing more; the place at which more will come.
    End(Place),
}

/// What was met when a stretch of the log was read through.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Stretches that are no intact records and were not met before, in order.
    pub(super) damage: Vec<Damage>,
    /// The last intact record.
    pub(super) newest: Option<Header>,
}

/// What goes with the oldest segment when it is given up.
#[derive(Debug)]
pub(super) struct GivenUp {
    /// Batches that were not settled.
    pub(super) batches: u64,
    /// Signals in them.
    pub(super) signals: u64,
    /// Losses that those batches were to report.
    pub(super) lost: Losses,
    /// Where the log begins without them.
    pub(super) next: Place,
}

impl Log {
    /// Opens the segments of a directory, from the settled place on, and reads through them all.
    /// Segments that are settled are removed; what the disk does not give back is damage.
    pub(super) fn open(dir: &Path, max_len: u64, settled: Place) -> io::Result<(Self, Scan)> {
        let mut log = Self {
            dir: dir.to_owned(),
            parts: VecDeque::new(),
            segment_len: MIN_SEGMENT_LEN.max(max_len / MAX_SEGMENTS),
            next_number: settled.segment + 1,
            sealed: false,
        };
        let mut found = Scan::default();
        for number in Segment::list(dir)? {
            log.next_number = log.next_number.max(number + 1);
            if number >= settled.segment {
                let from = if number == settled.segment {
                    settled.offset
                } else {
                    0
                };
                let scan = log.open_part(Place {
                    segment: number,
                    offset: from,
                });
                found.damage.extend(scan.damage);
                found.newest = scan.newest.or(found.newest);
            } else {
                let path = Segment::path_of(dir, number);
                if let Err(error) = std::fs::remove_file(&path) {
                    warn!(path = %path.display(), %error, "could not remove a settled spool segment");
                }
            }
        }
        Ok((log, found))
    }

    fn open_part(&mut self, from: Place) -> Scan {
        let segment = match Segment::open(&self.dir, from.segment) {
            Ok(segment) => segment,
            Err(error) => return self.pass_over(from, &error),
        };
        let mut part = Part {
            segment,
            batches: 0,
            signals: 0,
            damage: Vec::new(),
        };
        let scan = part.scan(from.offset);
        let len = part.segment.len();
        let ends_in_damage = |last: &Damage| last.end.offset == len;
        self.sealed = from.offset > len || scan.damage.last().is_some_and(ends_in_damage);
        self.parts.push_back(part);
        scan
    }

    /// Leaves out a segment that cannot be opened.
    fn pass_over(&mut self, at: Place, error: &io::Error) -> Scan {
        warn!(segment = at.segment, %error, "failed to open a spool segment");
        // What is appended must lie behind the damage, not before it.
        self.sealed = true;
        let end = Place {
            segment: at.segment + 1,
            offset: 0,
        };
        let damage = Damage {
            at,
            end,
            signals: 1,
        };
        Scan {
            damage: vec![damage],
            newest: None,
        }
    }

    /// Appends the bytes of a record that holds `signals`; returns the place behind it.
    pub(super) fn append(&mut self, frame: &[u8], signals: u32) -> io::Result<Place> {
        let fits = |part: &Part| {
            let len = part.segment.len();
            len == 0 || len + frame.len() as u64 <= self.segment_len
        };
        if self.sealed || !self.parts.back().is_some_and(fits) {
            self.start_segment()?;
        }
        let Some(part) = self.parts.back_mut() else {
            return Err(io::Error::other("the spool has no segment to append to"));
        };
        part.segment.append(frame)?;
        part.batches += 1;
        part.signals += u64::from(signals);
        Ok(part.end())
    }

    /// Reads what is at a place.
    pub(super) fn read(&mut self, at: Place) -> io::Result<Read> {
        let index = self
            .parts
            .partition_point(|part| part.segment.number() < at.segment);
        let mut at = at;
        for part in self.parts.range_mut(index..) {
            let number = part.segment.number();
            if number != at.segment {
                at = Place {
                    segment: number,
                    offset: 0,
                };
            }
            match part.segment.step(at.offset)? {
                Step::Record {
                    header,
                    payload,
                    end,
                } => {
                    return Ok(Read::Record {
                        header,
                        payload,
                        end: part.place(end),
                    });
                }
                Step::Damaged { header, end } => return Ok(part.meet_damage(at, end, header)),
                Step::End => at.offset = at.offset.max(part.segment.len()),
            }
        }
        Ok(Read::End(at))
    }

    /// Counts the record that ends at a place as settled and removes the segments before it.
    pub(super) fn settle(&mut self, end: Place, signals: u64) {
        while self
            .parts
            .front()
            .is_some_and(|part| part.segment.number() < end.segment)
        {
            self.remove_oldest();
        }
        if let Some(part) = self.part_mut(end) {
            part.batches = part.batches.saturating_sub(1);
            part.signals = part.signals.saturating_sub(signals);
        }
    }

    /// Counts anew what is to be settled in the segment of a place, after damage was met in it;
    /// returns the damage that was not met before.
    pub(super) fn recount(&mut self, from: Place) -> Vec<Damage> {
        self.part_mut(from)
            .map_or_else(Vec::new, |part| part.scan(from.offset).damage)
    }

    /// Counts the record at a place as damaged; tells whether it was not so before.
    pub(super) fn condemn(&mut self, at: Place, signals: u64) -> bool {
        let Some(part) = self.part_mut(at) else {
            return false;
        };
        if part.damage.contains(&at.offset) {
            return false;
        }
        part.damage.push(at.offset);
        part.batches = part.batches.saturating_sub(1);
        part.signals = part.signals.saturating_sub(signals);
        true
    }

    /// Counts all that is left of a segment as damaged; tells whether it was not so before.
    pub(super) fn condemn_rest(&mut self, at: Place) -> (Damage, bool) {
        self.sealed |= self
            .parts
            .back()
            .is_some_and(|part| part.segment.number() == at.segment);
        let end = Place {
            segment: at.segment + 1,
            offset: 0,
        };
        let Some(part) = self.part_mut(at) else {
            return (
                Damage {
                    at,
                    end,
                    signals: 0,
                },
                false,
            );
        };
        let new = !part.damage.contains(&at.offset);
        let signals = part.signals.max(1);
        if new {
            part.damage.push(at.offset);
            (part.batches, part.signals) = (0, 0);
        }
        (Damage { at, end, signals }, new)
    }

    /// Returns what giving up the oldest segment costs, and sees to it that another one follows; none
    /// when there is no segment.
    pub(super) fn oldest(&mut self, settled: Place) -> io::Result<Option<GivenUp>> {
        if self.parts.len() == 1 {
            self.start_segment()?;
        }
        let (Some(part), Some(next)) = (self.parts.front(), self.parts.get(1)) else {
            return Ok(None);
        };
        Ok(Some(GivenUp {
            batches: part.batches,
            signals: part.signals,
            lost: part.reported_losses(settled),
            next: next.place(0),
        }))
    }

    /// Removes the oldest segment whatever is in it.
    pub(super) fn remove_oldest(&mut self) {
        if let Some(part) = self.parts.pop_front() {
            let path = part.segment.path().to_owned();
            if let Err(error) = part.segment.remove() {
                // It is skipped by its number and removed at the next start.
                warn!(path = %path.display(), %error, "could not remove a spool segment");
            }
        }
    }

    /// Returns where the log ends.
    pub(super) fn end(&self) -> Option<Place> {
        self.parts.back().map(Part::end)
    }

    /// Returns the bytes on disk.
    pub(super) fn len(&self) -> u64 {
        self.parts.iter().map(|part| part.segment.len()).sum()
    }

    /// Returns the batches that are to be settled.
    pub(super) fn batches(&self) -> u64 {
        self.parts.iter().map(|part| part.batches).sum()
    }

    /// Returns the signals in those batches.
    pub(super) fn signals(&self) -> u64 {
        self.parts.iter().map(|part| part.signals).sum()
    }

    fn part_mut(&mut self, at: Place) -> Option<&mut Part> {
        self.parts
            .iter_mut()
            .find(|part| part.segment.number() == at.segment)
    }

    fn start_segment(&mut self) -> io::Result<()> {
        let segment = Segment::create(&self.dir, self.next_number)?;
        self.next_number += 1;
        self.sealed = false;
        self.parts.push_back(Part {
            segment,
            batches: 0,
            signals: 0,
            damage: Vec::new(),
        });
        Ok(())
    }
}

impl Part {
    fn place(&self, offset: u64) -> Place {
        Place {
            segment: self.segment.number(),
            offset,
        }
    }

    fn end(&self) -> Place {
        self.place(self.segment.len())
    }

    /// Counts the records from an offset on and tells what else was met. What the disk does not give
    /// back is damage up to the segment's end.
    fn scan(&mut self, from: u64) -> Scan {
        (self.batches, self.signals) = (0, 0);
        let mut found = Scan::default();
        let mut offset = from;
        loop {
            let step = self.segment.step(offset).unwrap_or_else(|error| {
                let path = self.segment.path().display();
                warn!(%path, offset, %error, "failed to read a spool segment");
                Step::Damaged {
                    header: None,
                    end: self.segment.len(),
                }
            });
            offset = match step {
                Step::Record { header, end, .. } => {
                    self.batches += 1;
                    self.signals += u64::from(header.signals);
                    found.newest = Some(header);
                    end
                }
                Step::Damaged { header, end } => {
                    if let Read::Damage { damage, new: true } =
                        self.meet_damage(self.place(offset), end, header)
                    {
                        found.damage.push(damage);
                    }
                    end
                }
                Step::End => return found,
            }
        }
    }

    fn meet_damage(&mut self, at: Place, end: u64, header: Option<Header>) -> Read {
        let new = !self.damage.contains(&at.offset);
        if new {
            self.damage.push(at.offset);
        }
        let signals = header.map_or(1, |header| u64::from(header.signals).max(1));
        Read::Damage {
            damage: Damage {
                at,
                end: self.place(end),
                signals,
            },
            new,
        }
    }

    /// Adds up what the batches that are not settled have to say about losses.
    fn reported_losses(&self, settled: Place) -> Losses {
        let mut lost = Losses::default();
        let mut offset = if settled.segment == self.segment.number() {
            settled.offset
        } else {
            0
        };
        while let Ok(step) = self.segment.step(offset) {
            match step {
                Step::Record { payload, end, .. } => {
                    if let Ok(batch) = v1::SignalBatch::decode(payload.as_slice()) {
                        lost.merge(batch.lost.iter().collect());
                    }
                    offset = end;
                }
                Step::Damaged { end, .. } => offset = end,
                Step::End => break,
            }
        }
        lost
    }
}
