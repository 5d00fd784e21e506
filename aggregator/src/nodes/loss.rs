//! Losses of one node, counted by stage and reason. Must count each once, whether a batch or a status
//! tells of it, and hold a bounded number of reasons.

use inquest_api::node::Loss;
use inquest_proto::v1;

/// Most kinds of loss kept per node; the closed list has fewer.
pub(super) const MAX_LOSSES: usize = 64;

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

/// Adds to the count of one stage and reason; the sum, or nothing when it is one kind too many.
pub(super) fn add(losses: &mut Vec<Loss>, loss: &v1::Loss) -> Option<u64> {
    let count = counter(losses, loss)?;
    *count = count.saturating_add(loss.count);
    Some(*count)
}

/// Brings the count of the stage and reason of `kind` to a total, never down.
pub(super) fn raise(losses: &mut Vec<Loss>, kind: &v1::Loss, total: u64) {
    if let Some(count) = counter(losses, kind) {
        *count = (*count).max(total);
    }
}

fn counter<'a>(losses: &'a mut Vec<Loss>, loss: &v1::Loss) -> Option<&'a mut u64> {
    let (stage, reason) = (stage_word(loss), reason_word(&loss.reason));
    let known = losses
        .iter()
        .position(|known| known.stage == stage && known.reason == reason);
    let index = match known {
        Some(index) => index,
        None if losses.len() < MAX_LOSSES => {
            losses.push(Loss {
                stage: stage.to_owned(),
                reason,
                count: 0,
            });
            losses.len() - 1
        }
        None => return None,
    };
    losses.get_mut(index).map(|loss| &mut loss.count)
}

/// A reason if it is a word of the form that the protocol asks for, else `other`.
fn reason_word(reason: &str) -> String {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let good = !reason.is_empty() && reason.len() <= 64 && reason.bytes().all(is_word);
    if good { reason } else { "other" }.to_owned()
}
