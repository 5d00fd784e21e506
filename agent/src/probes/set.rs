//! Holds the probes that the governor may let go, and tells how all of them fare. Must not decide which are let go.

use std::{fmt, sync::Arc};

use inquest_proto::v1::{ProbeStatus, probe_status::State};

use super::{Family, Granted, Probe, Programs, ReturnPrograms, attach, switch::Switch};

/// The probes of an agent, in the order of [`Family::ALL`].
pub(crate) struct ProbeSet {
    probes: Vec<Held>,
    /// Of what is read by walks rather than hooks.
    walks: ProbeStatus,
}

/// One probe, whether or not the kernel granted it.
struct Held {
    family: Family,
    status: ProbeStatus,
    /// Which hooks failed before the one that was granted.
    failures: String,
    /// What a run costs besides the program itself, in ns.
    attached_ns: u32,
    /// Of a probe at the returns of functions.
    returns: Option<ReturnPrograms>,
    /// `None` for a probe that was not granted, is to stay off, or is in the hands of somebody else.
    switch: Option<Switch>,
}

impl fmt::Debug for ProbeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeSet").finish_non_exhaustive()
    }
}

impl ProbeSet {
    /// Returns the set of what was `tried`, in the order of [`Family::ALL`].
    pub(super) fn new(
        programs: &Programs,
        tried: Vec<(ProbeStatus, Option<Granted>)>,
        walks: ProbeStatus,
    ) -> Self {
        let held = |(family, (status, granted)): (Family, (ProbeStatus, Option<Granted>))| Held {
            family,
            failures: status.detail.clone(),
            status,
            attached_ns: granted.as_ref().map_or(0, Granted::attached_ns),
            returns: granted.as_ref().and_then(Granted::return_programs),
            switch: granted.map(|granted| Switch::new(Arc::clone(programs), granted)),
        };
        let probes = Family::ALL.into_iter().zip(tried).map(held).collect();
        Self { probes, walks }
    }

    /// Gives the switch of `family` away: whoever has it decides from now on. `None` when it was not granted.
    pub(super) fn hand_out(&mut self, family: Family) -> Option<Switch> {
        let mut probes = self.probes.iter_mut();
        probes.find(|held| held.family == family)?.switch.take()
    }

    /// Returns the probes that the kernel granted, attached or not, each with what a run costs besides the program itself, in
    /// ns.
    pub(crate) fn granted(&self) -> impl Iterator<Item = (&'static Probe, u32)> {
        let granted =
            |held: &&Held| matches!(held.status.state(), State::Attached | State::OnDemand);
        self.probes
            .iter()
            .filter(granted)
            .map(|held| (held.family.probe(), held.attached_ns))
    }

    /// Returns the programs at the returns of functions.
    pub(crate) fn return_programs(&self) -> Option<ReturnPrograms> {
        self.probes.iter().find_map(|held| held.returns.clone())
    }

    /// Returns whether any probe is attached.
    pub(crate) fn is_any_attached(&self) -> bool {
        let mut probes = self.probes.iter();
        probes.any(|held| held.status.state() == State::Attached)
    }

    /// Returns whether the probe of `family` is attached.
    pub(crate) fn is_attached(&self, family: Family) -> bool {
        let mut probes = self.probes.iter();
        probes.any(|held| held.family == family && held.status.state() == State::Attached)
    }

    /// Returns whether the probe of `family` can be let go and taken back.
    pub(crate) fn is_held(&self, family: Family) -> bool {
        let mut probes = self.probes.iter();
        probes.any(|held| held.family == family && held.switch.is_some())
    }

    /// Returns how each probe fares.
    pub(crate) fn statuses(&self) -> Vec<ProbeStatus> {
        let probes = self.probes.iter().map(|held| held.status.clone());
        probes.chain([self.walks.clone()]).collect()
    }

    /// Detaches the probe of that name; `why` is what people are told.
    pub(crate) fn let_go(&mut self, name: &str, why: &str) {
        self.turn(name, why, Switch::off, State::OnDemand);
    }

    /// Attaches the probe of that name again; `note` is what people are told.
    pub(crate) fn take_back(&mut self, name: &str, note: &str) {
        self.turn(name, note, Switch::on, State::Attached);
    }

    /// Turns a probe on or off; where that fails, its status says why and the state stays.
    fn turn(
        &mut self,
        name: &str,
        note: &str,
        turn: fn(&mut Switch) -> Result<(), attach::AttachError>,
        state: State,
    ) {
        let mut probes = self.probes.iter_mut();
        let Some(held) = probes.find(|held| held.family.name() == name) else {
            return;
        };
        let Some(switch) = &mut held.switch else {
            return;
        };
        match turn(switch) {
            Ok(()) => {
                held.status.set_state(state);
                held.status.detail = join(note, &held.failures);
            }
            Err(error) => held.status.detail = attach::describe(&error),
        }
    }
}

fn join(note: &str, failures: &str) -> String {
    if failures.is_empty() {
        note.to_owned()
    } else {
        format!("{note}; {failures}")
    }
}
