//! Reads a cgroup file system: of the hierarchy that names processes on this node, the memory controller's, or of
//! another controller's. Must not write to it, and every walk is bounded.

mod memberships;

use std::{
    fs, io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::DirEntryExt as _,
    },
    path::{Path, PathBuf},
};

use inquest_proto::v1::CgroupMemoryStat;

pub use memberships::Memberships;

/// The controller whose hierarchy names processes.
const IDENTITY: &str = "memory";
/// The id of a hierarchy's root.
const ROOT_ID: u64 = 1;
/// Cgroups that a walk visits; more than any node we know of has.
const MAX_WALKED: usize = 20_000;
/// Cgroups below one whose processes are listed.
const MAX_LISTED_CGROUPS: usize = 256;

/// The cgroup file system, or that there is none.
#[derive(Debug)]
pub struct CgroupFs {
    root: PathBuf,
    mount: Option<Mount>,
    version: u32,
    hierarchy: u32,
    memberships: Memberships,
}

#[derive(Debug)]
struct Mount {
    path: PathBuf,
    /// For opening cgroups by id.
    fd: Option<OwnedFd>,
    unified: bool,
}

/// A cgroup file system as `/proc/self/mountinfo` lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Listed<'a> {
    mount_point: &'a str,
    /// It shows the hierarchy from its root, not from some cgroup below.
    whole: bool,
    unified: bool,
    /// Options of the file system, the controllers of a v1 hierarchy among them.
    options: &'a str,
}

impl CgroupFs {
    /// Finds what is mounted at `root` or below.
    pub fn find(root: &Path) -> Self {
        let mut found = Self::find_of(root, IDENTITY);
        found.memberships = Memberships::find(&found);
        found
    }

    /// Returns that of the hierarchy which `controller` is in.
    #[must_use]
    pub fn of_controller(&self, controller: &str) -> Self {
        Self::find_of(&self.root, controller)
    }

    /// A cgroup file system of plain files, for tests.
    #[cfg(test)]
    pub(crate) fn at(path: &Path, unified: bool) -> Self {
        Self {
            root: path.to_owned(),
            mount: Some(Mount {
                path: path.to_owned(),
                fd: None,
                unified,
            }),
            version: if unified { 2 } else { 1 },
            hierarchy: 0,
            memberships: Memberships::default(),
        }
    }

    fn find_of(root: &Path, controller: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::from_listing(root, controller, &mounts, &membership)
    }

    fn from_listing(root: &Path, controller: &str, mounts: &str, membership: &str) -> Self {
        let mut listed: Vec<Listed<'_>> = mounts
            .lines()
            .filter_map(Listed::parse)
            .filter(|listed| Path::new(listed.mount_point).starts_with(root))
            .collect();
        listed.sort_by_key(|listed| !listed.whole);
        let hierarchy = hierarchy_of(controller, membership);
        let has_unified = listed.iter().any(|listed| listed.unified);
        let has_v1 = listed.iter().any(|listed| !listed.unified);
        let version = match (has_v1, has_unified) {
            (true, true) => 3,
            (false, true) => 2,
            (true, false) => 1,
            (false, false) => 0,
        };
        let mount = listed
            .iter()
            .find(|listed| {
                if hierarchy == 0 {
                    listed.unified
                } else {
                    !listed.unified && has(listed.options, controller)
                }
            })
            .map(|listed| Mount {
                path: PathBuf::from(listed.mount_point),
                fd: fs::File::open(listed.mount_point).ok().map(OwnedFd::from),
                unified: listed.unified,
            });
        Self {
            root: root.to_owned(),
            mount,
            version,
            hierarchy,
            memberships: Memberships::default(),
        }
    }

    /// Returns 1 for v1, 2 for v2, 3 for both, 0 when none was found.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns the hierarchy's id, 0 for v2.
    pub fn hierarchy(&self) -> u32 {
        self.hierarchy
    }

