//! What system calls cost while their failures are watched: at the returns of functions, those that are not watched must
//! cost what they cost without an agent.

use std::time::Duration;

use anyhow::Context as _;
use inquest_agent::probes::{self, Hook, Loaded, ProbeConfig};
use tokio::time::{Instant, sleep};

use crate::proof::Proof;
use crate::traces::Traces;

/// The probe of failed calls.
const PROBE: &str = "sys_exit";
/// Calls in a round, which takes half a millisecond: short enough that some rounds are not interrupted by what else the
/// emulator's machine does.
const CALLS: u32 = 1000;
/// Of as many rounds the fastest counts.
const ROUNDS: usize = 500;
/// What measuring twice the same may give.
const SAME: f64 = 1.1;
/// Longest wait for programs to be gone, and the pause between looks.
const GONE_DEADLINE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A call that succeeds.
#[derive(Clone, Copy)]
struct Call {
    name: &'static str,
    /// Whether its failures are of interest.
    is_watched: bool,
    make: fn(),
}

const CALLS_MADE: [Call; 2] = [
    Call {
        name: "getppid",
        is_watched: false,
        make: || {
            // SAFETY: getppid(2) takes nothing and cannot fail.
            unsafe { libc::syscall(libc::SYS_getppid) };
        },
    },
    Call {
        name: "brk",
        is_watched: true,
        make: || {
            // SAFETY: nothing is moved, only asked for its place.
            unsafe { libc::syscall(libc::SYS_brk, 0) };
        },
    },
];

pub(super) async fn prove(proof: &mut Proof) -> anyhow::Result<()> {
    let before = Traces::find()?;
    let bare = CALLS_MADE.map(fastest_ns);
    for hook in [Hook::TpBtf, Hook::Fexit] {
        let began = Instant::now();
        let loaded = load(hook)?;
        let on = began.elapsed();
        if let Some(why) = refusal(&loaded) {
            proof.figure(&format!("calls watched by {}", hook.name()), why)?;
            continue;
        }
        for (call, bare) in CALLS_MADE.into_iter().zip(bare) {
            let ratio = fastest_ns(call) / bare;
            let name = format!("{} watched by {}: cost", call.name, hook.name());
            proof.figure(&name, format!("{ratio:.2} of {bare:.0} ns"))?;
            if hook == Hook::Fexit && !call.is_watched {
                proof.exactly(&format!("{name} as without"), ratio < SAME, true);
            }
        }
        let began = Instant::now();
        drop(loaded);
        while !Traces::find()?.since(&before).is_empty() && began.elapsed() < GONE_DEADLINE {
            sleep(LOOK_AGAIN).await;
        }
        let off = began.elapsed();
        let name = format!("programs by {}: loaded and on, off", hook.name());
        proof.figure(&name, format!("{on:.1?}, {off:.1?}"))?;
    }
    Ok(())
}

/// Loads that probe alone, by `hook` alone.
fn load(hook: Hook) -> anyhow::Result<Loaded> {
    let others = probes::names().filter(|name| *name != PROBE);
    let config = ProbeConfig {
        disabled: others.map(str::to_owned).collect(),
        hooks: vec![hook],
        ..ProbeConfig::default()
    };
    let loaded = probes::load(&config);
    loaded.collector.as_ref().context("nothing was loaded")?;
    Ok(loaded)
}

/// Why the probe is not attached.
fn refusal(loaded: &Loaded) -> Option<String> {
    let mut statuses = loaded.probes.iter();
    let status = statuses.find(|status| status.name == PROBE)?;
    status.hook.is_empty().then(|| status.detail.clone())
}

fn fastest_ns(call: Call) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        for _ in 0..CALLS {
            (call.make)();
        }
        began.elapsed()
    });
    let fastest = rounds.min().unwrap_or(Duration::ZERO);
    fastest.as_secs_f64() * 1e9 / f64::from(CALLS)
}
