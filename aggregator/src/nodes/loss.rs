//! Losses of one node, counted by stage and reason. Must count each once, whether a batch or a status
//! tells of it, and hold a bounded number of reasons.

use inquest_api::node::Loss;
use inquest_api::signal::SignalKind;
use inquest_proto::v1;

use super::clean;

/// Most losses told apart per node: the closed list of reasons with the kinds and cgroups that a storm
/// of the usual sort names. Beyond it each stage has one count for all others.
pub(super) const MAX_LOSSES: usize = 256;

/// The reason of what cannot be told apart.
const OTHER: &str = "other";

/// The stage whose losses are the aggregator's own and outlive an agent process.
pub(super) const INGEST: &str = "ingest";

/// A stage as reports and metrics spell it.
pub fn stage_word(loss: &v1::Loss) -> &'static str {
    match loss.stage() {
        v1::loss::Stage::RingBuffer => "ring_buffer",
        v1::loss::Stage::Decode => "decode",
        v1::loss::Stage::RateLimit => "rate_limit",
        v1::loss::Stage::Queue => "queue",
        v1::loss::Stage::Spool => "spool",
        v1::loss::Stage::Ingest => INGEST,
        v1::loss::Stage::Unspecified => "unknown",
    }
}

/// Adds to the count of one loss; gives it with its sum.
pub(super) fn add(losses: &mut Vec<Loss>, loss: &v1::Loss) -> Loss {
    let known = entry(losses, &read(loss));
    known.count = known.count.saturating_add(loss.count);
    known.clone()
}

/// Brings the count of one loss to a total, never down.
pub(super) fn raise(losses: &mut Vec<Loss>, total: &Loss) {
    let known = entry(losses, total);
    known.count = known.count.max(total.count);
}

fn read(loss: &v1::Loss) -> Loss {
    Loss {
        stage: stage_word(loss).to_owned(),
        reason: reason_word(&loss.reason),
        kind: SignalKind::parse(&loss.kind).map_or(String::new(), |kind| kind.name().to_owned()),
        cgroup: clean(&loss.cgroup),
        count: 0,
    }
}

/// The place where a loss is counted: its own, and when there are too many one for all others of its
/// stage, so that none goes uncounted.
fn entry<'a>(losses: &'a mut Vec<Loss>, loss: &Loss) -> &'a mut Loss {
    let others = Loss {
        reason: OTHER.to_owned(),
        kind: String::new(),
        cgroup: String::new(),
        ..loss.clone()
    };
    let is_full = losses.len() >= MAX_LOSSES;
    let index = place(losses, loss)
        .or_else(|| is_full.then(|| place(losses, &others)).flatten())
        .unwrap_or_else(|| {
            let new = if is_full { others } else { loss.clone() };
            losses.push(Loss { count: 0, ..new });
            losses.len() - 1
        });
    &mut losses[index]
}

fn place(losses: &[Loss], loss: &Loss) -> Option<usize> {
    let is_same = |known: &Loss| {
        (&known.stage, &known.reason, &known.kind, &known.cgroup)
            == (&loss.stage, &loss.reason, &loss.kind, &loss.cgroup)
    };
    losses.iter().position(is_same)
}

/// A reason if it is a word of the form that the protocol asks for, else `other`.
fn reason_word(reason: &str) -> String {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let good = !reason.is_empty() && reason.len() <= 64 && reason.bytes().all(is_word);
    if good { reason } else { OTHER }.to_owned()
}
