//! What a demo has done, as far as a report about it must tell. Holds the truth, no judgement.

use inquest_proto::v1;

use crate::scratch::Scratch;
use crate::victim::{Death, Victim};

/// A failure that has happened.
#[derive(Debug)]
pub struct Played {
    /// What a person would ask about: `inquest why TARGET`.
    pub target: String,
    /// The cause that the report must give.
    pub cause: &'static str,
    pub death: Death,
    /// What the report must name.
    pub names: Vec<Name>,
    /// What must hold of the stored signal of this kind about the victim.
    pub kind: &'static str,
    pub holds: fn(&v1::Signal) -> bool,
    /// What lives on while the report is read; dropped before its cgroups.
    pub(super) _alive: Vec<Victim>,
    pub(super) _cgroups: Vec<Scratch>,
}

/// Something that a report must name, as it must spell it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name {
    pub what: &'static str,
    pub spelled: String,
}

/// Names a thing.
pub(super) fn name(what: &'static str, spelled: impl Into<String>) -> Name {
    Name {
        what,
        spelled: spelled.into(),
    }
}

/// Spells a process as reports do.
pub(super) fn process(comm: &str, pid: u32) -> String {
    format!("{comm}[{pid}]")
}
