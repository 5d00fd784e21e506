//! Acts on files and programs. Must leave nothing behind outside the directory they are given.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::word;

/// What shells answer for a program that is there and cannot be executed.
const CANNOT_EXECUTE: u8 = 126;
/// Written per step.
const STEP_BYTES: usize = 64 << 10;
/// A filler gives up here, so that a disk that is larger than it should be is not filled.
const MAX_FILLED_BYTES: usize = 64 << 20;
/// Between two attempts to write.
const RETRY: Duration = Duration::from_millis(200);
/// Attempts that fail before a filler gives up: three seconds.
const MAX_REFUSED: u32 = 15;
/// Exit code of a filler that nothing stopped.
const NOT_STOPPED: u8 = 3;

/// Starts as programs do, with files that are there and others that may be missing, then fails on
/// the one that it needs.
pub(super) fn read_config(path: &Path) -> anyhow::Result<ExitCode> {
    if !word::ready()? {
        return Ok(ExitCode::SUCCESS);
    }
    for harmless in ["/etc/hostname", "/etc/localtime", "/etc/default/locale"] {
        drop(fs::read(harmless));
    }
    drop(fs::metadata(path.with_extension("local.yaml")));
    Ok(match fs::read(path) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    })
}

/// Executes a program in its own place, without the detour over a shell that execvp(3) takes.
pub(super) fn r#become(program: &Path) -> anyhow::Result<ExitCode> {
    let name = CString::new(program.as_os_str().as_bytes())?;
    if !word::ready()? {
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = [name.as_ptr(), std::ptr::null()];
    // SAFETY: the path and the list of arguments end with a zero and outlive the call, which
    // returns only when it failed.
    unsafe { libc::execv(name.as_ptr(), arguments.as_ptr()) };
    word::say(io::Error::last_os_error());
    Ok(ExitCode::from(CANNOT_EXECUTE))
}

/// Writes a file as long as there is room, and gives up when there is none for a while, as programs do
/// that keep for some time what they cannot write.
pub(super) fn fill(dir: &Path) -> anyhow::Result<ExitCode> {
    let mut file = File::create_new(dir.join("journal"))?;
    if !word::ready()? {
        return Ok(ExitCode::SUCCESS);
    }
    let step = vec![1; STEP_BYTES];
    let mut refused = 0;
    for _ in 0..MAX_FILLED_BYTES / STEP_BYTES {
        let Err(error) = file.write_all(&step) else {
            continue;
        };
        refused += 1;
        if refused > MAX_REFUSED || !word::rest(RETRY)? {
            return Ok(failed(&error));
        }
    }
    Ok(ExitCode::from(NOT_STOPPED))
}

fn failed(error: &io::Error) -> ExitCode {
    word::say(error);
    ExitCode::FAILURE
}
