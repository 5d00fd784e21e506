//! `security-context-denied`: a security policy refused what a program did, or ended it for that. Must not
//! hold for a denial that the program got along with.

use std::collections::BTreeMap;

use super::claim::{Claim, MAX_SIGNS};
use super::last_word::{self, LastWord};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::{Death, Observed};
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::explain::quote::clean;
use crate::explain::signal_name::SIGSYS;
use crate::model::signal::{Denial, DenialKind, Denials, FailedCall};
use crate::rank::Strength;

/// Denials without a death: programs try what they may not now and then; a policy that is in the way is
/// met again and again.
const MIN_DENIALS: u64 = 20;

/// Finds policies that are in the way.
pub(super) struct SecurityContextDenied;

impl Detector for SecurityContextDenied {
    fn cause(&self) -> &'static str {
        "security-context-denied"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let windows = case.troubles.of::<Denials>();
        let refused = last_word::find(case, |call| {
            all(&windows).any(|(_, denial)| explains(denial, call))
        });
        let telling = match case.death() {
            Some(death) => deadly(&windows, death, refused.as_ref()),
            None => most_frequent(&windows),
        };
        let Some((window, denial)) = telling else {
            return Verdict::Silent;
        };
        let mut signs: Vec<Fact> = vec![fact(case, window, denial)];
        signs.extend(refused.map(|word| word.fact(case)));
        signs.truncate(MAX_SIGNS);
        let who = case.subject();
        let (policy, what) = (policy(denial), object(denial));
        let strength = Strength {
            prior: 0.98,
            specificity: refused.as_ref().map_or(1.0, LastWord::specificity),
            directness: 1.0,
        };
        Claim {
            until: windows.last().map(|window| window.at).unwrap_or_default(),
            signs,
            what: format!("{policy} refused {what}"),
            headline: match case.death() {
                Some(_) => format!("{who} ended: {policy} refused {what}"),
                None => format!("{who} is refused {what} again and again: by {policy}"),
            },
            explanation: format!(
                "The refusal is one of policy and not of file modes: {policy} decides what {who} may do, and \
                 {what} is not among it."
            ),
            impact: format!("{who} goes on without what it was refused"),
            remediation: remediation(denial),
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

/// A denial, and the window in which it was told.
type Told<'a> = (Observed<'a, Denials>, &'a Denial);

fn all<'a>(windows: &[Observed<'a, Denials>]) -> impl DoubleEndedIterator<Item = Told<'a>> {
    windows.iter().flat_map(|window| {
        let denials = window.record.denials.iter();
        denials.map(|denial| (*window, denial))
    })
}

/// The last denial that a workload ended for: by the filter's own signal, or after the call that was refused.
fn deadly<'a>(
    windows: &[Observed<'a, Denials>],
    death: &Death<'_>,
    refused: Option<&LastWord<'_>>,
) -> Option<Told<'a>> {
    let was_killed = death.died_of() == SIGSYS;
    all(windows).rfind(|(_, denial)| {
        let by_signal = was_killed && denial.kind == DenialKind::SeccompKill;
        by_signal || refused.is_some_and(|word| explains(denial, word.call))
    })
}

/// The denial that is met most, where it was met last, if it is met often enough.
fn most_frequent<'a>(windows: &[Observed<'a, Denials>]) -> Option<Told<'a>> {
    let mut met: BTreeMap<_, (u64, Told<'a>)> = BTreeMap::new();
    for told in all(windows) {
        let denial = told.1;
        let what = (&denial.capability, &denial.syscall, &denial.object);
        let (count, newest) = met.entry((denial.kind, what)).or_insert((0, told));
        *count = count.saturating_add(denial.count);
        *newest = told;
    }
    let most = met.into_values().max_by_key(|(count, _)| *count);
    most.filter(|(count, _)| *count >= MIN_DENIALS)
        .map(|(_, told)| told)
}

/// Whether `denial` may be why `call` failed: the kernel's log does not name the call.
pub(super) fn explains(denial: &Denial, call: &FailedCall) -> bool {
    let is_refused = call.errno == "EPERM" || call.errno == "EACCES";
    is_refused && (denial.syscall.is_empty() || denial.syscall == call.syscall)
}

const fn policy(denial: &Denial) -> &'static str {
    match denial.kind {
        DenialKind::SeccompKill | DenialKind::SeccompErrno => "its seccomp profile",
        DenialKind::AppArmor => "its AppArmor profile",
        DenialKind::SeLinux => "SELinux",
        DenialKind::Capability => "its set of capabilities",
        DenialKind::Unknown => "a security policy",
    }
}

