//! Tells whether an object was built from the abi of this agent, before the loader trips over what differs. Must not
//! load it.

use std::fmt;

use inquest_agent_abi::{ABI_MARK, ABI_MARK_PREFIX};

/// An object of another version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Mismatch {
    /// It is older than the mark, or no object of this project.
    Unmarked,
    /// It carries another mark.
    Other(String),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = String::from_utf8_lossy(&ABI_MARK);
        match self {
            Self::Unmarked => write!(f, "it has no mark, this agent has {own}"),
            Self::Other(mark) => write!(f, "it has {mark}, this agent has {own}"),
        }
    }
}

/// Looks for the mark of `object`.
pub(super) fn check(object: &[u8]) -> Result<(), Mismatch> {
    let mut marks = object
        .windows(ABI_MARK.len())
        .filter(|window| window.starts_with(&ABI_MARK_PREFIX));
    match marks.next() {
        Some(mark) if mark == ABI_MARK => Ok(()),
        Some(mark) => Err(Mismatch::Other(String::from_utf8_lossy(mark).into_owned())),
        None => Err(Mismatch::Unmarked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own_object_and_names_what_another_one_carries() {
        let object = |mark: &[u8]| [b"\x7fELF inquest-abi", mark, b"rest"].concat();
        assert_eq!(check(&object(&ABI_MARK)), Ok(()));
        let mut other = ABI_MARK;
        other[ABI_MARK_PREFIX.len()..].fill(b'0');
        let told = check(&object(&other)).unwrap_err().to_string();
        assert!(told.contains("inquest-abi:0000000000000000"), "{told}");
        for unmarked in [&b""[..], b"inquest-abi:", b"something else altogether"] {
            assert_eq!(check(unmarked), Err(Mismatch::Unmarked));
        }
    }

    #[test]
    fn the_embedded_object_is_of_this_version() {
        if super::super::OBJECT.is_empty() {
            return testkit::skip("built without the eBPF object");
        }
        assert_eq!(check(super::super::OBJECT), Ok(()));
    }
}
