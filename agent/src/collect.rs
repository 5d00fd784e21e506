//! Yields what the kernel side saw, in the order in which it was read: reads both ring buffers, the urgent one
//! first, and hands on attributed signals, losses and how far it has come. Must not store or send them.

pub(crate) mod address;
mod admission;
pub mod cgroupfs;
pub mod clock;
mod counted;
mod daemons;
mod dns;
mod exec_failures;
mod file_collector;
mod kernel_symbols;
mod last_words;
mod lifecycle;
mod loss_counters;
mod missed_runs;
mod oom;
mod out;
mod pace;
mod probe_log;
pub mod procfs;
mod rate_limit;
mod recent_processes;
mod ring_buffer;
mod source;
mod sources;
mod worker;
mod write_failures;

use std::{
    fmt, io,
    sync::{Arc, PoisonError},
    time::Duration,
};

use inquest_agent_abi::{CgroupIds, Lane, OomKill, RecordKind};
use inquest_proto::v1::{self, agent_cost::MemoryLevel, loss::Stage};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    attribute::{Attributor, OomEpisodes},
    decode::{self, DecodeError, Record},
    governor::{Budget, Governor},
    heap,
    kernel::Kernel,
    loss::Losses,
    probes::{Family, ProbeSet, Programs},
    ship::status::NodeReport,
};
use admission::Admission;
use cgroupfs::CgroupFs;
use clock::{Clock, ktime_now_ns};
use daemons::Daemons;
use dns::Dns;
use exec_failures::ExecFailures;
use lifecycle::Lifecycle;
use loss_counters::LossCounters;
use missed_runs::MissedRuns;
use out::Out;
use pace::Pace;
use probe_log::ProbeLog;
use recent_processes::RecentProcesses;
use ring_buffer::{Ring, WakingRing};
use source::Scheduled;

pub(crate) use sources::{POLLED, SourceParts, join_details, lists_listeners};

pub use file_collector::FileCollector;
pub use ring_buffer::OpenError;

/// Time between two readings of the bulk lane, and between two watermarks. Each tick wakes the process, which is
/// most of what an idle agent costs; the lane's ring holds what some 5,000 executions a second leave in between.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Time between two readings of the clocks.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// Bulk records read in one go, more than the ring holds: a storm of executions must not keep the urgent lane
/// and the rest of the agent waiting.
const MAX_BULK_AT_ONCE: usize = 4096;
/// Urgent records read in one go: a storm of deaths must not keep the bulk lane and the watermark waiting.
const MAX_URGENT_AT_ONCE: usize = 256;
/// Readings at the end, enough to empty both rings when nothing is written any more.
const LAST_READINGS: usize = 32;

/// One thing a collector hands on.
#[derive(Debug)]
pub enum Observed {
    /// An attributed signal; its id is still empty.
    Signal(Box<v1::Signal>),
    /// Something that was not kept.
    Loss(v1::Loss),
    /// Everything that probes saw happen before this wall-clock time has been handed on.
    Watermark(jiff::Timestamp),
}

