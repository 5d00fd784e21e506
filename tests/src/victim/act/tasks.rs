//! Acts on processes and threads. Must take its children along when it ends.

use std::process::{Child, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

use super::{Act, victim, word};

/// Between two attempts to start a child that failed.
const RETRY: Duration = Duration::from_millis(200);
/// A process that starts children gives up here, so that a limit that does not hold costs no more.
const MAX_CHILDREN: usize = 256;
/// How long each thread holds the lock: the others wait for seconds, as behind a call to a service that
/// does not answer.
const HOLD: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// Starts children that wait, and goes on trying when one cannot be started.
pub(super) fn fork() -> anyhow::Result<ExitCode> {
    if !word::ready()? {
        return Ok(ExitCode::SUCCESS);
    }
    // They wait on pipes that close when this process ends, which lets them go.
    let mut children: Vec<Child> = Vec::new();
    while children.len() < MAX_CHILDREN {
        let mut command = victim("worker", &Act::Wait { hold_mib: 0 })?;
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        match command.spawn() {
            Ok(child) => children.push(child),
            Err(error) => {
                word::say(error);
                if !word::rest(RETRY)? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }
    anyhow::bail!("started {MAX_CHILDREN} children: no limit holds")
}

/// Lets threads take turns under one lock, each asleep while it holds it.
pub(super) fn queue_for_lock(threads: usize) -> anyhow::Result<ExitCode> {
    if !word::ready()? {
        return Ok(ExitCode::SUCCESS);
    }
    let (turns, stop) = (Mutex::new(0_u64), AtomicBool::new(false));
    thread::scope(|scope| {
        for number in 0..threads {
            let thread = thread::Builder::new().name(format!("worker-{number}"));
            thread
                .spawn_scoped(scope, || take_turns(&turns, &stop))
                .context("failed to start a thread")?;
        }
        let let_go = word::until_let_go();
        stop.store(true, Ordering::Relaxed);
        Ok(let_go?)
    })
    .map(|()| ExitCode::SUCCESS)
}

fn take_turns(turns: &Mutex<u64>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut turn) = turns.lock() else {
            return;
        };
        *turn += 1;
        if let NanosleepRelativeResult::Err(_) = nanosleep(&HOLD) {
            return;
        }
    }
}
