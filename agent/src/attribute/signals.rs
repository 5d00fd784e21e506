//! Makes signals of records. Id and node are given later, by whoever ships
//! them; must not read anything.

use inquest_agent_abi::{
    MemoryCgroup, OomKill, ProcessExit, ResidentPages, SignalOrigin, SignalSource,
};
use inquest_proto::v1::{
    self, CgroupMemoryStat, FatalSignal, MemoryUsage, ProcessMemory,
    fatal_signal::{self, SenderClass},
    oom_kill,
    signal::Body,
};

use super::{
    Attributor, FailedBefore, OomScope,
    oom_scope::{Chain, Counter, Level, OomEpisodes, oom_scope},
    sender_class::{Party, sender_class},
    subject_of, wire_process,
};
use crate::{collect::procfs::Leftover, decode};

/// `PAGE_COUNTER_MAX` of 64-bit kernels is this many bytes, in pages; such a limit is none.
const UNLIMITED_BYTES: u64 = i64::MAX as u64;

/// The number of the v2 hierarchy.
const UNIFIED: u32 = 0;

/// What the agent read of an OOM kill just after it.
#[derive(Clone, Debug, Default)]
pub struct OomReadings {
    /// Of the limiting cgroup, or of the victim's own.
    pub cgroup_stat: Option<CgroupMemoryStat>,
    /// Largest first.
    pub top_processes: Vec<ProcessMemory>,
    /// Of a victim of which the kernel told no more than its pid.
    pub leftover: Option<Leftover>,
}

/// What the agent read of an end just after it.
#[derive(Clone, Debug, Default)]
pub struct ExitReadings {
    /// The file that the sender of the signal runs, as far as it can be told.
    pub sender_program: Option<String>,
    /// What failed in its cgroup before.
    pub before: FailedBefore,
}

impl Attributor {
    /// Returns what came of the last thread's end: where the signal that ended it came from, if that is known,
    /// then the exit itself.
    pub fn exit_signals(&mut self, exit: &ProcessExit, readings: ExitReadings) -> Vec<v1::Signal> {
        let ktime_ns = exit.header.ktime_ns;
        let subject = self.subject(&exit.process, &exit.cgroups, ktime_ns);
        let signal = exit.wait_status & 0x7f;
        let mut signals = Vec::with_capacity(2);
        if signal != 0 && exit.origin.source != SignalSource::UNKNOWN {
            let mut fatal = self.fatal_signal(&exit.origin, ktime_ns);
            fatal.set_sender_class(class(
                &fatal,
                &exit.origin,
                &subject,
                readings.sender_program.as_deref(),
            ));
            let body = Body::FatalSignal(fatal);
            signals.push(self.signal(exit.origin.ktime_ns, subject.clone(), body));
            signals.extend(self.seccomp_kill_signal(exit, &subject));
        }
        let code = if signal == 0 {
            exit.wait_status >> 8 & 0xff
        } else {
            0
        };
        let body = Body::ProcessExit(v1::ProcessExit {
            code,
            signal,
            core_dumped: exit.wait_status & 0x80 != 0,
            exec_chain: self.lives.take_chain(&exit.process),
            last_words: readings.before.calls,
            last_words_dropped: readings.before.dropped,
        });
        signals.push(self.signal(ktime_ns, subject, body));
        signals
    }

    /// Returns that the OOM killer killed a process, `scope` being [`scope_of`] the same record.
    pub fn oom_signal(
        &mut self,
        kill: &OomKill,
        scope: OomScope,
        readings: OomReadings,
    ) -> v1::Signal {
        let ktime_ns = kill.header.ktime_ns;
        let subject = match &readings.leftover {
            Some(leftover) if kill.victim_known == 0 => self.leftover_subject(kill, leftover),
            _ => self.subject(&kill.victim, &kill.victim_cgroups, ktime_ns),
        };
        let (wire_scope, limiting) = match scope {
            OomScope::Memcg(index) => (oom_kill::Scope::Memcg, Some(index as u32)),
            OomScope::Global => (oom_kill::Scope::Global, None),
            OomScope::Unknown => (oom_kill::Scope::Unspecified, None),
        };
        let known = kill.victim_known == 1;
        let (chain, hierarchy) = (decode::chain(kill), kill.victim_cgroups.memory_hierarchy);
        let body = Body::OomKill(v1::OomKill {
            scope: wire_scope.into(),
            chain: chain
                .iter()
                .map(|level| wire_level(level, hierarchy))
                .collect(),
            limiting,
            victim_usage: known.then(|| usage(&kill.resident)),
            oom_score_adj: kill.oom_score_adj,
            trigger: Some(wire_process(&kill.trigger)),
            cgroup_stat: readings.cgroup_stat,
            top_processes: readings.top_processes,
        });
        self.signal(ktime_ns, subject, body)
    }

