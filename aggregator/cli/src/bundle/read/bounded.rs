//! A reader that gives up beyond a bound. Must end with an error, where [`std::io::Take`] would end as
//! if all had been read.

use std::io::{self, Read};

/// Most bytes read of one bundle, unpacked; a bomb ends here.
pub(super) const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// Reads at most so many bytes.
pub(super) struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R> Bounded<R> {
    pub(super) const fn new(inner: R, left: u64) -> Self {
        Self { inner, left }
    }

    /// Bytes that may still be read.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the bundle holds more than 2 GiB",
            )
        })?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_ends_with_an_error_rather_than_early() {
        let read = |left| {
            let mut bounded = Bounded::new(&b"0123456789"[..], left);
            let read = bounded.read_to_end(&mut Vec::new());
            (read.map_err(|error| error.kind()), bounded.left())
        };
        assert_eq!(read(12), (Ok(10), 2));
        assert_eq!(read(10), (Ok(10), 0));
        assert_eq!(read(9).0, Err(io::ErrorKind::FileTooLarge));
    }
}
