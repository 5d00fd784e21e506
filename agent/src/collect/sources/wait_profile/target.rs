//! Finds the cgroup that somebody wants a profile of. Must not guess: a name that fits several containers is refused.

use crate::{
    attribute::{Place, owner},
    collect::cgroupfs::CgroupFs,
    profile_desk::ProfileRefusal,
};

/// Fewer digits of a container's id name too many.
const MIN_ID_DIGITS: usize = 8;

/// Returns id and path of the cgroup that `target` names: by its path, or as the container whose id begins so.
pub(super) fn resolve(cgroups: &CgroupFs, target: &str) -> Result<(u64, String), ProfileRefusal> {
    if target.contains('/') {
        let path = format!("/{}", target.trim_matches('/'));
        let id = cgroups.id_of(&path).ok_or(ProfileRefusal::NoCgroup)?;
        return Ok((id, path));
    }
    let is_id = target.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_id || target.len() < MIN_ID_DIGITS {
        return Err(ProfileRefusal::NoCgroup);
    }
    let mut found = Vec::new();
    cgroups.walk(|id, path| {
        if is_container(path, target) {
            found.push((id, path.to_owned()));
        }
    });
    match found.len() {
        0 => Err(ProfileRefusal::NoCgroup),
        1 => Ok(found.swap_remove(0)),
        _ => Err(ProfileRefusal::Ambiguous),
    }
}

/// Whether `path` is the cgroup of the container whose id begins with `id`, and not one that it made for itself.
fn is_container(path: &str, id: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.contains(id)
        && Place::of(path) == Place::Container
        && owner(path)
            .container
            .is_some_and(|container| container.id.starts_with(id))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str = "3f9d1b7c5a2e4860b1d2c3f4a5968778695a4b3c2d1e0f1a2b3c4d5e6f708192";
    const OTHER: &str = "3f9d1b7c00000000b1d2c3f4a5968778695a4b3c2d1e0f1a2b3c4d5e6f708192";

    #[test]
    fn finds_cgroups_by_path_and_containers_by_the_beginning_of_their_ids() {
        let root = tempfile::tempdir().unwrap();
        for path in [
            format!("docker/{ONE}/inner"),
            format!("docker/{OTHER}"),
            "system.slice/cron.service".to_owned(),
        ] {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        let cgroups = CgroupFs::at(root.path(), true);
        for (target, expected) in [
            (
                "/system.slice/cron.service",
                Ok("/system.slice/cron.service".to_owned()),
            ),
            (
                "system.slice/cron.service/",
                Ok("/system.slice/cron.service".to_owned()),
            ),
            (ONE, Ok(format!("/docker/{ONE}"))),
            ("3f9d1b7c5a2e", Ok(format!("/docker/{ONE}"))),
            ("3f9d1b7c", Err(ProfileRefusal::Ambiguous)),
            ("3f9d", Err(ProfileRefusal::NoCgroup)),
            ("00000000", Err(ProfileRefusal::NoCgroup)),
            ("/nowhere", Err(ProfileRefusal::NoCgroup)),
            ("cron", Err(ProfileRefusal::NoCgroup)),
        ] {
            let found = resolve(&cgroups, target).map(|(_, path)| path);
            assert_eq!(found, expected, "{target}");
        }
    }
}
