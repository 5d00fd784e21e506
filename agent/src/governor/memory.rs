//! Measures the memory that the agent takes, its process and the maps of its programs together, and judges how near
//! that is to its bound. Must not give any back.

mod bound;
mod maps;

use std::{fs::File, io, os::unix::fs::FileExt as _};

use inquest_proto::v1::agent_cost::MemoryLevel;

pub use bound::MemoryBound;

/// Parts of the bound from which on memory is near it, and short. The rest is what may still come until the next look,
/// a second later: both rings, and all that a second's counts become.
const NEAR_PART: f64 = 0.8;
const SHORT_PART: f64 = 0.9;
/// So much below the part that began it a level ends, so that giving back a little is no reason to begin anew.
const STAY_PART: f64 = 0.05;
/// Bytes of `/proc/self/statm`: seven numbers of at most 20 digits.
const MAX_STATM: usize = 160;

/// The agent's memory at one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MemoryReading {
    /// Of process and maps.
    pub(crate) bytes: u64,
    /// What they may take.
    pub(crate) max_bytes: u64,
    /// How near the one is to the other.
    pub(crate) level: MemoryLevel,
}

/// Looks at the agent's memory.
#[derive(Debug)]
pub(crate) struct Memory {
    statm: File,
    page_bytes: u64,
    /// As they were when all were open: none of them grows.
    map_bytes: u64,
    max_bytes: u64,
    level: MemoryLevel,
}

impl Memory {
    /// Takes the maps that this process has open now for all it will have. There is no bound yet.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            statm: File::open("/proc/self/statm")?,
            page_bytes: rustix::param::page_size() as u64,
            map_bytes: maps::bytes_of_own()?,
            max_bytes: u64::MAX,
            level: MemoryLevel::Ample,
        })
    }

    /// Judges by `bound` from now on.
    pub(crate) fn hold_to(&mut self, bound: &MemoryBound) {
        self.max_bytes = bound.bytes();
    }

    /// Looks. One system call, so cheap enough for every second.
    pub(crate) fn look(&mut self) -> io::Result<MemoryReading> {
        let bytes = resident_pages(&self.statm)? * self.page_bytes + self.map_bytes;
        self.level = level(self.level, bytes as f64 / self.max_bytes as f64);
        Ok(MemoryReading {
            bytes,
            max_bytes: self.max_bytes,
            level: self.level,
        })
    }
}

/// Returns the level when `part` of the bound is taken and the level was `before`.
fn level(before: MemoryLevel, part: f64) -> MemoryLevel {
    let levels = [
        (MemoryLevel::Short, SHORT_PART),
        (MemoryLevel::Near, NEAR_PART),
    ];
    let reached = levels.into_iter().find(|(level, begins_at)| {
        let stay = if before >= *level { STAY_PART } else { 0.0 };
        part >= begins_at - stay
    });
    reached.map_or(MemoryLevel::Ample, |(level, _)| level)
}

fn resident_pages(statm: &File) -> io::Result<u64> {
    let mut text = [0; MAX_STATM];
    let len = statm.read_at(&mut text, 0)?;
    let text = text.get(..len).and_then(|text| str::from_utf8(text).ok());
    let resident = text.and_then(|text| text.split(' ').nth(1)?.parse().ok());
    resident.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "statm is not as documented"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_begins_at_its_part_and_ends_somewhat_below() {
        use MemoryLevel::{Ample, Near, Short};
        let mut now = Ample;
        for (part, expected) in [
            (0.79, Ample),
            (0.80, Near),
            (0.89, Near),
            (0.91, Short),
            (0.86, Short),
            (0.84, Near),
            (0.89, Near),
            (0.76, Near),
            (0.74, Ample),
            (0.79, Ample),
            (1.50, Short),
            (0.10, Ample),
        ] {
            now = level(now, part);
            assert_eq!(now, expected, "at {part}");
        }
    }

    #[test]
    fn sees_memory_that_is_touched_and_judges_it_by_the_bound() {
        const TOUCHED: usize = 64 << 20;
        let mut memory = Memory::open().unwrap();
        let before = memory.look().unwrap();
        assert_eq!(before.level, MemoryLevel::Ample);
        let touched = vec![1_u8; TOUCHED];
        memory.hold_to(&MemoryBound::of_configuration(
            before.bytes + TOUCHED as u64 / 2,
        ));
        let after = memory.look().unwrap();
        std::hint::black_box(touched);
        // Other tests of this process may free some meanwhile.
        assert!(
            after.bytes > before.bytes + TOUCHED as u64 * 3 / 4,
            "{before:?} {after:?}"
        );
        assert_eq!(after.level, MemoryLevel::Short);
    }
}
