//! Keeps what the agent costs its node within a budget, by letting probes go and taking them back, and tells which
//! ones are held. Must not touch the records that they write.

mod cost;
mod policy;

use std::{fmt, time::Duration};

use aya::Ebpf;
use inquest_proto::v1;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tracing::{debug, info};

use crate::{
    collect::OpenError,
    probes::{Family, ProbeSet},
    ship::status::NodeReport,
};
use cost::CostMeter;
use policy::{Arming, Change, Policy, Window};

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
    /// Takes over `probes` and holds all of them, whatever they cost.
    pub(crate) fn unlimited(ebpf: &mut Ebpf, probes: ProbeSet) -> Result<Self, OpenError> {
        let (_nobody, requests) = arm_requests();
        let now = Instant::now();
        Ok(Self {
            meter: CostMeter::open(ebpf)?,
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
        (self.requests, self.report) = (requests, report);
    }

    /// Returns how each probe fares.
    pub(crate) fn statuses(&self) -> Vec<v1::ProbeStatus> {
        self.probes.statuses()
    }

    /// Arms probes at once when a cgroup was created since the last tick: what runs in it first is worth watching.
    /// Decides on the rest, if a window is over. Attaching a probe may take some milliseconds.
    pub(crate) fn tick(&mut self, cgroup_created: bool) {
        if let Some(arming) = self.arming(cgroup_created) {
            let changes = self.policy.ask(self.started.elapsed(), arming);
            self.make(&changes);
        }
        let length = self.window_began.elapsed();
        if length + WINDOW_SLACK < WINDOW {
            return;
        }
        self.window_began = Instant::now();
        match self.meter.window(length, self.probes.granted()) {
            Ok(window) => self.judge(&window),
            Err(error) => debug!(%error, "failed to read what the programs cost"),
        }
    }

    fn judge(&mut self, window: &Window) {
        let changes = self.policy.decide(self.started.elapsed(), window);
        self.make(&changes);
        self.tell_cost(window);
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

    /// Has the cost told at the next occasion, which need not be at once.
    fn tell_cost(&self, window: &Window) {
        self.report.send_if_modified(|report| {
            report.cost = Some(v1::AgentCost {
                kernel_millis: window.kernel_millis(),
                user_millis: window.user_millis,
                budget_millis: self.policy.budget_millis(),
                ..v1::AgentCost::default()
            });
            false
        });
    }
}
