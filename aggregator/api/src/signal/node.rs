//! Events of the node and of the daemons that run its containers. Must not blame a container.

use inquest_engine::model::signal as to;
use inquest_proto::v1;

use super::bound::text;

pub(super) fn container_start(from: &v1::ContainerStart) -> to::ContainerStart {
    to::ContainerStart {
        filename: text(&from.filename),
        after_created_ns: from.after_created_ns,
        earlier_starts: from.earlier_starts,
    }
}

pub(super) fn node_event(from: &v1::NodeEvent) -> to::NodeEvent {
    to::NodeEvent {
        kind: node_event_kind(from.kind()),
        text: text(&from.text),
        pattern: text(&from.pattern),
        device: text(&from.device),
        step_ns: from.step_ns,
        count: from.count,
    }
}

fn node_event_kind(from: v1::node_event::Kind) -> to::NodeEventKind {
    use v1::node_event::Kind as Wire;
    match from {
        Wire::HungTask => to::NodeEventKind::HungTask,
        Wire::SoftLockup => to::NodeEventKind::SoftLockup,
        Wire::RcuStall => to::NodeEventKind::RcuStall,
        Wire::Oops => to::NodeEventKind::Oops,
        Wire::FilesystemError => to::NodeEventKind::FilesystemError,
        Wire::FilesystemReadOnly => to::NodeEventKind::FilesystemReadOnly,
        Wire::MachineCheck => to::NodeEventKind::MachineCheck,
        Wire::NicReset => to::NodeEventKind::NicReset,
        Wire::ClockStep => to::NodeEventKind::ClockStep,
        Wire::KernelLog => to::NodeEventKind::KernelLog,
        Wire::ConntrackFull => to::NodeEventKind::ConntrackFull,
        Wire::Unspecified => to::NodeEventKind::Unknown,
    }
}

pub(super) fn daemon_exit(from: v1::DaemonExit) -> to::DaemonExit {
    to::DaemonExit {
        role: daemon_role(from.role()),
        code: from.code,
        signal: from.signal,
    }
}

fn daemon_role(from: v1::daemon_exit::Role) -> to::DaemonRole {
    use v1::daemon_exit::Role as Wire;
    match from {
        Wire::Kubelet => to::DaemonRole::Kubelet,
        Wire::Runtime => to::DaemonRole::Runtime,
        Wire::Shim => to::DaemonRole::Shim,
        Wire::Proxy => to::DaemonRole::Proxy,
        Wire::Dns => to::DaemonRole::Dns,
        Wire::Unspecified => to::DaemonRole::Unknown,
    }
}
