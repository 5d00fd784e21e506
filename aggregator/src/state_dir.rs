//! The state directory: made when absent, readable by its owner alone, used by one process at a time.
//! Must not touch what is in it.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// Holds the directory for this process; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// A state directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    #[error(
        "failed to make state directory `{path}`; set state_dir to a place this user may write"
    )]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to lock `{path}`")]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "state directory `{path}` is in use by another aggregator; stop it, or set another state_dir"
    )]
    InUse { path: PathBuf },
}

impl StateDir {
    /// Makes and locks the directory.
    pub fn take(path: &Path) -> Result<Self, StateDirError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| StateDirError::Make {
            path: path.to_owned(),
            source,
        })?;
        let lock_path = path.join("lock");
        let failed = |source| StateDirError::Lock {
            path: lock_path.clone(),
            source,
        };
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StateDirError::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = StateDir::take(&path).unwrap();
        let error = StateDir::take(&path).unwrap_err();
        assert!(matches!(error, StateDirError::InUse { .. }), "{error}");
        drop(first);
        StateDir::take(&path).unwrap();
    }
}