fn object(denial: &Denial) -> String {
    let named = [&denial.capability, &denial.syscall, &denial.object];
    let named: Vec<String> = named
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(|name| clean(name))
        .collect();
    if named.is_empty() {
        "what it did".to_owned()
    } else {
        named.join(" of ").replacen(" of ", " for ", 1)
    }
}

fn fact(case: &Case<'_>, window: Observed<'_, Denials>, denial: &Denial) -> Fact {
    let profile = match denial.profile.as_str() {
        "" => String::new(),
        profile => format!(" (profile {})", clean(profile)),
    };
    let text = format!(
        "{}: {}{profile} refused {}, {}",
        case.subject(),
        policy(denial),
        object(denial),
        count(denial.count, "time")
    );
    case.sign(window, text)
}

fn remediation(denial: &Denial) -> Vec<String> {
    let next = match denial.kind {
        DenialKind::SeccompKill | DenialKind::SeccompErrno => {
            "allow the call in the seccomp profile, or use the runtime's default one: securityContext.seccompProfile"
        }
        DenialKind::AppArmor => {
            "allow it in the AppArmor profile: aa-logprof proposes the rule from the log"
        }
        DenialKind::SeLinux => {
            "look at the record with ausearch -m avc, and at the labels of the volume (:z, seLinuxOptions)"
        }
        DenialKind::Capability => {
            "add the one capability that is needed, if it is: securityContext.capabilities.add, AmbientCapabilities="
        }
        DenialKind::Unknown => "look for the record in the audit log: ausearch, dmesg | grep audit",
    };
    vec![
        next.to_owned(),
        "or find out why the program wants it: what it does without is safer".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{Denial, DenialKind, Denials};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::checks::causes;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::call;
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "security-context-denied",
        severity: Severity::Critical,
        nature: Nature::Fault,
        signals,
        supports: &[3, 1],
        look_alikes,
    };

    fn denied(who: &Actor, id: &str, ms: i64, kind: DenialKind, count: u64) -> Signal {
        let denial = Denial {
            kind,
            syscall: "mount".to_owned(),
            count,
            ..Denial::default()
        };
        let denials = Denials {
            start: at_ms(ms - 1000),
            denials: vec![denial],
        };
        who.signal(id, at_ms(ms), SignalBody::Denials(denials))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let shop = Actor::new("shop", 40 + round);
        vec![
            denied(
                &shop,
                &format!("denial-{round}"),
                ms,
                DenialKind::SeccompKill,
                1,
            ),
            shop.exit(&format!("exit-{round}"), at_ms(ms + 1), 31),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let shop = Actor::new("shop", 40);
        let once = denied(&shop, "d", 0, DenialKind::SeccompErrno, 1);
        let killed = vec![once.clone(), shop.exit("exit", at_ms(1), 9)];
        let words = vec![call(40, -10, "openat", "EACCES", "/etc/shop.conf")];
        let by_mode = vec![once.clone(), shop.gave_up("gave-up", 1, 1, words)];
        let many: Vec<Signal> = (0..40)
            .map(|number: u32| {
                let mut denied = denied(&shop, &format!("d-{number}"), 0, DenialKind::AppArmor, 1);
                if let SignalBody::Denials(denials) = &mut denied.body {
                    denials.denials[0].object = format!("/srv/{number}");
                }
                denied
            })
            .collect();
        vec![
            ("many things that were refused once", many),
            ("a denial that it got along with", vec![once]),
            ("a kill by something else", killed),
            ("another call that failed later", by_mode),
        ]
    }

    stands!(SCENARIO);

    #[test]
    fn holds_for_an_end_after_the_call_that_was_refused() {
        let shop = Actor::new("shop", 40);
        let words = || vec![call(40, -10, "mount", "EPERM", "/mnt")];
        for kind in [DenialKind::SeccompErrno, DenialKind::Capability] {
            let refused = denied(&shop, "d", 900, kind, 1);
            let end = shop.gave_up("exit", 0, 1, words());
            assert_eq!(causes(vec![end, refused]), [SCENARIO.cause], "{kind:?}");
        }
    }

    #[test]
    fn holds_for_a_policy_that_is_met_again_and_again() {
        let shop = Actor::new("shop", 40);
        let often = denied(&shop, "d", 0, DenialKind::Capability, 50);
        assert_eq!(causes(vec![often]), [SCENARIO.cause]);
    }
}
