//! Decides which probes are let go and which are taken back. Pure: costs and time come with each question.

use std::{fmt, time::Duration};

/// Consecutive windows over the budget after which probes are let go: one alone may be a burst.
const PATIENCE: u32 = 2;
/// A probe that takes less than this part of the budget is not let go for its own cost: it would not help.
const SIGNIFICANT_PART: f64 = 0.05;
/// To which part of the budget the cost is brought, so that it does not come back at the next window.
const TARGET_PART: f64 = 0.9;
/// Below which part of the budget a probe is tried again.
const RETURN_PART: f64 = 0.7;
/// What was not spent of the budget in so many seconds may be spent on probes that are armed for a while.
const CREDIT_SECONDS: f64 = 10.0;
/// How many seconds of the budget may be owed: what is spent beyond the budget is paid back, before anything is armed
/// again, but not for ever.
const DEBT_SECONDS: f64 = 60.0;
/// Saved seconds of the budget below which nothing is armed: it would be let go before it saw anything.
const MIN_CREDIT_SECONDS: f64 = 2.0;
/// How long a probe that was let go is left alone; twice as long after each trial that failed.
const WAIT_MIN: Duration = Duration::from_secs(10);
const WAIT_MAX: Duration = Duration::from_secs(320);
/// A probe that stayed within the budget for so long is no longer on trial.
const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// How probes are held.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Always, as far as the budget allows.
    #[default]
    Auto,
    /// Always, whatever it costs.
    AlwaysOn,
    /// Those that may be let go, only while they are armed.
    OnDemand,
}

/// What the agent cost in one window. Costs are in thousandths of one CPU.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Window {
    /// Its length.
    pub(crate) length: Duration,
    /// Of the process.
    pub(crate) user_millis: f64,
    /// Of each probe in the kernel.
    pub(crate) probes: Vec<(&'static str, f64)>,
    /// Memory is so short that probes must go, whatever they cost.
    pub(crate) memory_is_short: bool,
}

impl Window {
    /// Returns the cost of all probes.
    pub(crate) fn kernel_millis(&self) -> f64 {
        self.probes.iter().map(|(_, millis)| millis).sum()
    }

    fn total_millis(&self) -> f64 {
        self.kernel_millis() + self.user_millis
    }

    fn millis_of(&self, name: &str) -> f64 {
        let probe = self.probes.iter().find(|(probe, _)| *probe == name);
        probe.map_or(0.0, |(_, millis)| *millis)
    }
}

/// For whom probes that were let go are to be held for a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arming {
    /// A cgroup was created, most likely for a container that starts or restarts.
    NewCgroup,
    /// Somebody asked for it.
    Request {
        /// For how long.
        duration: Duration,
    },
}

impl Arming {
    /// How long a new cgroup is watched: most of what goes wrong at a start does so within seconds.
    pub(crate) const NEW_CGROUP: Duration = Duration::from_secs(10);

    fn duration(self) -> Duration {
        match self {
            Self::NewCgroup => Self::NEW_CGROUP,
            Self::Request { duration } => duration,
        }
    }
}

impl fmt::Display for Arming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration().as_secs();
        match self {
            Self::NewCgroup => write!(f, "armed for {seconds} s for a new cgroup"),
            Self::Request { .. } => write!(f, "armed for {seconds} s on request"),
        }
    }
}

/// What is to be done with one probe, and what people are told about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    LetGo { probe: &'static str, why: String },
    TakeBack { probe: &'static str, note: String },
}

/// The budget and what became of each probe that may be let go.
#[derive(Debug)]
pub(crate) struct Policy {
    mode: Mode,
    budget_millis: f64,
    /// First to go first.
    candidates: Vec<Candidate>,
    windows_over: u32,
    /// A request that waits until enough is saved for it.
    requested: Option<Arming>,
    /// As of the last window.
    memory_is_short: bool,
    /// Unspent budget, negative when it is owed, in thousandths of a CPU for one second.
    credit: f64,
}

#[derive(Debug)]
struct Candidate {
    probe: &'static str,
    state: State,
    wait: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Kept,
    OnTrial { since: Duration },
    LetGo { retry_at: Duration },
    Armed { until: Duration, retry_at: Duration },
}

