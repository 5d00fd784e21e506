//! `disk-full`: a file system has no room left, for data or for files. Must say which of the two, and
//! which file system.

use super::claim::{Claim, cited, last_spell};
use super::last_word;
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::explain::facts::Fact;
use crate::explain::quantity::{bytes, count};
use crate::explain::quote::{clean, word};
use crate::model::Severity;
use crate::model::signal::{FailedCall, FilesystemUsage};
use crate::rank::Strength;

const PRIOR: f64 = 0.98;

/// Finds full file systems.
pub(super) struct DiskFull;

/// What is used up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lack {
    Blocks,
    Inodes,
    Quota,
    /// The failure does not tell, and nobody looked at the file system.
    Unknown,
}

impl Detector for DiskFull {
    fn cause(&self) -> &'static str {
        "disk-full"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let is_full = |call: &FailedCall| call.errno == "ENOSPC" || call.errno == "EDQUOT";
        if let Some(word) = last_word::find(case, is_full) {
            let place = place(&word.call.mount_point, &word.call.path);
            let usage = usage_at(case, &word.call.mount_point);
            let lack = match (word.call.errno.as_str(), usage) {
                ("EDQUOT", _) => Lack::Quota,
                (_, Some(usage)) => lack_of(usage.record),
                (_, None) => Lack::Unknown,
            };
            let mut signs = vec![word.fact(case)];
            signs.extend(usage.map(|usage| fact(case, usage)));
            let until = word.fact(case).at;
            return claim(case, &place, lack, signs, until, word.specificity());
        }
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let all = case.troubles.of::<FilesystemUsage>();
        let failing: Vec<_> = all
            .into_iter()
            .filter(|usage| usage.record.failed_writes > 0 && is_used_up(usage.record))
            .collect();
        let Some(newest) = failing.last() else {
            return Verdict::Silent;
        };
        let mount = newest.record.mount_point.clone();
        let of_mount: Vec<_> = failing
            .iter()
            .copied()
            .filter(|usage| usage.record.mount_point == mount)
            .collect();
        let spell = last_spell(&of_mount);
        let signs = cited(case, spell)
            .iter()
            .map(|usage| fact(case, *usage))
            .collect();
        let lack = spell
            .first()
            .map_or(Lack::Unknown, |usage| lack_of(usage.record));
        claim(case, &clean(&mount), lack, signs, newest.at, 1.0)
    }
}

fn claim(
    case: &Case<'_>,
    place: &str,
    lack: Lack,
    signs: Vec<Fact>,
    until: crate::model::Timestamp,
    specificity: f64,
) -> Verdict {
    let who = case.subject();
    let (state, meaning) = match lack {
        Lack::Blocks => ("is full", "All its space is taken."),
        Lack::Inodes => (
            "has no inode left",
            "It has space left and no inode: it holds as many files as it was made for.",
        ),
        Lack::Quota => (
            "is full for it: a quota is used up",
            "The quota is that of a user, group, project or subvolume; others can still write.",
        ),
        Lack::Unknown => (
            "has no room left",
            "Whether space or inodes ran out was not looked at.",
        ),
    };
    let headline = match case.death() {
        Some(_) => format!("{who} gave up: the file system at {place} {state}"),
        None => format!("{who} cannot write: the file system at {place} {state}"),
    };
    Claim {
        cause: "disk-full",
        severity: Severity::Warning,
        entity: case.entity(),
        strength: Strength {
            prior: PRIOR,
            specificity,
            directness: 1.0,
        },
        signs,
        until,
        is_event: false,
        what: format!("the file system at {place} had no room left"),
        headline,
        explanation: format!(
            "The kernel refused to write to the file system at {place}. {meaning}"
        ),
        impact: format!("whatever {who} writes to {place} is lost"),
        remediation: remediation(place, lack),
    }
    .holds(case)
}

fn remediation(place: &str, lack: Lack) -> Vec<String> {
    let quoted = word(place);
    match lack {
        Lack::Inodes => vec![
            format!("find the directory with most files: du --inodes -x {quoted} | sort -n | tail"),
            "a file system keeps the number of inodes that it was made with: delete files, or make it anew".to_owned(),
        ],
        Lack::Quota => vec![format!("look at the quotas: repquota -s {quoted}, xfs_quota -x -c report {quoted}, or btrfs qgroup show -re {quoted}")],
        Lack::Blocks | Lack::Unknown => vec![
            format!("see what fills it: df -h {quoted}, then du -x -h -d 2 {quoted} | sort -h | tail"),
            format!("files that are deleted and still open take space too: lsof +L1 {quoted}"),
            "make it larger, or let logs and caches have a bound".to_owned(),
        ],
    }
}

