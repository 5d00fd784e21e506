//! Scratch cgroups with limits, made for one proof and removed after it. Must not touch a cgroup that
//! it did not make.

mod cpu;
mod hierarchy;
mod pids;
mod remove;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;

pub use hierarchy::{Hierarchy, Version};

/// Starts the name of every cgroup that a harness makes.
pub const NAME_PREFIX: &str = "inquest-test";

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A memory cgroup that is removed, with all that runs in it, when the value is dropped.
#[derive(Debug)]
pub struct Scratch {
    hierarchy: Hierarchy,
    dir: PathBuf,
    /// Its twins where the pids and CPU controllers have hierarchies of their own.
    twins: Vec<PathBuf>,
}

impl Scratch {
    /// Makes a fresh cgroup below the root of the memory hierarchy.
    pub fn create(limit_bytes: Option<u64>) -> anyhow::Result<Self> {
        let hierarchy = Hierarchy::find()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAME_PREFIX}-{}-{number}", std::process::id());
        let dir = hierarchy.mount().join(name);
        Self::make(hierarchy, dir, limit_bytes)
    }

    /// Makes a cgroup below this one; the parent must outlive it.
    pub fn create_child(&self, name: &str, limit_bytes: Option<u64>) -> anyhow::Result<Self> {
        self.hierarchy.delegate(&self.dir)?;
        Self::make(self.hierarchy.clone(), self.dir.join(name), limit_bytes)
    }

    fn make(hierarchy: Hierarchy, dir: PathBuf, limit_bytes: Option<u64>) -> anyhow::Result<Self> {
        fs::create_dir(&dir).with_context(|| format!("failed to make cgroup {}", dir.display()))?;
        let scratch = Self {
            hierarchy,
            dir,
            twins: Vec::new(),
        };
        if let Some(limit) = limit_bytes {
            scratch.write(scratch.hierarchy.limit_file(), &limit.to_string())?;
        }
        Ok(scratch)
    }

    /// Limits how many tasks may be in it. Where the pids controller has a hierarchy of its own, a
    /// cgroup of the same path is made there, and victims join both.
    pub fn limit_tasks(&mut self, max: u32) -> anyhow::Result<()> {
        let dir = self.dir_of("pids")?;
        pids::limit(&dir, max)
    }

    /// Limits how much of a CPU it may use, in thousandths of one; otherwise as [`Self::limit_tasks`].
    pub fn limit_cpu(&mut self, millis: u32) -> anyhow::Result<()> {
        let dir = self.dir_of("cpu")?;
        cpu::limit(&dir, millis)
    }

    /// Where `controller` keeps its files of this cgroup, made if it has a hierarchy of its own.
    fn dir_of(&mut self, controller: &str) -> anyhow::Result<PathBuf> {
        let mounts = read(Path::new("/proc/self/mountinfo"))?;
        let Some(mount) = hierarchy::v1_mount_of(&mounts, controller) else {
            return Ok(self.dir.clone());
        };
        let twin = mount.join(self.path().trim_start_matches('/'));
        fs::create_dir(&twin)
            .with_context(|| format!("failed to make cgroup {}", twin.display()))?;
        self.twins.push(twin.clone());
        Ok(twin)
    }

    /// Its path below the hierarchy's root, as `/proc/PID/cgroup` has it.
    pub fn path(&self) -> String {
        let below = self.dir.strip_prefix(self.hierarchy.mount());
        format!("/{}", below.unwrap_or(&self.dir).display())
    }

    /// Its own name, the last part of its path.
    pub fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Its id, unique within its hierarchy: the inode of its directory.
    pub fn id(&self) -> anyhow::Result<u64> {
        let metadata = fs::metadata(&self.dir)
            .with_context(|| format!("failed to read {}", self.dir.display()))?;
        Ok(metadata.ino())
    }

    /// Its hierarchy.
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// The file that takes the pids which are to move in.
    pub fn procs_file(&self) -> PathBuf {
        self.dir.join("cgroup.procs")
    }

    /// The same, of each hierarchy that it is in.
    pub fn procs_files(&self) -> Vec<PathBuf> {
        let twins = self.twins.iter().map(|dir| dir.join("cgroup.procs"));
        [self.procs_file()].into_iter().chain(twins).collect()
    }

    /// The processes in it, by their pid here.
    pub fn processes(&self) -> anyhow::Result<Vec<u32>> {
        remove::processes(&self.dir)
    }

    /// How many of its own processes the OOM killer has killed, by the kernel's own counter.
    pub fn oom_kills(&self) -> anyhow::Result<u64> {
        let path = self.dir.join(self.hierarchy.oom_kill_file());
        let text = read(&path)?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count
            .and_then(|count| count.trim().parse().ok())
            .with_context(|| format!("no oom_kill counter in {}", path.display()))
    }

    /// Has the OOM killer kill all of it when it kills one; cgroup v2 only.
    pub fn kill_as_one(&self) -> anyhow::Result<()> {
        self.write("memory.oom.group", "1")
    }

    fn write(&self, file: &str, value: &str) -> anyhow::Result<()> {
        let path = self.dir.join(file);
        fs::write(&path, value)
            .with_context(|| format!("failed to write {value} to {}", path.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for dir in [&self.dir].into_iter().chain(&self.twins) {
            if let Err(error) = remove::remove(dir) {
                crate::output::talk(format_args!("warning: {error:#}"));
            }
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}
