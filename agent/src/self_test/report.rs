//! What came of each check, for people and for programs. Must not make checks.

use std::{fmt, time::Duration};

use inquest_proto::v1::ProbeStatus;
use serde::Serialize;

use super::check::{Check, NotPossible};
use crate::probes::Loaded;

/// The name under which the look for leftovers is reported.
const LEFTOVERS: &str = "nothing_left_behind";

/// What came of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was told, and truly.
    Pass,
    /// It was not told, or not truly.
    Fail,
    /// This machine does not let it happen, or not be seen.
    NotPossible,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotPossible => "not possible here",
        })
    }
}

/// One check and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The name of the check: the kind of signal.
    pub check: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// The probe that it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<&'static str>,
    /// By which hook the probe is attached; empty when it is not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hook: String,
    /// Why it did not pass; empty when it did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// How long it took, from the act's preparation to the signal.
    pub took_ms: u64,
}

impl Outcome {
    pub(super) fn new(
        check: &Check,
        status: Option<&ProbeStatus>,
        result: anyhow::Result<()>,
        took: Duration,
    ) -> Self {
        Self {
            check: check.name,
            probe: check.probe,
            hook: status.map(|status| status.hook.clone()).unwrap_or_default(),
            ..Self::judge(result, took)
        }
    }

    pub(super) fn of_leftovers(result: anyhow::Result<()>, took: Duration) -> Self {
        Self::judge(result, took)
    }

    fn judge(result: anyhow::Result<()>, took: Duration) -> Self {
        let (verdict, why) = match result {
            Ok(()) => (Verdict::Pass, String::new()),
            Err(error) if error.is::<NotPossible>() => (Verdict::NotPossible, error.to_string()),
            Err(error) => (Verdict::Fail, format!("{error:#}")),
        };
        Self {
            check: LEFTOVERS,
            verdict,
            probe: None,
            hook: String::new(),
            why,
            took_ms: took.as_millis().try_into().unwrap_or(u64::MAX),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, verdict, .. } = self;
        write!(f, "{check:<24} {verdict}")?;
        match (verdict, self.probe) {
            (Verdict::Pass, Some(probe)) => {
                write!(f, " ({probe} by {}, {} ms)", self.hook, self.took_ms)
            }
            (Verdict::Pass, None) => write!(f, " ({} ms)", self.took_ms),
            _ => write!(f, ": {}", self.why),
        }
    }
}

/// What came of all checks.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// As `uname -r` prints it.
    pub kernel_release: String,
    /// 1 for v1, 2 for v2, 3 for both, 0 when no cgroup file system was found.
    pub cgroup_version: u32,
    /// In the order in which the checks ended.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    pub(super) fn new(loaded: &Loaded) -> Self {
        Self {
            kernel_release: loaded.kernel_release.clone(),
            cgroup_version: loaded.cgroup_version,
            outcomes: Vec::new(),
        }
    }

    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.count(Verdict::Fail) == 0
    }

    fn count(&self, verdict: Verdict) -> usize {
        let is_it = |outcome: &&Outcome| outcome.verdict == verdict;
        self.outcomes.iter().filter(is_it).count()
    }
}

/// The sum, as the last line for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} not possible here (kernel {}, cgroup version {})",
            self.count(Verdict::Pass),
            self.count(Verdict::Fail),
            self.count(Verdict::NotPossible),
            self.kernel_release,
            self.cgroup_version,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(results: Vec<anyhow::Result<()>>) -> Report {
        let judge = |result| Outcome::judge(result, Duration::from_millis(3));
        Report {
            kernel_release: "6.1.0".to_owned(),
            cgroup_version: 2,
            outcomes: results.into_iter().map(judge).collect(),
        }
    }

    #[test]
    fn what_is_not_possible_is_no_failure() {
        let impossible = || NotPossible("no memory controller".to_owned()).into();
        let good = report(vec![Ok(()), Err(impossible())]);
        assert!(good.is_good());
        let line = good.outcomes[1].to_string();
        assert!(
            line.ends_with("not possible here: no memory controller"),
            "{line}"
        );
        let bad = report(vec![
            Ok(()),
            Err(impossible()),
            Err(anyhow::anyhow!("not told")),
        ]);
        assert!(!bad.is_good());
        assert!(
            bad.to_string()
                .starts_with("1 passed, 1 failed, 1 not possible here")
        );
    }

    #[test]
    fn a_program_reads_the_same_as_people() {
        let report = report(vec![Ok(()), Err(anyhow::anyhow!("not told"))]);
        let json = serde_json::to_value(report).unwrap();
        assert_eq!(json["outcomes"][0]["verdict"], "pass");
        assert_eq!(json["outcomes"][0].get("why"), None);
        assert_eq!(json["outcomes"][1]["verdict"], "fail");
        assert_eq!(json["outcomes"][1]["why"], "not told");
    }
}