    /// Returns what tells the cgroups of processes.
    pub fn memberships(&self) -> &Memberships {
        &self.memberships
    }

    /// Returns whether it shows the node's cgroups from their root; what a container has of its own begins further down.
    pub(crate) fn is_whole(&self) -> bool {
        self.id_of("/") == Some(ROOT_ID)
    }

    /// Returns whether there is one.
    pub(crate) fn is_mounted(&self) -> bool {
        self.mount.is_some()
    }

    /// Says what is not mounted where it is looked for, and what to do.
    pub(crate) fn why_not_mounted(&self) -> String {
        let hierarchy = if self.hierarchy == 0 {
            "cgroup v2".to_owned()
        } else {
            format!("cgroup v1 with the {IDENTITY} controller")
        };
        let root = self.root.display();
        format!(
            "no cgroup file system of {hierarchy} is mounted at {root} or below: mount the node's {root} there; meanwhile \
             cgroups that are older than the agent have no path"
        )
    }

    /// Returns whether it is v2.
    pub(crate) fn is_unified(&self) -> bool {
        self.mount.as_ref().is_some_and(|mount| mount.unified)
    }

    /// Reads one file of the cgroup at `path`.
    pub(crate) fn read(&self, path: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.directory(path)?.join(file)).ok()
    }

    /// Asks the kernel for the path of the living cgroup `id`. Needs CAP_DAC_READ_SEARCH.
    pub fn path_of(&self, id: u64) -> Option<String> {
        let mount = self.mount.as_ref()?;
        let cgroup = open_by_id(mount.fd.as_ref()?, id).ok()?;
        let link = fs::read_link(format!("/proc/self/fd/{}", cgroup.as_raw_fd())).ok()?;
        let below = link.strip_prefix(&mount.path).ok()?;
        Some(format!("/{}", below.to_str()?))
    }

    /// Returns the id of the cgroup at `path`.
    pub fn id_of(&self, path: &str) -> Option<u64> {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(self.directory(path)?)
            .ok()
            .map(|metadata| metadata.ino())
    }

    /// Calls `found` with id and path of each cgroup, as far as its bound allows.
    pub fn walk(&self, mut found: impl FnMut(u64, &str)) {
        if let Some(root) = self.id_of("/") {
            found(root, "/");
        }
        self.descend("/", MAX_WALKED, |id, path| found(id, path));
    }

    /// Reads what the cgroup at `path` holds now, split so that the parts do not overlap.
    pub fn memory_stat(&self, path: &str) -> Option<CgroupMemoryStat> {
        let directory = self.directory(path)?;
        let stat = fs::read_to_string(directory.join("memory.stat")).ok()?;
        if self.mount.as_ref()?.unified {
            return Some(unified_stat(&stat));
        }
        let kernel = fs::read_to_string(directory.join("memory.kmem.usage_in_bytes")).ok();
        Some(v1_stat(&stat, kernel.as_deref()))
    }

    /// Lists at most `max` processes of the cgroup at `path` itself. Those of another pid namespace are left out.
    pub(crate) fn own_pids(&self, path: &str, max: usize) -> Vec<u32> {
        let listed = self.read(path, "cgroup.procs").unwrap_or_default();
        let pids = listed.lines().filter_map(|line| line.parse().ok());
        pids.filter(|pid| *pid != 0).take(max).collect()
    }

    /// Lists at most `max` processes of the cgroup at `path` and of those below it.
    pub fn pids(&self, path: &str, max: usize) -> Vec<u32> {
        let mut pids = Vec::new();
        let mut add = |path: &str| {
            let room = max.saturating_sub(pids.len());
            pids.extend(self.own_pids(path, room));
        };
        add(path);
        self.descend(path, MAX_LISTED_CGROUPS, |_, path| add(path));
        pids
    }

    /// Calls `found` for at most `max` cgroups below `path`.
    fn descend(&self, path: &str, max: usize, mut found: impl FnMut(u64, &str)) {
        let mut pending = vec![path.trim_end_matches('/').to_owned()];
        let mut visited = 0;
        while let Some(parent) = pending.pop() {
            let Some(directory) = self.directory(&parent) else {
                return;
            };
            // It may be gone by now.
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                if visited >= max {
                    return;
                }
                visited += 1;
                let child = format!("{parent}/{}", entry.file_name().to_string_lossy());
                found(entry.ino(), &child);
                pending.push(child);
            }
        }
    }

    /// Returns where the cgroup at `path` is.
    pub(crate) fn directory(&self, path: &str) -> Option<PathBuf> {
        let relative = path.trim_start_matches('/');
        // Paths come from the kernel and from directories, but a join must never leave the mount.
        let leaves = relative.split('/').any(|component| component == "..");
        self.mount
            .as_ref()
            .filter(|_| !leaves)
            .map(|mount| mount.path.join(relative))
    }
}

