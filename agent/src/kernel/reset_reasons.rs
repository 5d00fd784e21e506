//! The names that the running kernel gives its reasons to reset a TCP connection, from its type information.

use std::collections::BTreeMap;

use super::btf::KernelBtf;

/// The enum, there since 6.10.
const ENUM: &str = "sk_rst_reason";
const PREFIX: &str = "SK_RST_REASON_";

/// The reasons of one kernel.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ResetReasons(BTreeMap<u32, String>);

impl ResetReasons {
    /// Asks the kernel's type information.
    pub(super) fn from_btf(btf: &KernelBtf) -> Self {
        Self::from_constants(btf.enumeration(ENUM))
    }

    fn from_constants(constants: impl IntoIterator<Item = (String, u32)>) -> Self {
        let named = constants.into_iter().map(|(name, number)| {
            let short = name.strip_prefix(PREFIX).unwrap_or(&name).to_owned();
            (number, short)
        });
        Self(named.collect())
    }

    /// Returns the name of a reason without its prefix, empty for one that this kernel does not have.
    pub fn name(&self, reason: u32) -> String {
        self.0.get(&reason).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_reasons_without_their_prefix_and_none_where_there_are_none() {
        let constants = [("SK_RST_REASON_NO_SOCKET".to_owned(), 1)];
        let reasons = ResetReasons::from_constants(constants);
        assert_eq!(reasons.name(1), "NO_SOCKET");
        assert_eq!(reasons.name(u32::MAX), "");
    }
}
