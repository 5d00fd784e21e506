//! Keeps what the collector hands on, and looks through it for the signals that checks expect. Must keep no more of
//! it than its bound.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use inquest_proto::v1;
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

use super::check::{Check, Deed, cgroup_of};
use crate::collect::Observed;

/// Signals that are kept, many times what the acts lead to; on a busy node the oldest go first.
const MAX_KEPT: usize = 8192;
/// Longest wait for a signal after its act: several of the longest windows that are counted over.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(20);
/// Signals of the act's own cgroup that a failure lists.
const MAX_LISTED: usize = 8;

/// What the collector hands on, for several checks to look through at once.
#[derive(Default)]
pub(super) struct Watch {
    journal: Mutex<Journal>,
    /// There is more in the journal.
    news: Notify,
}

/// The signals, oldest first, numbered from the first that there ever was.
#[derive(Default)]
struct Journal {
    kept: VecDeque<v1::Signal>,
    dropped: usize,
    lost: u64,
    ended: bool,
}

impl Journal {
    fn push(&mut self, signal: v1::Signal) {
        if self.kept.len() == MAX_KEPT {
            self.kept.pop_front();
            self.dropped += 1;
        }
        self.kept.push_back(signal);
    }

    /// The number of the next signal.
    fn next(&self) -> usize {
        self.dropped + self.kept.len()
    }

    fn since(&self, number: usize) -> impl Iterator<Item = &v1::Signal> {
        self.kept.iter().skip(number.saturating_sub(self.dropped))
    }

    /// For whoever must find out what went wrong: what was told about the deed's cgroup, as far as that fits.
    fn told_instead(&self, deed: &Deed, began: usize) -> anyhow::Result<String> {
        let is_below = |signal: &&v1::Signal| {
            cgroup_of(signal).is_some_and(|cgroup| cgroup.path.starts_with(&deed.cgroup))
                || deed.is_process(signal)
        };
        let told: Vec<_> = self
            .since(began)
            .filter(is_below)
            .take(MAX_LISTED)
            .collect();
        if told.is_empty() {
            return Ok("nothing was told about its cgroup".to_owned());
        }
        let told = serde_json::to_string(&told).context("failed to print signals")?;
        Ok(format!("told about its cgroup: {told}"))
    }
}

impl Watch {
    /// Keeps what is handed on until that ends.
    pub(super) async fn keep(&self, mut observed: mpsc::Receiver<Observed>) {
        while let Some(observed) = observed.recv().await {
            match observed {
                Observed::Signal(signal) => self.journal().push(*signal),
                Observed::Loss(loss) => self.journal().lost += loss.count,
                Observed::Watermark(_) => continue,
            }
            self.news.notify_waiters();
        }
        self.journal().ended = true;
        self.news.notify_waiters();
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        // Nothing in it is ever half-changed.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a check begins that is made from now on.
    pub(super) fn now(&self) -> usize {
        self.journal().next()
    }

    /// What the agent counted as lost until now.
    pub(super) fn lost(&self) -> u64 {
        self.journal().lost
    }

    /// Waits for the signal that `check` expects of `deed`, which began at `began`.
    pub(super) async fn find(
        &self,
        check: &Check,
        deed: &Deed,
        began: usize,
    ) -> anyhow::Result<()> {
        let Err(_elapsed) = timeout(SIGNAL_DEADLINE, self.look(check, deed, began)).await else {
            return Ok(());
        };
        let journal = self.journal();
        if journal.ended {
            bail!("nothing is observed: the collector has ended");
        }
        bail!(
            "{} was not told within {SIGNAL_DEADLINE:?}; process {} in network namespace {}, {}; {} records lost; {}",
            check.expects,
            deed.pid,
            deed.netns,
            deed.ended,
            journal.lost,
            journal.told_instead(deed, began)?,
        )
    }

    /// Looks at each signal once.
    async fn look(&self, check: &Check, deed: &Deed, mut from: usize) {
        loop {
            // Whatever comes after this look ends the wait.
            let news = self.news.notified();
            {
                let journal = self.journal();
                if journal
                    .since(from)
                    .any(|signal| (check.is_told_by)(signal, deed))
                {
                    return;
                }
                from = journal.next();
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, os::unix::process::ExitStatusExt as _, process::ExitStatus};

    use super::*;
    use crate::self_test::check::Place;

    const CHECK: Check = Check {
        name: "exec",
        probe: None,
        expects: "an execution",
        place: Place::CGROUP,
        act: |_| Ok(()),
        is_told_by: |signal, _| signal.id == "wanted",
    };

    fn deed() -> Deed {
        Deed {
            pid: 1,
            cgroup: "/scratch".to_owned(),
            netns: 2,
            facts: BTreeMap::new(),
            ended: ExitStatus::from_raw(0),
        }
    }

    fn signal(id: &str) -> Observed {
        Observed::Signal(Box::new(v1::Signal {
            id: id.to_owned(),
            ..v1::Signal::default()
        }))
    }

    #[tokio::test]
    async fn finds_a_signal_that_came_before_it_looked_and_one_that_comes_after() {
        let watch = Watch::default();
        let (sender, receiver) = mpsc::channel(8);
        let began = watch.now();
        let (check, deed) = (CHECK, deed());
        let finding = async {
            watch.look(&check, &deed, began).await;
            // By now it is in the journal.
            watch.look(&check, &deed, began).await;
        };
        let sending = async {
            for id in ["other", "wanted"] {
                sender.send(signal(id)).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = watch.keep(receiver) => panic!("the sender is alive"),
            ((), ()) = async { tokio::join!(finding, sending) } => {}
        }
        let later = watch.look(&check, &deed, watch.now());
        assert!(timeout(Duration::ZERO, later).await.is_err());
    }

    #[test]
    fn keeps_the_newest_and_their_numbers() {
        let mut journal = Journal::default();
        for number in 0..MAX_KEPT + 2 {
            journal.push(v1::Signal {
                ktime_ns: number as u64,
                ..v1::Signal::default()
            });
        }
        assert_eq!(journal.next(), MAX_KEPT + 2);
        assert_eq!(journal.since(0).next().unwrap().ktime_ns, 2);
        assert_eq!(journal.since(MAX_KEPT).count(), 2);
    }
}
