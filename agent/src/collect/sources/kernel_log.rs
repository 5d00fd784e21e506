//! Tells trouble of the node, and denials, that the kernel only logs: reads /dev/kmsg from the agent's start on and keeps
//! the lines of known patterns. Must never wait for a line.

mod denials;
mod entry;
mod patterns;

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    time::Duration,
};

use inquest_proto::v1::{self, NodeEvent, loss::Stage, signal::Body};
use tracing::debug;

use super::{
    super::{clock::ktime_now_ns, source::Source},
    Polled,
};
use crate::{attribute::Attributor, loss::Losses, privileges::Privileges};
use denials::LoggedDenials;
use entry::Entry;
use patterns::Pattern;

pub(super) const POLLED: Polled = Polled {
    name: "kernel_log",
    without: "hung tasks, lockups, errors of file systems and hardware, what AppArmor and SELinux refused",
};
/// The kernel log, a record for each read.
const PATH: &str = "/dev/kmsg";
/// Its device; containers may have something else by that name.
const DEVICE: (u32, u32) = (1, 11);
/// As often as the bulk lane is read: a watermark must not pass a line that was not read.
const INTERVAL: Duration = Duration::from_millis(500);
/// Longest record that the kernel gives (`PRINTK_MESSAGE_MAX`, and `CONSOLE_EXT_LOG_MAX` before 6.2).
const MAX_RECORD: usize = 8192;
/// Records read in one go: a flood of lines must not keep the lanes waiting. The kernel keeps the rest.
const MAX_RECORDS: usize = 1024;
/// Kinds of trouble, by pattern and device, told of one reading; a broken disk logs many lines of one kind.
const MAX_EVENTS: usize = 32;
/// Bytes of a line that are told.
const MAX_TEXT: usize = 512;
/// Farther from the present, a time of the log's clock is not trusted.
const CLOCK_TOLERANCE_NS: u64 = 60_000_000_000;

/// The kernel log from now on.
pub(super) struct KernelLog {
    file: File,
    record: Vec<u8>,
}

/// What lines of one pattern and device come to.
struct Seen {
    at_ns: u64,
    event: NodeEvent,
}

impl KernelLog {
    /// Opens the log; `status` is told why not.
    pub(super) fn start(privileges: Privileges, status: &mut v1::ProbeStatus) -> Option<Self> {
        Self::open()
            .inspect_err(|error| {
                let next_step = next_step(error.kind(), privileges);
                status.detail = format!("failed to open {PATH}: {error}; {next_step}");
            })
            .ok()
    }

