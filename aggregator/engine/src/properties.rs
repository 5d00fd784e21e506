//! What holds for any signals at all: determinism, order, restore, bounds, no panic. Must not assume
//! a particular cause.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::config::{MAX_ALIASES, MAX_EVIDENCE, MAX_HISTORY};
use crate::model::signal::{
    GapReason, MemoryCgroup, OomKill, OomScope, PidsLimitHit, Process, SenderClass, SignalOrigin,
};
use crate::model::{Incident, Inventory, NodeCoverage, Signal, SignalBody, Timestamp};
use crate::testing::checks::rests_on_facts;
use crate::testing::signs::{call, connect, database, flow};
use crate::testing::{Actor, at_ms, full_sight, inventory, seeing_all};
use crate::{Engine, Input};

/// A few processes, so that their signals meet; what a process is does not change between signals.
fn actor(number: u32) -> Actor {
    let pid = 100 + number / 2; // two processes after each other share a pid
    let actor = Actor::new("job", pid).started(u64::from(number));
    match number % 5 {
        0 => actor.in_container("c0ffee", 1),
        1 => actor.in_container("c0ffee", 7).in_pod("pod-1"),
        2 => actor.in_cgroup(u64::from(number), "/service"),
        3 => actor.in_cgroup(1, "/"),
        _ => actor.unattributed(),
    }
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::Oom),
        Just(Body::NodeOom),
        Just(Body::KilledByKernel),
        (0..10_u32, select(vec![9_u32, 11, 15, 13]))
            .prop_map(|(by, with)| Body::KilledBy(by, with)),
        select(vec![11_u32, 6, 31]).prop_map(Body::Fault),
        select(vec![0_u32, 6, 9, 11, 13, 15]).prop_map(Body::Exit),
        Just(Body::Exec),
        Just(Body::Gap),
        Just(Body::GaveUp),
        Just(Body::ExecFailed),
        (0..9_u64).prop_map(Body::Refused),
        (1..9_u64).prop_map(Body::Dropped),
        (select(vec!["", "NXDOMAIN", "NOERROR"]), 1..9_u64)
            .prop_map(|(rcode, count)| Body::Asked(rcode, count)),
        Just(Body::ForkFailed),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Oom,
    NodeOom,
    KilledByKernel,
    KilledBy(u32, u32),
    Fault(u32),
    Exit(u32),
    Exec,
    Gap,
    GaveUp,
    ExecFailed,
    Refused(u64),
    Dropped(u64),
    Asked(&'static str, u64),
    ForkFailed,
}

/// Plausible signals of ten processes within 20 minutes.
fn signals(most: usize) -> impl Strategy<Value = Vec<Signal>> {
    vec((0..10_u32, 0..1_200_000_i64, body()), 0..most).prop_map(|drawn| {
        let numbered = drawn.into_iter().enumerate();
        numbered
            .map(|(number, (who, ms, body))| signal(&format!("s-{number:03}"), who, ms, body))
            .collect()
    })
}

fn signal(id: &str, who: u32, ms: i64, body: Body) -> Signal {
    let (actor, at) = (actor(who), at_ms(ms));
    match body {
        Body::Oom => actor.oom(id, at),
        Body::NodeOom => actor.node_oom(id, at),
        Body::KilledByKernel => actor.killed_by_kernel(id, at),
        Body::KilledBy(by, with) => actor.killed_by(id, at, with, &self::actor(by)),
        Body::Fault(with) => actor.faulted(id, at, with, 0x10),
        Body::Exit(with) => actor.exit(id, at, with),
        Body::Exec => {
            let filename = "/bin/true".to_owned();
            actor.signal(id, at, SignalBody::ProcessExec { filename })
        }
        Body::GaveUp => {
            let pid = actor.process().pid;
            let words = vec![
                call(pid, ms - 20, "openat", "ENOENT", "/etc/shop/config.yaml"),
                connect(pid, ms - 10, "ECONNREFUSED", database()),
            ];
            actor.gave_up(id, ms, 1, words)
        }
        Body::ExecFailed => actor.exec_failed(id, ms, "/app/run", "ENOENT"),
        Body::Refused(count) => actor.flows(id, ms, vec![flow(database(), count, 1)]),
        Body::Dropped(packets) => actor.dropped(id, ms, database(), packets),
        Body::Asked(rcode, count) => actor.asked(id, ms, rcode, "database.shop", count),
        Body::ForkFailed => {
            let hit = PidsLimitHit {
                max: 7,
                current: 7,
                count: 1,
                ..PidsLimitHit::default()
            };
            actor.signal(id, at, SignalBody::PidsLimitHit(hit))
        }
        Body::Gap => {
            let gap = SignalBody::CoverageGap {
                start: at_ms(ms - 5000),
                end: at,
                reason: GapReason::AgentRestarted,
            };
            actor.signal(id, at, gap)
        }
    }
}

