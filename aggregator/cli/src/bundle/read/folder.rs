//! A bundle that is a folder. Must follow no symbolic link and leave the folder unchanged.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::bounded::{Bounded, MAX_BYTES};
use super::{MAX_FILES, Visit};
use crate::failure::Failure;

/// Deepest nesting: logs are four levels down.
const MAX_DEPTH: usize = 16;

/// Visits every file below `root`, in the order of their names.
pub(super) fn visit(root: &Path, visit: Visit<'_>) -> Result<(), Failure> {
    let mut walk = Walk {
        visit,
        files: 0,
        left: MAX_BYTES,
    };
    walk.folder(root, "", 0)
}

struct Walk<'a> {
    visit: Visit<'a>,
    files: usize,
    /// Bytes that may still be read.
    left: u64,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(refused(prefix, "it is nested too deeply"));
        }
        for name in names(folder).map_err(|error| refused(prefix, error))? {
            self.entry(&folder.join(&name), &format!("{prefix}{name}"), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &str, depth: usize) -> Result<(), Failure> {
        let metadata = fs::symlink_metadata(path).map_err(|error| refused(name, error))?;
        if metadata.is_dir() {
            return self.folder(path, &format!("{name}/"), depth + 1);
        }
        if !metadata.is_file() {
            return Err(refused(name, "it is neither a file nor a folder"));
        }
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(refused(name, "the bundle has too many files"));
        }
        let file = open(path).map_err(|error| refused(name, error))?;
        let mut bounded = Bounded::new(file, self.left);
        let visited = (self.visit)(name, &mut bounded);
        self.left = bounded.left();
        visited
    }
}

/// Opens a file that may have become a link or a pipe since it was looked at.
fn open(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Names in a folder, sorted, so that every run reads in the same order.
fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
        if names.len() > MAX_FILES {
            break;
        }
    }
    names.sort();
    Ok(names)
}

fn refused(name: &str, why: impl std::fmt::Display) -> Failure {
    let next = "put real files and folders into it; links are not followed";
    Failure::new(format!("`{name}` is refused"), why, next)
}
