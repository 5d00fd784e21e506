//! What the agent is held against: bpftrace, doing the same jobs. Must find tracefs in a mount
//! namespace of its own, since the machine may not have mounted it.

use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::bench::bpf;
use crate::namespaces::Namespaces;
use crate::tool::Tool;

/// Failed system calls by number and error, drops by reason, executions, OOM victims.
const PROGRAM: &str = r#"
tracepoint:raw_syscalls:sys_exit /args->ret < 0 && args->ret > -4096/ {
    @failed[args->id, args->ret] = count();
}
tracepoint:skb:kfree_skb { @dropped[args->reason] = count(); }
tracepoint:sched:sched_process_exec { @executed = count(); }
tracepoint:oom:mark_victim { printf("oom %d\n", args->pid); }
"#;
/// One for each of these.
const PROGRAMS: u64 = 4;
const TRACEFS: &str = "/sys/kernel/tracing";
/// Longest wait for its programs to be loaded.
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A running bpftrace. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Bpftrace {
    child: Child,
    dir: TempDir,
    _mounts: Namespaces,
}

impl Bpftrace {
    /// Starts it and waits until its programs are there.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let mounts = Namespaces::mount()?;
        mounts.run(Tool::Mount, &["-t", "tracefs", "tracefs", TRACEFS])?;
        let dir = tempfile::tempdir().context("failed to make a directory")?;
        let log = File::create(dir.path().join("log"))?;
        let script = dir.path().join("jobs.bt");
        File::create(&script)?.write_all(PROGRAM.as_bytes())?;
        let mut command = Command::new(Tool::Bpftrace.path()?);
        command.arg(&script).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        mounts.enter(&mut command)?;
        let child = command.spawn().context("failed to start bpftrace")?;
        let mut running = Self {
            child,
            dir,
            _mounts: mounts,
        };
        running.ready().await?;
        Ok(running)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_DEADLINE;
        while bpf::cost(self.pid())?.programs < PROGRAMS {
            let is_alive = self.child.try_wait()?.is_none() && Instant::now() < deadline;
            anyhow::ensure!(is_alive, "bpftrace does not run\n{}", self.log());
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Its pid.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed.
    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Bpftrace {
    fn drop(&mut self) {
        // Asked to end, it takes its programs along; that it has ended already is as well.
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        if pid.is_some_and(|pid| kill_process(pid, Signal::INT).is_ok()) {
            drop(self.child.wait());
        }
    }
}
