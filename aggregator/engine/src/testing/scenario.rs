//! The eight things that every detector must stand, driven by what happens in its scenario. Must not know
//! any detector.

use std::time::Duration;

use super::checks::{causes, opens, rests_on_facts};
use super::{at_ms, incidents_of, step};
use crate::config::{CONDITION_QUIET, QUIET_PERIOD};
use crate::model::{Incident, IncidentState, Inventory, Severity, Signal, Timestamp};
use crate::step::{Engine, Input};

/// What the tests of a detector must know of it.
pub(crate) struct Scenario {
    pub(crate) cause: &'static str,
    pub(crate) severity: Severity,
    pub(crate) nature: Nature,
    /// What happens in a round, 0 or 1, that begins at a time in milliseconds; at most five signals.
    pub(crate) signals: fn(u32, i64) -> Vec<Signal>,
    /// The facts that its hypothesis rests on, by number.
    pub(crate) supports: &'static [u32],
    /// What looks alike and is something else, or nothing.
    pub(crate) look_alikes: fn() -> Vec<(&'static str, Vec<Signal>)>,
}

/// Whether it strikes or lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Nature {
    /// Each time it happens counts.
    Fault,
    /// It is open while it holds.
    Condition,
    /// It happens to a node: it counts, and is told of as long as a fault.
    Event,
}

/// Tests a scenario in all eight ways.
macro_rules! stands {
    ($scenario:expr) => {
        #[test]
        fn opens_with_its_cause() {
            $scenario.opens();
        }

        #[test]
        fn does_not_take_a_look_alike_for_it() {
            $scenario.is_silent_for_look_alikes();
        }

        #[test]
        fn is_idempotent_when_signals_come_again() {
            $scenario.is_idempotent();
        }

        #[test]
        fn merges_repeats_into_one_incident() {
            $scenario.merges_repeats();
        }

        #[test]
        fn closes_when_it_is_over() {
            $scenario.closes();
        }

        #[test]
        fn survives_missing_attribution_and_coverage() {
            $scenario.survives_missing_data();
        }

        #[test]
        fn survives_late_and_out_of_order_signals() {
            $scenario.survives_any_order();
        }

        #[test]
        fn explains_itself_with_its_facts() {
            $scenario.explains_itself();
        }
    };
}

pub(crate) use stands;

impl Scenario {
    fn first(&self) -> Vec<Signal> {
        (self.signals)(0, 0)
    }

    pub(crate) fn opens(&self) {
        let incident = opens(self.first(), self.cause, self.severity);
        assert_eq!(incident.occurrences, self.occurrences(1));
    }

    pub(crate) fn is_silent_for_look_alikes(&self) {
        for (name, signals) in (self.look_alikes)() {
            let causes = causes(signals);
            assert!(!causes.iter().any(|cause| cause == self.cause), "{name}");
        }
    }

    /// The same signals again change nothing, in the same engine and in a restored one.
    pub(crate) fn is_idempotent(&self) {
        let mut engine = Engine::default();
        step(&mut engine, at_ms(1000), self.first());
        let held: Vec<Incident> = engine.incidents().cloned().collect();
        let mut restored = Engine::restore(held, self.first());
        for engine in [&mut engine, &mut restored] {
            let again = step(engine, at_ms(1000), self.first());
            assert_eq!(again.changed, []);
            assert_eq!(again.requested_analyses, []);
        }
    }

    /// A repeat changes the incident that is there: a fault is counted and told of, a condition that
    /// returns reopens it.
    pub(crate) fn merges_repeats(&self) {
        let mut engine = Engine::default();
        let opened = step(&mut engine, at_ms(1000), self.first()).changed;
        let again = match self.nature {
            Nature::Fault | Nature::Event => 60_000,
            Nature::Condition => 400_000,
        };
        if self.nature == Nature::Condition {
            let resolved = step(&mut engine, at_ms(again - 1), vec![]).changed;
            assert_eq!(resolved[0].state, IncidentState::Resolved);
        }
        let output = step(&mut engine, at_ms(again + 15_000), (self.signals)(1, again));
        let [incident] = output.changed.as_slice() else {
            panic!("one incident expected: {:#?}", output.changed);
        };
        assert_eq!(incident.id, opened[0].id);
        assert_eq!(incident.state, IncidentState::Open);
        assert_eq!(incident.occurrences, self.occurrences(2));
        assert_eq!(engine.incidents().count(), 1);
        if self.nature == Nature::Fault {
            assert_ne!(incident.headline, opened[0].headline);
            let mut impact = incident.impact.iter();
            assert!(impact.any(|line| line.starts_with("in all 2 faults")));
            assert_eq!(output.requested_analyses, [], "the cause is the same");
        }
    }

