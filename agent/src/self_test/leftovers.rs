//! Looks whether everything that the self-test made is gone: programs, maps, cgroups. Must not take for its own what
//! another agent on this node has loaded.

use std::{collections::BTreeSet, error::Error, fs, io, path::PathBuf, time::Duration};

use anyhow::ensure;
use aya::{maps::loaded_maps, programs::loaded_programs};
use tokio::time::{Instant, sleep};

use super::{check::NotPossible, scratch};
use crate::probes::is_refusal;

/// Where the kernel tells what a descriptor of this process is.
const FDINFO: &str = "/proc/self/fdinfo";
/// Longest wait: the kernel frees programs some time after their last descriptor is closed, and lets go of those at the
/// returns of functions one by one.
const DEADLINE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What must be gone in the end.
pub(super) struct Leftovers {
    programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
    cgroup_root: PathBuf,
}

impl Leftovers {
    /// Notes what this process holds now.
    pub(super) fn take(cgroup_root: &std::path::Path) -> io::Result<Self> {
        let (mut programs, mut maps) = (BTreeSet::new(), BTreeSet::new());
        for entry in fs::read_dir(FDINFO)? {
            // A descriptor may have been closed since it was listed, such as the one of this listing.
            let info = fs::read_to_string(entry?.path()).unwrap_or_default();
            programs.extend(id(&info, "prog_id:"));
            maps.extend(id(&info, "map_id:"));
        }
        Ok(Self {
            programs,
            maps,
            cgroup_root: cgroup_root.to_owned(),
        })
    }

    /// Waits until nothing of it is there any more.
    ///
    /// # Errors
    ///
    /// Fails with what is still there in the end.
    pub(super) async fn are_gone(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = self.left()?;
            if left.is_empty() {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "still there: {}",
                left.join(", ")
            );
            sleep(LOOK_AGAIN).await;
        }
    }

    fn left(&self) -> anyhow::Result<Vec<String>> {
        let mut left = scratch::own(&self.cgroup_root)?;
        // Without them nothing was loaded, and listing them may not be allowed.
        if !self.programs.is_empty() {
            for program in loaded_programs().filter(|program| !vanished(program)) {
                let id = program.map_err(|error| unlisted("programs", error))?.id();
                left.extend(self.programs.contains(&id).then(|| format!("program {id}")));
            }
        }
        if !self.maps.is_empty() {
            for map in loaded_maps().filter(|map| !vanished(map)) {
                let id = map.map_err(|error| unlisted("maps", error))?.id();
                left.extend(self.maps.contains(&id).then(|| format!("map {id}")));
            }
        }
        Ok(left)
    }
}

/// What was loaded is gone with this process, but only who may list what is loaded can see that.
fn unlisted<E>(what: &str, error: E) -> anyhow::Error
where
    E: Error + Send + Sync + 'static,
{
    if is_refusal(&error) {
        NotPossible(format!(
            "the loaded {what} cannot be listed: needs CAP_SYS_ADMIN"
        ))
        .into()
    } else {
        anyhow::Error::new(error).context(format!("failed to list the loaded {what}"))
    }
}

/// Whether this was gone between its listing and the look at it.
fn vanished<T, E: Error + 'static>(listed: &Result<T, E>) -> bool {
    let mut cause = listed.as_ref().err().map(|error| error as &dyn Error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn id(fdinfo: &str, name: &str) -> Option<u32> {
    let line = fdinfo.lines().find_map(|line| line.strip_prefix(name));
    line?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ids_from_what_the_kernel_tells_of_a_descriptor() {
        let program = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_id:\t1294\n";
        assert_eq!(id(program, "prog_id:"), Some(1294));
        assert_eq!(id(program, "map_id:"), None);
        assert_eq!(id("", "map_id:"), None);
    }

    #[test]
    fn what_vanishes_during_the_look_is_gone_and_no_error() {
        #[derive(Debug, thiserror::Error)]
        #[error("failed to look")]
        struct Outer(#[source] io::Error);
        let listed = |kind: io::ErrorKind| Err::<u32, _>(Outer(kind.into()));
        assert!(vanished(&listed(io::ErrorKind::NotFound)));
        assert!(!vanished(&listed(io::ErrorKind::PermissionDenied)));
        assert!(!vanished(&Ok::<_, Outer>(1)));
        for (kind, is_possible) in [
            (io::ErrorKind::PermissionDenied, false),
            (io::ErrorKind::InvalidInput, true),
        ] {
            let error = unlisted("maps", Outer(kind.into()));
            assert_eq!(!error.is::<NotPossible>(), is_possible, "{error}");
        }
    }
}