    /// Returns the subject of a victim of which procfs tells what the kernel did not.
    fn leftover_subject(&mut self, kill: &OomKill, leftover: &Leftover) -> v1::Subject {
        let process = v1::Process {
            comm: leftover.comm.clone(),
            parent_pid: leftover.parent_pid,
            ..wire_process(&kill.victim)
        };
        let cgroup = leftover.cgroup.as_ref().map(|path| v1::Cgroup {
            id: self.cgroups.id_of(path).unwrap_or(0),
            hierarchy: self.cgroups.hierarchy(),
            path: path.clone(),
        });
        subject_of(cgroup, process)
    }

    fn fatal_signal(&mut self, origin: &SignalOrigin, ktime_ns: u64) -> FatalSignal {
        let from_user = origin.source == SignalSource::USER;
        let sender_cgroup = if from_user {
            self.cgroup(self.identity(&origin.sender_cgroups), ktime_ns)
        } else {
            None
        };
        FatalSignal {
            signal: origin.signal,
            code: origin.code,
            origin: wire_origin(origin.source).into(),
            sender: from_user.then(|| wire_process(&origin.sender)),
            sender_cgroup,
            fault_address: (origin.source == SignalSource::FAULT_AT_ADDRESS)
                .then_some(origin.fault_address),
            ..FatalSignal::default()
        }
    }

    /// Returns a signal as of `ktime_ns`.
    pub(crate) fn signal(&self, ktime_ns: u64, subject: v1::Subject, body: Body) -> v1::Signal {
        v1::Signal {
            observed_at: Some(self.clock.wall(ktime_ns)),
            ktime_ns,
            subject: Some(subject),
            body: Some(body),
            ..v1::Signal::default()
        }
    }
}

/// Returns what the sender of `fatal` is to `subject`; a fault has no sender.
fn class(
    fatal: &FatalSignal,
    origin: &SignalOrigin,
    subject: &v1::Subject,
    sender_program: Option<&str>,
) -> SenderClass {
    let (Some(sender), Some(process)) = (&fatal.sender, &subject.process) else {
        return if fatal.origin() == fatal_signal::Origin::Kernel {
            SenderClass::Kernel
        } else {
            SenderClass::Unspecified
        };
    };
    let parent_pid = match origin.target_parent_pid {
        0 => process.parent_pid,
        known => known,
    };
    sender_class(
        &Party::new(sender, fatal.sender_cgroup.as_ref()),
        &Party::new(process, subject.cgroup.as_ref()),
        parent_pid,
        sender_program.unwrap_or(&sender.comm),
    )
}

/// Decides what ran out of memory, and remembers it for the next victim of the same OOM.
pub fn scope_of(kill: &OomKill, episodes: &mut OomEpisodes) -> OomScope {
    let ktime_ns = kill.header.ktime_ns;
    let hierarchy = kill.victim_cgroups.memory_hierarchy;
    let levels: Vec<Level> = decode::chain(kill)
        .iter()
        .map(|record| Level {
            was_limiting: episodes.was_limiting(record.id, ktime_ns),
            ..level(record, hierarchy)
        })
        .collect();
    let chain = Chain {
        levels: &levels,
        is_complete: kill.chain_truncated == 0,
    };
    let trigger_complete = kill.trigger_chain_len > 0 && kill.trigger_chain_truncated == 0;
    let scope = oom_scope(chain, trigger_complete.then(|| decode::trigger_chain(kill)));
    if let OomScope::Memcg(index) = scope
        && let Some(limiting) = levels.get(index)
    {
        episodes.remember(limiting.id, ktime_ns);
    }
    scope
}

