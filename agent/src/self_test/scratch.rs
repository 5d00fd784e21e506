//! A cgroup for one check, with its limits, in each hierarchy that these need. Must not change a cgroup that it
//! did not make, nor what the node delegates to its children.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::check::NotPossible;

/// Starts the name of each of them; the rest is the pid of the self-test and a number.
const NAME_PREFIX: &str = "inquest-self-test";
/// Attempts to empty and remove one; with the pause, ten seconds.
const MAX_ATTEMPTS: u32 = 1000;
/// Pause between attempts: the kernel lets go of a cgroup shortly after its last process is gone.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};
/// The controller whose hierarchy names processes, as the agent has it.
const NAMING: &str = "memory";

static NEXT: AtomicU64 = AtomicU64::new(1);

/// What a cgroup may use, as both versions spell it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// Whose files these are.
    pub(super) controller: &'static str,
    /// File and value on cgroup v1; `None` when it knows no such thing.
    pub(super) v1: Option<(&'static str, &'static str)>,
    /// The same on cgroup v2.
    pub(super) v2: Option<(&'static str, &'static str)>,
    /// Not every kernel has the file, and the check holds without.
    pub(super) optional: bool,
}

impl Limit {
    /// Keeps the cgroup from swapping instead of being stopped at its limit.
    pub(super) const NO_SWAP: Self = Self {
        controller: "memory",
        v1: Some(("memory.swappiness", "0")),
        v2: Some(("memory.swap.max", "0")),
        optional: true,
    };

    /// At most so many tasks.
    pub(super) const fn pids(count: &'static str) -> Self {
        Self {
            controller: "pids",
            v1: Some(("pids.max", count)),
            v2: Some(("pids.max", count)),
            optional: false,
        }
    }

    /// At most so many bytes of memory.
    pub(super) const fn memory(bytes: &'static str) -> Self {
        Self {
            controller: "memory",
            v1: Some(("memory.limit_in_bytes", bytes)),
            v2: Some(("memory.max", bytes)),
            optional: false,
        }
    }
}

/// A cgroup that is removed, with all that runs in it, at the latest when the value is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: String,
    dirs: Vec<PathBuf>,
}

impl Scratch {
    /// Makes one directly below the root of each hierarchy that `limits` need.
    ///
    /// # Errors
    ///
    /// [`NotPossible`] when a controller is not there for it.
    pub(super) fn create(cgroup_root: &Path, limits: &[Limit]) -> anyhow::Result<Self> {
        let mounts = Mounts::read(cgroup_root)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", own_prefix());
        let mut scratch = Self {
            path: format!("/{name}"),
            dirs: Vec::new(),
        };
        scratch.make(&mounts.of(NAMING)?.path.join(&name))?;
        for limit in limits {
            let mount = mounts.of(limit.controller)?;
            let dir = mount.path.join(&name);
            scratch.make(&dir)?;
            mount.delegates(limit.controller)?;
            let setting = if mount.unified { limit.v2 } else { limit.v1 };
            if let Some((file, value)) = setting {
                let file = dir.join(file);
                match fs::write(&file, value) {
                    Err(error) if !limit.optional => {
                        return Err(error).with_context(|| {
                            format!("failed to write {value} to {}", file.display())
                        });
                    }
                    _ => {}
                }
            }
        }
        Ok(scratch)
    }

    fn make(&mut self, dir: &Path) -> anyhow::Result<()> {
        if self.dirs.iter().any(|made| made == dir) {
            return Ok(());
        }
        fs::create_dir(dir).map_err(|error| {
            let dir = dir.display();
            match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    NotPossible(format!("cgroup {dir} cannot be made (the self-test needs more than an agent): {error}")).into()
                }
                _ => anyhow::Error::new(error).context(format!("failed to make cgroup {dir}")),
            }
        })?;
        self.dirs.push(dir.to_owned());
        Ok(())
    }

    /// Its path below the root of its hierarchies.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Its directories, the one of the hierarchy that names processes first.
    pub(super) fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Ends what still runs in it and removes it.
    pub(super) fn remove(mut self) -> anyhow::Result<()> {
        self.remove_dirs()
    }

    fn remove_dirs(&mut self) -> anyhow::Result<()> {
        let removed: Vec<_> = self.dirs.drain(..).map(|dir| remove(&dir)).collect();
        removed.into_iter().collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // When it could not be removed, the look for leftovers finds it.
        drop(self.remove_dirs());
    }
}

/// Moves the calling process into the cgroup at `dir`.
pub(super) fn join(dir: &Path) -> anyhow::Result<()> {
    fs::write(dir.join("cgroup.procs"), "0")
        .with_context(|| format!("failed to join cgroup {}", dir.display()))
}

