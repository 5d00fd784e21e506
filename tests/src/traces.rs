//! What a program could leave behind on a machine: kernel programs and maps, cgroups, processes, mounts. Lists what
//! there is; must remove nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use aya::maps::loaded_maps;
use aya::programs::loaded_programs;

/// Where cgroup file systems are mounted.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// Deeper cgroups than any that is made by the product or its tests.
const MAX_DEPTH: usize = 6;

/// Everything of these kinds that there is at one moment.
#[derive(Clone, Debug)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// Lists what there is on the whole machine; kernel threads come and go as the kernel pleases and are left
    /// out.
    pub fn find() -> anyhow::Result<Self> {
        let mut found = BTreeSet::new();
        // One that cannot be looked at has gone since it was listed.
        let programs = loaded_programs().flatten().map(|program| program.id());
        found.extend(programs.map(|id| format!("program {id}")));
        let maps = loaded_maps().flatten().map(|map| map.id());
        found.extend(maps.map(|id| format!("map {id}")));
        cgroups(Path::new(CGROUP_ROOT), MAX_DEPTH, &mut found);
        let mounts =
            fs::read_to_string("/proc/self/mountinfo").context("failed to read the mounts")?;
        found.extend(mounts.lines().map(|mount| format!("mount {mount}")));
        for entry in fs::read_dir("/proc").context("failed to list the processes")? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // A kernel thread has no program.
            let program = fs::read_link(format!("/proc/{name}/exe"));
            if name.bytes().all(|byte| byte.is_ascii_digit()) && program.is_ok() {
                found.insert(format!("process {name}"));
            }
        }
        Ok(Self(found))
    }

    /// What there is now, and was not in `earlier`.
    pub fn since<'a>(&'a self, earlier: &Self) -> Vec<&'a str> {
        let is_new = |trace: &&String| !earlier.0.contains(*trace);
        self.0.iter().filter(is_new).map(String::as_str).collect()
    }
}

fn cgroups(dir: &Path, depth: usize, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.insert(format!("cgroup {}", path.display()));
            cgroups(&path, depth - 1, found);
        }
    }
}