/// Returns what the victim held in memory, in bytes.
pub fn resident_bytes(kill: &OomKill) -> u64 {
    let ResidentPages {
        anon,
        file,
        shmem,
        swap: _,
    } = kill.resident;
    bytes(anon.saturating_add(file).saturating_add(shmem))
}

/// Reads a level's counters; `hierarchy` is the memory controller's.
fn level(level: &MemoryCgroup, hierarchy: u32) -> Level {
    // On v2 the same place holds the count of swap alone, which fails no charge of memory: runtimes limit it
    // to nothing, and it would look as if it were at its limit always.
    let memsw = if hierarchy == UNIFIED {
        Counter::default()
    } else {
        counter(level.memsw_usage_pages, level.memsw_max_pages)
    };
    Level {
        id: level.id,
        memory: counter(level.usage_pages, level.max_pages),
        memsw,
        oom_events: oom_events(level),
        was_limiting: false,
    }
}

/// A level by the counter that says most: memory, unless it is memory and swap together that is at its limit.
fn wire_level(record: &MemoryCgroup, hierarchy: u32) -> v1::MemoryCgroup {
    let level = level(record, hierarchy);
    let by_memsw = level.memsw.is_at_limit() && !level.memory.is_at_limit();
    let counter = if by_memsw { level.memsw } else { level.memory };
    v1::MemoryCgroup {
        id: record.id,
        name: decode::text(&record.name),
        usage_bytes: counter.usage,
        max_bytes: counter.max,
        failcnt: record.failcnt,
        oom_events: level.oom_events,
        oom_group: record.oom_group == 1,
    }
}

fn counter(usage_pages: u64, max_pages: u64) -> Counter {
    let max = bytes(max_pages);
    let page_bytes = rustix::param::page_size() as u64;
    let unlimited = max >= UNLIMITED_BYTES - page_bytes;
    Counter {
        usage: bytes(usage_pages),
        max: (!unlimited).then_some(max),
    }
}

fn oom_events(level: &MemoryCgroup) -> Option<u64> {
    (level.oom_events != MemoryCgroup::OOM_EVENTS_UNKNOWN).then_some(level.oom_events)
}

fn usage(resident: &ResidentPages) -> MemoryUsage {
    MemoryUsage {
        anon_bytes: bytes(resident.anon),
        file_bytes: bytes(resident.file),
        shmem_bytes: bytes(resident.shmem),
        swap_bytes: bytes(resident.swap),
    }
}

fn bytes(pages: u64) -> u64 {
    pages.saturating_mul(rustix::param::page_size() as u64)
}