impl Policy {
    /// Begins with all probes held. Those that may be let go are `candidates`, first to go first.
    pub(crate) fn new(
        mode: Mode,
        budget_millis: f64,
        candidates: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let candidates = candidates.into_iter().map(|probe| Candidate {
            probe,
            state: State::Kept,
            wait: WAIT_MIN,
        });
        Self {
            mode,
            budget_millis,
            candidates: candidates.collect(),
            windows_over: 0,
            requested: None,
            memory_is_short: false,
            credit: 0.0,
        }
    }

    /// Returns what both sides together may cost, in thousandths of one CPU.
    pub(crate) fn budget_millis(&self) -> f64 {
        self.budget_millis
    }

    /// Holds probes that were let go for a while from `now` on, which counts from the start; a request that cannot be
    /// met yet is met later.
    pub(crate) fn ask(&mut self, now: Duration, arming: Arming) -> Vec<Change> {
        if matches!(arming, Arming::Request { .. }) {
            self.requested = Some(arming);
        }
        self.arm(now, arming)
    }

    /// Decides after a window that ended at `now`.
    pub(crate) fn decide(&mut self, now: Duration, window: &Window) -> Vec<Change> {
        let unspent = (self.budget_millis - window.total_millis()) * window.length.as_secs_f64();
        let (least, most) = (
            -DEBT_SECONDS * self.budget_millis,
            CREDIT_SECONDS * self.budget_millis,
        );
        self.credit = (self.credit + unspent).clamp(least, most);
        self.memory_is_short = window.memory_is_short;
        if window.memory_is_short {
            return self.let_all_go(now, "the agent is at its bound of memory");
        }
        match self.mode {
            // Only memory can have made it let go.
            Mode::AlwaysOn => return self.try_one(now).into_iter().collect(),
            Mode::OnDemand if self.is_any(|state| matches!(state, State::Kept)) => {
                return self.let_all_go(Duration::MAX, "`probes.mode` is `on-demand`");
            }
            Mode::OnDemand | Mode::Auto => {}
        }
        let mut changes = self.disarm(now);
        if let Some(arming) = self.requested {
            changes.extend(self.arm(now, arming));
        }
        if self.mode == Mode::Auto && !self.is_any(|state| matches!(state, State::Armed { .. })) {
            changes.extend(self.balance(now, window));
        }
        changes
    }

    /// Ends what was armed for long enough, or has used up what was saved for it.
    fn disarm(&mut self, now: Duration) -> Vec<Change> {
        let spent = self.credit <= 0.0;
        let mut changes = Vec::new();
        for candidate in &mut self.candidates {
            let State::Armed { until, retry_at } = candidate.state else {
                continue;
            };
            if now < until && !spent {
                continue;
            }
            candidate.state = State::LetGo { retry_at };
            let over = if spent {
                "the budget that was saved for it is used up"
            } else {
                "its time is over"
            };
            changes.push(candidate.let_go(over));
        }
        changes
    }

    fn arm(&mut self, now: Duration, arming: Arming) -> Vec<Change> {
        if self.memory_is_short || self.credit < self.budget_millis * MIN_CREDIT_SECONDS {
            return Vec::new();
        }
        self.requested = None;
        let until = now + arming.duration();
        let mut changes = Vec::new();
        for candidate in &mut self.candidates {
            match &mut candidate.state {
                State::LetGo { retry_at } => {
                    candidate.state = State::Armed {
                        until,
                        retry_at: *retry_at,
                    };
                    changes.push(Change::TakeBack {
                        probe: candidate.probe,
                        note: arming.to_string(),
                    });
                }
                State::Armed { until: earlier, .. } => *earlier = until.max(*earlier),
                State::Kept | State::OnTrial { .. } => {}
            }
        }
        changes
    }

    /// Lets probes go when the budget is exceeded, and tries one again when there is room.
    fn balance(&mut self, now: Duration, window: &Window) -> Vec<Change> {
        let total = window.total_millis();
        if total > self.budget_millis {
            self.windows_over += 1;
            let on_trial = self.is_any(|state| matches!(state, State::OnTrial { .. }));
            if on_trial || self.windows_over >= PATIENCE {
                return self.shed(now, window);
            }
            return Vec::new();
        }
        self.windows_over = 0;
        self.settle(now);
        if total <= self.budget_millis * RETURN_PART {
            self.try_one(now).into_iter().collect()
        } else {
            Vec::new()
        }
    }