    /// Opens the log at its end. Needs CAP_SYSLOG where `kernel.dmesg_restrict` is set, and a device cgroup that allows it.
    fn open() -> io::Result<Self> {
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(nonblocking)
            .open(PATH)?;
        let device = file.metadata()?.rdev();
        if (rustix::fs::major(device), rustix::fs::minor(device)) != DEVICE {
            return Err(io::Error::new(
                ErrorKind::NotFound,
                "it is not the kernel's log",
            ));
        }
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file,
            record: vec![0; MAX_RECORD],
        })
    }

    /// Hands each new record to `take`. Counts those that the kernel had to give up before they were read.
    fn read_records(&mut self, losses: &mut Losses, mut take: impl FnMut(Entry<'_>)) {
        for _ in 0..MAX_RECORDS {
            match self.file.read(&mut self.record) {
                Ok(len) => {
                    let record = self.record.get(..len).unwrap_or_default();
                    match Entry::parse(&String::from_utf8_lossy(record)) {
                        Some(entry) => take(entry),
                        None => losses.add(Stage::Decode, "kernel_log", 1),
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted => {}
                    // Older records than the next were overwritten; how many, it does not say.
                    ErrorKind::BrokenPipe => losses.add(Stage::RingBuffer, "kernel_log", 1),
                    _ => return debug!(%error, "failed to read the kernel log"),
                },
            }
        }
    }
}

impl Source for KernelLog {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn read(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal> {
        let mut seen: BTreeMap<(&'static str, String), Seen> = BTreeMap::new();
        let mut denials = LoggedDenials::default();
        let mut untold = 0;
        self.read_records(losses, |entry| {
            if let Some((pattern, device)) = known(&entry) {
                let key = (pattern.name, device.to_owned());
                if seen.len() < MAX_EVENTS || seen.contains_key(&key) {
                    let first = || Seen::new(&entry, pattern, device);
                    seen.entry(key).or_insert_with(first).event.count += 1;
                } else {
                    untold += 1;
                }
            } else {
                denials.take(&entry);
            }
        });
        losses.add(Stage::RateLimit, "node_event", untold);
        let now_ns = ktime_now_ns();
        let mut seen: Vec<Seen> = seen.into_values().collect();
        seen.sort_by_key(|seen| seen.at_ns);
        let events = seen.into_iter().map(|seen| {
            let ktime_ns = plausible(seen.at_ns, now_ns);
            let subject = v1::Subject::default();
            attributor.signal(ktime_ns, subject, Body::NodeEvent(seen.event))
        });
        events
            .chain(denials.tell(now_ns, attributor, losses))
            .collect()
    }
}

impl Seen {
    /// Of no line yet.
    fn new(entry: &Entry<'_>, pattern: &Pattern, device: &str) -> Self {
        let event = NodeEvent {
            kind: pattern.kind.into(),
            text: cut(entry.text),
            pattern: pattern.name.to_owned(),
            device: device.to_owned(),
            step_ns: 0,
            count: 0,
        };
        Self {
            at_ns: entry.at_ns,
            event,
        }
    }
}

/// Says what to do about a log that could not be opened.
fn next_step(error: ErrorKind, privileges: Privileges) -> &'static str {
    match error {
        ErrorKind::NotFound => "mount the node's /dev/kmsg there",
        ErrorKind::PermissionDenied if !privileges.holds_capability("CAP_SYSLOG") => {
            "add SYSLOG to the agent's capabilities"
        }
        ErrorKind::PermissionDenied => {
            "CAP_SYSLOG is held, so the container's device cgroup refuses it: only a runtime that is told to allow the \
             device, or a privileged container, can have it"
        }
        _ => "see docs/privileges.md",
    }
}

/// Returns the pattern that `entry` fits. What processes write into the log is not believed.
fn known<'a>(entry: &Entry<'a>) -> Option<(&'static Pattern, &'a str)> {
    if entry.from_kernel {
        patterns::find(entry.text)
    } else {
        None
    }
}

/// The log's clock is close to CLOCK_MONOTONIC, but not held to it.
fn plausible(at_ns: u64, now_ns: u64) -> u64 {
    if now_ns.abs_diff(at_ns) <= CLOCK_TOLERANCE_NS {
        at_ns.min(now_ns)
    } else {
        now_ns
    }
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_TEXT))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Opens the log, and writes a line into it.
    fn written(line: &str) -> Option<KernelLog> {
        let opened = KernelLog::open().and_then(|log| {
            let mut kmsg = OpenOptions::new().write(true).open(PATH)?;
            kmsg.write_all(format!("{line}\n").as_bytes())?;
            Ok(log)
        });
        match opened {
            Ok(log) => Some(log),
            Err(error) => {
                testkit::skip(format_args!("{PATH}: {error}"));
                None
            }
        }
    }

    #[test]
    fn reads_what_is_logged_from_its_opening_on_and_does_not_wait() {
        let line = format!("inquest test {}: Link is Down", std::process::id());
        let Some(mut log) = written(&line) else {
            return;
        };
        let mut found = Vec::new();
        let mut losses = Losses::default();
        log.read_records(&mut losses, |entry| {
            if entry.text == line {
                found.push((entry.from_kernel, known(&entry).is_some(), entry.at_ns));
            }
        });
        let [(from_kernel, is_known, at_ns)] = found[..] else {
            panic!("{found:?}")
        };
        assert!(!from_kernel, "a process wrote it");
        assert!(!is_known, "so it proves nothing");
        assert!(ktime_now_ns().abs_diff(at_ns) < CLOCK_TOLERANCE_NS);
        log.read_records(&mut losses, |entry| assert_ne!(entry.text, line));
    }

    #[test]
    fn dates_by_the_log_unless_that_is_far_off() {
        let now = 200 * 1_000_000_000;
        assert_eq!(plausible(now - 5, now), now - 5);
        assert_eq!(plausible(now + 5, now), now);
        assert_eq!(plausible(3, now), now);
    }

    #[test]
    fn cuts_a_line_between_characters() {
        let text = "é".repeat(MAX_TEXT);
        assert_eq!(cut(&text).len(), MAX_TEXT);
        assert_eq!(cut(&format!("x{text}")).len(), MAX_TEXT - 1);
    }
}
