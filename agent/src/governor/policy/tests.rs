//! What the policy decides, told as stories of windows of one second each.

use super::*;

const BUDGET: f64 = 20.0;
const SECOND: Duration = Duration::from_secs(1);

/// A policy and the time of its next window.
struct Story {
    policy: Policy,
    now: Duration,
}

impl Story {
    fn new(mode: Mode) -> Self {
        let policy = Policy::new(mode, BUDGET, ["storm", "busy", "quiet"]);
        Self {
            policy,
            now: Duration::ZERO,
        }
    }

    /// Lets a second pass in which the probes that are held cost what `costs` says.
    fn second(&mut self, costs: [f64; 3], user_millis: f64) -> Vec<String> {
        self.window(costs, user_millis, None, false)
    }

    fn window(
        &mut self,
        costs: [f64; 3],
        user_millis: f64,
        arming: Option<Arming>,
        memory_is_short: bool,
    ) -> Vec<String> {
        self.now += SECOND;
        let held = self.policy.candidates.iter().zip(costs);
        let probes = held
            .map(|(candidate, millis)| {
                (
                    candidate.probe,
                    if candidate.is_attached() { millis } else { 0.0 },
                )
            })
            .collect();
        let window = Window {
            length: SECOND,
            user_millis,
            probes,
            memory_is_short,
        };
        let asked = arming.map(|arming| self.policy.ask(self.now, arming));
        let mut changes = asked.unwrap_or_default();
        changes.extend(self.policy.decide(self.now, &window));
        changes.iter().map(shown).collect()
    }

    /// Lets seconds pass until something changes; returns how many, and what.
    fn until_change(&mut self, costs: [f64; 3]) -> (u32, Vec<String>) {
        for seconds in 1..1000 {
            let changes = self.second(costs, 1.0);
            if !changes.is_empty() {
                return (seconds, changes);
            }
        }
        panic!("nothing changed");
    }
}

fn shown(change: &Change) -> String {
    match change {
        Change::LetGo { probe, .. } => format!("-{probe}"),
        Change::TakeBack { probe, .. } => format!("+{probe}"),
    }
}

#[test]
fn lets_go_what_costs_too_much_in_the_order_of_the_table_and_no_more_than_needed() {
    let none: &[&str] = &[];
    for (case, costs, user, expected) in [
        ("within the budget", [9.0, 9.0, 1.0], 0.5, none),
        ("a storm", [200.0, 5.0, 5.0], 1.0, &["-storm"]),
        ("two storms", [200.0, 100.0, 5.0], 1.0, &["-storm", "-busy"]),
        (
            "the first costs nothing",
            [0.0, 100.0, 5.0],
            1.0,
            &["-busy"],
        ),
        ("the process itself", [0.0, 0.0, 0.1], 50.0, &["-storm"]),
        ("probes that are never let go", [0.0, 0.0, 0.0], 0.5, none),
    ] {
        let mut story = Story::new(Mode::Auto);
        assert_eq!(
            story.second(costs, user),
            none,
            "{case}: one window may be a burst"
        );
        assert_eq!(story.second(costs, user), expected, "{case}");
    }
}

#[test]
fn a_burst_of_one_window_changes_nothing() {
    let mut story = Story::new(Mode::Auto);
    for _ in 0..10 {
        assert!(story.second([200.0, 0.0, 0.0], 1.0).is_empty());
        assert!(story.second([1.0, 0.0, 0.0], 1.0).is_empty());
    }
}

#[test]
fn tries_again_after_a_while_and_waits_twice_as_long_after_each_failure() {
    let storm = [200.0, 0.0, 0.0];
    let mut story = Story::new(Mode::Auto);
    assert_eq!(story.until_change(storm), (2, vec!["-storm".to_owned()]));
    for wait in [10, 20, 40, 80, 160, 320, 320] {
        assert_eq!(story.until_change(storm), (wait, vec!["+storm".to_owned()]));
        assert_eq!(
            story.until_change(storm),
            (1, vec!["-storm".to_owned()]),
            "a trial gets one window"
        );
    }
    let calm = [1.0, 0.0, 0.0];
    assert_eq!(story.until_change(calm), (320, vec!["+storm".to_owned()]));
    for _ in 0..60 {
        assert!(story.second(calm, 1.0).is_empty());
    }
    assert_eq!(
        story.until_change(storm).0,
        2,
        "settled, it has patience again"
    );
    assert_eq!(
        story.until_change(storm).0,
        10,
        "and the wait is short again"
    );
}

