//! The directory that belongs to one agent process at a time; must not know what is kept in it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// Command lines and paths of every process of the node pass through the directory: they are its
/// owner's alone.
const MODE: u32 = 0o700;

/// Failure to take a state directory.
#[derive(Debug, Error)]
pub enum TakeStateDirError {
    /// It is not there and cannot be made.
    #[error("failed to create the state directory {}; set state_dir to one that this user may write", .0.display())]
    Create(PathBuf, #[source] io::Error),
    /// It cannot be closed to other users.
    #[error(
        "failed to close the state directory {} to other users; set state_dir to one that this user owns",
        .0.display()
    )]
    Protect(PathBuf, #[source] io::Error),
    /// Its lock file cannot be opened.
    #[error("failed to open the lock of the state directory {}", .0.display())]
    Lock(PathBuf, #[source] io::Error),
    /// Another process has it.
    #[error(
        "the state directory {} is in use by another agent; stop that one, or give this one its own state_dir",
        .0.display()
    )]
    InUse(PathBuf),
}

/// A state directory that no other agent can take while this value lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Creates the directory if need be, closes it to other users and takes it.
    pub fn take(path: &Path) -> Result<Self, TakeStateDirError> {
        DirBuilder::new()
            .recursive(true)
            .mode(MODE)
            .create(path)
            .map_err(|error| TakeStateDirError::Create(path.to_owned(), error))?;
        std::fs::set_permissions(path, Permissions::from_mode(MODE))
            .map_err(|error| TakeStateDirError::Protect(path.to_owned(), error))?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(|error| TakeStateDirError::Lock(path.to_owned(), error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            if errno == rustix::io::Errno::WOULDBLOCK {
                TakeStateDirError::InUse(path.to_owned())
            } else {
                TakeStateDirError::Lock(path.to_owned(), errno.into())
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Returns the directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where the spool is kept.
    pub fn spool(&self) -> PathBuf {
        self.path.join("spool")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_given_to_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let first = StateDir::take(&path).unwrap();
        assert!(matches!(
            StateDir::take(&path),
            Err(TakeStateDirError::InUse(_))
        ));
        drop(first);
        StateDir::take(&path).unwrap();
    }

    #[test]
    fn is_closed_to_other_users_whether_new_or_found() {
        let dir = tempfile::tempdir().unwrap();
        let found = dir.path().join("found");
        std::fs::create_dir(&found).unwrap();
        std::fs::set_permissions(&found, Permissions::from_mode(0o755)).unwrap();
        for path in [dir.path().join("new"), found] {
            let _taken = StateDir::take(&path).unwrap();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, MODE, "{}", path.display());
        }
    }
}
