//! Tells where the threads of a slow container spend their time: has the scheduler's hooks watch a cgroup for a
//! window, on request or because its threads look stuck, and adds up what they counted. Off while nothing is watched.

mod futex;
mod locks;
mod profile;
mod state;
mod suspects;
mod target;
mod wait_maps;

use std::{sync::Arc, time::Duration};

use aya::Ebpf;
use inquest_agent_abi::WatchedCgroup;
use inquest_proto::v1::{self, loss::Stage, signal::Body};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{
    super::{cgroupfs::CgroupFs, clock::ktime_now_ns, ring_buffer::OpenError, source::Source},
    SourceParts,
};
use crate::{
    attribute::Attributor,
    loss::Losses,
    probes::{AttachError, Switch, ThreadWalks, WaitProbes},
    profile_desk::{ProfileDesk, ProfileRefusal, ProfileRequest},
    telemetry::ErrorChain,
};
use locks::Locks;
use suspects::Suspects;
use wait_maps::WaitMaps;

/// The longest that a request waits.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time between two looks at all threads of the node: on an idle node, little else costs.
const LOOK_INTERVAL: Duration = Duration::from_secs(3);
/// How long a cgroup is watched that nobody asked about.
const SUSPECT_WINDOW: Duration = Duration::from_secs(5);
/// Cgroups watched at once that nobody asked about, so that there is always room for those that somebody does.
const MAX_SUSPECTS: usize = 8;
/// Cgroups watched at once.
const MAX_WINDOWS: usize = inquest_agent_abi::WATCHED_CGROUPS as usize;

/// Watches cgroups and tells their profiles.
pub(super) struct WaitProfiler {
    maps: WaitMaps,
    /// `None` when the scheduler's hooks cannot be had: every request is refused.
    probes: Option<WaitProbes>,
    desk: ProfileDesk,
    cgroups: Arc<CgroupFs>,
    windows: Vec<Window>,
    suspects: Suspects,
    next_look: Instant,
}

/// A cgroup that is watched.
struct Window {
    cgroup: u64,
    began_ktime_ns: u64,
    ends: Instant,
    suspect: bool,
    locks: Locks,
}

impl WaitProfiler {
    /// Takes the maps of the scheduler's hooks out of `ebpf`.
    pub(super) fn open(ebpf: &mut Ebpf, parts: SourceParts) -> Result<Self, OpenError> {
        Ok(Self {
            maps: WaitMaps::open(ebpf)?,
            probes: parts.wait_probes,
            desk: parts.profile_desk,
            cgroups: parts.cgroups,
            windows: Vec::new(),
            suspects: Suspects::default(),
            next_look: Instant::now(),
        })
    }

    fn serve_requests(&mut self) {
        while let Some(ProfileRequest {
            target,
            window,
            reply,
        }) = self.desk.take()
        {
            let begun = target::resolve(&self.cgroups, &target)
                .and_then(|(id, path)| self.watch(id, window, false).map(|()| path));
            if reply.send(begun).is_err() {
                debug!(
                    %target,
                    "whoever asked for a profile did not wait for the answer"
                );
            }
        }
    }

    /// Looks at all threads that wait: watches the cgroups of those that look stuck, and sees what locks are waited for in
    /// those that are watched.
    fn look_at_threads(&mut self) {
        let Some(walks) = self
            .probes
            .as_ref()
            .and_then(|probes| probes.walks.as_ref())
        else {
            return;
        };
        let told = match walks.suspects() {
            Ok(told) => told,
            Err(error) => return debug!(error = %ErrorChain(&error), "no look at the threads"),
        };
        let threads = suspects::parse(&told);
        for cgroup in self.suspects.look(&threads, ktime_now_ns()) {
            let watched = self.windows.iter().filter(|window| window.suspect).count();
            if watched < MAX_SUSPECTS {
                info!(cgroup, "threads look stuck, watching their cgroup");
                if let Err(refusal) = self.watch(cgroup, SUSPECT_WINDOW, true) {
                    debug!(cgroup, %refusal, "not watched");
                }
            }
        }
        for window in &mut self.windows {
            window.locks.look(&threads, window.cgroup);
        }
    }

