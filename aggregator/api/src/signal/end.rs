//! Exits and the signals that caused them. Must not join them.

use inquest_engine::model::signal as to;
use inquest_proto::v1;

use super::bound::{list, text};
use super::{address, cgroup, process};

pub(super) fn process_exit(from: &v1::ProcessExit) -> to::ProcessExit {
    to::ProcessExit {
        code: from.code,
        signal: from.signal,
        core_dumped: from.core_dumped,
        last_words: list(&from.last_words, failed_call),
        last_words_dropped: from.last_words_dropped,
        exec_chain: list(&from.exec_chain, |file| text(file)),
    }
}

fn failed_call(from: &v1::FailedCall) -> to::FailedCall {
    to::FailedCall {
        ktime_ns: from.ktime_ns,
        pid: from.pid,
        comm: text(&from.comm),
        syscall: text(&from.syscall),
        errno: text(&from.errno),
        path: text(&from.path),
        address: from.address.as_ref().map(address),
        device: text(&from.device),
        mount_point: text(&from.mount_point),
    }
}

pub(super) fn fatal_signal(from: &v1::FatalSignal) -> to::FatalSignal {
    use v1::fatal_signal::Origin;
    to::FatalSignal {
        signal: from.signal,
        code: from.code,
        origin: match from.origin() {
            Origin::Kernel => to::SignalOrigin::Kernel,
            Origin::User => to::SignalOrigin::User,
            Origin::Fault => to::SignalOrigin::Fault,
            Origin::Unspecified => to::SignalOrigin::Unknown,
        },
        sender: from.sender.as_ref().map(process),
        sender_cgroup: from.sender_cgroup.as_ref().map(cgroup),
        sender_class: sender_class(from.sender_class()),
        fault_address: from.fault_address,
    }
}

fn sender_class(from: v1::fatal_signal::SenderClass) -> to::SenderClass {
    use v1::fatal_signal::SenderClass as Wire;
    match from {
        Wire::Kernel => to::SenderClass::Kernel,
        Wire::Itself => to::SenderClass::Itself,
        Wire::Parent => to::SenderClass::Parent,
        Wire::Sibling => to::SenderClass::Sibling,
        Wire::Pod => to::SenderClass::Pod,
        Wire::Kubelet => to::SenderClass::Kubelet,
        Wire::Runtime => to::SenderClass::Runtime,
        Wire::Init => to::SenderClass::Init,
        Wire::Host => to::SenderClass::Host,
        Wire::OtherContainer => to::SenderClass::OtherContainer,
        Wire::Unspecified => to::SenderClass::Unknown,
    }
}