impl<'a> Listed<'a> {
    /// Parses a line of mountinfo, `None` when it is of another file system.
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, mount_point) = (mount.next()?, mount.next()?);
        let mut filesystem = filesystem.split(' ');
        let kind = filesystem.next()?;
        let options = filesystem.nth(1).unwrap_or_default();
        if !matches!(kind, "cgroup" | "cgroup2") {
            return None;
        }
        Some(Self {
            mount_point,
            whole: root == "/",
            unified: kind == "cgroup2",
            options,
        })
    }
}

/// Returns whether `word` is in a list separated by commas.
fn has(list: &str, word: &str) -> bool {
    list.split(',').any(|listed| listed == word)
}

/// Returns the id of `controller`'s hierarchy from `/proc/self/cgroup`, 0 when that is v2.
fn hierarchy_of(controller: &str, membership: &str) -> u32 {
    membership
        .lines()
        .find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (hierarchy, controllers) = (fields.next()?, fields.next()?);
            has(controllers, controller).then(|| hierarchy.parse().ok())?
        })
        .unwrap_or(0)
}

/// Returns the value of `key` in a file of `key value` lines.
fn value(stat: &str, key: &str) -> Option<u64> {
    stat.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

fn unified_stat(stat: &str) -> CgroupMemoryStat {
    let of = |key| value(stat, key).unwrap_or(0);
    // `kernel` came with 5.18; before, its parts have to do.
    let parts = ["kernel_stack", "pagetables", "percpu", "sock", "slab"];
    CgroupMemoryStat {
        anon_bytes: of("anon"),
        file_bytes: of("file").saturating_sub(of("shmem")),
        shmem_bytes: of("shmem"),
        kernel_bytes: value(stat, "kernel").unwrap_or_else(|| parts.into_iter().map(of).sum()),
        read_after_ns: 0,
    }
}

fn v1_stat(stat: &str, kernel: Option<&str>) -> CgroupMemoryStat {
    let of = |key| value(stat, key).unwrap_or(0);
    CgroupMemoryStat {
        anon_bytes: of("total_rss"),
        file_bytes: of("total_cache").saturating_sub(of("total_shmem")),
        shmem_bytes: of("total_shmem"),
        kernel_bytes: kernel
            .and_then(|bytes| bytes.trim().parse().ok())
            .unwrap_or(0),
        read_after_ns: 0,
    }
}

/// `struct file_handle` with a kernfs id.
#[repr(C)]
struct KernfsHandle {
    bytes: u32,
    kind: i32,
    id: u64,
}

/// `FILEID_KERNFS` of `include/linux/exportfs.h`.
const FILEID_KERNFS: i32 = 0xfe;

/// Opens the directory of a cgroup by its id.
fn open_by_id(mount: &OwnedFd, id: u64) -> io::Result<OwnedFd> {
    let mut handle = KernfsHandle {
        bytes: size_of::<u64>() as u32,
        kind: FILEID_KERNFS,
        id,
    };
    // SAFETY: the handle has the layout and the length that the call expects.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            &raw mut handle,
            libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 /docker/x /sys/fs/cgroup/inner rw,relatime - cgroup cgroup rw,memory
33 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const UNIFIED: &str = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn finds_the_hierarchy_of_the_memory_controller() {
        let root = Path::new("/sys/fs/cgroup");
        let v1_member = "9:name=systemd:/\n4:memory:/pod\n1:cpu,cpuacct:/\n0::/\n";
        for (mounts, member, version, hierarchy, mount) in [
            (HYBRID, v1_member, 3, 4, Some("/sys/fs/cgroup/memory")),
            (UNIFIED, "0::/system.slice\n", 2, 0, Some("/sys/fs/cgroup")),
            ("", "", 0, 0, None),
        ] {
            let found = CgroupFs::from_listing(root, IDENTITY, mounts, member);
            assert_eq!(found.version(), version);
            assert_eq!(found.hierarchy(), hierarchy);
            assert_eq!(
                found.mount.map(|mount| mount.path),
                mount.map(PathBuf::from)
            );
        }
    }

    #[test]
    fn ignores_mounts_outside_the_given_root() {
        let found = CgroupFs::from_listing(Path::new("/host/cgroup"), IDENTITY, UNIFIED, "0::/\n");
        assert_eq!(found.version(), 0);
    }

    #[test]
    fn splits_memory_the_same_way_on_both_versions() {
        let v2 = "anon 100\nfile 70\nkernel 9\nkernel_stack 1\nshmem 20\n";
        let split = unified_stat(v2);
        assert_eq!(
            (
                split.anon_bytes,
                split.file_bytes,
                split.shmem_bytes,
                split.kernel_bytes
            ),
            (100, 50, 20, 9)
        );
        let older = unified_stat("anon 100\nkernel_stack 1\npagetables 2\nslab 4\n");
        assert_eq!(older.kernel_bytes, 7);
        let v1 = v1_stat(
            "cache 1\ntotal_cache 70\ntotal_rss 100\ntotal_shmem 20\n",
            Some("9\n"),
        );
        assert_eq!(
            (
                v1.anon_bytes,
                v1.file_bytes,
                v1.shmem_bytes,
                v1.kernel_bytes
            ),
            (100, 50, 20, 9)
        );
    }

    #[test]
    fn walks_lists_and_never_leaves_the_mount() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/cgroup.procs"), "11\n12\n").unwrap();
        fs::write(folder.path().join("a/b/cgroup.procs"), "13\nnot a pid\n").unwrap();
        let cgroups = CgroupFs::at(folder.path(), true);
        let mut walked = Vec::new();
        cgroups.walk(|id, path| walked.push((id, path.to_owned())));
        walked.sort_by(|a, b| a.1.cmp(&b.1));
        let paths: Vec<&str> = walked.iter().map(|(_, path)| path.as_str()).collect();
        assert_eq!(paths, ["/", "/a", "/a/b"]);
        assert_eq!(cgroups.id_of("/a/b"), Some(walked[2].0));
        assert_eq!(cgroups.pids("/a", 10), [11, 12, 13]);
        assert_eq!(cgroups.pids("/a", 2), [11, 12]);
        assert_eq!(cgroups.pids("/../..", 10), [0_u32; 0]);
        assert_eq!(cgroups.path_of(1), None);
    }

    #[test]
    fn opens_a_living_cgroup_by_its_id() {
        let cgroups = CgroupFs::find(Path::new("/sys/fs/cgroup"));
        let Some(id) = cgroups.id_of("/") else {
            testkit::skip("no cgroup file system is mounted");
            return;
        };
        let privileged = rustix::process::geteuid().is_root();
        if !privileged {
            testkit::skip("opening by handle needs root");
            return;
        }
        assert_eq!(cgroups.path_of(id).as_deref(), Some("/"));
        assert_eq!(cgroups.path_of(u64::MAX), None);
    }
}