/// What the programs record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// A map is missing.
    #[error("failed to open the maps of the eBPF object")]
    Open(#[from] OpenError),
    /// The runtime does not take the ring buffer.
    #[error("failed to wait for the urgent ring buffer")]
    Register(#[source] io::Error),
    /// The kernel grants no timer.
    #[error("failed to keep the pace of reading the bulk ring buffer")]
    Pace(#[source] io::Error),
}

/// Reads what the probes record. Keeps the programs loaded for as long as it lives, and attached as far as its
/// governor has it.
pub struct Collector {
    urgent: Ring,
    rest: Rest,
    governor: Governor,
}

/// Everything but the urgent lane, which is borrowed while it is waited for.
struct Rest {
    bulk: Ring,
    lost: LossCounters,
    attributor: Attributor,
    cgroups: Arc<CgroupFs>,
    lifecycle: Lifecycle,
    daemons: Daemons,
    exec_failures: ExecFailures,
    dns: Dns,
    recent_kills: RecentProcesses,
    oom_episodes: OomEpisodes,
    losses: Losses,
    admission: Admission,
    probe_log: ProbeLog,
    sources: Vec<Scheduled>,
    statuses: Vec<v1::ProbeStatus>,
    missed_runs: MissedRuns,
    /// Since the governor was last told.
    cgroup_created: bool,
    /// Whether any probe is attached; without one, a watermark would claim that somebody watched.
    is_watching: bool,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl Collector {
    /// Opens the maps of `programs`, which read `kernel`, and learns the cgroups that there are. All `probes` are
    /// held, whatever they cost.
    pub(crate) fn try_new(
        programs: Programs,
        kernel: &Kernel,
        parts: SourceParts,
        probes: ProbeSet,
    ) -> Result<Self, CollectorError> {
        let mut ebpf = programs.lock().unwrap_or_else(PoisonError::into_inner);
        let cgroups = Arc::clone(&parts.cgroups);
        let urgent = Ring::open(&mut ebpf, Lane::Urgent)?;
        let daemons = Daemons::find(&mut ebpf, cgroups.memberships())?;
        let sources = sources::open(&mut ebpf, kernel, parts);
        let is_watching = probes.is_any_attached();
        let returns = probes.return_programs();
        let governor = Governor::unlimited(&mut ebpf, probes)?;
        let rest = Rest {
            bulk: Ring::open(&mut ebpf, Lane::Bulk)?,
            lost: LossCounters::open(&mut ebpf)?,
            attributor: Attributor::new(Arc::clone(&cgroups), Clock::measure(), ktime_now_ns()),
            cgroups,
            lifecycle: Lifecycle::open(&mut ebpf)?,
            daemons,
            exec_failures: ExecFailures::default(),
            dns: Dns::default(),
            recent_kills: RecentProcesses::default(),
            oom_episodes: OomEpisodes::default(),
            losses: Losses::default(),
            admission: Admission::default(),
            probe_log: ProbeLog::open(&mut ebpf),
            sources: sources.scheduled,
            statuses: sources.statuses,
            missed_runs: MissedRuns::of(Arc::clone(&programs), returns),
            cgroup_created: false,
            is_watching,
        };
        Ok(Self {
            urgent,
            rest,
            governor,
        })
    }

    /// Returns whether any probe was attached: whether it will hand on watermarks.
    pub fn is_watching(&self) -> bool {
        self.rest.is_watching
    }

    /// Returns how the probes fare, and after them the sources that read files.
    pub fn statuses(&self) -> Vec<v1::ProbeStatus> {
        [self.governor.statuses(), self.rest.statuses.clone()].concat()
    }

    /// Lets probes go as `budget` and `requests` ask, from now on, and tells that to `report`.
    pub fn hold_to(
        &mut self,
        budget: Budget,
        requests: mpsc::Receiver<Duration>,
        report: watch::Sender<NodeReport>,
    ) {
        self.governor.hold_to(budget, requests, report);
    }

    /// Hands on what it reads to `out` until `shutdown`, then what is there at that moment.
    ///
    /// When `out` is full, urgent signals wait, bulk ones are dropped and counted.
    pub async fn run(
        self,
        out: mpsc::Sender<Observed>,
        shutdown: CancellationToken,
    ) -> Result<(), CollectorError> {
        let Self {
            urgent,
            mut rest,
            mut governor,
        } = self;
        let mut urgent = WakingRing::register(urgent).map_err(CollectorError::Register)?;
        let out = Out {
            sender: out,
            shutdown,
        };
        let mut poll = Pace::every(POLL_INTERVAL).map_err(CollectorError::Pace)?;
        let mut clock_measured = Instant::now();
        while !out.shutdown.is_cancelled() {
            tokio::select! {
                biased;
                () = out.shutdown.cancelled() => {}
                // Before the lane that may be readable all the time; it is read by this, too.
                ticked = poll.tick() => {
                    ticked.map_err(CollectorError::Pace)?;
                    rest.drain(&mut urgent, &out).await;
                    if let Some(level) = governor.tick(std::mem::take(&mut rest.cgroup_created)) {
                        rest.keep_within(level);
                    }
                    let sees_answers = governor.is_attached(Family::PacketReceived);
                    rest.dns.set_sees_answers(sees_answers, &mut rest.losses);
                }
                woken = urgent.woken() => {
                    if let Err(error) = woken {
                        warn!(%error, "failed to wait for the urgent ring buffer, polling instead");
                        poll.tick().await.map_err(CollectorError::Pace)?;
                    }
                    rest.drain_urgent(&mut urgent, &out).await;
                }
            }
            if clock_measured.elapsed() >= CLOCK_INTERVAL {
                clock_measured = Instant::now();
                rest.attributor.set_clock(Clock::measure());
            }
        }
        for _ in 0..LAST_READINGS {
            if rest.drain(&mut urgent, &out).await {
                break;
            }
        }
        rest.count_rest(&out);
        Ok(())
    }
}

impl Rest {
    /// Empties both rings if it can, and then tells how far that brought it: only once it has handed on what
    /// was lost until then, too. Returns whether it emptied them.
    async fn drain(&mut self, urgent: &mut WakingRing, out: &Out) -> bool {
        let began = jiff::Timestamp::now();
        let emptied_urgent = self.drain_urgent(urgent, out).await;
        let emptied = self.drain_bulk(out) && emptied_urgent;
        self.tell_exec_failures(out).await;
        self.lifecycle.keep_room();
        // First: what was lost decides on what can be told.
        let counted = self.count_lost();
        self.read_sources(out);
        out.report(&mut self.losses);
        self.probe_log.flush();
        if emptied && counted && self.is_watching {
            out.advance(began, &self.losses);
        }
        emptied
    }

    /// Returns whether it emptied the ring.
    async fn drain_urgent(&mut self, urgent: &mut WakingRing, out: &Out) -> bool {
        for _ in 0..MAX_URGENT_AT_ONCE {
            let Some(decoded) = urgent.next(decode::decode) else {
                return true;
            };
            let Some(record) = self.keep_decoded(decoded) else {
                continue;
            };
            for signal in self.urgent_signals(record, out).await {
                out.send(signal, &mut self.losses).await;
            }
        }
        false
    }

    /// Returns whether it emptied the ring.
    fn drain_bulk(&mut self, out: &Out) -> bool {
        for _ in 0..MAX_BULK_AT_ONCE {
            let Some(decoded) = self.bulk.next(decode::decode) else {
                return true;
            };
            let Some(record) = self.keep_decoded(decoded) else {
                continue;
            };
            for signal in self.bulk_signals(record) {
                out.send_or_drop(signal, &mut self.admission, &mut self.losses);
            }
        }
        false
    }

    async fn tell_exec_failures(&mut self, out: &Out) {
        let due = self
            .exec_failures
            .due(&mut self.attributor, &self.cgroups, &mut self.losses);
        for signal in due.await {
            out.send_or_drop(signal, &mut self.admission, &mut self.losses);
        }
    }

    fn read_sources(&mut self, out: &Out) {
        for source in &mut self.sources {
            for signal in source.read_if_due(&mut self.attributor, &mut self.losses) {
                out.send_or_drop(signal, &mut self.admission, &mut self.losses);
            }
        }
        for signal in self.dns.due(&mut self.attributor) {
            out.send_or_drop(signal, &mut self.admission, &mut self.losses);
        }
    }

    fn keep_decoded(&mut self, decoded: Result<Record, DecodeError>) -> Option<Record> {
        match decoded {
            Ok(record) => Some(record),
            Err(error) => {
                debug!(%error, "record dropped");
                self.losses.add(Stage::Decode, error.reason(), 1);
                None
            }
        }
    }

    async fn urgent_signals(&mut self, record: Record, out: &Out) -> Vec<v1::Signal> {
        match record {
            Record::OomKill(kill) => {
                self.learn_first(&kill.victim_cgroups, out);
                if oom::is_told(&kill, &mut self.recent_kills) {
                    vec![self.oom_signal(kill).await]
                } else {
                    debug!(pid = kill.victim.pid, was_dying = kill.was_dying, "no kill");
                    Vec::new()
                }
            }
            Record::ProcessExit(exit) => {
                // An init's executions may still be on the bulk lane, and they are told with its end.
                if exit.process.container_init == 1 {
                    let _emptied = self.drain_bulk(out);
                }
                self.learn_first(&exit.cgroups, out);
                let daemon = self.daemons.exited(&exit, &mut self.attributor);
                let exit = self.lifecycle.exited(&exit, &mut self.attributor);
                daemon.into_iter().chain(exit).collect()
            }
            other => self.bulk_signals(other),
        }
    }

    /// Reads the bulk lane when it may hold the name of a cgroup that is not known yet.
    fn learn_first(&mut self, ids: &CgroupIds, out: &Out) {
        if !self.attributor.knows(ids) {
            // What is left is read soon enough.
            let _emptied = self.drain_bulk(out);
        }
    }

    fn bulk_signals(&mut self, record: Record) -> Vec<v1::Signal> {
        match record {
            Record::CgroupCreated(created) => {
                self.attributor.learn(&created);
                self.cgroup_created = true;
                Vec::new()
            }
            Record::ProcessExec(exec) => {
                self.exec_failures.executed(&exec.process);
                let cgroup = self.attributor.identity(&exec.cgroups);
                self.attributor
                    .learn_netns(exec.netns, cgroup, exec.header.ktime_ns);
                self.daemons.executed(&exec, &mut self.attributor);
                lifecycle::executed(&exec, &mut self.attributor)
            }
            Record::DnsMessage(message) => {
                self.dns.saw(&message, &mut self.losses);
                Vec::new()
            }
            Record::ExecFailed(failed) => {
                self.exec_failures.failed(&failed, &mut self.losses);
                Vec::new()
            }
            Record::ProcessExit(exit) => {
                // One that failed before the kernel side knew what it is.
                let daemon = self.daemons.exited(&exit, &mut self.attributor);
                let exit = self.lifecycle.exited(&exit, &mut self.attributor);
                daemon.into_iter().chain(exit).collect()
            }
            Record::CgroupRemoved(removed) => self
                .lifecycle
                .removed(&removed, &mut self.attributor, &mut self.losses)
                .into_iter()
                .collect(),
            // Never written to the bulk lane; without what the urgent one reads, it would mislead.
            Record::OomKill(_) => {
                self.losses.add(Stage::Decode, "wrong_lane", 1);
                Vec::new()
            }
        }
    }

    /// Gives up what it can do without while memory is near its bound, and takes in less.
    fn keep_within(&mut self, level: MemoryLevel) {
        self.admission.set_level(level);
        if matches!(level, MemoryLevel::Unspecified | MemoryLevel::Ample) {
            return;
        }
        self.attributor.shed();
        self.dns.shed();
        for source in &mut self.sources {
            source.shed();
        }
        heap::give_back();
    }

    async fn oom_signal(&mut self, kill: Box<OomKill>) -> v1::Signal {
        self.attributor
            .learn_chain(decode::chain(&kill), kill.chain_truncated == 1);
        let plan = oom::plan(
            &kill,
            &mut self.attributor,
            &mut self.oom_episodes,
            Arc::clone(&self.cgroups),
        );
        let scope = plan.scope;
        // File system reads, some of them slow when memory is short: not on the runtime's own thread.
        let readings = tokio::task::spawn_blocking(move || plan.read())
            .await
            .unwrap_or_default();
        self.attributor.oom_signal(&kill, scope, readings)
    }

    /// Counts what the kernel side could not keep. Returns whether it could be told.
    fn count_lost(&mut self) -> bool {
        let told = self.lost.tell(&mut self.losses);
        match &told {
            Ok(kinds) if kinds.contains(&RecordKind::DNS_MESSAGE) => {
                self.dns.missed_answers(&mut self.losses);
            }
            Ok(_) => {}
            Err(error) => debug!(%error, "failed to read what was lost"),
        }
        self.missed_runs.tell_if_due(&mut self.losses);
        told.is_ok()
    }

    /// Counts what was lost until now, before the programs are let go.
    fn count_rest(&mut self, out: &Out) {
        for source in &mut self.sources {
            source.finish(&mut self.attributor, &mut self.losses);
        }
        let _told = self.count_lost();
        self.missed_runs.tell(&mut self.losses);
        out.report(&mut self.losses);
    }
}
