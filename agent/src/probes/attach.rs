//! Loads, attaches and detaches a probe's program by one hook; must not decide which hook comes next.

use std::io;

use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, Program, ProgramError, RawTracePoint, TracePoint,
        raw_trace_point::RawTracePointLinkId, tp_btf::BtfTracePointLinkId,
        trace_point::TracePointLinkId,
    },
};

use super::{
    Hook, Probe,
    returns::{self, ReturnSwitch},
};
use crate::{kernel::Kernel, telemetry::ErrorChain};

/// A program could not be attached by a hook.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    /// The kernel does not tell what the program would have to read.
    #[error("{0}")]
    Obstacle(String),
    /// The object holds no such program.
    #[error("the eBPF object has no program `{0}`")]
    NoProgram(&'static str),
    /// The kernel refused to load the program.
    #[error("failed to load program `{0}`")]
    Load(&'static str, #[source] ProgramError),
    /// The kernel refused to attach the program.
    #[error("failed to attach program `{0}`")]
    Attach(&'static str, #[source] ProgramError),
    /// The kernel refused to run a program at the return of a function.
    #[error("failed to attach a program to the return of `{0}`")]
    Function(String, #[source] io::Error),
    /// The kernel would not take such a program back.
    #[error("this kernel attaches a program to the return of a function once only (before 5.13)")]
    OnceOnly(#[source] Box<Self>),
    /// The system granted no thread.
    #[error("failed to start a thread that attaches programs to the returns of functions")]
    Thread(#[source] io::Error),
    /// The kernel did not let go of the program.
    #[error("failed to detach program `{0}`")]
    Detach(&'static str, #[source] ProgramError),
}

/// A probe's program, loaded for one hook.
pub(super) enum Ready {
    /// For [`Hook::Fexit`]: one for each function.
    Fexit {
        /// Puts them on and off.
        switch: ReturnSwitch,
        /// Functions that the kernel does not have.
        absent: Vec<String>,
    },
    /// For [`Hook::TpBtf`].
    TpBtf,
    /// For [`Hook::RawTp`].
    RawTp,
    /// For [`Hook::Tracepoint`].
    Tracepoint,
}

/// An attached program.
pub(super) enum Link {
    /// By [`Hook::Fexit`].
    Fexit,
    /// By [`Hook::TpBtf`].
    TpBtf(BtfTracePointLinkId),
    /// By [`Hook::RawTp`].
    RawTp(RawTracePointLinkId),
    /// By [`Hook::Tracepoint`].
    Tracepoint(TracePointLinkId),
}

/// Loads `probe`'s program for `hook`.
pub(super) fn load(
    probe: &Probe,
    hook: Hook,
    kernel: &Kernel,
    ebpf: &mut Ebpf,
    btf: Option<&Btf>,
) -> Result<Ready, AttachError> {
    if let Some(obstacle) = obstacle(probe, hook, kernel) {
        return Err(AttachError::Obstacle(obstacle));
    }
    let btf = || {
        btf.ok_or_else(|| {
            AttachError::Obstacle("the kernel's type information cannot be read".to_owned())
        })
    };
    let [tp_btf, raw_tp, tracepoint] = probe.programs;
    match hook {
        Hook::Fexit => {
            let functions = probe.returns().map(|returns| (returns.functions)());
            let (switch, absent) = returns::load(functions.unwrap_or_default(), ebpf, btf()?)?;
            Ok(Ready::Fexit { switch, absent })
        }
        Hook::TpBtf => {
            let btf = btf()?;
            let load = |program: &mut BtfTracePoint| program.load(probe.name, btf);
            on_program(ebpf, tp_btf, load, AttachError::Load).map(|()| Ready::TpBtf)
        }
        Hook::RawTp => {
            on_program(ebpf, raw_tp, RawTracePoint::load, AttachError::Load).map(|()| Ready::RawTp)
        }
        Hook::Tracepoint => on_program(ebpf, tracepoint, TracePoint::load, AttachError::Load)
            .map(|()| Ready::Tracepoint),
    }
}

/// Attaches `probe`'s program, which is `ready`. It stays attached until it is detached or `ebpf` is dropped.
pub(super) fn attach(probe: &Probe, ready: &Ready, ebpf: &mut Ebpf) -> Result<Link, AttachError> {
    let [tp_btf, raw_tp, tracepoint] = probe.programs;
    match ready {
        Ready::Fexit { switch, .. } => {
            switch.turn(true);
            Ok(Link::Fexit)
        }
        Ready::TpBtf => {
            on_program(ebpf, tp_btf, BtfTracePoint::attach, AttachError::Attach).map(Link::TpBtf)
        }
        Ready::RawTp => {
            let attach = |program: &mut RawTracePoint| program.attach(probe.name);
            on_program(ebpf, raw_tp, attach, AttachError::Attach).map(Link::RawTp)
        }
        Ready::Tracepoint => {
            let attach = |program: &mut TracePoint| program.attach(probe.category, probe.name);
            on_program(ebpf, tracepoint, attach, AttachError::Attach).map(Link::Tracepoint)
        }
    }
}

/// Detaches `probe`'s program, which stays `ready`. Programs at the returns of functions go one after the other from then on.
pub(super) fn detach(
    probe: &Probe,
    ready: &Ready,
    link: Link,
    ebpf: &mut Ebpf,
) -> Result<(), AttachError> {
    let [tp_btf, raw_tp, tracepoint] = probe.programs;
    match link {
        Link::Fexit => {
            if let Ready::Fexit { switch, .. } = ready {
                switch.turn(false);
            }
            Ok(())
        }
        Link::TpBtf(link) => {
            let detach = |program: &mut BtfTracePoint| program.detach(link);
            on_program(ebpf, tp_btf, detach, AttachError::Detach)
        }
        Link::RawTp(link) => {
            let detach = |program: &mut RawTracePoint| program.detach(link);
            on_program(ebpf, raw_tp, detach, AttachError::Detach)
        }
        Link::Tracepoint(link) => {
            let detach = |program: &mut TracePoint| program.detach(link);
            on_program(ebpf, tracepoint, detach, AttachError::Detach)
        }
    }
}

/// Has `act` done to the program called `name`; `error` is what it is when that fails.
fn on_program<'a, T: 'a, R>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
    act: impl FnOnce(&'a mut T) -> Result<R, ProgramError>,
    error: fn(&'static str, ProgramError) -> AttachError,
) -> Result<R, AttachError>
where
    &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or(AttachError::NoProgram(name))?;
    program
        .try_into()
        .and_then(act)
        .map_err(|source| error(name, source))
}

impl Ready {
    pub(super) fn hook(&self) -> Hook {
        match self {
            Self::Fexit { .. } => Hook::Fexit,
            Self::TpBtf => Hook::TpBtf,
            Self::RawTp => Hook::RawTp,
            Self::Tracepoint => Hook::Tracepoint,
        }
    }
}

/// Says in one line why: the chain of causes, with no more of the verifier's log than its verdict.
pub(super) fn describe(error: &AttachError) -> String {
    match error {
        AttachError::Load(
            name,
            ProgramError::LoadError {
                io_error,
                verifier_log,
            },
        ) => {
            let log = verifier_log.to_string();
            let verdict = verdict(&log).map_or_else(String::new, |line| format!(": {line}"));
            format!("failed to load program `{name}`: {io_error}{verdict}")
        }
        error => ErrorChain(error).to_string(),
    }
}

/// What the verifier ends its log with: statistics.
const STATISTICS: [&str; 3] = ["processed ", "stack depth ", "verification time "];

/// Returns the verifier's last line that is not its statistics.
fn verdict(log: &str) -> Option<&str> {
    log.lines().map(str::trim).rfind(|line| {
        let is_statistics = STATISTICS.iter().any(|start| line.starts_with(start));
        !line.is_empty() && !is_statistics
    })
}

/// Returns what stands in the way before the kernel is even asked.
fn obstacle(probe: &Probe, hook: Hook, kernel: &Kernel) -> Option<String> {
    let needs_structs = hook != Hook::Tracepoint || !probe.stands_alone;
    if needs_structs && let Some(obstacle) = kernel.obstacle(probe.family) {
        return Some(obstacle);
    }
    if hook == Hook::Fexit {
        return kernel.without_safe_returns.clone();
    }
    if hook != Hook::Tracepoint {
        return None;
    }
    let [.., program] = probe.programs;
    if program == Probe::NO_PROGRAM {
        return Some(format!(
            "a plain tracepoint does not tell enough of {}",
            probe.name
        ));
    }
    if let Some(reason) = &kernel.without_tracefs {
        return Some(reason.clone());
    }
    if (probe.has_fields)(&kernel.layout.tracepoint) {
        return None;
    }
    Some(format!(
        "tracefs does not tell the fields of {}/{}",
        probe.category, probe.name
    ))
}

#[cfg(test)]
mod tests {
    use inquest_agent_abi::{KernelLayout, Offset};

    use super::*;
    use crate::{
        kernel::{DropReasons, ResetReasons},
        probes::Family,
    };

    #[test]
    fn takes_the_verdict_from_a_verifier_log() {
        let log = "0: R1=ctx()\n; let x\n5: (79) r1 = *(u64 *)(r1 +64)\nR1 invalid mem access 'scalar'\n\
                   verification time 96 usec\nstack depth 272+0\nprocessed 6 insns (limit 1000000)\n";
        assert_eq!(verdict(log), Some("R1 invalid mem access 'scalar'"));
        assert_eq!(verdict(""), None);
    }

    #[test]
    fn falls_back_to_a_plain_tracepoint_only_where_that_tells_enough() {
        let mut layout = KernelLayout::UNKNOWN;
        layout.tracepoint.mark_victim_pid = Offset::new(8);
        let kernel = Kernel {
            layout,
            drop_reasons: DropReasons::default(),
            reset_reasons: ResetReasons::default(),
            missing: Vec::new(),
            without_btf: Some("no type information".to_owned()),
            without_safe_returns: None,
            without_tracefs: None,
        };
        let asked = |family: Family, hook| obstacle(family.probe(), hook, &kernel);
        assert_eq!(asked(Family::Oom, Hook::Tracepoint), None);
        for hook in [Hook::TpBtf, Hook::RawTp] {
            assert_eq!(
                asked(Family::Oom, hook).as_deref(),
                Some("no type information")
            );
        }
        assert_eq!(
            asked(Family::Exit, Hook::Tracepoint).as_deref(),
            Some("no type information")
        );
        let fields = asked(Family::Cgroup, Hook::Tracepoint).unwrap();
        assert!(fields.contains("cgroup/cgroup_mkdir"), "{fields}");
    }
}
