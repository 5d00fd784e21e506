//! Things that an agent tells whatever reads files: an OOM kill, an exit, a failed call and a dropped packet.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use inquest_proto::v1;
use inquest_proto::v1::signal::Body;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::aggregator::Aggregator;
use super::process::DEADLINE;
use super::watch::{Member, ScratchCgroup};

/// Configuration of an agent that is to tell them however busy the machine is.
pub(crate) const ALWAYS_ON: &str = "probes: {mode: always-on}\n";
/// Memory of the cgroup in which a process dies.
const LIMIT: &str = "16777216";
/// Exit code that nobody else uses.
const EXIT_CODE: u32 = 93;
/// Asked for by a script that cannot be executed.
const NO_INTERPRETER: &str = "/nonexistent/interpreter";

/// How long to look for signals before what they tell is done again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(20);

/// Which deeds were told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Told {
    oom_kill: bool,
    exit: bool,
    failed_call: bool,
    drop: bool,
}

/// All of them.
const ALL_TOLD: Told = Told {
    oom_kill: true,
    exit: true,
    failed_call: true,
    drop: true,
};

/// A place for deeds.
pub(crate) struct Deeds {
    cgroup: ScratchCgroup,
    socket: UdpSocket,
    /// Nobody listens there.
    closed_port: u16,
    files: TempDir,
}

impl Deeds {
    /// Prepares them in a cgroup of that name.
    pub(crate) fn new(name: &str) -> Self {
        let cgroup = ScratchCgroup::new(name);
        let limits = ["memory.limit_in_bytes", "memory.max"];
        let limit = limits.map(|name| cgroup.file(name));
        let limit = limit.iter().find(|path| path.is_file()).unwrap();
        fs::write(limit, LIMIT).unwrap();
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let closed_port = bind().local_addr().unwrap().port();
        Self {
            cgroup,
            socket: bind(),
            closed_port,
            files: tempfile::tempdir().unwrap(),
        }
    }

    /// Does them again and again until `aggregator` was told all of them.
    pub(crate) async fn until_told(&self, aggregator: &Aggregator) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.make();
            let looked = Instant::now();
            while looked.elapsed() < PATIENCE {
                let told = self.told(&aggregator.store().batches);
                if told == ALL_TOLD {
                    return;
                }
                let path = &self.cgroup.path;
                assert!(Instant::now() < deadline, "{path}: only {told:?}");
                sleep(PAUSE).await;
            }
        }
    }

    /// Has an execution fail whose parent goes on; returns whether `aggregator` was told what the file asks for, which
    /// only the processes themselves tell where it is.
    pub(crate) async fn is_file_read(&self, aggregator: &Aggregator) -> bool {
        let script = self.files.path().join("script");
        fs::write(&script, format!("#!{NO_INTERPRETER}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = self.cgroup.command("sh");
        command.args(["-c", "\"$0\"; exec sleep 60"]).arg(&script);
        let _parent = Member::from(command.stderr(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + DEADLINE;
        loop {
            let read = self.file_read(&aggregator.store().batches);
            if let Some(read) = read {
                return read;
            }
            let path = &self.cgroup.path;
            assert!(Instant::now() < deadline, "{path}: no failed execution");
            sleep(PAUSE).await;
        }
    }

    fn file_read(&self, batches: &[v1::SignalBatch]) -> Option<bool> {
        let mut signals = batches.iter().flat_map(|batch| &batch.signals);
        signals.find_map(|signal| match &signal.body {
            Some(Body::ExecFailure(failure)) if self.is_here(signal) => {
                Some(failure.file_read && failure.interpreter == NO_INTERPRETER)
            }
            _ => None,
        })
    }

    /// Does them all once.
    fn make(&self) {
        // tail(1) keeps a line whole, however long it is.
        let script =
            format!("head -c 64m /dev/zero | tail; cat /nonexistent; sh -c 'exit {EXIT_CODE}'");
        let mut command = self.cgroup.command("sh");
        command.args(["-c", &script]).stderr(Stdio::null());
        command.stdout(Stdio::null()).status().unwrap();
        // A first refusal is told to the next send.
        let _refused = self
            .socket
            .send_to(b"nobody", (Ipv4Addr::LOCALHOST, self.closed_port));
    }

    /// Which of them `batches` tell.
    fn told(&self, batches: &[v1::SignalBatch]) -> Told {
        let mut told = Told::default();
        for signal in batches.iter().flat_map(|batch| &batch.signals) {
            let is_here = self.is_here(signal);
            match &signal.body {
                Some(Body::OomKill(_)) if is_here => told.oom_kill = true,
                Some(Body::ProcessExit(exit)) if is_here && exit.code == EXIT_CODE => {
                    told.exit = true;
                }
                Some(Body::SyscallFailures(_)) if is_here => told.failed_call = true,
                Some(Body::PacketDrops(drops)) => told.drop |= self.is_dropped(drops),
                _ => {}
            }
        }
        told
    }

    fn is_here(&self, signal: &v1::Signal) -> bool {
        let subject = signal.subject.as_ref();
        let cgroup = subject.and_then(|subject| subject.cgroup.as_ref());
        cgroup.is_some_and(|cgroup| cgroup.path == self.cgroup.path)
    }

    fn is_dropped(&self, drops: &v1::PacketDrops) -> bool {
        let port = u32::from(self.closed_port);
        let mut destinations = drops
            .drops
            .iter()
            .filter_map(|drop| drop.destination.as_ref());
        destinations.any(|destination| destination.port == port)
    }
}