    /// It stays open for the quiet period, then a tick resolves it.
    pub(crate) fn closes(&self) {
        let mut engine = Engine::default();
        let opened = step(&mut engine, at_ms(1000), self.first()).changed;
        let end = opened[0].last_seen_at.plus(match self.nature {
            Nature::Fault | Nature::Event => QUIET_PERIOD,
            Nature::Condition => CONDITION_QUIET,
        });
        let before = end.minus(Duration::from_nanos(1));
        assert_eq!(step(&mut engine, before, vec![]).changed, []);
        let closed = step(&mut engine, end, vec![]).changed;
        assert_eq!(closed[0].state, IncidentState::Resolved);
        assert_eq!(closed[0].resolved_at, Some(end));
        assert_eq!(step(&mut engine, end, vec![]).changed, []);
    }

    /// With nothing known of the node and of the cgroup, the cause is the same, less surely.
    pub(crate) fn survives_missing_data(&self) {
        let expected = &incidents_of(self.first())[0];
        let mut signals = self.first();
        for signal in &mut signals {
            signal.subject.cgroup = None;
            signal.subject.pod_uid = None;
            signal.ktime_ns = 0;
        }
        let mut engine = Engine::default();
        let output = engine.step(Input {
            now: at_ms(1000),
            inventory: &Inventory::default(),
            signals,
        });
        let incident = &output.changed[0];
        assert_eq!(incident.root_cause.cause, expected.root_cause.cause);
        assert!(incident.root_cause.confidence < expected.root_cause.confidence);
        assert!(!incident.coverage.is_empty());
    }

    /// Whatever the order in which the signals come, one by one and an hour late, the same is told.
    pub(crate) fn survives_any_order(&self) {
        let expected = told(&incidents_of(self.first()));
        assert_eq!(expected.len(), 1);
        for order in permutations(&self.first()) {
            let mut engine = Engine::default();
            for signal in order {
                step(&mut engine, at_ms(1000), vec![signal]);
            }
            let incidents: Vec<Incident> = engine.incidents().cloned().collect();
            assert_eq!(told(&incidents), expected);
            assert_eq!(incidents[0].occurrences, self.occurrences(1));
        }
        let mut late = Engine::default();
        step(&mut late, at_ms(3_600_000), self.first());
        let incidents: Vec<Incident> = late.incidents().cloned().collect();
        assert_eq!(told(&incidents), expected);
        assert_eq!(incidents[0].state, IncidentState::Resolved);
    }

    /// The best hypothesis rests on exactly these facts, and the story names nothing that no fact holds.
    pub(crate) fn explains_itself(&self) {
        let incident = &incidents_of(self.first())[0];
        let best = &incident.hypotheses[0];
        let ids: Vec<u32> = best.supports.iter().map(|id| id.0).collect();
        assert_eq!(ids, self.supports, "{:#?}", incident.evidence);
        rests_on_facts(incident);
        assert!(!incident.headline.is_empty() && !incident.explanation.is_empty());
        assert!(!incident.chain.is_empty());
        assert!(!incident.remediation.is_empty());
        assert!(!incident.impact.is_empty());
    }

    const fn occurrences(&self, faults: u64) -> u64 {
        match self.nature {
            Nature::Fault | Nature::Event => faults,
            Nature::Condition => 0,
        }
    }
}

/// What an incident tells, without the numbers that its facts happened to get.
fn told(incidents: &[Incident]) -> Vec<(String, String, String, f64, Timestamp)> {
    incidents
        .iter()
        .map(|incident| {
            (
                incident.root_cause.cause.0.clone(),
                incident.headline.clone(),
                incident.explanation.clone(),
                incident.root_cause.confidence.get(),
                incident.opened_at,
            )
        })
        .collect()
}

fn permutations(signals: &[Signal]) -> Vec<Vec<Signal>> {
    let [first, rest @ ..] = signals else {
        return vec![vec![]];
    };
    permutations(rest)
        .into_iter()
        .flat_map(|order| {
            (0..=order.len()).map(move |place| {
                let mut order = order.clone();
                order.insert(place, first.clone());
                order
            })
        })
        .collect()
}
