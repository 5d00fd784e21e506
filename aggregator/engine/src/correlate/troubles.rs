//! What a workload went through lately, by kind and in order of time. Must not weigh anything: whether it
//! is trouble is for detectors to say.

use std::time::Duration;

use super::coverage::believed;
use super::death::{Observed, Scene};
use super::workload::Workload;
use crate::model::signal::{
    BlockIo, ConntrackUsage, DaemonExit, Denials, DnsQueries, EphemeralPortUsage, ExecFailure,
    FilesystemUsage, IcmpErrors, ListenOverflow, NeighborFailures, NodeEvent, PacketDrops,
    PidsLimitHit, ResourceUsage, SocketDrops, SyscallFailures, TcpFlows, WaitProfile,
};
use crate::model::{NodeName, Signal, SignalBody, Timestamp};

/// How long before a death a trouble may have led to it: a program that gives up after its retries does
/// so within a minute.
pub(crate) const BEFORE_DEATH: Duration = Duration::from_mins(1);

/// How long after a death what led to it may still be told: windows of counters end later, and close
/// within ten seconds.
pub(crate) const AFTER_DEATH: Duration = Duration::from_secs(15);

/// Signs and samples of one workload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Troubles<'a> {
    /// With their believed times.
    signals: Vec<(Timestamp, &'a Signal)>,
}

impl<'a> Troubles<'a> {
    /// Gathers what the scene holds of a workload from `start` to `end`.
    pub(crate) fn gather(
        scene: Scene<'a>,
        node: &NodeName,
        workload: &Workload,
        start: Timestamp,
        end: Timestamp,
    ) -> Self {
        let mut signals: Vec<(Timestamp, &Signal)> = scene
            .window
            .signs_of(node, workload, start, end)
            .filter(|(arrival, _)| *arrival < scene.until)
            .map(|(_, signal)| (believed(signal.observed_at, scene.now), signal))
            .collect();
        signals.sort_by_key(|(at, signal)| (*at, &signal.id));
        Self { signals }
    }

    /// All records of one kind, oldest first.
    pub(crate) fn of<T: Record>(&self) -> Vec<Observed<'a, T>> {
        let records = self.signals.iter();
        records
            .filter_map(|(at, signal)| {
                Some(Observed {
                    signal,
                    at: *at,
                    record: T::read(&signal.body)?,
                })
            })
            .collect()
    }

    /// The signals themselves.
    pub(crate) fn signals(&self) -> impl Iterator<Item = &'a Signal> + '_ {
        self.signals.iter().map(|(_, signal)| *signal)
    }
}

/// A record that troubles can be asked for.
pub(crate) trait Record {
    /// Reads it from a signal of its kind.
    fn read(body: &SignalBody) -> Option<&Self>;
}

/// Makes records of the bodies that are named after them.
macro_rules! records {
    ($($kind:ident),* $(,)?) => {
        $(impl Record for $kind {
            fn read(body: &SignalBody) -> Option<&Self> {
                match body {
                    SignalBody::$kind(record) => Some(record),
                    _ => None,
                }
            }
        })*
    };
}

records!(
    BlockIo,
    ConntrackUsage,
    DaemonExit,
    Denials,
    DnsQueries,
    EphemeralPortUsage,
    ExecFailure,
    FilesystemUsage,
    IcmpErrors,
    ListenOverflow,
    NeighborFailures,
    NodeEvent,
    PacketDrops,
    PidsLimitHit,
    SocketDrops,
    SyscallFailures,
    TcpFlows,
    WaitProfile,
);

// Boxed in its body.
impl Record for ResourceUsage {
    fn read(body: &SignalBody) -> Option<&Self> {
        match body {
            SignalBody::ResourceUsage(record) => Some(record),
            _ => None,
        }
    }
}
