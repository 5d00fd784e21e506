//! What containers and their node did, in one line. Must conclude nothing.

use inquest_engine::model::signal::{
    ContainerStart, DaemonExit, DaemonRole, NodeEvent, NodeEventKind,
};

use super::{millis, signal_name};
use crate::output::text;

pub(super) fn container_start(of: &ContainerStart) -> String {
    let again = match of.earlier_starts {
        0 => String::new(),
        earlier => format!(
            ", after {}",
            text::count(u64::from(earlier), "earlier start")
        ),
    };
    format!("started with {}{again}", of.filename)
}

pub(super) fn cgroup_removed(lifetime_ns: u64) -> String {
    if lifetime_ns == 0 {
        "cgroup removed".to_owned()
    } else {
        format!("cgroup removed after {:.1} s", lifetime_ns as f64 / 1e9)
    }
}

pub(super) fn node_event(of: &NodeEvent) -> String {
    let what = match of.kind {
        NodeEventKind::HungTask => "hung task",
        NodeEventKind::SoftLockup => "soft lockup",
        NodeEventKind::RcuStall => "RCU stall",
        NodeEventKind::Oops => "kernel oops",
        NodeEventKind::FilesystemError => "file system error",
        NodeEventKind::FilesystemReadOnly => "file system is now read-only",
        NodeEventKind::MachineCheck => "hardware error",
        NodeEventKind::NicReset => "network card reset",
        NodeEventKind::ClockStep => {
            let sign = if of.step_ns < 0 { "back" } else { "forwards" };
            return format!(
                "the clock stepped {sign} by {}",
                millis(of.step_ns.unsigned_abs())
            );
        }
        NodeEventKind::ConntrackFull => "connection tracking is full",
        NodeEventKind::KernelLog | NodeEventKind::Unknown => "kernel log",
    };
    format!("{what}: {}", of.text)
}

pub(super) fn daemon_exit(of: DaemonExit) -> String {
    let role = match of.role {
        DaemonRole::Kubelet => "kubelet",
        DaemonRole::Runtime => "container runtime",
        DaemonRole::Shim => "container shim",
        DaemonRole::Proxy => "service proxy",
        DaemonRole::Dns => "DNS server",
        DaemonRole::Unknown => "daemon",
    };
    match of.signal {
        0 => format!("{role} ended with exit code {}", of.code),
        signal => format!("{role} ended by {}", signal_name(signal)),
    }
}
