//! A thread that does for a source what would keep the collector waiting, and the bounded way back from it. Must not know
//! what is handed on.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use inquest_proto::v1::loss::Stage;

use crate::loss::Losses;

/// The collector's end. The thread is not waited for: it ends when it is told so by means of its own.
#[derive(Debug)]
pub(crate) struct Worker<T> {
    results: Receiver<T>,
    dropped: Dropped,
}

/// The thread's end.
#[derive(Debug)]
pub(crate) struct Outlet<T> {
    results: SyncSender<T>,
    dropped: Dropped,
}

/// Counts what found no room. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dropped(Arc<AtomicU64>);

impl<T: Send + 'static> Worker<T> {
    /// Has a thread called `name` run `work`, of whose results `max_waiting` wait for the collector.
    pub(crate) fn start(
        name: &str,
        max_waiting: usize,
        work: impl FnOnce(&Outlet<T>) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, results) = sync_channel(max_waiting);
        let dropped = Dropped::default();
        let outlet = Outlet {
            results: sender,
            dropped: dropped.clone(),
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&outlet))?;
        Ok(Self { results, dropped })
    }

    /// Takes what was handed on by now; adds to `losses`, as `reason`, what found no room.
    pub(crate) fn take(&self, reason: &str, losses: &mut Losses) -> impl Iterator<Item = T> {
        let dropped = self.dropped.0.swap(0, Ordering::Relaxed);
        losses.add(Stage::Queue, reason, dropped);
        self.results.try_iter()
    }

    /// Counts together with the thread.
    pub(crate) fn dropped(&self) -> Dropped {
        self.dropped.clone()
    }

    /// Waits until the thread has ended.
    #[cfg(test)]
    pub(crate) fn join(self) {
        while self.results.recv().is_ok() {}
    }
}

impl<T> Outlet<T> {
    /// Hands on `result`, or counts that there was no room.
    pub(crate) fn hand_on(&self, result: T) {
        if self.results.try_send(result).is_err() {
            self.dropped.count();
        }
    }
}

impl Dropped {
    /// Counts one more.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_as_many_results_as_there_is_room_for_and_counts_the_others() {
        let (done, is_done) = sync_channel(0);
        let worker = Worker::start("numbers", 2, move |outlet| {
            (0..5).for_each(|number| outlet.hand_on(number));
            done.send(()).unwrap();
        })
        .unwrap();
        is_done.recv().unwrap();
        let mut losses = Losses::default();
        assert_eq!(
            worker.take("numbers", &mut losses).collect::<Vec<_>>(),
            [0, 1]
        );
        let told = losses.to_wire();
        assert_eq!((told[0].reason.as_str(), told[0].count), ("numbers", 3));
        worker.join();
    }
}
