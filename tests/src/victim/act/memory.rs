//! Acts on memory. Must give up by itself when no limit holds.

use std::process::ExitCode;

use super::word;

/// Growth per step: small against the smallest limit.
const STEP_BYTES: usize = 256 << 10;
/// A grower gives up here, so that a limit that does not hold never costs the machine more.
const MAX_GROWN_BYTES: usize = 256 << 20;
/// Exit code of a grower that nothing stopped.
const NOT_STOPPED: u8 = 3;

/// Holds memory until it is let go.
pub(super) fn hold(mib: usize) -> anyhow::Result<ExitCode> {
    let held = touched(mib << 20);
    word::ready()?;
    word::until_let_go()?;
    drop(held);
    Ok(ExitCode::SUCCESS)
}

/// Takes more and more memory.
pub(super) fn grow() -> anyhow::Result<ExitCode> {
    if !word::ready()? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut held = Vec::with_capacity(MAX_GROWN_BYTES / STEP_BYTES);
    while held.len() < held.capacity() {
        held.push(touched(STEP_BYTES));
    }
    Ok(ExitCode::from(NOT_STOPPED))
}

/// Dies by SIGSEGV; `address` must be one that is never mapped, such as those of the first page.
pub(super) fn fault(address: usize) -> anyhow::Result<ExitCode> {
    if word::ready()? {
        let nowhere = std::ptr::without_provenance_mut::<u8>(address);
        // SAFETY: not sound, on purpose: nothing is mapped below vm.mmap_min_addr, so the write
        // ends this process, which is all that it is for.
        unsafe { nowhere.write_volatile(1) };
    }
    Ok(ExitCode::SUCCESS)
}

/// Memory of which every page has been written.
fn touched(bytes: usize) -> Vec<u8> {
    std::hint::black_box(vec![1; bytes])
}
