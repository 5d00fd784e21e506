//! What program could not be executed, shared by the detectors of its reasons. Must tell a search
//! through directories from a program that is missing.

use std::time::Duration;

use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::explain::facts::Fact;
use crate::explain::quote::clean;
use crate::model::signal::ExecFailure;

/// A process that cannot become its program ends within this time.
const CLOSE: Duration = Duration::from_secs(2);

/// Exit codes of shells and runtimes for a program that cannot be executed, or is not found.
const CANNOT_EXECUTE: [u32; 2] = [126, 127];

/// The last execution that failed before the main process ended for it.
pub(super) fn find<'a>(case: &Case<'a>) -> Option<Observed<'a, ExecFailure>> {
    let exit = case.failed_main()?.exit?;
    let of_child = || {
        let is_reported = CANNOT_EXECUTE.contains(&exit.record.code);
        let failures = case.troubles.of::<ExecFailure>();
        failures.into_iter().next_back().filter(|_| is_reported)
    };
    let failure = case.own_exec_failure().or_else(of_child)?;
    let apart = exit.at.since(failure.at);
    (apart <= CLOSE && failure.at <= exit.at.plus(CLOSE)).then_some(failure)
}

/// The failure as a fact of its case.
pub(super) fn fact(case: &Case<'_>, failure: Observed<'_, ExecFailure>) -> Fact {
    let record = failure.record;
    let mut text = format!(
        "{} failed to execute {}: {}",
        case.subject(),
        clean(&record.filename),
        clean(&record.errno)
    );
    if !record.interpreter.is_empty() {
        text.push_str(", its interpreter is ");
        text.push_str(&clean(&record.interpreter));
    }
    if !record.machine.is_empty() {
        text.push_str(", it is built for ");
        text.push_str(&clean(&record.machine));
    }
    case.sign(failure, text)
}
