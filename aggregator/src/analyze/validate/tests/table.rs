//! Honest paraphrases and lies, each with the facts it cites, and how often the check errs on them. Must
//! hold out sentences that the rules were not made with, or the rates mean little.

use super::super::{super::facts::Facts, check_claim};
use super::{claim, incident};

mod honest;
mod lies;

use honest::{HELD_OUT, HONEST, LEARNED_FROM};
use lies::{HELD_OUT_LIES, LIES};

/// A sentence and the facts it cites.
type Case = (&'static str, &'static [&'static str]);

/// Of the held-out sentences, what the first run judged wrongly; the lie kept swaps two names of the same fact,
/// which the check cannot tell.
const MAX_HONEST_LOST: usize = 2;
const MAX_LIES_KEPT: usize = 1;
/// Figures in the letter of the rule, though an honest writer means none.
const STILL_LOST: [&str; 2] = ["close to zero", "the two biggest"];

struct Verdicts {
    dropped: Vec<&'static str>,
    kept: Vec<&'static str>,
}

fn judge(cases: &[Case]) -> Verdicts {
    let facts = Facts::of(&incident());
    let (kept, dropped): (Vec<&Case>, Vec<_>) = cases
        .iter()
        .partition(|(text, ids)| check_claim(&claim(text, ids), &facts).is_ok());
    let texts = |cases: Vec<&Case>| cases.into_iter().map(|case| case.0).collect();
    Verdicts {
        dropped: texts(dropped),
        kept: texts(kept),
    }
}

#[test]
fn keeps_honest_paraphrases() {
    let known = judge(HONEST).dropped;
    let learned_from = judge(LEARNED_FROM).dropped;
    let held_out = judge(HELD_OUT).dropped;
    println!(
        "honest sentences dropped: {} of {}, held out: {} of {}",
        known.len() + learned_from.len(),
        HONEST.len() + LEARNED_FROM.len(),
        held_out.len(),
        HELD_OUT.len(),
    );
    assert_eq!(known, [] as [&str; 0]);
    assert_eq!(learned_from.len(), STILL_LOST.len(), "{learned_from:#?}");
    for (text, part) in learned_from.iter().zip(STILL_LOST) {
        assert!(text.contains(part), "{text}");
    }
    assert!(held_out.len() <= MAX_HONEST_LOST, "{held_out:#?}");
}

#[test]
fn drops_lies() {
    let known = judge(LIES).kept;
    let held_out = judge(HELD_OUT_LIES).kept;
    println!(
        "lies kept: {} of {}, held out: {} of {}",
        known.len(),
        LIES.len(),
        held_out.len(),
        HELD_OUT_LIES.len(),
    );
    assert_eq!(known, [] as [&str; 0]);
    assert!(held_out.len() <= MAX_LIES_KEPT, "{held_out:#?}");
}