fn wire_origin(source: SignalSource) -> fatal_signal::Origin {
    match source {
        SignalSource::KERNEL => fatal_signal::Origin::Kernel,
        SignalSource::USER => fatal_signal::Origin::User,
        SignalSource::FAULT | SignalSource::FAULT_AT_ADDRESS => fatal_signal::Origin::Fault,
        _ => fatal_signal::Origin::Unspecified,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use inquest_agent_abi::{CgroupIds, MAX_CGROUP_LEVELS, RecordHeader, RecordKind, UNKNOWN_CALL};

    use super::*;
    use crate::attribute::tests::{NOWHERE, attributor, level as sample_level, process};

    const PAGES_PER_MIB: u64 = 256;
    const V1_HIERARCHY: u32 = 4;

    fn header(kind: RecordKind, ktime_ns: u64) -> RecordHeader {
        RecordHeader {
            kind,
            reserved: 0,
            ktime_ns,
        }
    }

    fn origin(source: SignalSource) -> SignalOrigin {
        SignalOrigin {
            ktime_ns: 900,
            target_start_ktime_ns: 7,
            fault_address: 0xdead,
            source,
            signal: 11,
            code: 1,
            target_dying: 0,
            target_parent_pid: 0,
            call: UNKNOWN_CALL,
            sender: process(77),
            sender_cgroups: CgroupIds {
                memory: 4,
                unified: 4,
                ..NOWHERE
            },
        }
    }

    pub(in crate::attribute) fn exit(wait_status: u32, source: SignalSource) -> ProcessExit {
        ProcessExit {
            header: header(RecordKind::PROCESS_EXIT, 1000),
            process: process(42),
            cgroups: NOWHERE,
            wait_status,
            reserved: 0,
            origin: origin(source),
        }
    }

    fn exit_body(signal: &v1::Signal) -> &v1::ProcessExit {
        match signal.body.as_ref().unwrap() {
            Body::ProcessExit(exit) => exit,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn splits_a_wait_status() {
        for (status, code, signal, core) in [
            (0, 0, 0, false),
            (3 << 8, 3, 0, false),
            (9, 0, 9, false),
            (0x8b, 0, 11, true),
        ] {
            let signals = attributor().exit_signals(
                &exit(status, SignalSource::UNKNOWN),
                ExitReadings::default(),
            );
            assert_eq!(signals.len(), 1, "an unknown origin is not told");
            let body = exit_body(&signals[0]);
            assert_eq!(
                (body.code, body.signal, body.core_dumped),
                (code, signal, core)
            );
        }
    }

    #[test]
    fn tells_the_origin_before_the_death_it_caused() {
        let user = (fatal_signal::Origin::User, true, None);
        let cases = [
            (SignalSource::USER, user),
            (
                SignalSource::KERNEL,
                (fatal_signal::Origin::Kernel, false, None),
            ),
            (
                SignalSource::FAULT,
                (fatal_signal::Origin::Fault, false, None),
            ),
            (
                SignalSource::FAULT_AT_ADDRESS,
                (fatal_signal::Origin::Fault, false, Some(0xdead)),
            ),
        ];
        for (source, (expected, has_sender, address)) in cases {
            let signals = attributor().exit_signals(&exit(11, source), ExitReadings::default());
            let [fatal, exit] = signals.as_slice() else {
                panic!("{signals:?}")
            };
            assert!(fatal.ktime_ns < exit.ktime_ns);
            assert_eq!(fatal.subject, exit.subject);
            let Some(Body::FatalSignal(fatal)) = &fatal.body else {
                panic!("{fatal:?}")
            };
            assert_eq!(fatal.origin(), expected);
            assert_eq!(
                fatal.sender.as_ref().map(|sender| sender.pid),
                has_sender.then_some(77)
            );
            assert_eq!(fatal.sender_cgroup.is_some(), has_sender);
            assert_eq!(fatal.fault_address, address);
        }
    }

    #[test]
    fn tells_no_origin_of_a_plain_exit() {
        let signals =
            attributor().exit_signals(&exit(1 << 8, SignalSource::USER), ExitReadings::default());
        assert_eq!(signals.len(), 1);
    }

    fn kill(levels: &[MemoryCgroup]) -> OomKill {
        let mut chain = [sample_level(0, ""); MAX_CGROUP_LEVELS];
        chain[..levels.len()].copy_from_slice(levels);
        OomKill {
            header: header(RecordKind::OOM_KILL, 1000),
            victim: process(42),
            victim_cgroups: NOWHERE,
            trigger: process(43),
            trigger_cgroups: NOWHERE,
            resident: ResidentPages {
                anon: 10,
                file: 2,
                shmem: 1,
                swap: 5,
            },
            oom_score_adj: -3,
            victim_known: 1,
            chain_len: levels.len() as u32,
            chain_truncated: 0,
            trigger_chain_len: 0,
            trigger_chain_truncated: 0,
            was_dying: 0,
            reserved: 0,
            trigger_chain: [0; MAX_CGROUP_LEVELS],
            chain,
        }
    }

    fn limited(id: u64, usage_mib: u64, max_mib: u64) -> MemoryCgroup {
        MemoryCgroup {
            usage_pages: usage_mib * PAGES_PER_MIB,
            max_pages: max_mib * PAGES_PER_MIB,
            oom_events: 1,
            ..sample_level(id, "limited")
        }
    }

    #[test]
    fn tells_an_oom_kill_with_its_limiting_ancestor() {
        let kill = kill(&[
            sample_level(3, "inner"),
            limited(2, 64, 64),
            sample_level(1, "/"),
        ]);
        let scope = scope_of(&kill, &mut OomEpisodes::default());
        assert_eq!(scope, OomScope::Memcg(1));
        let signal = attributor().oom_signal(&kill, scope, OomReadings::default());
        let Some(Body::OomKill(body)) = &signal.body else {
            panic!("{signal:?}")
        };
        assert_eq!(
            (body.scope(), body.limiting),
            (oom_kill::Scope::Memcg, Some(1))
        );
        assert_eq!(body.chain[1].max_bytes, Some(64 << 20));
        assert_eq!(
            (body.chain[0].name.as_str(), body.chain[0].max_bytes),
            ("inner", None)
        );
        assert_eq!(body.victim_usage.unwrap().swap_bytes, bytes(5));
        assert_eq!(resident_bytes(&kill), bytes(13));
    }

    #[test]
    fn shows_the_counter_that_was_at_its_limit() {
        let mut level = limited(2, 40, 64);
        level.memsw_usage_pages = 64 * PAGES_PER_MIB;
        level.memsw_max_pages = 64 * PAGES_PER_MIB;
        let shown = wire_level(&level, V1_HIERARCHY);
        assert_eq!(
            (shown.usage_bytes, shown.max_bytes),
            (64 << 20, Some(64 << 20))
        );
    }

    #[test]
    fn takes_no_limit_of_swap_for_one_of_memory_and_swap() {
        let mut child = limited(3, 10, 64);
        child.oom_events = 3;
        child.memsw_usage_pages = 0;
        child.memsw_max_pages = 0;
        let kill = kill(&[child, limited(2, 128, 128), sample_level(1, "/")]);
        assert_eq!(kill.victim_cgroups.memory_hierarchy, UNIFIED);
        let scope = scope_of(&kill, &mut OomEpisodes::default());
        assert_eq!(scope, OomScope::Memcg(1));
        let signal = attributor().oom_signal(&kill, scope, OomReadings::default());
        let Some(Body::OomKill(body)) = &signal.body else {
            panic!("{signal:?}")
        };
        assert_eq!(
            (body.chain[0].usage_bytes, body.chain[0].max_bytes),
            (10 << 20, Some(64 << 20))
        );
    }

    #[test]
    fn ignores_the_triggers_chain_when_it_is_not_known_to_its_root() {
        let mut kill = kill(&[limited(2, 64, 64)]);
        kill.trigger_chain_len = 8;
        kill.trigger_chain_truncated = 1;
        assert_eq!(
            scope_of(&kill, &mut OomEpisodes::default()),
            OomScope::Memcg(0)
        );
        kill.trigger_chain_truncated = 0;
        assert_eq!(
            scope_of(&kill, &mut OomEpisodes::default()),
            OomScope::Global
        );
    }

    #[test]
    fn tells_no_scope_when_the_chain_is_cut_below_its_limit() {
        let mut kill = kill(&[sample_level(3, "inner"), sample_level(2, "outer")]);
        kill.chain_truncated = 1;
        let scope = scope_of(&kill, &mut OomEpisodes::default());
        let signal = attributor().oom_signal(&kill, scope, OomReadings::default());
        let Some(Body::OomKill(body)) = &signal.body else {
            panic!("{signal:?}")
        };
        assert_eq!(
            (body.scope(), body.limiting),
            (oom_kill::Scope::Unspecified, None)
        );
    }

    #[test]
    fn asks_procfs_for_a_victim_known_by_pid_only() {
        let mut kill = kill(&[]);
        kill.victim_known = 0;
        let id = "b".repeat(64);
        let leftover = Leftover {
            comm: "left".to_owned(),
            parent_pid: 5,
            cgroup: Some(format!("/docker/{id}")),
        };
        let readings = OomReadings {
            leftover: Some(leftover),
            ..OomReadings::default()
        };
        let signal = attributor().oom_signal(
            &kill,
            scope_of(&kill, &mut OomEpisodes::default()),
            readings,
        );
        let subject = signal.subject.unwrap();
        assert_eq!(subject.container.unwrap().id, id);
        assert_eq!(subject.process.unwrap().comm, "left");
        let Some(Body::OomKill(body)) = &signal.body else {
            panic!("{:?}", signal.body)
        };
        assert_eq!(
            (body.scope(), body.victim_usage),
            (oom_kill::Scope::Unspecified, None)
        );
    }
}
