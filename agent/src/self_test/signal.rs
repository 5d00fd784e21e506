//! The check of where fatal signals come from.

use anyhow::{Context as _, bail};
use inquest_proto::v1::{
    fatal_signal::{Origin, SenderClass},
    signal::Body,
};
use rustix::process::{Signal, getpid, kill_process};

use super::{
    actor::Actor,
    check::{Check, Place},
};

pub(super) const CHECK: Check = Check {
    name: "fatal_signal",
    probe: Some("signal_generate"),
    expects: "the signal that ended the process, and who sent it",
    place: Place::CGROUP,
    act: end_by_signal,
    is_told_by: |signal, deed| {
        let Some(Body::FatalSignal(fatal)) = &signal.body else {
            return false;
        };
        let sender = fatal.sender.as_ref();
        let sender_cgroup = fatal.sender_cgroup.as_ref();
        deed.is_subject(signal)
            && fatal.signal == Signal::TERM.as_raw().cast_unsigned()
            && fatal.origin() == Origin::User
            && fatal.sender_class() == SenderClass::Itself
            && sender.is_some_and(|sender| sender.pid == deed.pid)
            && sender_cgroup.is_some_and(|cgroup| cgroup.path == deed.cgroup)
    },
};

/// The actor is its own killer: so the harness knows victim and sender without another process.
fn end_by_signal(_: &Actor) -> anyhow::Result<()> {
    kill_process(getpid(), Signal::TERM).context("failed to send SIGTERM")?;
    bail!("SIGTERM ended nothing")
}
