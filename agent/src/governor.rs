//! Keeps what the agent costs its node within a budget, by letting probes go and taking them back, and tells which
//! ones are held. Must not touch the records that they write.

mod cost;
mod memory;
mod policy;

use std::{fmt, time::Duration};

use aya::Ebpf;
use inquest_proto::v1::{self, agent_cost::MemoryLevel};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tracing::{debug, info, warn};

use crate::{
    collect::OpenError,
    probes::{Family, ProbeSet},
    ship::status::NodeReport,
};
use cost::CostMeter;
use memory::{Memory, MemoryReading};
use policy::{Arming, Change, Policy, Window};

pub use memory::MemoryBound;
pub use policy::Mode;

/// Time over which costs are measured and after which it is decided.
const WINDOW: Duration = Duration::from_secs(1);
/// How much sooner a window may end, so that two ticks of half a second are one.
const WINDOW_SLACK: Duration = Duration::from_millis(50);
/// Requests to arm that wait for the next window; people make them.
const MAX_REQUESTS: usize = 4;

/// Probes that may be let go, the first one first: by what they cost in a storm against what they tell. Those that are
/// not listed are never let go: what they tell (kills, deaths, where signals come from, names of
/// cgroups) is what the agent is there for, and a node cannot make them costly for long.
const FIRST_TO_GO: &[Family] = &[
    Family::Syscall,
    Family::Drop,
    Family::SocketDrop,
    Family::Neighbor,
    Family::PacketSent,
    Family::PacketReceived,
    Family::TcpRetransmit,
    Family::TcpResetSent,
    Family::TcpResetReceived,
    Family::TcpState,
    Family::BlockIssue,
    Family::BlockComplete,
    Family::Exec,
];

/// What the agent may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// How probes are held.
    pub mode: Mode,
    /// Thousandths of one CPU, for the programs in the kernel and the process together.
    pub cpu_millis: f64,
    /// Memory of the process and of the maps together.
    pub memory: MemoryBound,
}

/// Asks a governor to hold all probes for a while.
#[derive(Clone, Debug)]
pub struct ArmRequests(mpsc::Sender<Duration>);

impl ArmRequests {
    /// Asks for `duration`. Returns whether the governor will hear of it: there may be requests enough already.
    pub fn arm(&self, duration: Duration) -> bool {
        self.0.try_send(duration).is_ok()
    }
}

/// Returns a channel on which a governor can be asked to arm probes.
pub fn arm_requests() -> (ArmRequests, mpsc::Receiver<Duration>) {
    let (sender, receiver) = mpsc::channel(MAX_REQUESTS);
    (ArmRequests(sender), receiver)
}

/// Holds the probes, and decides which of them.
pub(crate) struct Governor {
    probes: ProbeSet,
    meter: CostMeter,
    /// `None` when the kernel does not tell.
    memory: Option<Memory>,
    policy: Policy,
    report: watch::Sender<NodeReport>,
    requests: mpsc::Receiver<Duration>,
    started: Instant,
    window_began: Instant,
}

impl fmt::Debug for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Governor").finish_non_exhaustive()
    }
}

impl Governor {
    /// Takes over `probes` and holds all of them, whatever they cost. The maps of the programs are to be open.
    pub(crate) fn unlimited(ebpf: &mut Ebpf, probes: ProbeSet) -> Result<Self, OpenError> {
        let (_nobody, requests) = arm_requests();
        let now = Instant::now();
        Ok(Self {
            meter: CostMeter::open(ebpf)?,
            memory: Memory::open()
                .inspect_err(|error| {
                    warn!(%error, "the agent's memory cannot be measured, so its bound is not held");
                })
                .ok(),
            probes,
            policy: Policy::new(Mode::AlwaysOn, f64::INFINITY, []),
            report: watch::Sender::default(),
            requests,
            started: now,
            window_began: now,
        })
    }

    /// Keeps to `budget` from now on, hears `requests`, and tells what it does to `report`.
    pub(crate) fn hold_to(
        &mut self,
        budget: Budget,
        requests: mpsc::Receiver<Duration>,
        report: watch::Sender<NodeReport>,
    ) {
        let candidates = FIRST_TO_GO
            .iter()
            .filter(|family| self.probes.is_held(**family))
            .map(|family| family.name());
        self.policy = Policy::new(budget.mode, budget.cpu_millis, candidates);
        if let Some(memory) = &mut self.memory {
            info!(bytes = budget.memory.bytes(), set_by = %budget.memory, "the agent's memory is bounded");
            memory.hold_to(&budget.memory);
        }
        (self.requests, self.report) = (requests, report);
    }