/// Steps: signals cut into batches, each with its time, which moves on by a minute.
fn steps(signals: &[Signal], cuts: &[Index]) -> Vec<(Timestamp, Vec<Signal>)> {
    let mut places: Vec<usize> = cuts
        .iter()
        .map(|cut| cut.index(signals.len() + 1))
        .chain([0, signals.len()])
        .collect();
    places.sort_unstable();
    places
        .windows(2)
        .zip(0..)
        .map(|(ends, number)| {
            let now = at_ms(60_000 * number);
            (now, signals[ends[0]..ends[1]].to_vec())
        })
        .collect()
}

fn run(engine: &mut Engine, steps: &[(Timestamp, Vec<Signal>)], inventory: &Inventory) {
    for (now, signals) in steps {
        let output = engine.step(Input {
            now: *now,
            inventory,
            signals: signals.clone(),
        });
        assert!(output.changed.is_sorted_by_key(|incident| &incident.id));
    }
}

fn held(engine: &Engine) -> Vec<Incident> {
    engine.incidents().cloned().collect()
}

fn check_sound(incidents: &[Incident]) {
    for incident in incidents {
        rests_on_facts(incident);
        assert!(incident.evidence.len() <= MAX_EVIDENCE);
        assert!(incident.evidence.is_sorted_by_key(|fact| fact.id));
        assert!(incident.aliases.len() <= MAX_ALIASES);
        assert!(incident.history.len() <= MAX_HISTORY);
        assert!(incident.opened_at <= incident.last_seen_at);
        let product: f64 = incident.hypotheses[0]
            .factors
            .iter()
            .map(|factor| factor.value)
            .product();
        assert!((product - incident.root_cause.confidence.get()).abs() < 0.0001);
    }
}

proptest! {
    #[test]
    fn gives_the_same_output_for_the_same_input(
        signals in signals(40),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let steps = steps(&signals, &cuts);
        let (mut one, mut other) = (Engine::default(), Engine::default());
        for (now, signals) in &steps {
            let inventory = full_sight();
            let input = || Input {
                now: *now,
                inventory: &inventory,
                signals: signals.clone(),
            };
            prop_assert_eq!(format!("{:?}", one.step(input())), format!("{:?}", other.step(input())));
        }
    }

    #[test]
    fn rests_on_facts_and_stays_within_bounds(
        signals in signals(200),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut engine = Engine::default();
        run(&mut engine, &steps(&signals, &cuts), &full_sight());
        check_sound(&held(&engine));
    }

    #[test]
    fn the_order_within_a_step_makes_no_difference(
        signals in signals(30),
        shuffled in vec(any::<u32>(), 30),
    ) {
        let mut order: Vec<usize> = (0..signals.len()).collect();
        order.sort_by_key(|place| (shuffled[*place], *place));
        let reordered: Vec<Signal> = order.iter().map(|place| signals[*place].clone()).collect();
        let (mut one, mut other) = (Engine::default(), Engine::default());
        let now = at_ms(1_200_000);
        run(&mut one, &[(now, signals)], &full_sight());
        run(&mut other, &[(now, reordered)], &full_sight());
        prop_assert_eq!(held(&one), held(&other));
    }

    #[test]
    fn continues_exactly_after_a_restore(
        signals in signals(60),
        cuts in vec(any::<Index>(), 1..8),
        at in any::<Index>(),
    ) {
        let steps = steps(&signals, &cuts);
        let (before, after) = steps.split_at(at.index(steps.len()));
        let mut engine = Engine::default();
        run(&mut engine, before, &full_sight());
        let arrived = before.iter().flat_map(|(_, signals)| signals.clone()).collect();
        let mut restored = Engine::restore(held(&engine), arrived);
        for (now, signals) in after {
            let inventory = full_sight();
            let input = || Input {
                now: *now,
                inventory: &inventory,
                signals: signals.clone(),
            };
            let (expected, output) = (engine.step(input()), restored.step(input()));
            prop_assert_eq!(expected.changed, output.changed);
            prop_assert_eq!(expected.requested_analyses, output.requested_analyses);
            prop_assert_eq!(expected.decisions, output.decisions);
        }
        prop_assert_eq!(held(&engine), held(&restored));
    }

    #[test]
    fn signals_that_come_again_within_the_window_change_nothing(mut signals in signals(40)) {
        signals.retain(|signal| signal.observed_at < at_ms(600_000));
        let mut engine = Engine::default();
        let now = at_ms(1_200_000);
        run(&mut engine, &[(now, signals.clone())], &full_sight());
        let output = engine.step(Input { now, inventory: &full_sight(), signals });
        prop_assert_eq!(output.changed, vec![]);
    }

    #[test]
    fn survives_any_values(
        drawn in vec((any::<i64>(), any::<u64>(), wild_body(), wild_process()), 0..20),
        now in any::<i64>(),
        gap in any::<(i64, i64)>(),
        lost in any::<u64>(),
    ) {
        let inventory = inventory(NodeCoverage {
            gaps: vec![(Timestamp::from_nanos(gap.0), Timestamp::from_nanos(gap.1))],
            lost,
            ..seeing_all()
        });
        let mut engine = Engine::default();
        for (number, (at, ktime_ns, body, process)) in drawn.into_iter().enumerate() {
            let id = format!("s-{number}");
            let mut signal = Actor::new("x", 1).signal(&id, Timestamp::from_nanos(at), body);
            signal.ktime_ns = ktime_ns;
            signal.subject.process = process;
            let now = Timestamp::from_nanos(now);
            engine.step(Input { now, inventory: &inventory, signals: vec![signal] });
        }
        for incident in engine.incidents() {
            prop_assert!(!incident.headline.chars().any(char::is_control));
        }
    }
}

