//! The provider's key, read from its file for each call so that it can be rotated. Must never print it.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// Longest key file read; keys are a few hundred characters.
const MAX_KEY_BYTES: u64 = 8 << 10;

/// A secret that its `Debug` does not show.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Key(String);

/// A key that cannot be used; the next step is in the message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("failed to read the key file `{path}` (configuration key `analysis.key_file`)")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the key file `{path}` is empty: write the provider's key into it")]
    Empty { path: PathBuf },
    #[error("the key file `{path}` holds no key: one line of printable characters is expected")]
    NotAKey { path: PathBuf },
}

impl Key {
    /// Reads a key file; blanks around the key are not part of it.
    pub(crate) fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Read {
            path: path.to_owned(),
            source,
        };
        if fs::metadata(path).map_err(failed)?.len() > MAX_KEY_BYTES {
            return Err(KeyError::NotAKey {
                path: path.to_owned(),
            });
        }
        let bytes = fs::read(path).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        let key = text.trim();
        if key.is_empty() {
            return Err(KeyError::Empty {
                path: path.to_owned(),
            });
        }
        if !key.chars().all(|c| c.is_ascii_graphic()) {
            return Err(KeyError::NotAKey {
                path: path.to_owned(),
            });
        }
        Ok(Self(key.to_owned()))
    }

    /// The secret, for a request header.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_key_and_refuses_what_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let read = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            Key::read(&path)
        };
        let key = read(b"  sk-secret\n").unwrap();
        assert_eq!(key.expose(), "sk-secret");
        assert!(!format!("{key:?}").contains("secret"));
        assert!(matches!(read(b""), Err(KeyError::Empty { .. })));
        assert!(matches!(read(b" \n"), Err(KeyError::Empty { .. })));
        for content in [&b"two words"[..], b"two\nlines", b"\xff\xfe", &[b'a'; 9000]] {
            assert!(matches!(read(content), Err(KeyError::NotAKey { .. })));
        }
        let missing = Key::read(&dir.path().join("none"));
        assert!(matches!(missing, Err(KeyError::Read { .. })));
    }
}
