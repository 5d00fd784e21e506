//! Keeps the process small: what was needed for a moment only goes back to the system. Must not limit what is needed.

use std::thread;

/// Freed memory at the end of a heap that is kept, and the size from which on memory is taken from the system piece by
/// piece. These are the C library's own defaults; saying so keeps it from raising them, up to 64 MiB, after a large piece
/// was freed.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 128 << 10;

/// Has freed memory go back to the system from now on; asked once, at the start.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    for parameter in [libc::M_TRIM_THRESHOLD, libc::M_MMAP_THRESHOLD] {
        // SAFETY: takes two numbers; no other thread runs yet.
        unsafe {
            libc::mallopt(parameter, KEPT_BYTES);
        }
    }
}

/// Runs `parse` on a thread of its own. Its heap holds nothing else, so that it can be given back as a whole: what lives on
/// in between would keep most of its pages.
pub(crate) fn on_own_heap<T: Send>(parse: impl FnOnce() -> T + Send) -> T {
    let parsed = thread::scope(|scope| scope.spawn(parse).join());
    parsed.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Gives memory that was freed back to the system; parsing type information leaves tens of megabytes.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}
