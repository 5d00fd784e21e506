//! How a victim and its harness talk: it says a line, it is told to act, it is let go. Must not
//! judge what it says.

use std::fmt::Display;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::READY;
use crate::output;

/// Says that it is set up and waits; false when it is let go instead.
pub(super) fn ready() -> anyhow::Result<bool> {
    output::line(READY);
    let mut word = [0];
    Ok(io::stdin().read(&mut word)? > 0)
}

/// Says something.
pub(super) fn say(text: impl Display) {
    output::line(text);
}

/// Waits until it is let go.
pub(super) fn until_let_go() -> io::Result<()> {
    let mut rest = Vec::new();
    io::stdin().read_to_end(&mut rest)?;
    Ok(())
}

/// Rests between two attempts; false when it is let go meanwhile.
pub(super) fn rest(pause: Duration) -> anyhow::Result<bool> {
    Ok(!is_readable(&[io::stdin().as_fd()], Some(pause))?[0])
}

/// Waits until another descriptor is readable; false when it is let go first.
pub(super) fn until_readable(descriptor: impl AsFd) -> anyhow::Result<bool> {
    let stdin = io::stdin();
    Ok(!is_readable(&[stdin.as_fd(), descriptor.as_fd()], None)?[0])
}

/// Which of some descriptors are readable, once one is or the time is over.
fn is_readable<const N: usize>(
    descriptors: &[rustix::fd::BorrowedFd<'_>; N],
    longest: Option<Duration>,
) -> anyhow::Result<[bool; N]> {
    // A pipe whose writer has gone reports a hang-up alone.
    let mut polled = descriptors
        .each_ref()
        .map(|descriptor| PollFd::new(descriptor, PollFlags::IN));
    let longest = longest.map(Timespec::try_from).transpose()?;
    poll(&mut polled, longest.as_ref())?;
    Ok(polled.map(|descriptor| !descriptor.revents().is_empty()))
}
