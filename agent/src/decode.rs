//! Turns the bytes of a ring buffer into records: total over any input, never panics. Must not judge what
//! a record says.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use inquest_agent_abi::{
    CgroupCreated, CgroupRemoved, DnsMessage, ExecFailed, MemoryCgroup, OomKill, ProcessExec,
    ProcessExit, RecordHeader, RecordKind,
};

/// One record of the kernel side.
#[derive(Clone, Debug)]
pub enum Record {
    /// The OOM killer chose a victim.
    OomKill(Box<OomKill>),
    /// The last thread of a process ended.
    ProcessExit(Box<ProcessExit>),
    /// A process executed a file.
    ProcessExec(Box<ProcessExec>),
    /// A file could not be executed.
    ExecFailed(Box<ExecFailed>),
    /// A DNS query or answer.
    DnsMessage(Box<DnsMessage>),
    /// A cgroup was created.
    CgroupCreated(Box<CgroupCreated>),
    /// A cgroup was removed.
    CgroupRemoved(Box<CgroupRemoved>),
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Not even the header, or less than its kind has.
    #[error("failed to decode a record of {len} bytes where {expected} were expected")]
    Short {
        /// Bytes there are.
        len: usize,
        /// Bytes there should be.
        expected: usize,
    },
    /// A kind that this agent does not know.
    #[error("failed to decode a record of unknown kind {0}")]
    UnknownKind(u32),
}

impl DecodeError {
    /// Returns the reason under which it is counted as a loss.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Short { .. } => "short_record",
            Self::UnknownKind(_) => "unknown_kind",
        }
    }
}

/// Decodes one record. Bytes beyond its end are ignored: a newer kernel side may append fields.
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    let header: RecordHeader = read(bytes)?;
    match header.kind {
        RecordKind::OOM_KILL => read(bytes).map(Box::new).map(Record::OomKill),
        RecordKind::PROCESS_EXIT => read(bytes).map(Box::new).map(Record::ProcessExit),
        RecordKind::PROCESS_EXEC => read(bytes).map(Box::new).map(Record::ProcessExec),
        RecordKind::CGROUP_CREATED => read(bytes).map(Box::new).map(Record::CgroupCreated),
        RecordKind::CGROUP_REMOVED => read(bytes).map(Box::new).map(Record::CgroupRemoved),
        RecordKind::EXEC_FAILED => read(bytes).map(Box::new).map(Record::ExecFailed),
        RecordKind::DNS_MESSAGE => read(bytes).map(Box::new).map(Record::DnsMessage),
        RecordKind(kind) => Err(DecodeError::UnknownKind(kind)),
    }
}

/// Returns the kind of the signals that records of `kind` become, as `--kind` takes it; empty for those that only name
/// others.
pub fn kind_word(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::OOM_KILL => "oom_kill",
        RecordKind::PROCESS_EXIT => "process_exit",
        RecordKind::PROCESS_EXEC => "process_exec",
        RecordKind::EXEC_FAILED => "exec_failure",
        RecordKind::CGROUP_REMOVED => "cgroup_removed",
        _ => "",
    }
}

/// Returns the text of a field: what is before its first NUL byte, damaged UTF-8 replaced.
pub fn text(field: &[u8]) -> String {
    let bytes = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the text of a field if it is all of it: the kernel side cuts what is longer and ends it in the last
/// byte.
pub fn whole_text(field: &[u8]) -> Option<String> {
    let (_, before_last) = field.split_last()?;
    before_last.contains(&0).then(|| text(field))
}

/// Returns the levels of the victim's chain that are filled in.
pub fn chain(kill: &OomKill) -> &[MemoryCgroup] {
    filled(&kill.chain, kill.chain_len)
}

/// Returns the ids of the trigger's chain that are filled in.
pub fn trigger_chain(kill: &OomKill) -> &[u64] {
    filled(&kill.trigger_chain, kill.trigger_chain_len)
}

fn filled<T>(all: &[T], len: u32) -> &[T] {
    all.get(..len as usize).unwrap_or(all)
}

fn read<T: aya::Pod>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() < size_of::<T>() {
        return Err(DecodeError::Short {
            len: bytes.len(),
            expected: size_of::<T>(),
        });
    }
    // SAFETY: there are enough bytes, and every bit pattern is a valid `T`.
    Ok(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sizes of all kinds of records, by their number.
    const SIZES: [(u32, usize); 7] = [
        (RecordKind::OOM_KILL.0, size_of::<OomKill>()),
        (RecordKind::PROCESS_EXIT.0, size_of::<ProcessExit>()),
        (RecordKind::PROCESS_EXEC.0, size_of::<ProcessExec>()),
        (RecordKind::CGROUP_CREATED.0, size_of::<CgroupCreated>()),
        (RecordKind::CGROUP_REMOVED.0, size_of::<CgroupRemoved>()),
        (RecordKind::EXEC_FAILED.0, size_of::<ExecFailed>()),
        (RecordKind::DNS_MESSAGE.0, size_of::<DnsMessage>()),
    ];

    fn with_kind(kind: u32, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len.max(4)];
        bytes[..4].copy_from_slice(&kind.to_ne_bytes());
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn decodes_each_kind_at_its_size_and_refuses_one_byte_less() {
        for (kind, size) in SIZES {
            assert!(decode(&with_kind(kind, size)).is_ok(), "kind {kind}");
            let short = decode(&with_kind(kind, size - 1)).unwrap_err();
            assert_eq!(
                short,
                DecodeError::Short {
                    len: size - 1,
                    expected: size
                }
            );
        }
    }

    #[test]
    fn refuses_kinds_it_does_not_know() {
        for kind in [0, RecordKind::COUNT, u32::MAX] {
            let error = decode(&with_kind(kind, 4096)).unwrap_err();
            assert_eq!(error, DecodeError::UnknownKind(kind));
        }
    }

    #[test]
    fn takes_text_up_to_its_first_nul() {
        assert_eq!(text(b"worker\0rubbish"), "worker");
        assert_eq!(text(b"no end"), "no end");
        assert_eq!(text(b"\xff\0"), "\u{fffd}");
        assert_eq!(text(b""), "");
    }

    #[test]
    fn tells_a_text_that_its_field_cut() {
        assert_eq!(whole_text(b"ab\0\0").as_deref(), Some("ab"));
        assert_eq!(whole_text(b"\0rubbish").as_deref(), Some(""));
        assert_eq!(whole_text(b"abc\0"), None);
        assert_eq!(whole_text(b"abcd"), None);
        assert_eq!(whole_text(b""), None);
    }

    proptest! {
        #[test]
        fn never_panics_and_never_reads_past_a_field(
            kind in 0_u32..=RecordKind::COUNT,
            bytes in proptest::collection::vec(any::<u8>(), 0..4096),
        ) {
            let mut bytes = bytes;
            let head = kind.to_ne_bytes();
            for (byte, value) in bytes.iter_mut().zip(head) {
                *byte = value;
            }
            if let Ok(Record::OomKill(kill)) = decode(&bytes) {
                prop_assert!(chain(&kill).len() <= kill.chain.len());
                prop_assert!(trigger_chain(&kill).len() <= kill.trigger_chain.len());
                for level in chain(&kill) {
                    prop_assert!(!text(&level.name).contains('\0'));
                }
            }
        }
    }
}
