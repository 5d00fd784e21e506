//! Everything at once that makes tables grow: forks, executions, distinct destinations, distinct paths that are missing or
//! refused, and cgroups that come and go.

use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Child;
use std::thread::JoinHandle;
use std::time::Duration;

use super::cgroup::Scratch;

/// Longest wait for a refusal on the loopback device, which is there at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Paths as long as those of real programs, and different in all parts.
const PATH_PADDING: &str =
    "usr-lib-x86_64-linux-gnu-some-rather-long-name-of-a-library-that-is-not-there";

/// How often each thing is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amounts {
    pub(crate) deaths: u64,
    pub(crate) destinations: u64,
    pub(crate) missing_paths: u64,
    pub(crate) refused_opens: u64,
    pub(crate) cgroups: u64,
}

/// A storm; all of it at once, each as fast as it goes.
pub(crate) struct Storm {
    deaths: Child,
    threads: Vec<JoinHandle<()>>,
}

impl Storm {
    /// Begins; the deaths are in `cgroup`.
    pub(crate) fn begin(cgroup: &Scratch, amounts: Amounts) -> Self {
        let rage = |count: u64, act: fn(u64)| std::thread::spawn(move || (0..count).for_each(act));
        Self {
            deaths: cgroup.begin_deaths(amounts.deaths),
            threads: vec![
                rage(amounts.destinations, connect),
                rage(amounts.missing_paths, open_missing),
                rage(amounts.refused_opens, open_refused),
                rage(amounts.cgroups, come_and_go),
            ],
        }
    }

    /// Returns whether all of it has been.
    pub(crate) fn is_over(&mut self) -> bool {
        let over = self.threads.iter().all(JoinHandle::is_finished);
        over && self.deaths.try_wait().unwrap().is_some()
    }

    /// Waits for its end, to see that nothing of it failed.
    pub(crate) fn end(mut self) {
        for thread in self.threads {
            thread.join().unwrap();
        }
        assert!(self.deaths.wait().unwrap().success());
    }
}

/// Asks an address of this host at which nobody listens, each time another one.
fn connect(number: u64) {
    let [.., third, second, first] = number.to_be_bytes();
    let address = Ipv4Addr::new(127, third.max(1), second, first.max(2));
    let port = 20_000 + (number % 10_000) as u16;
    let destination = SocketAddr::from((address, port));
    // Refused, or taken when somebody listens at all addresses: both is a new destination.
    drop(TcpStream::connect_timeout(&destination, CONNECT_TIMEOUT));
}

fn open_missing(number: u64) {
    let path = format!("/{number}-missing/{number}-{PATH_PADDING}");
    assert!(fs::metadata(&path).is_err());
    assert!(fs::File::open(path).is_err());
}

/// Opens what cannot be opened so: a directory for writing, and below something that is none.
fn open_refused(number: u64) {
    assert!(OpenOptions::new().write(true).open("/proc").is_err());
    assert!(fs::File::open(format!("/proc/version/{number}-{PATH_PADDING}")).is_err());
}

/// Makes a cgroup, runs a program in it, and removes it.
fn come_and_go(number: u64) {
    let cgroup = Scratch::new(&format!("churn-{number}"));
    let mut shell = cgroup.shell("exec true");
    assert!(shell.status().unwrap().success());
}