    /// Returns how each probe fares.
    pub(crate) fn statuses(&self) -> Vec<v1::ProbeStatus> {
        self.probes.statuses()
    }

    /// Returns whether the probe of `family` records now.
    pub(crate) fn is_attached(&self, family: Family) -> bool {
        self.probes.is_attached(family)
    }

    /// Arms probes at once when a cgroup was created since the last tick: what runs in it first is worth watching.
    /// Decides on the rest, if a window is over, and then returns how near memory is to its bound. Attaching a probe may
    /// take some milliseconds.
    pub(crate) fn tick(&mut self, cgroup_created: bool) -> Option<MemoryLevel> {
        if let Some(arming) = self.arming(cgroup_created) {
            let changes = self.policy.ask(self.started.elapsed(), arming);
            self.make(&changes);
        }
        let length = self.window_began.elapsed();
        if length + WINDOW_SLACK < WINDOW {
            return None;
        }
        self.window_began = Instant::now();
        let memory = self.look_at_memory();
        match self.meter.window(length, self.probes.granted()) {
            Ok(window) => {
                let memory_is_short =
                    memory.is_some_and(|memory| memory.level == MemoryLevel::Short);
                self.judge(
                    &Window {
                        memory_is_short,
                        ..window
                    },
                    memory,
                );
            }
            Err(error) => debug!(%error, "failed to read what the programs cost"),
        }
        Some(memory.map_or(MemoryLevel::Ample, |memory| memory.level))
    }

    fn look_at_memory(&mut self) -> Option<MemoryReading> {
        let look = self.memory.as_mut()?.look();
        look.inspect_err(|error| debug!(%error, "failed to look at the agent's memory"))
            .ok()
    }

    fn judge(&mut self, window: &Window, memory: Option<MemoryReading>) {
        let changes = self.policy.decide(self.started.elapsed(), window);
        self.make(&changes);
        self.tell_cost(window, memory);
    }

    fn make(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::LetGo { probe, why } => {
                    info!(probe, why, "probe let go");
                    self.probes.let_go(probe, why);
                }
                Change::TakeBack { probe, note } => {
                    info!(probe, note, "probe taken back");
                    self.probes.take_back(probe, note);
                }
            }
        }
        if !changes.is_empty() {
            let statuses = self.probes.statuses();
            self.report
                .send_modify(|report| report.replace_probes(statuses));
        }
    }

    /// A request outweighs a new cgroup, and the last one those before.
    fn arming(&mut self, cgroup_created: bool) -> Option<Arming> {
        let mut arming = cgroup_created.then_some(Arming::NewCgroup);
        while let Ok(duration) = self.requests.try_recv() {
            arming = Some(Arming::Request { duration });
        }
        arming
    }

    /// Has the cost told at the next occasion, which need not be at once unless memory has come nearer to its bound or
    /// has gone away from it.
    fn tell_cost(&self, window: &Window, memory: Option<MemoryReading>) {
        let cost = v1::AgentCost {
            kernel_millis: window.kernel_millis(),
            user_millis: window.user_millis,
            budget_millis: self.policy.budget_millis(),
            memory_bytes: memory.map_or(0, |memory| memory.bytes),
            memory_max_bytes: memory.map_or(0, |memory| memory.max_bytes),
            memory_level: memory.map_or(0, |memory| memory.level.into()),
            ..v1::AgentCost::default()
        };
        self.report.send_if_modified(|report| {
            let before = report.cost.replace(cost);
            let level_before = before.map_or(MemoryLevel::Ample, |before| before.memory_level());
            let is_new = memory.is_some_and(|memory| memory.level != level_before);
            if is_new {
                tell_level(&cost);
            }
            is_new
        });
    }
}

fn tell_level(cost: &v1::AgentCost) {
    let (bytes, max_bytes) = (cost.memory_bytes, cost.memory_max_bytes);
    match cost.memory_level() {
        MemoryLevel::Unspecified | MemoryLevel::Ample => {
            info!(
                bytes,
                max_bytes, "there is room again in the agent's memory"
            );
        }
        MemoryLevel::Near => warn!(
            bytes,
            max_bytes,
            "the agent's memory is near its bound: caches are given up, and most that is not urgent is left out and counted"
        ),
        MemoryLevel::Short => warn!(
            bytes,
            max_bytes,
            "the agent's memory is short: probes are let go, and only what is urgent is told; raise `memory.max_size` \
             or the limit of the agent's cgroup"
        ),
    }
}