fn wild_process() -> impl Strategy<Value = Option<Process>> {
    let fields = (
        0..3_u32,
        0..3_u64,
        ".{0,15}",
        any::<u32>(),
        any::<bool>(),
        any::<u32>(),
    );
    proptest::option::of(
        fields.prop_map(|(pid, start, comm, namespace_pid, init, parent)| Process {
            pid,
            start_ktime_ns: start,
            comm,
            namespace_pid,
            container_init: init,
            parent_pid: parent,
        }),
    )
}

fn wild_body() -> impl Strategy<Value = SignalBody> {
    let level = (
        any::<u64>(),
        ".{0,8}",
        any::<u64>(),
        any::<Option<u64>>(),
        any::<bool>(),
    );
    let level = level.prop_map(
        |(id, name, usage_bytes, max_bytes, oom_group)| MemoryCgroup {
            id,
            name,
            usage_bytes,
            max_bytes,
            failcnt: usage_bytes,
            oom_events: max_bytes,
            oom_group,
        },
    );
    let scope = select(vec![OomScope::Memcg, OomScope::Global, OomScope::Unknown]);
    let kill = (
        scope,
        vec(level, 0..4),
        any::<Option<usize>>(),
        any::<u64>(),
        wild_process(),
    );
    let kill = kill.prop_map(|(scope, chain, limiting, bytes, trigger)| {
        let plain = Actor::new("x", 1).oom_kill(scope);
        let mut kill = OomKill {
            chain,
            limiting,
            trigger,
            ..plain
        };
        kill.victim_usage.anon_bytes = bytes;
        if let Some(stat) = &mut kill.cgroup_stat {
            stat.read_after_ns = bytes;
        }
        SignalBody::OomKill(kill)
    });
    let origin = select(vec![
        SignalOrigin::Kernel,
        SignalOrigin::User,
        SignalOrigin::Fault,
        SignalOrigin::Unknown,
    ]);
    let fatal = (
        any::<u32>(),
        any::<i32>(),
        origin,
        wild_process(),
        any::<Option<u64>>(),
    );
    let fatal = fatal.prop_map(|(signal, code, origin, sender, fault_address)| {
        SignalBody::FatalSignal(crate::model::signal::FatalSignal {
            signal: signal % 40,
            code,
            origin,
            sender,
            sender_cgroup: None,
            sender_class: SenderClass::Unknown,
            fault_address,
        })
    });
    let exit = any::<(u32, u32, bool)>().prop_map(|(code, signal, core_dumped)| {
        SignalBody::ProcessExit(crate::model::signal::ProcessExit {
            code,
            signal: signal % 40,
            core_dumped,
            ..crate::model::signal::ProcessExit::default()
        })
    });
    prop_oneof![kill, fatal, exit, Just(SignalBody::Unknown)]
}