    /// Watches cgroup `id` for `window` from now on, or for longer when it is watched already.
    fn watch(&mut self, id: u64, window: Duration, suspect: bool) -> Result<(), ProfileRefusal> {
        let ends = Instant::now() + window;
        if let Some(watched) = self.windows.iter_mut().find(|watched| watched.cgroup == id) {
            watched.ends = watched.ends.max(ends);
            return Ok(());
        }
        if self.windows.len() >= MAX_WINDOWS {
            return Err(ProfileRefusal::Busy);
        }
        let probes = self.probes.as_mut().ok_or(ProfileRefusal::NoProbe)?;
        let began_ktime_ns = ktime_now_ns();
        if let Err(error) = self.maps.watch(id, began_ktime_ns) {
            warn!(error = %ErrorChain(&error), "failed to watch a cgroup");
            return Err(ProfileRefusal::NoProbe);
        }
        if let Err(error) = switch_on(probes) {
            warn!(error = %ErrorChain(&error), "failed to attach the scheduler's hooks");
            self.maps.unwatch(id);
            return Err(ProfileRefusal::NoProbe);
        }
        take_up_threads(probes.walks.as_ref());
        self.windows.push(Window {
            cgroup: id,
            began_ktime_ns,
            ends,
            suspect,
            locks: Locks::default(),
        });
        Ok(())
    }

    /// Returns the profiles of the windows that have ended.
    fn end_windows(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal> {
        let now = Instant::now();
        let (ended, going_on) = std::mem::take(&mut self.windows)
            .into_iter()
            .partition(|window| window.ends <= now);
        self.windows = going_on;
        let signals = ended
            .into_iter()
            .filter_map(|window| self.end(&window, attributor, losses))
            .collect();
        if self.windows.is_empty() {
            self.switch_off();
        }
        signals
    }

    fn end(
        &mut self,
        window: &Window,
        attributor: &mut Attributor,
        losses: &mut Losses,
    ) -> Option<v1::Signal> {
        let ended_ktime_ns = ktime_now_ns();
        let WatchedCgroup { overflows, .. } = self.maps.unwatch(window.cgroup)?;
        losses.add(Stage::RateLimit, "wait_totals_full", overflows);
        let counted = self
            .maps
            .take(window.cgroup, window.began_ktime_ns, ended_ktime_ns);
        let shares = profile::shares(&counted);
        let thread_time_ns = counted.iter().map(|spent| spent.total_ns).sum();
        if thread_time_ns == 0 {
            debug!(cgroup = window.cgroup, "a watched cgroup has no threads");
            return None;
        }
        let profile = v1::WaitProfile {
            start: Some(attributor.wall(window.began_ktime_ns)),
            thread_time_ns,
            shares,
            looked_stuck: window.suspect,
            locks: window.locks.told(),
        };
        let body = Body::WaitProfile(profile);
        let subject = attributor.cgroup_subject(window.cgroup, ended_ktime_ns);
        Some(attributor.signal(ended_ktime_ns, subject, body))
    }

    fn switch_off(&mut self) {
        let switches = self
            .probes
            .iter_mut()
            .flat_map(|probes| &mut probes.switches);
        for switch in switches {
            if let Err(error) = switch.off() {
                warn!(error = %ErrorChain(&error), "failed to detach a hook of the scheduler");
            }
        }
    }
}

impl Source for WaitProfiler {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn read(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal> {
        self.serve_requests();
        // Each look tells whether a thread still waits for the same thing, and of a watched cgroup more about its locks.
        let is_in_suspense = self.suspects.has_any() || !self.windows.is_empty();
        if is_in_suspense || self.next_look <= Instant::now() {
            self.next_look = Instant::now() + LOOK_INTERVAL;
            self.look_at_threads();
        }
        self.end_windows(attributor, losses)
    }

    /// Profiles end early: their threads fill the maps and then a signal each.
    fn shed(&mut self) {
        let now = Instant::now();
        for window in &mut self.windows {
            window.ends = window.ends.min(now);
        }
    }
}

fn switch_on(probes: &mut WaitProbes) -> Result<(), AttachError> {
    probes.switches.iter_mut().try_for_each(Switch::on)
}

/// Without a walk, threads are taken up when they run.
fn take_up_threads(walks: Option<&ThreadWalks>) {
    if let Some(walks) = walks
        && let Err(error) = walks.take_up_watched()
    {
        warn!(error = %ErrorChain(&error), "threads that do not run are missing in a profile");
    }
}
