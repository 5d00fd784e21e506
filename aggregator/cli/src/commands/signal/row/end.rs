//! How processes ended, in one line. Must conclude nothing.

use inquest_engine::model::signal::{
    FailedCall, FatalSignal, OomKill, OomScope, ProcessExit, SenderClass, SignalOrigin,
};

use super::{address, process, signal_name};
use crate::output::text;

pub(super) fn oom_kill(kill: &OomKill) -> String {
    let held = kill.victim_usage;
    let held = held
        .anon_bytes
        .saturating_add(held.file_bytes)
        .saturating_add(held.shmem_bytes);
    let held = text::bytes(held);
    let limiting = kill.limiting.and_then(|index| kill.chain.get(index));
    match (limiting, kill.scope) {
        (Some(level), _) => {
            let limit = level.max_bytes.map_or("its limit".to_owned(), text::bytes);
            format!(
                "killed for memory: {} at {limit}, victim held {held}",
                level.name
            )
        }
        (None, OomScope::Global) => {
            format!("killed for memory: the node ran out, victim held {held}")
        }
        (None, _) => format!("killed for memory, victim held {held}"),
    }
}

/// How a process ended, and of an abnormal end the last thing that failed before it.
pub(super) fn process_exit(exit: &ProcessExit) -> String {
    let core = if exit.core_dumped {
        ", core dumped"
    } else {
        ""
    };
    let end = if exit.signal == 0 {
        format!("exit code {}", exit.code)
    } else {
        format!("ended by {}{core}", signal_name(exit.signal))
    };
    match exit.last_words.last() {
        Some(call) => format!("{end}; last failure: {}", failed_call(call)),
        None => end,
    }
}

fn failed_call(call: &FailedCall) -> String {
    let object = match &call.address {
        Some(of) => address(of),
        None => call.path.clone(),
    };
    let object = if object.is_empty() {
        object
    } else {
        format!(" {object}")
    };
    format!("{}{object} {}", call.syscall, call.errno)
}

pub(super) fn fatal_signal(signal: &FatalSignal) -> String {
    let name = signal_name(signal.signal);
    let class = sender_class(signal.sender_class);
    match (signal.origin, &signal.sender, signal.fault_address) {
        (SignalOrigin::Kernel, ..) => format!("{name} from the kernel"),
        (SignalOrigin::User, Some(sender), _) => {
            format!("{name} from {}{class}", process(sender))
        }
        (SignalOrigin::Fault, _, Some(address)) => format!("{name}, fault at {address:#x}"),
        (SignalOrigin::Fault, ..) => format!("{name}, a fault"),
        _ => format!("{name} from an unknown sender"),
    }
}

/// The sender's class in brackets; nothing where it says no more than the sender does.
const fn sender_class(class: SenderClass) -> &'static str {
    match class {
        SenderClass::Itself => " (itself)",
        SenderClass::Parent => " (parent)",
        SenderClass::Sibling => " (same container)",
        SenderClass::Pod => " (same pod)",
        SenderClass::Kubelet => " (kubelet)",
        SenderClass::Runtime => " (container runtime)",
        SenderClass::Init => " (init of the node)",
        SenderClass::Host => " (process of the node)",
        SenderClass::OtherContainer => " (another container)",
        SenderClass::Kernel | SenderClass::Unknown => "",
    }
}