/// The file system as texts name it: by its mount point, else by the file.
fn place(mount_point: &str, path: &str) -> String {
    match (mount_point, path) {
        ("", "") => "a mount that could not be named".to_owned(),
        ("", path) => clean(path),
        (mount_point, _) => clean(mount_point),
    }
}

/// What was last read of a file system.
fn usage_at<'a>(case: &Case<'a>, mount_point: &str) -> Option<Observed<'a, FilesystemUsage>> {
    let all = case.troubles.of::<FilesystemUsage>();
    let is_there = |usage: &Observed<'_, FilesystemUsage>| {
        usage.record.mount_point == mount_point && is_used_up(usage.record)
    };
    all.into_iter().rfind(is_there)
}

/// Less than a hundredth of it is free, in space or in inodes.
fn is_used_up(usage: &FilesystemUsage) -> bool {
    lack_of(usage) != Lack::Unknown
}

fn lack_of(usage: &FilesystemUsage) -> Lack {
    if usage.inodes > 0 && usage.inodes_free < usage.inodes.div_ceil(100) {
        Lack::Inodes
    } else if usage.available_bytes < usage.size_bytes.div_ceil(100) {
        Lack::Blocks
    } else {
        Lack::Unknown
    }
}

fn fact(case: &Case<'_>, usage: Observed<'_, FilesystemUsage>) -> Fact {
    let record = usage.record;
    let failed = match record.failed_writes {
        0 => String::new(),
        failed => format!("; {} failed", count(failed, "write")),
    };
    let text = format!(
        "the file system at {} has {} of {} and {} of {} inodes free{failed}",
        clean(&record.mount_point),
        bytes(record.available_bytes),
        bytes(record.size_bytes),
        record.inodes_free,
        record.inodes
    );
    case.sign(usage, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{FailedCall, FilesystemUsage};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::call;
    use crate::testing::{Actor, at_ms, incidents_of};

    const SCENARIO: Scenario = Scenario {
        cause: "disk-full",
        severity: Severity::Critical,
        nature: Nature::Fault,
        signals,
        supports: &[2, 1],
        look_alikes,
    };

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let pid = 40 + round;
        let word = FailedCall {
            mount_point: "/data".to_owned(),
            ..call(pid, ms - 10, "write", "ENOSPC", "")
        };
        let shop = Actor::new("shop", pid);
        vec![shop.gave_up(&format!("exit-{round}"), ms, 1, vec![word])]
    }

    fn usage(id: &str, ms: i64, free: (u64, u64), failed_writes: u64) -> Signal {
        let usage = FilesystemUsage {
            start: at_ms(ms - 1000),
            mount_point: "/data".to_owned(),
            size_bytes: 1 << 20,
            available_bytes: free.0,
            inodes: 1000,
            inodes_free: free.1,
            failed_writes,
            ..FilesystemUsage::default()
        };
        Actor::new("shop", 40).signal(id, at_ms(ms), SignalBody::FilesystemUsage(usage))
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        vec![
            (
                "a file system that is nearly full",
                vec![usage("u", 0, (4096, 500), 0)],
            ),
            (
                "a failed write with room left",
                vec![usage("u", 0, (1 << 19, 500), 1)],
            ),
        ]
    }

    stands!(SCENARIO);

    #[test]
    fn a_used_up_quota_is_told_apart_from_a_full_file_system() {
        let word = FailedCall {
            mount_point: "/data".to_owned(),
            ..call(40, -10, "write", "EDQUOT", "")
        };
        let roomy = usage("usage", -500, (1 << 19, 500), 0);
        let exit = Actor::new("shop", 40).gave_up("exit", 0, 1, vec![word]);
        let incident = &incidents_of(vec![roomy, exit])[0];
        assert_eq!(incident.root_cause.cause.0, SCENARIO.cause);
        let words = "the file system at /data is full for it: a quota is used up";
        assert!(incident.headline.ends_with(words), "{}", incident.headline);
    }

    #[test]
    fn tells_space_from_inodes_and_both_from_a_death() {
        for (free, words) in [
            ((0, 500), "the file system at /data is full"),
            ((1 << 19, 0), "the file system at /data has no inode left"),
        ] {
            let writes_fail = usage("usage", -500, free, 3);
            let incident = &incidents_of(vec![writes_fail.clone()])[0];
            assert!(incident.headline.ends_with(words), "{}", incident.headline);
            assert_eq!(incident.severity, Severity::Warning);
            let mut with_death = signals(0, 0);
            with_death.push(writes_fail);
            let incidents = incidents_of(with_death);
            assert_eq!(incidents.len(), 1);
            assert!(incidents[0].headline.ends_with(words));
            assert_eq!(incidents[0].severity, Severity::Critical);
        }
    }
}
