//! Where wait profiles are asked for, and where the collector takes the requests up; must not make them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

/// Requests that wait at once; they are taken up within a second.
const MAX_WAITING: usize = 16;
/// Longest window: the scheduler's hooks cost every switch of the node while it lasts.
pub const MAX_WINDOW: Duration = Duration::from_mins(5);
/// Shortest window that tells anything.
pub const MIN_WINDOW: Duration = Duration::from_secs(1);

/// A profile that somebody wants.
#[derive(Debug)]
pub(crate) struct ProfileRequest {
    /// Of what: path of a cgroup below its hierarchy's root, or a container's id or the beginning of it.
    pub(crate) target: String,
    /// How long to watch it.
    pub(crate) window: Duration,
    /// To whoever asked.
    pub(crate) reply: oneshot::Sender<ProfileAnswer>,
}

/// The path of the cgroup that is watched, or why none is.
pub type ProfileAnswer = Result<String, ProfileRefusal>;

/// A profile will not be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProfileRefusal {
    /// The window is out of bounds.
    #[error("the window must be between {} and {} seconds", MIN_WINDOW.as_secs(), MAX_WINDOW.as_secs())]
    Window,
    /// There is no such cgroup.
    #[error(
        "there is no such cgroup or container in the hierarchy that names processes on this node"
    )]
    NoCgroup,
    /// The beginning of an id is that of several containers.
    #[error("several containers have ids that begin so, give more digits")]
    Ambiguous,
    /// As many cgroups are watched as can be.
    #[error("too many cgroups are watched already, ask again when their windows have ended")]
    Busy,
    /// The scheduler's hooks cannot be had.
    #[error(
        "the probes `sched_switch` and `sched_wakeup` are not available, see /status for the reason"
    )]
    NoProbe,
}

/// A desk with a bounded queue. Its clones are the same desk.
#[derive(Clone, Debug, Default)]
pub struct ProfileDesk(Arc<Mutex<VecDeque<ProfileRequest>>>);

impl ProfileDesk {
    /// Asks for a profile of `target`, a cgroup's path or a container's id, over `window`; the answer tells whether it is
    /// begun, and of which cgroup.
    pub fn ask(
        &self,
        target: String,
        window: Duration,
    ) -> Result<oneshot::Receiver<ProfileAnswer>, ProfileRefusal> {
        if !(MIN_WINDOW..=MAX_WINDOW).contains(&window) {
            return Err(ProfileRefusal::Window);
        }
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_WAITING {
            return Err(ProfileRefusal::Busy);
        }
        let (reply, answer) = oneshot::channel();
        waiting.push_back(ProfileRequest {
            target,
            window,
            reply,
        });
        Ok(answer)
    }

    /// Takes the oldest request up.
    pub(crate) fn take(&self) -> Option<ProfileRequest> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_requests_in_order_and_no_more_than_a_few() {
        let desk = ProfileDesk::default();
        for number in 0..MAX_WAITING {
            desk.ask(number.to_string(), MIN_WINDOW).unwrap();
        }
        let refused = desk.ask("/late".to_owned(), MIN_WINDOW).unwrap_err();
        assert_eq!(refused, ProfileRefusal::Busy);
        assert_eq!(desk.take().unwrap().target, "0");
        desk.ask("/late".to_owned(), MAX_WINDOW).unwrap();
    }

    #[test]
    fn refuses_a_window_out_of_bounds() {
        let desk = ProfileDesk::default();
        for window in [Duration::ZERO, MAX_WINDOW + Duration::from_secs(1)] {
            let refused = desk.ask("/pod".to_owned(), window).unwrap_err();
            assert_eq!(refused, ProfileRefusal::Window);
        }
    }
}
