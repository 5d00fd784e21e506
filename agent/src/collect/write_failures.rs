//! Hands the counts of writes that a file system refused from who counts them, by cgroup, to who knows the mounts. Must
//! not judge which file system it was.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use rustix::io::Errno;

/// Cgroups whose refused writes wait to be looked into. Those of more are told with the other failed calls only.
const MAX_CGROUPS: usize = 256;

/// Writes that were refused.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Refused {
    /// For want of space, inodes or quota.
    pub(crate) no_room: u64,
    /// Because the file system is read-only.
    pub(crate) read_only: u64,
}

/// Where counts are left.
#[derive(Clone, Debug)]
pub(crate) struct WriteFailures {
    waiting: Arc<Mutex<BTreeMap<u64, Refused>>>,
    nudge: SyncSender<()>,
}

/// Where counts are taken from.
#[derive(Debug)]
pub(crate) struct WriteFailureReader {
    waiting: Arc<Mutex<BTreeMap<u64, Refused>>>,
    /// Told of new counts; ends with the last [`WriteFailures`].
    pub(crate) nudges: Receiver<()>,
}

/// Returns both ends.
pub(crate) fn write_failures() -> (WriteFailures, WriteFailureReader) {
    let waiting = Arc::new(Mutex::new(BTreeMap::new()));
    // One word is enough for any number of counts.
    let (nudge, nudges) = sync_channel(1);
    let failures = WriteFailures {
        waiting: Arc::clone(&waiting),
        nudge,
    };
    (failures, WriteFailureReader { waiting, nudges })
}

impl WriteFailures {
    /// Adds `count` calls of `cgroup` that failed with `errno`, if that is one of a file system that refused.
    pub(crate) fn add(&self, cgroup: u64, errno: u32, count: u64) {
        let is = |errnos: &[Errno]| errnos.iter().any(|one| one.raw_os_error() as u32 == errno);
        let no_room = is(&[Errno::NOSPC, Errno::DQUOT]);
        if !no_room && !is(&[Errno::ROFS]) {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_CGROUPS && !waiting.contains_key(&cgroup) {
            return;
        }
        let refused = waiting.entry(cgroup).or_default();
        let counter = if no_room {
            &mut refused.no_room
        } else {
            &mut refused.read_only
        };
        *counter = counter.saturating_add(count);
        drop(waiting);
        // When it is full, the reader has been told.
        let _told_before = self.nudge.try_send(());
    }
}

impl WriteFailureReader {
    /// Takes all counts.
    pub(crate) fn take(&self) -> BTreeMap<u64, Refused> {
        mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_by_cgroup_what_file_systems_refuse_and_nothing_else() {
        let (failures, reader) = write_failures();
        for (cgroup, errno, count) in [
            (1, Errno::NOSPC, 2),
            (1, Errno::DQUOT, 3),
            (1, Errno::ROFS, 4),
            (2, Errno::ROFS, 1),
            (3, Errno::NOENT, 9),
        ] {
            failures.add(cgroup, errno.raw_os_error() as u32, count);
        }
        assert!(reader.nudges.try_recv().is_ok());
        assert!(reader.nudges.try_recv().is_err(), "one nudge for all");
        let taken: Vec<_> = reader.take().into_iter().collect();
        let refused = |no_room, read_only| Refused { no_room, read_only };
        assert_eq!(taken, [(1, refused(5, 4)), (2, refused(0, 1))]);
        assert!(reader.take().is_empty());
    }

    #[test]
    fn stays_bounded() {
        let (failures, reader) = write_failures();
        for cgroup in 0..2 * MAX_CGROUPS as u64 {
            failures.add(cgroup, Errno::NOSPC.raw_os_error() as u32, 1);
        }
        assert_eq!(reader.take().len(), MAX_CGROUPS);
    }
}