    /// Lets go, in their order, probes that cost enough to matter until the rest fits into the budget. If none does,
    /// it is the process that costs too much, so the first one that gives it work.
    fn shed(&mut self, now: Duration, window: &Window) -> Vec<Change> {
        let mut left = window.total_millis();
        let target = self.budget_millis * TARGET_PART;
        let significant = self.budget_millis * SIGNIFICANT_PART;
        let mut changes = Vec::new();
        for candidate in self
            .candidates
            .iter_mut()
            .filter(|candidate| candidate.is_held())
        {
            let millis = window.millis_of(candidate.probe);
            if left > target && millis >= significant {
                left -= millis;
                changes.push(candidate.shed(now, window, self.budget_millis));
            }
        }
        let held = self
            .candidates
            .iter_mut()
            .find(|candidate| candidate.is_held());
        if let Some(candidate) = held
            && left > self.budget_millis
            && window.user_millis > significant
        {
            changes.push(candidate.shed(now, window, self.budget_millis));
        }
        self.windows_over = 0;
        changes
    }

    /// Takes back the probe that was let go last of those whose time has come: the most important one.
    fn try_one(&mut self, now: Duration) -> Option<Change> {
        let due = |state| matches!(state, State::LetGo { retry_at } if retry_at <= now);
        let candidate = self
            .candidates
            .iter_mut()
            .rev()
            .find(|candidate| due(candidate.state))?;
        candidate.state = State::OnTrial { since: now };
        let note = "taken back on trial: there is room for it again".to_owned();
        Some(Change::TakeBack {
            probe: candidate.probe,
            note,
        })
    }

    fn settle(&mut self, now: Duration) {
        for candidate in &mut self.candidates {
            if let State::OnTrial { since } = candidate.state
                && now >= since + SETTLED_AFTER
            {
                candidate.state = State::Kept;
                candidate.wait = WAIT_MIN;
            }
        }
    }

    fn let_all_go(&mut self, now: Duration, why: &str) -> Vec<Change> {
        let mut changes = Vec::new();
        for candidate in self
            .candidates
            .iter_mut()
            .filter(|candidate| candidate.is_attached())
        {
            candidate.go(now);
            changes.push(candidate.let_go(why));
        }
        changes
    }

    fn is_any(&self, is: impl Fn(State) -> bool) -> bool {
        self.candidates.iter().any(|candidate| is(candidate.state))
    }
}

impl Candidate {
    fn is_held(&self) -> bool {
        matches!(self.state, State::Kept | State::OnTrial { .. })
    }

    fn is_attached(&self) -> bool {
        !matches!(self.state, State::LetGo { .. })
    }

    /// Puts it away; for twice as long as the last time when that was a trial.
    fn go(&mut self, now: Duration) {
        if matches!(self.state, State::OnTrial { .. }) {
            self.wait = (self.wait * 2).min(WAIT_MAX);
        }
        self.state = State::LetGo {
            retry_at: now.saturating_add(self.wait),
        };
    }

    /// Lets it go for what it cost.
    fn shed(&mut self, now: Duration, window: &Window, budget_millis: f64) -> Change {
        self.go(now);
        self.let_go(&format!(
            "the agent took {:.1} thousandths of a CPU where {budget_millis:.1} are its budget, {:.1} of them by this \
             probe",
            window.total_millis(),
            window.millis_of(self.probe),
        ))
    }

    fn let_go(&self, why: &str) -> Change {
        let seconds = Arming::NEW_CGROUP.as_secs();
        let trial = match self.state {
            State::LetGo { retry_at } if retry_at < Duration::MAX => {
                format!("; tried again after {} s", self.wait.as_secs())
            }
            _ => String::new(),
        };
        let why = format!(
            "let go: {why}; armed on request, and for {seconds} s after a new cgroup, as far as the budget \
             allows{trial}"
        );
        Change::LetGo {
            probe: self.probe,
            why,
        }
    }
}

#[cfg(test)]
mod tests;
