//! The mark by which an agent knows kernel programs that were built from the same abi.

/// What the mark begins with.
pub const ABI_MARK_PREFIX: [u8; 12] = *b"inquest-abi:";

/// Hexadecimal digits of the sum of the sources, which `build.rs` computes.
const SUM: &[u8] = env!("INQUEST_ABI").as_bytes();

const LEN: usize = ABI_MARK_PREFIX.len() + 16;

/// Held by the object in a section of its own, and looked for by the agent before it loads the object.
pub const ABI_MARK: [u8; LEN] = mark();

const fn mark() -> [u8; LEN] {
    let mut mark = [0; LEN];
    let mut at = 0;
    while at < LEN {
        mark[at] = if at < ABI_MARK_PREFIX.len() {
            ABI_MARK_PREFIX[at]
        } else {
            SUM[at - ABI_MARK_PREFIX.len()]
        };
        at += 1;
    }
    mark
}
