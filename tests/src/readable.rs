//! Waiting for a descriptor to turn readable. Must own the descriptor it waits for.

use std::os::fd::OwnedFd;

use anyhow::Context as _;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor that `poll(2)` knows: a pidfd, the kernel log.
pub(crate) fn watch(descriptor: OwnedFd) -> anyhow::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` stays open, and the same descriptor, until it is dropped, and from here
    // on only the `AsyncFd` can drop it.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }
        .context("failed to watch a descriptor")
}
