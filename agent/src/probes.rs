//! Loads the kernel programs and attaches each by the best hook that this kernel grants; every probe may
//! fail alone and says why. Must not read what they record.

mod attach;
mod block;
mod capability;
mod cgroup;
mod drop;
mod exec;
mod exit;
mod failures;
mod family;
mod lru_room;
mod neighbor;
mod object_version;
mod oom;
mod packet;
mod removal;
mod returns;
mod sched;
mod set;
mod signal;
mod socket_drop;
mod switch;
mod syscall;
mod tcp;
mod thread_walk;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use aya::{Btf, Ebpf, EbpfLoader};
use inquest_agent_abi::{Meter, TracepointLayout, names};
use inquest_proto::v1::{ProbeStatus, probe_status::State};
use tracing::{debug, info, warn};

use crate::{
    collect::{Collector, FileCollector, POLLED, SourceParts, cgroupfs::CgroupFs, join_details},
    heap,
    kernel::{self, Kernel},
    privileges::{Privilege, Privileges},
    profile_desk::ProfileDesk,
    syscalls::{self, IgnoreList},
    telemetry::ErrorChain,
};

/// The object that `build.rs` copied; empty when there was none.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/inquest-agent-ebpf"));

/// Where cgroup file systems are mounted, usually.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// A way to attach a program to a tracepoint, or to functions of the kernel instead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hook {
    /// At the returns of a few functions, so that whatever else passes the tracepoint costs nothing.
    Fexit,
    /// Typed by the kernel; needs its type information, but neither tracefs nor perf events.
    TpBtf,
    /// Not typed; needs neither, too.
    RawTp,
    /// Given a copy of some fields; needs tracefs and perf events.
    Tracepoint,
}

impl Hook {
    /// All of them, best first.
    pub const LADDER: [Self; 4] = [Self::Fexit, Self::TpBtf, Self::RawTp, Self::Tracepoint];
    /// Those that attach to a tracepoint: nothing that passes it is missed.
    const OF_TRACEPOINTS: [Self; 3] = [Self::TpBtf, Self::RawTp, Self::Tracepoint];

    /// Returns the hooks to try, best first, where `all_calls` are to be watched, or else those that matter.
    pub fn ladder(all_calls: bool) -> Vec<Self> {
        if all_calls {
            Self::OF_TRACEPOINTS.to_vec()
        } else {
            Self::LADDER.to_vec()
        }
    }

    /// Returns its name, as `ProbeStatus` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fexit => "fexit",
            Self::TpBtf => "tp_btf",
            Self::RawTp => "raw_tp",
            Self::Tracepoint => "tracepoint",
        }
    }
}

/// One probe: a tracepoint, its programs, and what is lost without it.
#[derive(Debug)]
pub(crate) struct Probe {
    family: Family,
    /// Of the tracepoint, and so of the probe.
    pub(crate) name: &'static str,
    /// Directory of the tracepoint in tracefs.
    category: &'static str,
    /// Names of its programs, in the order of [`Hook::OF_TRACEPOINTS`]; [`Probe::NO_PROGRAM`] where that hook tells too
    /// little.
    programs: [&'static str; 3],
    /// The plain tracepoint tells enough for a kernel without type information.
    stands_alone: bool,
    /// Whether the record of the plain tracepoint has the fields that its program reads.
    has_fields: fn(&TracepointLayout) -> bool,
    /// What cannot be told without it, in words for people.
    without: &'static str,
    /// Where its programs count their runs.
    pub(crate) meter: Meter,
    /// What each run costs besides the program itself, in ns: the way there and back.
    attached_ns: u32,
}

impl Probe {
    /// `attached_ns` of most: an empty program on a tracepoint that the kernel passes through anyway.
    const TRACEPOINT_NS: u32 = 20;
    /// In place of the name of a program that there is none of.
    const NO_PROGRAM: &str = "";

    /// Returns what it can be attached to instead of its tracepoint.
    fn returns(&self) -> Option<&'static Returns> {
        match self.family {
            Family::Syscall => Some(&syscall::RETURNS),
            _ => None,
        }
    }

    /// Returns which of `hooks` to try: where none of them is for such a probe, those of tracepoints.
    fn hooks(&self, hooks: &[Hook]) -> Vec<Hook> {
        let is_known = |hook: &Hook| *hook != Hook::Fexit || self.returns().is_some();
        let known: Vec<_> = hooks.iter().copied().filter(is_known).collect();
        if known.is_empty() {
            Hook::OF_TRACEPOINTS.to_vec()
        } else {
            known
        }
    }
}

