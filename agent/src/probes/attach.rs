//! Loads, attaches and detaches one program by one hook; must not decide which hook comes next.

use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, Program, ProgramError, RawTracePoint, TracePoint,
        raw_trace_point::RawTracePointLinkId, tp_btf::BtfTracePointLinkId,
        trace_point::TracePointLinkId,
    },
};

use super::{Hook, Probe};
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
    /// The kernel did not let go of the program.
    #[error("failed to detach program `{0}`")]
    Detach(&'static str, #[source] ProgramError),
}

/// An attached program.
pub(super) enum Link {
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
) -> Result<(), AttachError> {
    if let Some(obstacle) = obstacle(probe, hook, kernel) {
        return Err(AttachError::Obstacle(obstacle));
    }
    let name = probe.program(hook);
    let program = ebpf.program_mut(name).ok_or(AttachError::NoProgram(name))?;
    let loaded = match hook {
        Hook::TpBtf => {
            let btf = btf.ok_or_else(|| {
                AttachError::Obstacle("the kernel's type information cannot be read".to_owned())
            })?;
            cast::<BtfTracePoint>(program).and_then(|program| program.load(probe.name, btf))
        }
        Hook::RawTp => cast::<RawTracePoint>(program).and_then(RawTracePoint::load),
        Hook::Tracepoint => cast::<TracePoint>(program).and_then(TracePoint::load),
    };
    loaded.map_err(|error| AttachError::Load(name, error))
}

/// Attaches `probe`'s program for `hook`, which is loaded. It stays attached until it is detached or `ebpf` is
/// dropped.
pub(super) fn attach(probe: &Probe, hook: Hook, ebpf: &mut Ebpf) -> Result<Link, AttachError> {
    let name = probe.program(hook);
    let program = ebpf.program_mut(name).ok_or(AttachError::NoProgram(name))?;
    let attached = match hook {
        Hook::TpBtf => cast::<BtfTracePoint>(program)
            .and_then(BtfTracePoint::attach)
            .map(Link::TpBtf),
        Hook::RawTp => cast::<RawTracePoint>(program)
            .and_then(|program| program.attach(probe.name))
            .map(Link::RawTp),
        Hook::Tracepoint => cast::<TracePoint>(program)
            .and_then(|program| program.attach(probe.category, probe.name))
            .map(Link::Tracepoint),
    };
    attached.map_err(|error| AttachError::Attach(name, error))
}

/// Detaches `probe`'s program, which stays loaded.
pub(super) fn detach(probe: &Probe, link: Link, ebpf: &mut Ebpf) -> Result<(), AttachError> {
    let hook = link.hook();
    let name = probe.program(hook);
    let program = ebpf.program_mut(name).ok_or(AttachError::NoProgram(name))?;
    let detached = match link {
        Link::TpBtf(link) => {
            cast::<BtfTracePoint>(program).and_then(|program| program.detach(link))
        }
        Link::RawTp(link) => {
            cast::<RawTracePoint>(program).and_then(|program| program.detach(link))
        }
        Link::Tracepoint(link) => {
            cast::<TracePoint>(program).and_then(|program| program.detach(link))
        }
    };
    detached.map_err(|error| AttachError::Detach(name, error))
}

impl Link {
    fn hook(&self) -> Hook {
        match self {
            Self::TpBtf(_) => Hook::TpBtf,
            Self::RawTp(_) => Hook::RawTp,
            Self::Tracepoint(_) => Hook::Tracepoint,
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
    if hook != Hook::Tracepoint {
        return None;
    }
    if probe.program(hook) == Probe::NO_PROGRAM {
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

fn cast<'a, T>(program: &'a mut Program) -> Result<&'a mut T, ProgramError>
where
    &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
{
    program.try_into()
}

impl Probe {
    fn program(&self, hook: Hook) -> &'static str {
        let [tp_btf, raw_tp, tracepoint] = self.programs;
        match hook {
            Hook::TpBtf => tp_btf,
            Hook::RawTp => raw_tp,
            Hook::Tracepoint => tracepoint,
        }
    }
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
