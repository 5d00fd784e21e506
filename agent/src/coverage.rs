//! Remembers until when this node was watched, so that the next agent can tell the time span in
//! which nobody was; must not say what happened inside it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use inquest_proto::v1;
use inquest_proto::v1::coverage_gap::Reason;
use jiff::Timestamp;

const FILE_NAME: &str = "coverage";
const MAGIC: [u8; 4] = *b"IQW1";
const RUNNING: u8 = 0;
const STOPPED: u8 = 1;
/// What the kernel may not have written back when the power went: it does so after 30 s, looking every
/// 5 s. What was spooled in that time may be gone, so the gap begins that much earlier.
const POWER_CUT_MARGIN: Duration = Duration::from_mins(1);
/// Magic, state, watermark in nanoseconds, length of the boot id, boot id, CRC-32.
const FIXED_LEN: usize = 4 + 1 + 8 + 1 + 4;

/// The file in which an agent leaves until when it had watched.
///
/// The watermark may move only when everything observed before it is in the spool: then whatever a
/// killed agent did not spool lies in the gap that its successor reports.
#[derive(Debug)]
pub struct Coverage {
    file: File,
    boot_id: String,
    watermark: Option<Timestamp>,
}

/// What an earlier agent left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Previous {
    /// There was no agent before.
    Nothing,
    /// There was one, but its file is damaged.
    Unknown,
    /// It had watched until then.
    Watched {
        /// The last watermark.
        until: Timestamp,
        /// It said that it stopped.
        stopped: bool,
        /// The boot it ran in.
        boot_id: String,
    },
}

