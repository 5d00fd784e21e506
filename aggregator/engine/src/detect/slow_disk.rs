//! `slow-disk`: the requests of a workload to a block device take long, or fail. Must not hold for a single
//! slow request, nor for many requests that are each quick.

use std::time::Duration;

use super::claim::{Claim, cited, last_spell};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::Domain;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::{bytes, count};
use crate::explain::quote::clean;
use crate::model::Severity;
use crate::model::signal::BlockIo;
use crate::rank::Strength;

/// A rotating disk under load answers sooner.
const MIN_LATENCY: Duration = Duration::from_millis(100);

/// Fewer requests in a spell say nothing about the device.
const MIN_REQUESTS: u64 = 20;

/// A device that flushes its caches is slow for a moment.
const MIN_DURATION: Duration = Duration::from_secs(10);

/// Errors by which a device says that it cannot do something, or has nothing in it, and which whoever asked
/// reckons with: a trim that it does not know, a drive without a medium, a request that was not to wait.
const ANSWERS: [&str; 4] = [
    "operation not supported",
    "EOPNOTSUPP",
    "ENOMEDIUM",
    "EAGAIN",
];

/// Finds devices that are slow or fail.
pub(super) struct SlowDisk;

impl Detector for SlowDisk {
    fn cause(&self) -> &'static str {
        "slow-disk"
    }

    fn domain(&self) -> Domain {
        Domain::Performance
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let all = case.troubles.of::<BlockIo>();
        let slow: Vec<_> = all
            .into_iter()
            .filter(|io| errors(io.record) > 0 || mean(io.record) >= MIN_LATENCY)
            .collect();
        let spell = last_spell(&slow);
        let (Some(first), Some(newest)) = (spell.first(), spell.last()) else {
            return Verdict::Silent;
        };
        let errors: u64 = spell.iter().map(|io| errors(io.record)).sum();
        let requests: u64 = spell.iter().map(|io| io.record.requests).sum();
        let is_long = newest.at.since(first.record.start) >= MIN_DURATION;
        if errors == 0 && (requests < MIN_REQUESTS || !is_long) {
            return Verdict::Silent;
        }
        let (who, device) = (case.subject(), name(first.record));
        let state = if errors > 0 {
            "fails requests"
        } else {
            "is slow"
        };
        let strength = Strength {
            prior: 0.95,
            specificity: 0.95,
            directness: 1.0,
        };
        Claim {
            severity: if errors > 0 {
                Severity::Critical
            } else {
                Severity::Warning
            },
            signs: cited(case, spell).iter().map(|io| fact(case, *io)).collect(),
            until: newest.at,
            what: format!("the device {device} was slow or failed"),
            headline: format!("{who} waits for its disk: device {device} {state}"),
            explanation: "The time is that of the block layer, from the request to the device's answer: neither \
                          the file system nor the network adds to it."
                .to_owned(),
            impact: format!("what {who} reads and syncs waits for the device"),
            remediation: vec![
                "see who else uses the device, and how long its queue is: iostat -x 1".to_owned(),
                "look at the device itself: smartctl -a; of cloud disks, at the limit of operations that was bought".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

/// Requests that failed, by an error that says something is wrong.
fn errors(io: &BlockIo) -> u64 {
    if ANSWERS.contains(&io.last_error.as_str()) {
        0
    } else {
        io.errors
    }
}

fn mean(io: &BlockIo) -> Duration {
    Duration::from_nanos(io.latency_sum_ns.checked_div(io.requests).unwrap_or(0))
}

fn name(io: &BlockIo) -> String {
    if io.device_name.is_empty() {
        clean(&io.device)
    } else {
        clean(&io.device_name)
    }
}

fn fact(case: &Case<'_>, io: Observed<'_, BlockIo>) -> Fact {
    let record = io.record;
    let errors = match record.errors {
        0 => String::new(),
        errors => format!(
            "; {} ({})",
            count(errors, "error"),
            clean(&record.last_error)
        ),
    };
    let text = format!(
        "{}: {} of {} to device {} within {} took {} each and {} at most{errors}",
        case.subject(),
        count(record.requests, "request"),
        bytes(record.bytes),
        name(record),
        duration(io.at.since(record.start)),
        duration(mean(record)),
        duration(Duration::from_nanos(record.latency_max_ns))
    );
    case.sign(io, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::BlockIo;
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::checks::opens;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "slow-disk",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2, 3],
        look_alikes,
    };

    fn io(id: &str, ms: i64, requests: u64, each_ms: u64, errors: u64) -> Signal {
        let io = BlockIo {
            start: at_ms(ms - 1000),
            device: "8:0".to_owned(),
            device_name: "sda".to_owned(),
            requests,
            bytes: requests * 4096,
            latency_sum_ns: requests * each_ms * 1_000_000,
            latency_max_ns: 3 * each_ms * 1_000_000,
            errors,
            last_error: "I/O".to_owned(),
        };
        Actor::new("shop", 40).signal(id, at_ms(ms), SignalBody::BlockIo(io))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        (0..3)
            .map(|number| {
                io(
                    &format!("io-{round}-{number}"),
                    ms + number * 6000,
                    20,
                    300,
                    0,
                )
            })
            .collect()
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let quick = (0..9)
            .map(|number| io(&format!("io-{number}"), number * 6000, 900, 4, 0))
            .collect();
        let mut trim = io("io", 0, 5, 2, 1);
        if let SignalBody::BlockIo(io) = &mut trim.body {
            io.last_error = "operation not supported".to_owned();
        }
        vec![
            ("one slow request", vec![io("io", 0, 1, 900, 0)]),
            ("many quick requests", quick),
            ("a trim that the device does not know", vec![trim]),
        ]
    }

    stands!(SCENARIO);

    #[test]
    fn one_request_that_failed_is_enough() {
        opens(
            vec![io("io", 0, 5, 2, 1)],
            SCENARIO.cause,
            Severity::Critical,
        );
    }
}
