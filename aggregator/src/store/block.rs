//! Signals as compressed blocks. Must decode any bytes to a value or an error, within a bound of memory.

use std::io::{self, Read as _, Write as _};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use inquest_api::{signal::SignalKind, time};
use inquest_engine::model::Timestamp;
use inquest_proto::v1;
use prost::Message as _;

use super::CommitError;

/// Most signals in one block: enough for compression to work on, few enough to decode for one answer.
pub(super) const MAX_BLOCK_SIGNALS: usize = 1000;
/// A block is closed at this size before compression.
pub(super) const MAX_BLOCK_BYTES: usize = 1 << 20;
/// Largest signal that is stored; the largest honest one (an OOM kill with a deep chain) has a few KiB.
pub const MAX_SIGNAL_BYTES: usize = 64 << 10;
/// What a decoder takes before it calls a block damaged: a full block plus one signal and its lengths.
const MAX_DECODED_BYTES: u64 = (MAX_BLOCK_BYTES + MAX_SIGNAL_BYTES + MAX_BLOCK_SIGNALS * 10) as u64;

/// The bit of a signal's kind in a block's mask.
pub(super) const fn kind_bit(kind: SignalKind) -> i64 {
    1 << kind as u8
}

/// The bits of the blocks that may hold a kind: one that was not known when a block was written is
/// in it as unknown.
pub(super) const fn kind_mask(kind: SignalKind) -> i64 {
    kind_bit(kind) | kind_bit(SignalKind::Unknown)
}

/// The bit of a node's name in a block's mask; two names may share one. FNV-1a, because what is on
/// disk must mean the same to the next build.
pub(super) fn node_bit(node: &str) -> i64 {
    let hash = node.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    1i64.wrapping_shl((hash >> 58) as u32)
}

/// Signals of one block, encoded, with what a search may know about them before decoding.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) count: u64,
    pub(super) min_observed_at: Timestamp,
    pub(super) max_observed_at: Timestamp,
    pub(super) kinds: i64,
    pub(super) nodes: i64,
    pub(super) payload: Vec<u8>,
}

impl Block {
    /// Encodes signals in their order, as many blocks as it takes.
    pub(super) fn encode_all(signals: &[v1::Signal]) -> Result<Vec<Self>, CommitError> {
        let mut blocks = Vec::new();
        let mut rest = signals;
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(fitting(rest));
            blocks.push(Self::encode(head).map_err(CommitError::Compress)?);
            rest = tail;
        }
        Ok(blocks)
    }

    fn encode(signals: &[v1::Signal]) -> io::Result<Self> {
        // Level 1: measured as the best trade of CPU for size on these messages.
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        let mut buffer = Vec::new();
        let mut block = Self {
            count: signals.len() as u64,
            min_observed_at: Timestamp::from_nanos(i64::MAX),
            max_observed_at: Timestamp::from_nanos(i64::MIN),
            kinds: 0,
            nodes: 0,
            payload: Vec::new(),
        };
        for signal in signals {
            buffer.clear();
            signal
                .encode_length_delimited(&mut buffer)
                .map_err(io::Error::other)?;
            encoder.write_all(&buffer)?;
            let at = time::observed_at(signal).unwrap_or_default();
            block.min_observed_at = block.min_observed_at.min(at);
            block.max_observed_at = block.max_observed_at.max(at);
            block.kinds |= kind_bit(SignalKind::of(signal));
            block.nodes |= node_bit(&signal.node);
        }
        block.payload = encoder.finish()?;
        Ok(block)
    }
}

/// How many of the first signals make one block; at least one.
fn fitting(signals: &[v1::Signal]) -> usize {
    let mut bytes = 0;
    let fits = |signal: &&v1::Signal| {
        bytes += signal.encoded_len();
        bytes <= MAX_BLOCK_BYTES
    };
    let count = signals.iter().take(MAX_BLOCK_SIGNALS).take_while(fits);
    count.count().max(1)
}