#[test]
fn takes_back_the_most_important_one_first_and_one_at_a_time() {
    let mut story = Story::new(Mode::Auto);
    story.until_change([100.0, 100.0, 100.0]);
    let calm = [1.0, 1.0, 1.0];
    let order: Vec<_> = (0..3).flat_map(|_| story.until_change(calm).1).collect();
    assert_eq!(order, ["+quiet", "+busy", "+storm"]);
}

#[test]
fn takes_nothing_back_while_there_is_little_room() {
    let mut story = Story::new(Mode::Auto);
    story.until_change([100.0, 0.0, 0.0]);
    for _ in 0..60 {
        assert!(story.second([0.0, 18.0, 0.0], 1.0).is_empty());
    }
}

#[test]
fn a_new_cgroup_arms_for_a_while_from_what_was_saved() {
    let mut story = Story::new(Mode::OnDemand);
    assert_eq!(story.second([0.0; 3], 1.0), ["-storm", "-busy", "-quiet"]);
    for _ in 0..20 {
        assert!(story.second([0.0; 3], 1.0).is_empty());
    }
    let armed = ["+storm", "+busy", "+quiet"];
    assert_eq!(
        story.window([0.0; 3], 1.0, Some(Arming::NewCgroup), false),
        armed
    );
    let (seconds, changes) = story.until_change([5.0, 1.0, 1.0]);
    assert_eq!((seconds, changes.len()), (10, 3), "its time is over");

    assert_eq!(
        story.window([0.0; 3], 1.0, Some(Arming::NewCgroup), false),
        armed
    );
    let (seconds, changes) = story.until_change([100.0, 1.0, 1.0]);
    assert!(seconds <= 3, "{seconds} s of five times the budget");
    assert_eq!(changes.len(), 3);
    let refused = story.window([0.0; 3], 1.0, Some(Arming::NewCgroup), false);
    assert!(refused.is_empty(), "nothing is saved yet");
}

#[test]
fn however_many_cgroups_are_created_the_mean_stays_near_the_budget() {
    let mut story = Story::new(Mode::Auto);
    story.until_change([200.0, 1.0, 1.0]);
    let mut spent = 0.0;
    let seconds = 600;
    for _ in 0..seconds {
        let armed = story.policy.candidates[0].is_attached();
        spent += if armed { 203.0 } else { 3.0 };
        story.window([200.0, 1.0, 1.0], 1.0, Some(Arming::NewCgroup), false);
    }
    let mean = spent / f64::from(seconds);
    assert!(mean <= BUDGET * 1.1, "{mean}");
}

#[test]
fn a_request_arms_for_as_long_as_it_says() {
    let mut story = Story::new(Mode::OnDemand);
    for _ in 0..10 {
        story.second([0.0; 3], 1.0);
    }
    let request = Arming::Request {
        duration: Duration::from_secs(45),
    };
    assert_eq!(story.window([0.0; 3], 1.0, Some(request), false).len(), 3);
    assert_eq!(story.until_change([5.0, 1.0, 1.0]).0, 45);
}

#[test]
fn a_request_waits_until_enough_is_saved_for_it() {
    let mut story = Story::new(Mode::OnDemand);
    let request = Arming::Request {
        duration: Duration::from_secs(45),
    };
    let first = story.window([0.0; 3], 1.0, Some(request), false);
    assert_eq!(first, ["-storm", "-busy", "-quiet"]);
    let (seconds, changes) = story.until_change([0.0; 3]);
    assert_eq!((seconds, changes.len()), (2, 3));
}

#[test]
fn always_on_holds_whatever_it_costs_but_not_beyond_the_bound_of_memory() {
    let mut story = Story::new(Mode::AlwaysOn);
    for _ in 0..20 {
        assert!(story.second([900.0, 0.0, 0.0], 100.0).is_empty());
    }
    assert_eq!(story.window([900.0, 0.0, 0.0], 1.0, None, true).len(), 3);
    assert_eq!(
        story.until_change([900.0, 0.0, 0.0]),
        (10, vec!["+quiet".to_owned()])
    );
}

#[test]
fn says_what_it_did_and_what_will_bring_it_back() {
    let mut policy = Policy::new(Mode::Auto, BUDGET, ["storm"]);
    let window = Window {
        length: SECOND,
        user_millis: 2.0,
        probes: vec![("storm", 38.0)],
        ..Window::default()
    };
    policy.decide(SECOND, &window);
    let changes = policy.decide(2 * SECOND, &window);
    let [Change::LetGo { why, .. }] = changes.as_slice() else {
        panic!("{changes:?}")
    };
    for words in [
        "40.0",
        "20.0 are its budget",
        "38.0 of them",
        "new cgroup",
        "after 10 s",
    ] {
        assert!(why.contains(words), "{words} in {why}");
    }
}