/// Functions of the kernel that a probe can be attached to instead of its tracepoint.
struct Returns {
    /// Them, each with its program.
    functions: fn() -> Vec<Return>,
    /// What is seen by the tracepoint alone, in words for people.
    unseen: &'static str,
    /// As [`Probe::attached_ns`].
    attached_ns: u32,
}

/// Returns the names of all probes, in the order of [`Family::ALL`], then that of the walks over all threads and those of
/// the sources that read files.
pub fn names() -> impl Iterator<Item = &'static str> {
    let probes = Family::ALL.into_iter().map(|family| family.probe().name);
    probes
        .chain([thread_walk::NAME])
        .chain(POLLED.map(|source| source.name))
}

/// The loaded programs, shared by those that put probes on and take them off while the agent runs.
pub(crate) type Programs = Arc<Mutex<Ebpf>>;

use attach::{Link, Ready};
use failures::Failures;
use object_version::Mismatch;
use returns::Return;

pub use family::Family;

pub(crate) use attach::AttachError;
pub(crate) use failures::is_refusal;
pub(crate) use returns::ReturnPrograms;
pub(crate) use set::ProbeSet;
pub(crate) use switch::Switch;
pub(crate) use thread_walk::ThreadWalks;

/// What a wait profile needs of the loaded programs.
pub(crate) struct WaitProbes {
    /// Of the scheduler's hooks: off until a cgroup is watched.
    pub(crate) switches: Vec<Switch>,
    /// `None` when this kernel does not walk over its threads.
    pub(crate) walks: Option<ThreadWalks>,
}

impl WaitProbes {
    /// Returns what there is; `None` without the scheduler's hooks, which are all that a profile cannot do without.
    fn new(programs: &Programs, probes: &mut ProbeSet, walks: bool) -> Option<Self> {
        let hooks = [Family::SchedSwitch, Family::SchedWakeup];
        let switches = hooks.map(|family| probes.hand_out(family));
        Some(Self {
            switches: switches.into_iter().collect::<Option<_>>()?,
            walks: walks.then(|| ThreadWalks::new(programs)),
        })
    }
}

/// What to load and where to look.
#[derive(Clone, Debug)]
pub struct ProbeConfig {
    /// Names of probes that stay off.
    pub disabled: Vec<String>,
    /// Hooks to try, best first.
    pub hooks: Vec<Hook>,
    /// Where the node's cgroup file systems are mounted.
    pub cgroup_root: PathBuf,
    /// Where wait profiles are asked for.
    pub profile_desk: ProfileDesk,
    /// Failures of system calls that are noise.
    pub ignored: IgnoreList,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            disabled: Vec::new(),
            hooks: Hook::LADDER.to_vec(),
            cgroup_root: PathBuf::from(CGROUP_ROOT),
            profile_desk: ProfileDesk::default(),
            ignored: IgnoreList::default(),
        }
    }
}

/// What came of [`load`].
#[derive(Debug)]
pub struct Loaded {
    /// One for each probe, in the order of [`Family::ALL`], then one for each source that reads files.
    pub probes: Vec<ProbeStatus>,
    /// Reads what the probes record; keeps them attached. `None` when nothing could be loaded.
    pub collector: Option<Collector>,
    /// Reads what files tell, where there is no `collector` that does.
    pub files: Option<FileCollector>,
    /// As `uname -r` prints it.
    pub kernel_release: String,
    /// 1 for v1, 2 for v2, 3 for both, 0 when no cgroup file system was found.
    pub cgroup_version: u32,
}

