//! Programs of the system that a proof needs beside the product. Must install nothing that is there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::output;

/// Where root's programs are, whatever `PATH` says.
const DIRS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// A program and the Debian package that holds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tool {
    /// Network interfaces and addresses.
    Ip,
    /// Firewall rules and their counters.
    Nft,
    /// Mounts.
    Mount,
    /// What is mounted where.
    Findmnt,
    /// Counts failed system calls, independently of the product.
    Strace,
    /// Does the same jobs as the product's probes, for comparison.
    Bpftrace,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Nft => "nft",
            Self::Mount => "mount",
            Self::Findmnt => "findmnt",
            Self::Strace => "strace",
            Self::Bpftrace => "bpftrace",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Ip => "iproute2",
            Self::Nft => "nftables",
            Self::Mount => "mount",
            Self::Findmnt => "util-linux",
            Self::Strace => "strace",
            Self::Bpftrace => "bpftrace",
        }
    }

    /// The program, installed from Debian when it is missing; needs root then.
    pub fn path(self) -> anyhow::Result<PathBuf> {
        if let Some(path) = self.find() {
            return Ok(path);
        }
        self.install()?;
        self.find()
            .with_context(|| format!("the package {} holds no {}", self.package(), self.name()))
    }

    fn find(self) -> Option<PathBuf> {
        let paths = DIRS.map(|dir| Path::new(dir).join(self.name()));
        paths.into_iter().find(|path| path.is_file())
    }

    fn install(self) -> anyhow::Result<()> {
        let (name, package) = (self.name(), self.package());
        output::talk(format_args!(
            "installing {package}, since {name} is missing"
        ));
        let status = Command::new("apt-get")
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .arg(package)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("failed to install {package}\nnext: install {name}"))?;
        anyhow::ensure!(
            status.success(),
            "failed to install {package}: apt-get ended with {status}\nnext: apt-get update, or \
             install {name} by other means"
        );
        Ok(())
    }
}
