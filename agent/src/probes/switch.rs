//! Puts a loaded probe on and takes it off while the agent runs. Must not decide when.

use std::sync::PoisonError;

use super::{
    Family, Granted, Programs,
    attach::{self, AttachError, Link, Ready},
};

/// A probe that is loaded, and attached while it is wanted.
pub(crate) struct Switch {
    programs: Programs,
    family: Family,
    ready: Ready,
    link: Option<Link>,
}

impl Switch {
    /// Returns the switch of a probe whose program is loaded into `programs`.
    pub(super) fn new(programs: Programs, granted: Granted) -> Self {
        let Granted {
            family,
            ready,
            link,
        } = granted;
        Self {
            programs,
            family,
            ready,
            link,
        }
    }

    /// Attaches the probe, unless it is already.
    pub(crate) fn on(&mut self) -> Result<(), AttachError> {
        if self.link.is_none() {
            let mut ebpf = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
            self.link = Some(attach::attach(self.family.probe(), &self.ready, &mut ebpf)?);
        }
        Ok(())
    }

    /// Detaches the probe, if it is attached.
    pub(crate) fn off(&mut self) -> Result<(), AttachError> {
        let Some(link) = self.link.take() else {
            return Ok(());
        };
        let mut ebpf = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        attach::detach(self.family.probe(), &self.ready, link, &mut ebpf)
    }
}