/// The programs could not be loaded at all.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(
        "this agent was built without the eBPF object; run `cargo xtask build-ebpf` and build it again"
    )]
    NoObject,
    #[error(
        "the eBPF object is of another version than this agent ({0}); run `cargo xtask build-ebpf` and build the agent again, or set AGENT_EBPF_OBJ to the object that belongs to it"
    )]
    OtherVersion(Mismatch),
    #[error("the kernel refuses to load the eBPF object: {0}")]
    Refused(String),
    #[error("failed to load the eBPF object")]
    Object(#[source] Box<aya::EbpfError>),
    #[error("failed to read what the eBPF programs record")]
    Collector(#[source] crate::collect::CollectorError),
}

/// Inspects the kernel, loads the programs and attaches what can be attached. Blocks for about a second.
///
/// Never fails: what is missing is told by `probes`, and the agent lives on.
pub fn load(config: &ProbeConfig) -> Loaded {
    let cgroups = CgroupFs::find(&config.cgroup_root);
    let cgroup_version = cgroups.version();
    let privileges = Privileges::read();
    tell_lacking(privileges);
    let parts = SourceParts {
        cgroups: Arc::new(cgroups),
        wait_probes: None,
        profile_desk: config.profile_desk.clone(),
        disabled: config.disabled.clone(),
        privileges,
    };
    let (probes, collector, files) = match try_load(config, &parts) {
        Ok(collector) => (collector.statuses(), Some(collector), None),
        Err(error) => {
            let missing = all_missing(config, &ErrorChain(&error).to_string());
            let files = FileCollector::open(&parts);
            ([&missing, files.statuses()].concat(), None, Some(files))
        }
    };
    // Loading needed a second copy of the kernel's type information.
    heap::give_back();
    for probe in &probes {
        info!(probe = probe.name, state = ?probe.state(), hook = probe.hook, detail = probe.detail, "probe");
    }
    Loaded {
        probes,
        collector,
        files,
        kernel_release: kernel::release(),
        cgroup_version,
    }
}

/// Logs what this process has not been granted, and what that costs.
fn tell_lacking(privileges: Privileges) {
    for privilege in privileges.lacking() {
        let Privilege { name, grant, .. } = privilege;
        let without = privilege.without();
        if privilege.is_expected {
            warn!(
                privilege = name,
                not_told = without,
                next_step = grant,
                "a privilege is lacking"
            );
        } else {
            info!(
                privilege = name,
                not_told = without,
                next_step = grant,
                "a privilege is lacking"
            );
        }
    }
}

fn try_load(config: &ProbeConfig, parts: &SourceParts) -> Result<Collector, LoadError> {
    if OBJECT.is_empty() {
        return Err(LoadError::NoObject);
    }
    object_version::check(OBJECT).map_err(LoadError::OtherVersion)?;
    raise_locked_memory_limit();
    let kernel = Kernel::inspect(parts.cgroups.hierarchy());
    for field in &kernel.missing {
        debug!(%field, "this kernel lacks a field");
    }
    let btf = heap::on_own_heap(|| Btf::from_sys_fs().ok());
    let policy = syscalls::policy(&config.ignored);
    let mut loader = EbpfLoader::new();
    lru_room::reserve(&mut loader, aya::util::nr_cpus().unwrap_or(1));
    let mut ebpf = loader
        .btf(btf.as_ref())
        .override_global(names::LAYOUT, &kernel.layout, true)
        .override_global(names::SYSCALL_POLICY, &*policy, true)
        .load(OBJECT)
        .map_err(|error| LoadError::of_object(error, parts.privileges))?;
    let grounds = Grounds {
        config,
        kernel: &kernel,
        btf: btf.as_ref(),
        privileges: parts.privileges,
    };
    let tried: Vec<_> = Family::ALL
        .iter()
        .map(|family| status(family.probe(), &grounds, &mut ebpf))
        .collect();
    let (walks, walk_status) = thread_walk::load(&grounds, &mut ebpf);
    let programs = Arc::new(Mutex::new(ebpf));
    let mut probes = ProbeSet::new(&programs, tried, walk_status);
    let parts = SourceParts {
        wait_probes: WaitProbes::new(&programs, &mut probes, walks),
        ..parts.without_probes()
    };
    Collector::try_new(programs, &kernel, parts, probes).map_err(LoadError::Collector)
}

/// What is known before a probe is tried.
struct Grounds<'a> {
    config: &'a ProbeConfig,
    kernel: &'a Kernel,
    btf: Option<&'a Btf>,
    privileges: Privileges,
}

impl LoadError {
    /// Says of an object that the kernel does not permit why that may be.
    fn of_object(error: aya::EbpfError, privileges: Privileges) -> Self {
        if is_refusal(&error) {
            Self::Refused(privileges.why_no_programs())
        } else {
            Self::Object(Box::new(error))
        }
    }
}

/// A hook that the kernel granted to a probe.
struct Granted {
    family: Family,
    ready: Ready,
    /// `None` for a probe that is attached on demand.
    link: Option<Link>,
}

impl Granted {
    fn attached_ns(&self) -> u32 {
        let probe = self.family.probe();
        match (&self.ready, probe.returns()) {
            (Ready::Fexit { .. }, Some(returns)) => returns.attached_ns,
            _ => probe.attached_ns,
        }
    }

    fn return_programs(&self) -> Option<ReturnPrograms> {
        match &self.ready {
            Ready::Fexit { switch, .. } => Some(switch.programs().clone()),
            _ => None,
        }
    }

    /// What its hook does not see, for people; empty when it sees all.
    fn unseen(&self) -> String {
        let (Ready::Fexit { switch, absent }, Some(returns)) =
            (&self.ready, self.family.probe().returns())
        else {
            return String::new();
        };
        let absent = match absent.as_slice() {
            [] => String::new(),
            absent => format!("this kernel has no {}", absent.join(", ")),
        };
        let hooked = format!("at the returns of {} functions", switch.programs().len());
        join_details([&hooked, &absent, returns.unseen])
    }
}