/// A block whose bytes are not what was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("failed to decompress a block of signals")]
    Decompress(#[source] io::Error),
    #[error("failed to decode a block of signals: it is larger than {MAX_DECODED_BYTES} bytes")]
    TooLarge,
    #[error("failed to decode a block of signals: it holds {found}, not {expected}")]
    Count { expected: u64, found: u64 },
    #[error("failed to decode signal {index} of a block")]
    Signal {
        index: usize,
        #[source]
        source: prost::DecodeError,
    },
}

/// Decodes a block's `expected` signals, in the order in which they were stored.
pub(super) fn decode(payload: &[u8], expected: u64) -> Result<Vec<v1::Signal>, DecodeError> {
    let mut bytes = Vec::new();
    let taken = ZlibDecoder::new(payload)
        .take(MAX_DECODED_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(DecodeError::Decompress)?;
    if taken as u64 > MAX_DECODED_BYTES {
        return Err(DecodeError::TooLarge);
    }
    let mut rest = bytes.as_slice();
    let mut signals = Vec::new();
    while !rest.is_empty() {
        let signal = v1::Signal::decode_length_delimited(&mut rest).map_err(|source| {
            DecodeError::Signal {
                index: signals.len(),
                source,
            }
        })?;
        signals.push(signal);
    }
    let found = signals.len() as u64;
    if found != expected {
        return Err(DecodeError::Count { expected, found });
    }
    Ok(signals)
}

#[cfg(test)]
mod tests {
    use pbjson_types::Timestamp as Wire;
    use proptest::prelude::*;

    use super::*;

    fn signal(number: u64, bytes: usize) -> v1::Signal {
        v1::Signal {
            id: format!("{number:016x}-{}", "x".repeat(bytes)),
            observed_at: Some(Wire {
                seconds: number as i64,
                nanos: 0,
            }),
            node: format!("n{}", number % 3),
            ..Default::default()
        }
    }

    #[test]
    fn gives_back_what_was_encoded_in_order_over_as_many_blocks_as_it_takes() {
        let cases = [(1, 1, 1), (1000, 1, 1), (1001, 1, 2), (40, 60_000, 3)];
        for (count, size, expected) in cases {
            let signals: Vec<_> = (0..count).map(|n| signal(n, size)).collect();
            let blocks = Block::encode_all(&signals).unwrap();
            assert_eq!(blocks.len(), expected, "{count} signals of {size} bytes");
            let back: Vec<_> = blocks
                .iter()
                .flat_map(|block| decode(&block.payload, block.count).unwrap())
                .collect();
            assert_eq!(back, signals);
            assert_eq!(blocks.iter().map(|b| b.count).sum::<u64>(), count);
        }
    }

    #[test]
    fn a_block_knows_its_times_kinds_and_nodes() {
        let block = Block::encode(&[signal(9, 1), signal(4, 1)]).unwrap();
        assert_eq!(block.min_observed_at.as_nanos(), 4_000_000_000);
        assert_eq!(block.max_observed_at.as_nanos(), 9_000_000_000);
        assert_eq!(block.kinds, kind_bit(SignalKind::Unknown));
        assert_eq!(block.nodes, node_bit("n0") | node_bit("n1"));
    }

    #[test]
    fn refuses_a_block_that_would_decompress_without_end() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 64 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(matches!(decode(&bomb, 1), Err(DecodeError::TooLarge)));
    }

    proptest! {
        #[test]
        fn never_panics_on_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            drop(decode(&bytes, 1));
        }

        #[test]
        fn never_panics_on_compressed_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes).unwrap();
            drop(decode(&encoder.finish().unwrap(), 1));
        }

        #[test]
        fn a_flipped_bit_or_a_cut_is_an_error_or_changes_nothing(
            at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>(),
        ) {
            let signals = [signal(1, 40), signal(2, 40)];
            let block = Block::encode(&signals).unwrap();
            let mut bytes = block.payload;
            let index = at.index(bytes.len());
            if cut {
                bytes.truncate(index);
            } else {
                bytes[index] ^= 1 << bit;
            }
            // The checksum at the end of a zlib stream catches damage; header bits that mean nothing may differ.
            if let Ok(back) = decode(&bytes, 2) {
                prop_assert_eq!(back, signals);
            }
        }
    }
}