impl Coverage {
    /// Opens or creates the file of a state directory and reads what an earlier agent left.
    pub fn open(dir: &Path, boot_id: &str) -> io::Result<(Self, Previous)> {
        let path = dir.join(FILE_NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = vec![0; FIXED_LEN + usize::from(u8::MAX)];
        let len = file.read_at(&mut bytes, 0)?;
        bytes.truncate(len);
        let previous = if bytes.is_empty() {
            Previous::Nothing
        } else {
            decode(&bytes).unwrap_or(Previous::Unknown)
        };
        Ok((
            Self {
                file,
                boot_id: boot_id.to_owned(),
                watermark: None,
            },
            previous,
        ))
    }

    /// Moves the watermark; backwards too, where the clock was set back: the next agent compares it
    /// with that clock.
    pub fn advance(&mut self, watermark: Timestamp) -> io::Result<()> {
        self.write(RUNNING, watermark)?;
        self.watermark = Some(watermark);
        Ok(())
    }

    /// Says that the agent stops here, as it was told to.
    pub fn mark_stopped(&self) -> io::Result<()> {
        self.watermark
            .map_or(Ok(()), |watermark| self.write(STOPPED, watermark))
    }

    /// One `pwrite` of less than a page: a killed process leaves either the old or the new state.
    fn write(&self, state: u8, watermark: Timestamp) -> io::Result<()> {
        self.file
            .write_all_at(&encode(state, watermark, &self.boot_id), 0)
    }
}

impl Previous {
    /// Returns the signal for the time between an earlier agent's watermark and `attached`; none
    /// when there was no earlier agent.
    pub fn gap(&self, attached: Timestamp, boot_id: &str) -> Option<v1::Signal> {
        let (start, reason) = match self {
            Self::Nothing => return None,
            Self::Unknown => (None, Reason::AgentRestarted),
            Self::Watched {
                until,
                stopped,
                boot_id: previous,
            } if previous != boot_id => {
                let margin = if *stopped {
                    Duration::ZERO
                } else {
                    POWER_CUT_MARGIN
                };
                (
                    Some(until.checked_sub(margin).unwrap_or(*until)),
                    Reason::NodeRebooted,
                )
            }
            Self::Watched {
                until,
                stopped: true,
                ..
            } => (Some(*until), Reason::AgentStopped),
            Self::Watched { until, .. } => (Some(*until), Reason::AgentRestarted),
        };
        let gap = v1::CoverageGap {
            // A clock set back would turn the span around.
            start: start.map(|start| to_wire(start.min(attached))),
            end: Some(to_wire(attached)),
            reason: reason as i32,
        };
        Some(v1::Signal {
            observed_at: Some(to_wire(attached)),
            body: Some(v1::signal::Body::CoverageGap(gap)),
            ..Default::default()
        })
    }
}

fn encode(state: u8, watermark: Timestamp, boot_id: &str) -> Vec<u8> {
    let boot_id = boot_id.as_bytes();
    let boot_id = boot_id.get(..usize::from(u8::MAX)).unwrap_or(boot_id);
    let mut bytes = Vec::with_capacity(FIXED_LEN + boot_id.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.push(state);
    bytes.extend_from_slice(&(watermark.as_nanosecond() as i64).to_le_bytes());
    bytes.push(boot_id.len() as u8);
    bytes.extend_from_slice(boot_id);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Previous> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let ([state], rest) = rest.split_first_chunk::<1>()?;
    let (watermark, rest) = rest.split_first_chunk::<8>()?;
    let ([len], rest) = rest.split_first_chunk::<1>()?;
    let (boot_id, crc) = rest.split_at_checked(usize::from(*len))?;
    let covered = bytes.get(..FIXED_LEN - 4 + usize::from(*len))?;
    if *magic != MAGIC || crc32fast::hash(covered) != u32::from_le_bytes(*crc.first_chunk()?) {
        return None;
    }
    Some(Previous::Watched {
        until: Timestamp::from_nanosecond(i64::from_le_bytes(*watermark).into()).ok()?,
        stopped: *state == STOPPED,
        boot_id: String::from_utf8(boot_id.to_vec()).ok()?,
    })
}

/// Converts a time to the wire's.
pub fn to_wire(time: Timestamp) -> pbjson_types::Timestamp {
    pbjson_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn gap(previous: &Previous, attached: Timestamp) -> Option<(Option<i64>, i64, Reason)> {
        let signal = previous.gap(attached, "boot-b")?;
        let Some(v1::signal::Body::CoverageGap(gap)) = signal.body else {
            panic!("{signal:?}")
        };
        Some((
            gap.start.map(|t| t.seconds),
            gap.end.as_ref().unwrap().seconds,
            gap.reason(),
        ))
    }

    #[test]
    fn the_first_agent_of_a_node_reports_no_gap() {
        let dir = tempfile::tempdir().unwrap();
        let (_, previous) = Coverage::open(dir.path(), "boot-b").unwrap();
        assert_eq!(previous.gap(at(5), "boot-b"), None);
    }

    #[test]
    fn a_gap_says_since_when_and_why() {
        for (boot_id, stop, attached, expected) in [
            (
                "boot-b",
                false,
                900,
                (Some(500), 900, Reason::AgentRestarted),
            ),
            ("boot-b", true, 900, (Some(500), 900, Reason::AgentStopped)),
            ("boot-a", true, 900, (Some(500), 900, Reason::NodeRebooted)),
            // Without a clean stop, what was spooled last may not have reached the disk.
            ("boot-a", false, 900, (Some(440), 900, Reason::NodeRebooted)),
            (
                "boot-b",
                false,
                400,
                (Some(400), 400, Reason::AgentRestarted),
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (mut coverage, _) = Coverage::open(dir.path(), boot_id).unwrap();
            coverage.advance(at(501)).unwrap();
            coverage.advance(at(500)).unwrap();
            if stop {
                coverage.mark_stopped().unwrap();
            }
            let (_, previous) = Coverage::open(dir.path(), "boot-b").unwrap();
            assert_eq!(gap(&previous, at(attached)), Some(expected));
        }
    }

    #[test]
    fn a_damaged_file_gives_a_gap_without_a_start() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), b"nonsense").unwrap();
        let (_, previous) = Coverage::open(dir.path(), "boot-b").unwrap();
        assert_eq!(
            gap(&previous, at(3)),
            Some((None, 3, Reason::AgentRestarted))
        );
    }

    proptest! {
        #[test]
        fn damage_is_seen(at_byte in 0_usize..60, bit in 0_u8..8) {
            let mut bytes = encode(RUNNING, at(10), "7d0e9cd5-9b8e-4e0c-b0c4-a5f3c8ed6d0c");
            let index = at_byte % bytes.len();
            bytes[index] ^= 1 << bit;
            prop_assert_eq!(decode(&bytes), None);
        }
    }
}
