//! The frame of one spooled batch: a checksummed header and a checksummed payload; must not touch
//! files.
//!
//! Header and payload have their own checksums, so that a damaged payload still tells how many
//! signals were in it and where the next record begins.

/// Bytes of a header.
pub(super) const HEADER_LEN: usize = 36;
/// Largest payload. A batch is cut at 512 KiB; one signal more is far below this.
pub(super) const MAX_PAYLOAD_LEN: u32 = 1 << 20;

const MAGIC: [u8; 4] = *b"IQB1";

/// What precedes a payload. Layout, little endian: magic, payload length, start id (8), sequence
/// (8), signals, payload CRC-32, header CRC-32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The process that made the batch.
    pub(super) start_id: u64,
    /// Its place among that process's batches.
    pub(super) sequence: u64,
    /// How many signals the payload holds.
    pub(super) signals: u32,
    /// Bytes of the payload.
    pub(super) payload_len: u32,
    payload_crc: u32,
}

impl Header {
    /// Describes a payload; `None` when it is larger than a record may be.
    pub(super) fn try_new(
        start_id: u64,
        sequence: u64,
        signals: u32,
        payload: &[u8],
    ) -> Option<Self> {
        let payload_len = u32::try_from(payload.len()).ok()?;
        (payload_len <= MAX_PAYLOAD_LEN).then(|| Self {
            start_id,
            sequence,
            signals,
            payload_len,
            payload_crc: crc32fast::hash(payload),
        })
    }

    /// Reads a header; `None` for anything that was not written as one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        let (magic, rest) = covered.split_first_chunk::<4>()?;
        if *magic != MAGIC || crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (payload_len, rest) = rest.split_first_chunk::<4>()?;
        let (start_id, rest) = rest.split_first_chunk::<8>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (signals, rest) = rest.split_first_chunk::<4>()?;
        let payload_crc = rest.first_chunk::<4>()?;
        let header = Self {
            start_id: u64::from_le_bytes(*start_id),
            sequence: u64::from_le_bytes(*sequence),
            signals: u32::from_le_bytes(*signals),
            payload_len: u32::from_le_bytes(*payload_len),
            payload_crc: u32::from_le_bytes(*payload_crc),
        };
        (header.payload_len <= MAX_PAYLOAD_LEN).then_some(header)
    }

    /// Tells whether these bytes are the payload that the header was made for.
    pub(super) fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_len as usize && crc32fast::hash(payload) == self.payload_crc
    }

    /// Returns the bytes of header and payload as they go to a file.
    pub(super) fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.payload_len.to_le_bytes());
        bytes.extend_from_slice(&self.start_id.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.signals.to_le_bytes());
        bytes.extend_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }
}

/// Finds the first header in `bytes`, which begin in damage; returns its offset.
pub(super) fn find_header(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(HEADER_LEN)
        .position(|window| Header::parse(window).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_reads_back(start in any::<u64>(), sequence in any::<u64>(),
            payload in prop::collection::vec(any::<u8>(), 0..300))
        {
            let header = Header::try_new(start, sequence, 3, &payload).unwrap();
            let frame = header.frame(&payload);
            prop_assert_eq!(Header::parse(&frame), Some(header));
            prop_assert!(header.matches(&frame[HEADER_LEN..]));
        }

        #[test]
        fn a_flipped_bit_never_passes(at in 0_usize..(HEADER_LEN + 50), bit in 0_u8..8) {
            let payload = [7_u8; 50];
            let mut frame = Header::try_new(1, 2, 3, &payload).unwrap().frame(&payload);
            frame[at] ^= 1 << bit;
            let intact = Header::parse(&frame).is_some_and(|header| header.matches(&frame[HEADER_LEN..]));
            prop_assert!(!intact);
        }

        #[test]
        fn random_bytes_are_no_header(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Header::parse(&bytes), None);
            prop_assert_eq!(find_header(&bytes), None);
        }
    }

    #[test]
    fn finds_a_header_behind_damage() {
        let frame = Header::try_new(1, 2, 3, b"x").unwrap().frame(b"x");
        let bytes = [b"damage IQB1 and more".as_slice(), &frame].concat();
        assert_eq!(find_header(&bytes), Some(20));
    }
}
