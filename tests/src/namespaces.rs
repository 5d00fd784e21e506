//! Private namespaces, in which a proof may change mounts and networks freely. They have no name, so
//! they are gone with the last who holds them or runs in them.

mod drop_rule;
mod link;

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

pub use drop_rule::{DropRule, Hook};
pub use link::{Link, PEER_ADDRESS, POD_ADDRESS};

use crate::tool::Tool;

/// A mount or network namespace, or both, into which commands and victims can be sent.
#[derive(Debug, Default)]
pub struct Namespaces {
    mount: Option<OwnedFd>,
    network: Option<OwnedFd>,
}

impl Namespaces {
    /// Makes a mount namespace of which nothing leaks out.
    pub fn mount() -> anyhow::Result<Self> {
        let mount = unshare(UnshareFlags::NEWNS, "mnt")?;
        let namespaces = Self {
            mount: Some(mount),
            network: None,
        };
        // What is mounted in there must not appear outside, as it does with shared mounts.
        namespaces.run(Tool::Mount, &["--make-rprivate", "/"])?;
        Ok(namespaces)
    }

    /// Makes a network namespace; all that it has is a loopback interface.
    pub fn network() -> anyhow::Result<Self> {
        let namespaces = Self {
            mount: None,
            network: Some(unshare(UnshareFlags::NEWNET, "net")?),
        };
        namespaces.run(Tool::Ip, &["link", "set", "lo", "up"])?;
        Ok(namespaces)
    }

    /// Adds a mount namespace to a network namespace.
    pub fn with_mount(self) -> anyhow::Result<Self> {
        Ok(Self {
            mount: Self::mount()?.mount,
            ..self
        })
    }

    /// The inode of the network namespace, by which the kernel tells them apart.
    pub fn network_inode(&self) -> anyhow::Result<u64> {
        let network = self.network.as_ref().context("no network namespace")?;
        let stat = rustix::fs::fstat(network).context("failed to read a namespace")?;
        Ok(stat.st_ino)
    }

    /// Runs a tool inside and gives what it prints; fails with what it says when it fails.
    pub fn run(&self, tool: Tool, args: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(tool.path()?);
        command.args(args).stdin(Stdio::null());
        self.enter(&mut command)?;
        let what = || format!("`{tool:?} {}`", args.join(" "));
        let output = command
            .output()
            .with_context(|| format!("failed to run {}", what()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(
            output.status.success(),
            "{} ended with {}: {}",
            what(),
            output.status,
            said.trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Makes the child of `command` move in between fork and exec.
    pub fn enter(&self, command: &mut Command) -> anyhow::Result<()> {
        use std::os::unix::process::CommandExt as _;
        let pairs = [
            (&self.network, LinkNameSpaceType::Network),
            (&self.mount, LinkNameSpaceType::Mount),
        ];
        for (namespace, kind) in pairs {
            let Some(namespace) = namespace else {
                continue;
            };
            let namespace = namespace
                .try_clone()
                .context("failed to keep a namespace")?;
            let join = move || {
                use std::os::fd::AsFd as _;
                Ok(move_into_link_name_space(namespace.as_fd(), Some(kind))?)
            };
            // SAFETY: between fork and exec the closure makes one setns(2) on a descriptor that is
            // open already; it allocates nothing and takes no lock.
            unsafe { command.pre_exec(join) };
        }
        Ok(())
    }

    /// A path by which other programs can name the network namespace while this value lives.
    fn network_path(&self) -> anyhow::Result<String> {
        let network = self.network.as_ref().context("no network namespace")?;
        let (pid, fd) = (std::process::id(), network.as_raw_fd());
        Ok(format!("/proc/{pid}/fd/{fd}"))
    }
}

/// Makes a namespace on a thread of its own, which ends, and keeps the namespace by a descriptor.
fn unshare(flag: UnshareFlags, name: &str) -> anyhow::Result<OwnedFd> {
    let path = PathBuf::from("/proc/thread-self/ns").join(name);
    let make = move || {
        // SAFETY: the flags given make new mount and network namespaces, for this thread alone; no
        // memory or descriptor table is shared differently.
        unsafe { unshare_unsafe(flag) }.context("failed to make a namespace")?;
        let namespace = File::open(&path);
        namespace.with_context(|| format!("failed to open {}", path.display()))
    };
    let made = std::thread::spawn(make).join();
    let made = made.map_err(|_panic| anyhow::anyhow!("a thread panicked"))?;
    made.map(OwnedFd::from)
}
