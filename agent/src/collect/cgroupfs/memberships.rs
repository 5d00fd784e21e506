//! Tells which cgroup a process is in, by a path from where the file system begins. Must not take a path relative to the
//! agent's own cgroup namespace for one of the node.

use std::fs;

use super::CgroupFs;
use crate::collect::procfs;

/// The inode of the first cgroup namespace (`include/linux/proc_ns.h`).
const FIRST_NAMESPACE: &str = "cgroup:[4026531835]";
/// Processes listed of one cgroup in search of the agent's own.
const MAX_LISTED: usize = 65_536;

/// Of processes in one hierarchy.
#[derive(Clone, Debug, Default)]
pub struct Memberships {
    hierarchy: u32,
    /// Where the agent's cgroup namespace begins, `None` when that could not be found.
    begin: Option<String>,
}

impl Memberships {
    /// Finds out where this process's cgroup namespace begins in `cgroups`.
    pub(super) fn find(cgroups: &CgroupFs) -> Self {
        let namespace = fs::read_link("/proc/self/ns/cgroup").ok();
        let is_first = namespace.is_none_or(|link| link.as_os_str() == FIRST_NAMESPACE);
        let hierarchy = cgroups.hierarchy();
        let begin = if is_first {
            Some(String::new())
        } else {
            begin_of_namespace(cgroups)
        };
        Self { hierarchy, begin }
    }

    /// Returns the path of the cgroup of process `pid`.
    pub fn of(&self, pid: u32) -> Option<String> {
        let listed = fs::read_to_string(procfs::path(pid, "cgroup")?).ok()?;
        absolute(self.begin.as_deref()?, relative(&listed, self.hierarchy)?)
    }
}

/// Looks for the cgroup that lists this process: what it is called from within tells how far below the begin it is.
fn begin_of_namespace(cgroups: &CgroupFs) -> Option<String> {
    let listed = fs::read_to_string("/proc/self/cgroup").ok()?;
    let within = relative(&listed, cgroups.hierarchy())?.trim_end_matches('/');
    let own = std::process::id();
    let mut begin = None;
    cgroups.walk(|_, path| {
        if begin.is_none() && cgroups.own_pids(path, MAX_LISTED).contains(&own) {
            let path = path.trim_end_matches('/');
            begin = path.strip_suffix(within).map(str::to_owned);
        }
    });
    begin
}

/// Returns the path in `hierarchy` as a `/proc/PID/cgroup` lists it: relative to the reader's namespace.
fn relative(listed: &str, hierarchy: u32) -> Option<&str> {
    listed.lines().find_map(|line| {
        let (number, membership) = line.split_once(':')?;
        let (_, path) = membership.split_once(':')?;
        (number.parse() == Ok(hierarchy)).then_some(path)
    })
}

/// Returns the path that is seen as `relative` from a namespace that begins at `begin`; `None` when that leads out of all
/// cgroups.
fn absolute(begin: &str, relative: &str) -> Option<String> {
    let is_named = |component: &&str| !component.is_empty();
    let mut components: Vec<&str> = begin.split('/').filter(is_named).collect();
    for component in relative.split('/').filter(is_named) {
        if component == ".." {
            components.pop()?;
        } else {
            components.push(component);
        }
    }
    Some(format!("/{}", components.join("/")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn finds_the_path_from_the_root_wherever_the_namespace_begins() {
        for (begin, relative, expected) in [
            ("", "/", Some("/")),
            (
                "",
                "/system.slice/x.service",
                Some("/system.slice/x.service"),
            ),
            ("/pods/a", "/", Some("/pods/a")),
            ("/pods/a", "/below", Some("/pods/a/below")),
            ("/pods/a", "/../b", Some("/pods/b")),
            ("/pods/a", "/../../system.slice", Some("/system.slice")),
            ("/pods/a", "/../..", Some("/")),
            ("/pods/a", "/../../..", None),
        ] {
            let found = absolute(begin, relative);
            assert_eq!(found.as_deref(), expected, "{relative} from {begin}");
        }
    }

    #[test]
    fn tells_where_this_process_is() {
        let cgroups = CgroupFs::find(Path::new("/sys/fs/cgroup"));
        if !cgroups.is_mounted() || !procfs::shows_node() {
            return testkit::skip("this node's cgroups or processes cannot be seen");
        }
        let own = cgroups.memberships().of(std::process::id()).unwrap();
        assert!(cgroups.id_of(&own).is_some(), "{own}");
        assert_eq!(cgroups.memberships().of(u32::MAX), None);
    }

    #[test]
    fn reads_the_path_of_one_hierarchy() {
        let listed = "4:memory:/a:b\n1:name=systemd:/c\n0::/d\n";
        for (hierarchy, expected) in [(4, Some("/a:b")), (0, Some("/d")), (7, None)] {
            assert_eq!(relative(listed, hierarchy), expected);
        }
    }
}
