//! The pure function at the centre: `Engine::step`. Must perform nothing: what it wants done it requests.

use crate::model::{Incident, IncidentId, Inventory, Signal, Timestamp};

/// Everything that one step may look at.
#[derive(Debug)]
pub struct Input<'a> {
    /// The only clock the engine knows.
    pub now: Timestamp,
    pub inventory: &'a Inventory,
    /// New signals, in the order in which the store has them. May be empty (a tick).
    pub signals: Vec<Signal>,
}

/// What one step concluded and requests.
#[derive(Debug, Default)]
pub struct Output {
    /// Incidents that are new or changed, whole, in id order.
    pub changed: Vec<Incident>,
    /// Incidents that opened or whose cause changed: a model may be asked to explain them.
    pub requested_analyses: Vec<IncidentId>,
    /// Why each decision was taken, in order.
    pub decisions: Vec<String>,
}

/// Holds the open incidents and the recent signals that detectors correlate.
#[derive(Debug, Default)]
pub struct Engine {}

impl Engine {
    /// Continues from stored incidents and the signals of the last window, oldest first.
    pub fn restore(_incidents: Vec<Incident>, _recent: Vec<Signal>) -> Self {
        Self::default()
    }

    /// Takes new signals and the time; gives what changed. Same state and input, same output.
    pub fn step(&mut self, _input: Input<'_>) -> Output {
        Output::default()
    }
}
