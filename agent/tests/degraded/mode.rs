//! One way in which a node falls short, made for one agent: it is started behind a script that hides things in namespaces of
//! its own.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::aggregator::{Aggregator, Behavior};
use super::deeds::{ALWAYS_ON, Deeds};
use super::grant;
use super::process::{Agent, command};
use super::watch::ScratchCgroup;

/// Said by the script when all is hidden.
const HIDDEN: &str = "inquest-test: hidden";
/// What an agent is to say about one of its probes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) probe: &'static str,
    pub(crate) state: &'static str,
    pub(crate) why: &'static [&'static str],
}

/// What is hidden from an agent, and what it is to make of that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode<'a> {
    pub(crate) name: &'static str,
    /// Whether it runs in a cgroup of its own.
    pub(crate) in_own_cgroup: bool,
    /// Namespaces besides that of mounts, as unshare(1) takes them.
    pub(crate) unshare: &'static [&'static str],
    /// Commands of the shell; `$STATE` is where the agent's files are.
    pub(crate) hide: &'static [&'static str],
    /// Whether a seccomp filter refuses bpf(2).
    pub(crate) refuses_bpf: bool,
    /// A documented capability that is not granted.
    pub(crate) without: Option<&'static str>,
    pub(crate) expected: &'a [Expected],
    /// Whether any probe is attached.
    pub(crate) is_watched: bool,
    /// Whether deaths, failed calls and drops are told.
    pub(crate) tells_all: bool,
    /// Whether files are looked at as processes see them.
    pub(crate) reads_files: bool,
    /// Words in the log.
    pub(crate) logged: &'static str,
}

impl Mode<'_> {
    /// Hides nothing yet.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            in_own_cgroup: false,
            unshare: &[],
            hide: &[],
            refuses_bpf: false,
            without: None,
            expected: &[],
            is_watched: true,
            tells_all: false,
            reads_files: true,
            logged: "",
        }
    }

    /// Runs an agent in it and looks at what it says. Counts as skipped what cannot be hidden here.
    pub(crate) async fn check(&self) {
        let aggregator = Aggregator::start(Behavior::default());
        let dir = tempfile::tempdir().unwrap();
        let home = self
            .in_own_cgroup
            .then(|| ScratchCgroup::new(&format!("{}-agent", self.name)));
        let mut command = self.command(home.as_ref());
        command.env("STATE", dir.path());
        let state = dir.path().join("state");
        let mut agent = Agent::watch_with(command, &state, &aggregator.url(), ALWAYS_ON);
        if !agent.logged_before_its_end(HIDDEN).await {
            let why = agent.log();
            return testkit::skip(format_args!("{}: {}", self.name, why.trim()));
        }
        let status = self.status(&agent).await;
        for expected in self.expected {
            self.judge(expected, &status);
        }
        agent.logged(self.logged).await;
        agent.logged("connected to the aggregator").await;
        let says_so = agent.log().contains("this node is not watched");
        assert_eq!(says_so, !self.is_watched, "{}: {}", self.name, agent.log());
        if self.tells_all {
            let deeds = Deeds::new(self.name);
            deeds.until_told(&aggregator).await;
            let is_read = deeds.is_file_read(&aggregator).await;
            assert_eq!(is_read, self.reads_files, "{}", self.name);
        }
        self.ends_well(&mut agent).await;
    }

    fn command(&self, home: Option<&ScratchCgroup>) -> Command {
        let granted = testkit::documented_capabilities().into_iter();
        let granted = granted.filter(|capability| Some(*capability) != self.without);
        let granted: Vec<_> = granted.collect();
        let script = format!(
            "set -e\n{}\necho '{HIDDEN}' >&2\n\
             exec setpriv {} \"$0\" \"$@\"",
            self.hide.join("\n"),
            grant::arguments(&granted).join(" "),
        );
        let agent = command();
        let mut command = match home {
            Some(home) => home.command("unshare"),
            None => Command::new("unshare"),
        };
        command.arg("--mount").args(self.unshare);
        command.args(["sh", "-c", &script]).arg(agent.get_program());
        if self.refuses_bpf {
            // SAFETY: the closure makes one system call, on memory of its own; it neither allocates nor takes locks.
            unsafe { command.pre_exec(refuse_bpf) };
        }
        command
    }

    async fn status(&self, agent: &Agent) -> Value {
        agent.logged("\"running\"").await;
        assert_eq!(agent.get("/readyz").await.status, 200, "{}", self.name);
        serde_json::from_str(&agent.get("/status").await.body).unwrap()
    }

    fn judge(&self, expected: &Expected, status: &Value) {
        let mut lines = status["probes"].as_array().unwrap().iter();
        let line = lines.find(|line| line["name"] == expected.probe);
        let line = line.unwrap();
        assert_eq!(line["state"], expected.state, "{}: {line}", self.name);
        let why = line["why"].as_str().unwrap_or_default();
        for words in expected.why {
            assert!(why.contains(words), "{}: {words} in {line}", self.name);
        }
    }

    async fn ends_well(&self, agent: &mut Agent) {
        kill_process(innermost(agent.pid()), Signal::TERM).unwrap();
        let code = agent.ended().await.code();
        assert_eq!(code, Some(0), "{}: {}", self.name, agent.log());
        assert!(!agent.log().contains("panicked"), "{}", agent.log());
    }
}

/// Returns the process itself, or its child where it waits for one.
fn innermost(pid: Pid) -> Pid {
    let number = pid.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{number}/task/{number}/children"));
    let children = children.unwrap_or_default();
    let child = children.split_whitespace().next();
    let child = child.and_then(|child| Pid::from_raw(child.parse().ok()?));
    child.unwrap_or(pid)
}

/// Has every call of bpf(2) by this process and its children fail with EPERM.
fn refuse_bpf() -> io::Result<()> {
    const fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        }
    }
    let mut filter = [
        // The number of the call is the first word of what a filter is shown.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            libc::SYS_bpf as u32,
        ),
        step(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program, which lives until the call returns.
    let refused = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    if refused == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
