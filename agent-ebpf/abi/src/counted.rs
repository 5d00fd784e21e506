//! How programs count in a map that the agent empties while they go on.
//!
//! Each key carries the generation in which it was made. The agent takes out the entries of the generation before, in
//! which no program counts any more, and then begins the next: no count is read while it still grows, none is lost.

/// A key of such a map.
pub trait Generation {
    /// Returns the generation in which the entry was made, 0 or 1.
    fn generation(&self) -> u32;
}

/// The maps that are emptied like this: the index of each one's present generation, and of its count of what found no
/// room.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counted {
    /// `DropKey` to `DropCount`.
    Drops = 0,
    /// `FailureKey` to a count on each CPU.
    Failures = 1,
    /// `RefusedForksKey` to `RefusedForks`.
    RefusedForks = 2,
    /// `FlowKey` to `FlowCounts`.
    Flows = 3,
    /// `OtherFlowsKey` to a number of connections.
    OtherFlows = 4,
    /// `BlockIoKey` to `BlockIoCount`.
    BlockIo = 5,
    /// `RateKey` to a count.
    Shed = 6,
    /// `SocketDropKey` to a number of datagrams.
    SocketDrops = 7,
    /// `NeighborKey` to `NeighborCount`.
    NeighborFailures = 8,
    /// `DenialKey` to a count on each CPU.
    Denials = 9,
    /// `IcmpKey` to `IcmpCount`.
    IcmpErrors = 10,
    /// A cgroup to `LastWords`: not emptied, the agent takes out those of cgroups that were quiet for longest.
    LastWords = 11,
}

impl Counted {
    /// How many there are.
    pub const COUNT: u32 = 12;
}
