//! A program that was built for another machine is executed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use inquest_proto::v1::{self, signal::Body};
use rustix::io::Errno;

use super::play::{About, BY_RECORD, Played, Props, Stored, name, process};
use crate::scratch::Scratch;
use crate::victim::{Act, Ended, Launcher};

/// What shells answer for a program that is there and cannot be executed.
const CANNOT_EXECUTE: i32 = 126;
const EXECUTABLE: u32 = 0o755;
/// Another machine than this one, as the kernel and ELF (`e_machine`) know it.
const OTHER_MACHINE: (&str, u16) = if cfg!(target_arch = "aarch64") {
    ("x86_64", 62)
} else {
    ("aarch64", 183)
};

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let dir = tempfile::tempdir().context("failed to make a directory")?;
    let program = dir.path().join("server");
    write_program(&program)?;
    let cgroup = Scratch::create(None)?;
    let become_it = Act::Become {
        program: program.clone(),
    };
    let mut entry = launcher.launch(&cgroup, "entry", become_it).await?;
    entry.release().await?;
    let since = entry.failed_with(Errno::NOEXEC.raw_os_error()).await?;
    let death = entry.death().await?;
    death.must_be(Ended::Code(CANNOT_EXECUTE))?;
    let filename = program.display().to_string();
    Ok(Played {
        target: cgroup.path(),
        cause: "architecture-mismatch",
        since,
        visible_within: BY_RECORD,
        names: vec![
            name("cgroup", cgroup.path()),
            name("process", process("entry", death.pid)),
            name("program", &filename),
            name("machine", OTHER_MACHINE.0),
        ],
        stored: Stored {
            kind: "exec_failure",
            about: About::Process(death.pid),
            holds: Box::new(move |signal| holds(signal, &filename)),
        },
        props: Props {
            cgroups: vec![cgroup],
            dir: Some(dir),
            ..Props::default()
        },
    })
}

/// An executable of which there is no more than the header: the machine is looked at first.
fn write_program(path: &Path) -> anyhow::Result<()> {
    let mut header = [0_u8; 64];
    // 64 bits, little endian, version 1.
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    // An executable (`ET_EXEC`) for the machine.
    header[16..18].copy_from_slice(&2_u16.to_le_bytes());
    header[18..20].copy_from_slice(&OTHER_MACHINE.1.to_le_bytes());
    fs::write(path, header)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(EXECUTABLE)))
        .with_context(|| format!("failed to write {}", path.display()))
}

/// The program could not be executed, and it is for the other machine.
fn holds(signal: &v1::Signal, filename: &str) -> bool {
    let Some(Body::ExecFailure(failure)) = &signal.body else {
        return false;
    };
    failure.filename == filename
        && failure.errno == "ENOEXEC"
        && failure.machine == OTHER_MACHINE.0
        && failure.count == 1
}
