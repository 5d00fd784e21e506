//! Turns ends of processes into signals, with what procfs still tells of the sender of a fatal one. Must not
//! decide what the sender is.

use inquest_agent_abi::{ProcessExit, SignalSource};
use inquest_proto::v1;

use super::procfs;
use crate::{attribute::Attributor, decode};

/// Returns what came of the last thread's end.
pub(super) fn signals(exit: &ProcessExit, attributor: &mut Attributor) -> Vec<v1::Signal> {
    let program = sender_program(exit);
    attributor.exit_signals(exit, program.as_deref())
}

/// Asks for the file that the sender of a fatal signal runs; runtimes send some and end at once.
fn sender_program(exit: &ProcessExit) -> Option<String> {
    let is_fatal = exit.wait_status & 0x7f != 0;
    let sender = &exit.origin.sender;
    let by_other = exit.origin.source == SignalSource::USER && sender.pid != exit.process.pid;
    if is_fatal && by_other {
        procfs::program(sender.pid, &decode::text(&sender.comm))
    } else {
        None
    }
}
