//! The check of ends of processes.

use inquest_proto::v1::signal::Body;

use super::{
    actor::DONE,
    check::{Check, Place},
};

pub(super) const CHECK: Check = Check {
    name: "process_exit",
    probe: Some("sched_process_exit"),
    expects: "the exit code of the process",
    place: Place::CGROUP,
    // An actor that has done its part ends with a code of its own.
    act: |_| Ok(()),
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::ProcessExit(exit)) => {
            deed.is_subject(signal)
                && deed.ended.code() == Some(DONE.into())
                && exit.code == u32::from(DONE)
                && exit.signal == 0
        }
        _ => false,
    },
};
