//! How containers begin. Must not count restarts itself: agents do.

/// The first execution in a new cgroup.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ContainerStart {
    pub filename: String,
    pub after_created_ns: u64,
    /// Starts seen in the same pod with the same parent cgroup before this one.
    pub earlier_starts: u32,
}
