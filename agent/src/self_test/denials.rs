//! The checks of what a security policy refuses: calls that a seccomp filter ends the process for or answers with an
//! error, and one that needs a capability which is missing.

use std::io;

use anyhow::{Context as _, bail, ensure};
use inquest_proto::v1::{self, Denial, denial::Kind, signal::Body};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use super::{
    actor::Actor,
    check::{Check, NotPossible, Place},
};
use crate::kernel;

pub(super) const SECCOMP_KILL: Check = Check {
    name: "seccomp_kill",
    probe: Some("signal_generate"),
    expects: "the call that a seccomp filter ended the process for",
    place: Place::CGROUP,
    act: make_a_deadly_call,
    is_told_by: |signal, deed| {
        deed.is_subject(signal)
            && denials(signal)
                .iter()
                .any(|denial| denial.kind() == Kind::SeccompKill && denial.syscall == "acct")
    },
};

pub(super) const SECCOMP_ERRNO: Check = Check {
    name: "seccomp_errno",
    probe: Some("sys_exit"),
    expects: "the call that a seccomp filter refused",
    place: Place::CGROUP,
    act: make_a_refused_call,
    is_told_by: |signal, deed| {
        deed.is_home(signal)
            && denials(signal)
                .iter()
                .any(|denial| denial.kind() == Kind::SeccompErrno && denial.syscall == "acct")
    },
};

pub(super) const CAPABILITY: Check = Check {
    name: "missing_capability",
    probe: Some("sys_exit"),
    expects: "the capability that was missing, and the call that was refused for it",
    place: Place::CGROUP,
    act: ask_for_a_raw_socket,
    is_told_by: |signal, deed| {
        deed.is_home(signal)
            && denials(signal).iter().any(|denial| {
                denial.kind() == Kind::Capability
                    && denial.syscall == "socket"
                    && denial.capability == "CAP_NET_RAW"
            })
    },
};

fn denials(signal: &v1::Signal) -> &[Denial] {
    match &signal.body {
        Some(Body::Denials(told)) => &told.denials,
        _ => &[],
    }
}

fn make_a_deadly_call(_: &Actor) -> anyhow::Result<()> {
    answer_acct_with(libc::SECCOMP_RET_KILL_PROCESS)?;
    acct();
    bail!("a forbidden call ended nothing")
}

fn make_a_refused_call(_: &Actor) -> anyhow::Result<()> {
    if !knows_what_filters_allow() {
        let why = "kernels before 5.11 do not tell which calls a filter lets pass";
        return Err(NotPossible(why.to_owned()).into());
    }
    answer_acct_with(libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned())?;
    let refused = acct();
    ensure!(
        refused.raw_os_error() == Some(libc::EPERM),
        "a forbidden call was answered otherwise: {refused}"
    );
    Ok(())
}

/// Whether the kernel keeps a map of the calls that a filter always lets pass.
fn knows_what_filters_allow() -> bool {
    let release = kernel::release();
    let mut numbers = release.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 11),
        _ => true,
    }
}

/// Asks for accounting into no file at all, which fails in any case, and returns how.
fn acct() -> io::Error {
    // SAFETY: the path is a text that outlives the call.
    unsafe { libc::acct(c"".as_ptr()) };
    io::Error::last_os_error()
}

/// Installs a filter that answers acct(2) with `action` and lets everything else pass.
fn answer_acct_with(action: u32) -> anyhow::Result<()> {
    const ACCT: u32 = libc::SYS_acct as u32;
    /// Where `struct seccomp_data` has the call's number.
    const NUMBER_AT: u32 = 0;
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let compare = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let mut filter = [
        instruction(load, 0, NUMBER_AT),
        // Over the next one when it is another call.
        instruction(compare, 1, ACCT),
        instruction(answer, 0, action),
        instruction(answer, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    rustix::thread::set_no_new_privs(true).context("failed to renounce privileges")?;
    // SAFETY: the program is read before the call returns, and lives until then.
    let installed = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    ensure!(
        installed == 0,
        "failed to install a seccomp filter: {}",
        io::Error::last_os_error()
    );
    Ok(())
}

/// One instruction of a filter; `otherwise` is how many to leave out when a comparison does not hold.
const fn instruction(code: u16, otherwise: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter {
        code,
        jt: 0,
        jf: otherwise,
        k: value,
    }
}

/// Gives up what it may do as root, and asks for a socket that only root may have.
fn ask_for_a_raw_socket(_: &Actor) -> anyhow::Result<()> {
    let none = CapabilitySet::empty();
    let nothing = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, nothing).context("failed to give up all capabilities")?;
    let asked = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::RAW,
        Some(rustix::net::ipproto::ICMP),
    );
    let refused = asked.err().context("a raw socket was given")?;
    ensure!(refused == rustix::io::Errno::PERM, "{refused}");
    Ok(())
}