/// The scratch cgroups that this process made and that are still there.
pub(super) fn own(cgroup_root: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for mount in Mounts::read(cgroup_root)?.0 {
        for entry in fs::read_dir(&mount.path).into_iter().flatten().flatten() {
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(&own_prefix())
            {
                found.push(format!("cgroup {}", entry.path().display()));
            }
        }
    }
    Ok(found)
}

fn own_prefix() -> String {
    format!("{NAME_PREFIX}-{}", std::process::id())
}

fn remove(dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove(&entry.path())?;
        }
    }
    for _ in 0..MAX_ATTEMPTS {
        match fs::remove_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            removed => {
                return removed
                    .with_context(|| format!("failed to remove cgroup {}", dir.display()));
            }
        }
        let running = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        running.lines().for_each(|pid| kill(dir, pid));
        wait(&mut []);
    }
    bail!("failed to remove cgroup {}: it stays busy", dir.display())
}

/// Kills a process of the cgroup at `dir`. One that is gone already is fine.
fn kill(dir: &Path, pid: &str) {
    let raw = pid.parse().ok().and_then(Pid::from_raw);
    let Some(Ok(pidfd)) = raw.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return;
    };
    // Before the descriptor was opened the pid may have been given to a stranger; after it, not.
    let inside = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let is_inside = inside.lines().any(|line| line == pid);
    if is_inside && pidfd_send_signal(&pidfd, Signal::KILL).is_ok() {
        wait(&mut [PollFd::new(&pidfd, PollFlags::IN)]);
    }
}

/// Waits for a pause at most; tells whether a descriptor was readable before its end.
fn wait(descriptors: &mut [PollFd<'_>]) -> bool {
    poll(descriptors, Some(&PAUSE)).is_ok_and(|readable| readable > 0)
}

/// A hierarchy that is mounted from its root.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Mount {
    path: PathBuf,
    unified: bool,
    /// What it is mounted with; on v1 this names its controllers.
    options: Vec<String>,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (mount, rest) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, path) = (mount.next()?, mount.next()?);
        let mut rest = rest.split(' ');
        let unified = match rest.next()? {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        (root == "/").then(|| Self {
            path: PathBuf::from(path),
            unified,
            options: rest
                .nth(1)
                .unwrap_or_default()
                .split(',')
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Fails unless children of the root have `controller`; v1 always grants it.
    fn delegates(&self, controller: &str) -> anyhow::Result<()> {
        if !self.unified {
            return Ok(());
        }
        let file = self.path.join("cgroup.subtree_control");
        let granted = fs::read_to_string(&file)
            .with_context(|| format!("failed to read {}", file.display()))?;
        if granted.split_whitespace().any(|name| name == controller) {
            return Ok(());
        }
        let why = format!("`{controller}` is not in {}", file.display());
        Err(NotPossible(why).into())
    }
}

/// The hierarchies of this node.
struct Mounts(Vec<Mount>);

impl Mounts {
    fn read(cgroup_root: &Path) -> anyhow::Result<Self> {
        let listing =
            fs::read_to_string("/proc/self/mountinfo").context("failed to read the mounts")?;
        Ok(Self::parse(cgroup_root, &listing))
    }

    fn parse(cgroup_root: &Path, listing: &str) -> Self {
        let mounts = listing.lines().filter_map(Mount::parse);
        Self(
            mounts
                .filter(|mount| mount.path.starts_with(cgroup_root))
                .collect(),
        )
    }

    /// The v1 hierarchy that has `controller`, else that of v2.
    fn of(&self, controller: &str) -> anyhow::Result<&Mount> {
        let has_it = |mount: &&Mount| mount.options.iter().any(|option| option == controller);
        let v1 = self.0.iter().filter(|mount| !mount.unified).find(has_it);
        let mount = v1.or_else(|| self.0.iter().find(|mount| mount.unified));
        mount.ok_or_else(|| {
            NotPossible(format!(
                "no cgroup hierarchy with `{controller}` is mounted"
            ))
            .into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
34 31 0:31 /kubepods /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
37 31 0:34 / /proc rw - proc proc rw
";

    #[test]
    fn finds_the_hierarchy_of_a_controller() {
        let mounts = Mounts::parse(Path::new("/sys/fs/cgroup"), HYBRID);
        let path = |controller| mounts.of(controller).unwrap().path.to_str().unwrap();
        assert_eq!(path("memory"), "/sys/fs/cgroup/memory");
        // The v1 one is not mounted from its root.
        assert_eq!(path("cpu"), "/sys/fs/cgroup/unified");
        let elsewhere = Mounts::parse(Path::new("/mnt"), HYBRID);
        assert!(elsewhere.of("memory").unwrap_err().is::<NotPossible>());
    }
}