/// Attaches `probe` by the first hook that holds, unless it is to stay off; only loads it when it is attached on
/// demand.
fn status(probe: &Probe, grounds: &Grounds<'_>, ebpf: &mut Ebpf) -> (ProbeStatus, Option<Granted>) {
    let config = grounds.config;
    let mut status = missing(probe.name, probe.without, config, "");
    if status.state() == State::Disabled {
        return (status, None);
    }
    let mut failures = Failures::default();
    let mut granted = None;
    for hook in probe.hooks(&config.hooks) {
        let loaded = attach::load(probe, hook, grounds.kernel, ebpf, grounds.btf);
        let held_on = loaded.and_then(|ready| {
            let link = if probe.family.is_on_demand() {
                None
            } else {
                Some(attach::attach(probe, &ready, ebpf)?)
            };
            Ok((ready, link))
        });
        match held_on {
            Ok((ready, link)) => {
                let attached = link.is_some();
                status.set_state(if attached {
                    State::Attached
                } else {
                    State::OnDemand
                });
                ready.hook().name().clone_into(&mut status.hook);
                granted = Some(Granted {
                    family: probe.family,
                    ready,
                    link,
                });
                break;
            }
            Err(error) => failures.add(hook, &error),
        }
    }
    let more = match granted {
        Some(_) => grounds.privileges.shortfalls(probe.name),
        None if failures.was_refused => grounds.privileges.why_no_programs(),
        None => String::new(),
    };
    let unseen = granted.as_ref().map_or_else(String::new, Granted::unseen);
    status.detail = join_details([&failures.to_string(), &unseen, &more]);
    (status, granted)
}

fn all_missing(config: &ProbeConfig, detail: &str) -> Vec<ProbeStatus> {
    let probes = Family::ALL.iter().map(|family| family.probe());
    probes
        .map(|probe| (probe.name, probe.without))
        .chain([(thread_walk::NAME, thread_walk::WITHOUT)])
        .map(|(name, without)| missing(name, without, config, detail))
        .collect()
}

/// The status of a probe that is not attached: because of `detail`, unless it is to stay off.
fn missing(name: &str, without: &str, config: &ProbeConfig, detail: &str) -> ProbeStatus {
    let (state, detail) = if config.disabled.iter().any(|disabled| disabled == name) {
        (State::Disabled, "disabled by the configuration")
    } else {
        (State::Missing, detail)
    };
    ProbeStatus {
        name: name.to_owned(),
        state: state.into(),
        hook: String::new(),
        detail: detail.to_owned(),
        without: without.to_owned(),
    }
}

/// Kernels before 5.11 count maps against this limit. Where it cannot be raised, later ones do not mind.
fn raise_locked_memory_limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        debug!(%error, "failed to raise the limit of locked memory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_a_probe_of_its_own_and_says_what_is_lost_without() {
        for family in Family::ALL {
            let probe = family.probe();
            assert_eq!(probe.family, family);
            assert!(!probe.without.is_empty());
            for (program, hook) in probe.programs.into_iter().zip(Hook::OF_TRACEPOINTS) {
                let is_left_out = hook == Hook::Tracepoint && program == Probe::NO_PROGRAM;
                assert!(is_left_out || program.ends_with(hook.name()), "{program}");
            }
        }
    }

    #[test]
    fn a_hook_of_other_probes_alone_leaves_a_probe_those_of_tracepoints() {
        let of = |family: Family, hooks: &[Hook]| family.probe().hooks(hooks);
        for (asked, syscall, exit) in [
            (
                &Hook::LADDER[..],
                &Hook::LADDER[..],
                &Hook::OF_TRACEPOINTS[..],
            ),
            (&[Hook::Fexit], &[Hook::Fexit], &Hook::OF_TRACEPOINTS),
            (&[Hook::RawTp], &[Hook::RawTp], &[Hook::RawTp]),
        ] {
            assert_eq!(of(Family::Syscall, asked), syscall);
            assert_eq!(of(Family::Exit, asked), exit);
        }
    }

    #[test]
    fn says_why_when_nothing_was_loaded() {
        let off = Family::Oom.probe().name;
        let config = ProbeConfig {
            disabled: vec![off.to_owned()],
            ..ProbeConfig::default()
        };
        let probes = all_missing(&config, &LoadError::NoObject.to_string());
        assert_eq!(probes.len(), Family::ALL.len() + 1);
        for probe in probes {
            let (state, why) = if probe.name == off {
                (State::Disabled, "configuration")
            } else {
                (State::Missing, "cargo xtask build-ebpf")
            };
            assert_eq!(probe.state(), state, "{}", probe.name);
            assert!(probe.detail.contains(why), "{}", probe.detail);
        }
    }
}
