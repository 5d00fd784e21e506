//! Looks through what the collector hands on for the signal that a check expects. Must keep no more of it than
//! its bound.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use inquest_proto::v1;
use tokio::{sync::mpsc, time::timeout};

use super::check::{Check, Deed, cgroup_of};
use crate::collect::Observed;

/// Signals that are kept for one check, many times what an act leads to; on a busy node the oldest go first.
const MAX_KEPT: usize = 8192;
/// Longest wait for a signal after its act: several of the longest windows that are counted over.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(20);
/// Signals of the act's own cgroup that a failure lists.
const MAX_LISTED: usize = 8;

/// What the collector has handed on since a check began.
pub(super) struct Watch {
    receiver: mpsc::Receiver<Observed>,
    kept: VecDeque<v1::Signal>,
    lost: u64,
}

impl Watch {
    pub(super) fn new(receiver: mpsc::Receiver<Observed>) -> Self {
        Self {
            receiver,
            kept: VecDeque::new(),
            lost: 0,
        }
    }

    /// Begins anew.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
        self.lost = 0;
    }

    /// Keeps what is handed on, until that ends; returns what that means.
    pub(super) async fn keep(&mut self) -> anyhow::Error {
        while let Some(observed) = self.receiver.recv().await {
            match observed {
                Observed::Signal(signal) => self.push(*signal),
                Observed::Loss(loss) => self.lost += loss.count,
                Observed::Watermark(_) => {}
            }
        }
        anyhow!("nothing is observed: the collector has ended")
    }

    fn push(&mut self, signal: v1::Signal) {
        if self.kept.len() == MAX_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(signal);
    }

    /// Waits for the signal that `check` expects of `deed`.
    pub(super) async fn find(&mut self, check: &Check, deed: &Deed) -> anyhow::Result<()> {
        let looking = async {
            if self
                .kept
                .iter()
                .any(|signal| (check.is_told_by)(signal, deed))
            {
                return Ok(());
            }
            loop {
                let observed = self.receiver.recv().await;
                match observed.context("the collector has ended")? {
                    Observed::Signal(signal) if (check.is_told_by)(&signal, deed) => return Ok(()),
                    Observed::Signal(signal) => self.push(*signal),
                    Observed::Loss(loss) => self.lost += loss.count,
                    Observed::Watermark(_) => {}
                }
            }
        };
        match timeout(SIGNAL_DEADLINE, looking).await {
            Ok(found) => found,
            Err(_elapsed) => bail!(
                "{} was not told within {SIGNAL_DEADLINE:?}; process {} in network namespace {}, {}; {} records lost; {}",
                check.expects,
                deed.pid,
                deed.netns,
                deed.ended,
                self.lost,
                self.what_was_told_instead(deed)?,
            ),
        }
    }

    /// For whoever must find out what went wrong: what was told about the cgroup, as far as that fits.
    fn what_was_told_instead(&self, deed: &Deed) -> anyhow::Result<String> {
        let is_below = |signal: &&v1::Signal| {
            cgroup_of(signal).is_some_and(|cgroup| cgroup.path.starts_with(&deed.cgroup))
                || deed.is_process(signal)
        };
        let told: Vec<_> = self.kept.iter().filter(is_below).take(MAX_LISTED).collect();
        if told.is_empty() {
            return Ok("nothing was told about its cgroup".to_owned());
        }
        let told = serde_json::to_string(&told).context("failed to print signals")?;
        Ok(format!("told about its cgroup: {told}"))
    }
}
