//! The names of drop reasons: what the agent reads from the kernel's type information, against the list that the
//! tracepoint prints them by.

use std::fs;

use anyhow::Context as _;
use inquest_agent::kernel::Kernel;

use crate::proof::Proof;

/// Where the tracepoint tells how it prints its records.
const FORMAT: &str = "/sys/kernel/tracing/events/skb/kfree_skb/format";
/// Names that are shown when they differ; more of them say no more.
const MAX_SHOWN: usize = 5;

pub(super) fn prove(proof: &mut Proof) -> anyhow::Result<()> {
    let format = fs::read_to_string(FORMAT).with_context(|| format!("failed to read {FORMAT}"))?;
    let listed: Vec<_> = reasons(&format).collect();
    if !format.contains("reason") {
        return proof.figure("drop reasons", "this kernel gives none");
    }
    let names = Kernel::inspect(0).drop_reasons;
    let is_wrong = |(number, name): &&(u32, &str)| names.name(*number) != *name;
    let wrong: Vec<_> = listed.iter().filter(is_wrong).collect();
    for (number, name) in wrong.iter().take(MAX_SHOWN) {
        let ours = names.name(*number);
        proof.figure(
            &format!("drop reason {number}"),
            format!("{ours}, not {name}"),
        )?;
    }
    proof.exactly(
        "drop reasons: any listed by the tracepoint",
        listed.is_empty(),
        false,
    );
    let right = listed.len() - wrong.len();
    proof.exactly(
        "drop reasons: named as the tracepoint does",
        right,
        listed.len(),
    );
    Ok(())
}

/// Number and name of each, in `__print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, { 3, "NO_SOCKET" })`.
fn reasons(format: &str) -> impl Iterator<Item = (u32, &str)> {
    let (_, list) = format
        .split_once("__print_symbolic(REC->reason,")
        .unwrap_or_default();
    list.split('{').filter_map(|entry| {
        let (number, rest) = entry.split_once(',')?;
        let (_, rest) = rest.split_once('"')?;
        let (name, _) = rest.split_once('"')?;
        Some((number.trim().parse().ok()?, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_names_from_a_format() {
        let format = "print fmt: \"protocol=%u reason: %s\", REC->protocol, __print_symbolic(REC->reason, \
                      { 2, \"NOT_SPECIFIED\" }, { 3, \"NO_SOCKET\" }), REC->x";
        let expected = [(2, "NOT_SPECIFIED"), (3, "NO_SOCKET")];
        assert_eq!(reasons(format).collect::<Vec<_>>(), expected);
        assert_eq!(
            reasons("print fmt: \"protocol=%u\", REC->protocol").count(),
            0
        );
    }
}
