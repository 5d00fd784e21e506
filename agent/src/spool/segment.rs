//! One file of the spool: records one after the other; must not know which of them are settled.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::record::{self, HEADER_LEN, Header};

const EXTENSION: &str = "segment";
/// Digits of a segment's name: more segments than a node can ever write.
const DIGITS: usize = 16;
/// Bytes looked through at a time for the end of damage.
const SEARCH_LEN: usize = 256 << 10;

/// A segment file, open, with the length up to which it holds records.
#[derive(Debug)]
pub(super) struct Segment {
    number: u64,
    path: PathBuf,
    file: File,
    len: u64,
}

/// What is found at an offset.
#[derive(Debug)]
pub(super) enum Step {
    /// An intact record; the next one begins at `end`.
    Record {
        header: Header,
        payload: Vec<u8>,
        end: u64,
    },
    /// Bytes that are no intact record; reading goes on at `end`. `header` is there when only the
    /// payload is damaged or cut off.
    Damaged { header: Option<Header>, end: u64 },
    /// The end of the segment.
    End,
}

impl Segment {
    /// Creates an empty segment.
    pub(super) fn create(dir: &Path, number: u64) -> io::Result<Self> {
        let path = Self::path_of(dir, number);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Self {
            number,
            path,
            file,
            len: 0,
        })
    }

    /// Opens a segment for reading and appending.
    pub(super) fn open(dir: &Path, number: u64) -> io::Result<Self> {
        Self::open_with(dir, number, OpenOptions::new().read(true).write(true))
    }

    /// Opens a segment for reading only.
    pub(super) fn open_read_only(dir: &Path, number: u64) -> io::Result<Self> {
        Self::open_with(dir, number, OpenOptions::new().read(true))
    }

    fn open_with(dir: &Path, number: u64, options: &OpenOptions) -> io::Result<Self> {
        let path = Self::path_of(dir, number);
        let file = options.open(&path)?;
        let len = file.metadata()?.len();
        Ok(Self {
            number,
            path,
            file,
            len,
        })
    }

    /// Returns where the segment of a number is kept.
    pub(super) fn path_of(dir: &Path, number: u64) -> PathBuf {
        dir.join(format!("{number:0DIGITS$}.{EXTENSION}"))
    }

    /// Returns the numbers of the segments in a directory, ascending. Names that `path_of` does not
    /// give are somebody else's.
    pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            numbers.extend(entry?.file_name().to_str().and_then(Self::number_of));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn number_of(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
        let canonical = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        canonical.then(|| digits.parse().ok()).flatten()
    }

    /// Returns the segment's number; later segments have higher ones.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the bytes in use.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Returns the file's path, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the bytes of one record. On failure the segment is as it was before, and the next
    /// append writes over what a short write may have left.
    pub(super) fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.file.write_all_at(frame, self.len)?;
        self.len += frame.len() as u64;
        Ok(())
    }

    /// Reads what is at `offset`. An error is one of the disk; damage is a `Step`.
    pub(super) fn step(&self, offset: u64) -> io::Result<Step> {
        if offset >= self.len {
            return Ok(Step::End);
        }
        let mut bytes = [0; HEADER_LEN];
        let body = offset + HEADER_LEN as u64;
        if body > self.len {
            return Ok(Step::Damaged {
                header: None,
                end: self.len,
            });
        }
        self.file.read_exact_at(&mut bytes, offset)?;
        let Some(header) = Header::parse(&bytes) else {
            return Ok(Step::Damaged {
                header: None,
                end: self.find_header(offset + 1)?,
            });
        };
        let end = body + u64::from(header.payload_len);
        if end > self.len {
            // Cut off, or bytes in its middle are gone and other records follow.
            return Ok(Step::Damaged {
                header: Some(header),
                end: self.find_header(body)?,
            });
        }
        let mut payload = vec![0; header.payload_len as usize];
        self.file.read_exact_at(&mut payload, body)?;
        Ok(if header.matches(&payload) {
            Step::Record {
                header,
                payload,
                end,
            }
        } else {
            Step::Damaged {
                header: Some(header),
                end,
            }
        })
    }

    /// Removes the file.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Finds the next intact header at or after `from`, else the end. Reads piece by piece: how much
    /// is damaged is not bounded.
    fn find_header(&self, from: u64) -> io::Result<u64> {
        let mut from = from;
        while from + HEADER_LEN as u64 <= self.len {
            let mut piece = vec![0; SEARCH_LEN.min((self.len - from) as usize)];
            self.file.read_exact_at(&mut piece, from)?;
            if let Some(at) = record::find_header(&piece) {
                return Ok(from + at as u64);
            }
            // A header may begin in the last bytes of this piece and end in the next.
            from += (piece.len() - (HEADER_LEN - 1)) as u64;
        }
        Ok(self.len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_only_names_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        for number in [7, 1] {
            Segment::create(dir.path(), number).unwrap();
        }
        for stray in [
            "2.segment",
            "+000000000000002.segment",
            "00000000000000003.segment",
            "18446744073709551615.segment",
            "0000000000000002.segment.bak",
            "0000000000000002segment",
            "cursor",
        ] {
            File::create(dir.path().join(stray)).unwrap();
        }
        assert_eq!(Segment::list(dir.path()).unwrap(), [1, 7]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn finds_the_record_behind_damage_of_any_length(len in 0..3 * SEARCH_LEN) {
            let dir = tempfile::tempdir().unwrap();
            let frame = Header::try_new(1, 2, 3, b"payload").unwrap().frame(b"payload");
            let mut segment = Segment::create(dir.path(), 1).unwrap();
            segment.append(&[vec![0x49; len], frame].concat()).unwrap();
            let mut offset = 0;
            if let Step::Damaged { end, .. } = segment.step(0).unwrap() {
                prop_assert_eq!(end, len as u64);
                offset = end;
            }
            let step = segment.step(offset).unwrap();
            let intact = matches!(step, Step::Record { header, .. } if header.sequence == 2);
            prop_assert!(intact, "{:?}", segment.step(offset));
        }
    }
}
