//! The spool's memory of itself: how far it is settled and which losses no batch has told yet; must
//! not interpret the segments.
//!
//! The file is one page, written in place by a single `pwrite`, so that a killed process leaves
//! either the old or the new state.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use inquest_proto::v1;
use prost::Message as _;

use crate::loss::Losses;

const FILE_NAME: &str = "cursor";
const MAGIC: [u8; 4] = *b"IQC2";
/// One page: a write within a page is not interrupted by a signal.
pub(super) const MAX_FILE_LEN: usize = 4096;

/// A place in the log: a segment's number and an offset in it. Ordered as the log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Number of the segment.
    pub(super) segment: u64,
    /// Bytes from its beginning.
    pub(super) offset: u64,
}

/// Names a batch for good: its process and its place among that process's batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BatchId {
    /// The process that made it.
    pub(super) start_id: u64,
    /// Its sequence.
    pub(super) sequence: u64,
}

/// What the spool must remember beyond its segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Everything before it is stored by the aggregator or given up.
    pub(super) settled: Place,
    /// Damage up to and including this place is counted already.
    pub(super) damage_counted: Place,
    /// Losses that no batch on disk carries yet.
    pub(super) untold: Losses,
    /// Once this batch or a later one of its process is on disk, `untold` is told. An agent killed
    /// after it wrote that batch and before it wrote the cursor leaves it to the next one to see.
    pub(super) told_by: BatchId,
}

/// The file that holds a `Cursor`.
#[derive(Debug)]
pub(super) struct CursorFile(File);

/// What was in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// There was no file.
    Absent,
    /// It cannot be read as a cursor: everything still in the spool is sent again.
    Damaged,
    /// The cursor as last written.
    Cursor(Cursor),
}

impl Stored {
    /// Returns the cursor, or the one of a spool of which nothing is known.
    pub(super) fn into_cursor(self) -> Cursor {
        match self {
            Self::Cursor(cursor) => cursor,
            Self::Absent | Self::Damaged => Cursor::default(),
        }
    }
}

impl CursorFile {
    /// Opens or creates the file in a directory and reads it.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Stored)> {
        let path = dir.join(FILE_NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let stored = read(&file)?;
        Ok((Self(file), stored))
    }

    /// Writes the cursor.
    pub(super) fn write(&self, cursor: &Cursor) -> io::Result<()> {
        self.0.write_all_at(&encode(cursor), 0)
    }
}

/// Reads the cursor of a directory without opening it for writing.
pub(super) fn read_only(dir: &Path) -> io::Result<Stored> {
    match File::open(dir.join(FILE_NAME)) {
        Ok(file) => read(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Stored::Absent),
        Err(error) => Err(error),
    }
}

fn read(file: &File) -> io::Result<Stored> {
    let mut bytes = vec![0; MAX_FILE_LEN];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(match bytes.as_slice() {
        [] => Stored::Absent,
        bytes => decode(bytes).map_or(Stored::Damaged, Stored::Cursor),
    })
}

fn encode(cursor: &Cursor) -> Vec<u8> {
    let untold = v1::SignalBatch {
        // By kind and cgroup they would not fit into a page.
        lost: cursor.untold.by_reason().to_wire(),
        ..Default::default()
    };
    let mut covered = Vec::new();
    for number in [
        cursor.settled.segment,
        cursor.settled.offset,
        cursor.damage_counted.segment,
        cursor.damage_counted.offset,
        cursor.told_by.start_id,
        cursor.told_by.sequence,
    ] {
        covered.extend_from_slice(&number.to_le_bytes());
    }
    covered.extend_from_slice(&untold.encode_length_delimited_to_vec());
    let mut bytes = Vec::with_capacity(covered.len() + 12);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&crc32fast::hash(&covered).to_le_bytes());
    bytes.extend_from_slice(&(covered.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&covered);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Cursor> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    // A shorter state written over a longer one leaves the old tail behind; the length cuts it off.
    let covered = rest.get(..u32::from_le_bytes(*len) as usize)?;
    if *magic != MAGIC || crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (settled_segment, rest) = covered.split_first_chunk::<8>()?;
    let (settled_offset, rest) = rest.split_first_chunk::<8>()?;
    let (damage_segment, rest) = rest.split_first_chunk::<8>()?;
    let (damage_offset, rest) = rest.split_first_chunk::<8>()?;
    let (start_id, rest) = rest.split_first_chunk::<8>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let untold = v1::SignalBatch::decode_length_delimited(rest).ok()?;
    Some(Cursor {
        settled: place(*settled_segment, *settled_offset),
        damage_counted: place(*damage_segment, *damage_offset),
        untold: untold.lost.iter().collect(),
        told_by: BatchId {
            start_id: u64::from_le_bytes(*start_id),
            sequence: u64::from_le_bytes(*sequence),
        },
    })
}

fn place(segment: [u8; 8], offset: [u8; 8]) -> Place {
    Place {
        segment: u64::from_le_bytes(segment),
        offset: u64::from_le_bytes(offset),
    }
}

#[cfg(test)]
mod tests {
    use inquest_proto::v1::loss::Stage;
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Cursor {
        let mut untold = Losses::default();
        untold.add(Stage::Spool, "spool_full", 12);
        Cursor {
            settled: Place {
                segment: 3,
                offset: 400,
            },
            damage_counted: Place {
                segment: 2,
                offset: 9,
            },
            untold,
            told_by: BatchId {
                start_id: 0xa,
                sequence: 5,
            },
        }
    }

    #[test]
    fn reads_back_what_was_written_even_over_a_longer_state() {
        let dir = tempfile::tempdir().unwrap();
        let (file, stored) = CursorFile::open(dir.path()).unwrap();
        assert_eq!(stored, Stored::Absent);
        file.write(&sample()).unwrap();
        assert_eq!(read_only(dir.path()).unwrap(), Stored::Cursor(sample()));
        let shorter = Cursor {
            untold: Losses::default(),
            ..sample()
        };
        file.write(&shorter).unwrap();
        assert_eq!(read_only(dir.path()).unwrap(), Stored::Cursor(shorter));
    }

    #[test]
    fn fits_a_page_with_the_most_reasons_there_can_be() {
        let mut cursor = sample();
        for n in 0..1000_u64 {
            cursor
                .untold
                .add(Stage::RingBuffer, &format!("{n:040}"), u64::MAX);
        }
        let bytes = encode(&cursor);
        assert!(bytes.len() <= MAX_FILE_LEN, "{}", bytes.len());
        cursor.untold = cursor.untold.by_reason();
        assert!(decode(&bytes) == Some(cursor));
    }

    proptest! {
        #[test]
        fn damage_is_seen(at in 0_usize..76, bit in 0_u8..8) {
            let mut bytes = encode(&sample());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(decode(&bytes), None);
        }

        #[test]
        fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&bytes), None);
        }
    }
}
