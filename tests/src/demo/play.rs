//! What a demo has done, as far as a report about it must tell. Holds the truth, no judgement.

use std::fmt;
use std::time::Duration;

use inquest_proto::v1;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::namespaces::{Link, Namespaces};
use crate::scratch::Scratch;
use crate::victim::Victim;

/// How soon a failure must be visible that one record of the kernel tells of.
pub(super) const BY_RECORD: Duration = Duration::from_millis(500);
/// How soon one must be visible that shows in counters only, which are read every few seconds.
pub(super) const BY_COUNTERS: Duration = Duration::from_secs(15);

/// A failure that has happened, or goes on happening.
#[derive(Debug)]
pub struct Played {
    /// What a person would ask about: `inquest why TARGET`.
    pub target: String,
    /// The cause that the report must give.
    pub cause: &'static str,
    /// From when on it could be known.
    pub since: Instant,
    /// How soon after that it must be visible.
    pub visible_within: Duration,
    /// What the report must name.
    pub names: Vec<Name>,
    /// What must be stored about it.
    pub stored: Stored,
    #[expect(dead_code, reason = "is held for what its end takes along")]
    pub(super) props: Props,
}

impl Played {
    /// The pid of the process to which it happened, when it happened to one.
    pub fn victim(&self) -> Option<u32> {
        match self.stored.about {
            About::Process(pid) => Some(pid),
            About::Cgroup(_) => None,
        }
    }
}

/// Signals that must be stored about a failure.
pub struct Stored {
    /// As the filter `kind` of the API spells it.
    pub kind: &'static str,
    pub about: About,
    /// Whether a signal tells the truth.
    pub holds: Box<dyn Fn(&v1::Signal) -> bool + Send + Sync>,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.about)
    }
}

/// Whom the stored signals are about, and so how many of them there may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum About {
    /// One process, to which it happened once.
    Process(u32),
    /// A cgroup, by its path; told again for as long as it goes on.
    Cgroup(String),
}

/// What lives on while the report is read. Dropped in this order: a cgroup can go when its processes
/// have gone, a directory when nothing is mounted on it any more.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "are held for what their end takes along")]
pub(super) struct Props {
    pub(super) victims: Vec<Victim>,
    pub(super) cgroups: Vec<Scratch>,
    pub(super) link: Option<Link>,
    pub(super) mounts: Option<Namespaces>,
    pub(super) dir: Option<TempDir>,
}

/// Something that a report must name, as it must spell it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name {
    pub what: &'static str,
    pub spelled: String,
}

/// Names a thing.
pub(super) fn name(what: &'static str, spelled: impl ToString) -> Name {
    Name {
        what,
        spelled: spelled.to_string(),
    }
}

/// Spells a process as reports do.
pub(super) fn process(comm: &str, pid: u32) -> String {
    format!("{comm}[{pid}]")
}

/// Whether a stored address is this one.
pub(crate) fn is_address(
    stored: Option<&v1::SocketAddress>,
    expected: std::net::SocketAddr,
) -> bool {
    stored.is_some_and(|stored| {
        stored.address == expected.ip().to_string() && stored.port == u32::from(expected.port())
    })
}
