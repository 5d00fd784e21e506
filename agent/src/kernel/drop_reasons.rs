//! The names that the running kernel gives its reasons to drop a packet. Their numbers move between releases, so none
//! is known here; only names of reasons that are no loss to anyone are.

use std::collections::BTreeMap;

use inquest_agent_abi::DropLayout;

use super::btf::KernelBtf;

/// The enum of the core, and those of subsystems, whose numbers start at a multiple of 65,536.
const ENUMS: [&str; 3] = ["skb_drop_reason", "mac80211_drop_reason", "ovs_drop_reason"];
/// The enum that names the subsystems.
const SUBSYSTEMS: &str = "skb_drop_reason_subsys";
const SUBSYSTEM_SHIFT: u32 = 16;

/// Reasons by which nobody loses anything, or of which there is nothing to tell: what was delivered already, what
/// another host was to get, what a socket that is closed had left in its queues.
const IGNORED: &[&str] = &[
    "NOT_DROPPED_YET",
    "CONSUMED",
    "NOT_SPECIFIED",
    "SOCKET_CLOSE",
    "QUEUE_PURGE",
    "OTHERHOST",
    "UNICAST_IN_L2_MULTICAST",
    "UNHANDLED_PROTO",
    "UNIX_DISCONNECT",
    "UNIX_SKIP_OOB",
    "PACKET_SOCK_ERROR",
    "TAP_FILTER",
    "TAP_TXFILTER",
    "TCP_OFOMERGE",
    "TCP_OLD_ACK",
    "TCP_OLD_DATA",
    "TCP_OLD_SEQUENCE",
    "TCP_RFC7323_PAWS_ACK",
    "TCP_TOO_OLD_ACK",
];

/// The reasons of one kernel. Empty before 5.17, and without type information.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DropReasons {
    names: BTreeMap<u32, String>,
    subsystems: BTreeMap<u32, String>,
}

impl DropReasons {
    /// Asks the kernel's type information.
    pub(super) fn from_btf(btf: &KernelBtf) -> Self {
        let named = |name: &&str| {
            let constants = btf.enumeration(name);
            constants.into_iter().map(|(name, number)| (number, name))
        };
        let reasons = ENUMS.iter().flat_map(named);
        let subsystems = named(&SUBSYSTEMS);
        Self {
            names: reasons
                .map(|(number, name)| (number, short(&name).to_owned()))
                .collect(),
            subsystems: subsystems
                .map(|(number, name)| (number, short(&name).to_owned()))
                .collect(),
        }
    }

    /// Returns the name of a reason without its prefix; of one without a name, its subsystem's and its number.
    pub fn name(&self, reason: u32) -> String {
        if let Some(name) = self.names.get(&reason) {
            return name.clone();
        }
        let subsystem = reason >> SUBSYSTEM_SHIFT;
        match self.subsystems.get(&subsystem) {
            Some(name) if subsystem != 0 => format!("{name}:{}", reason & 0xffff),
            _ => reason.to_string(),
        }
    }

    /// Returns a bit for each reason of the core that is not to be counted.
    pub(super) fn ignored(&self) -> [u32; DropLayout::IGNORED_WORDS] {
        let mut words = [0; DropLayout::IGNORED_WORDS];
        for (number, name) in &self.names {
            if IGNORED.contains(&name.as_str())
                && let Some(word) = words.get_mut((number / 32) as usize)
            {
                *word |= 1 << (number % 32);
            }
        }
        words
    }
}

fn short(name: &str) -> &str {
    // The longest first; the first two constants have a prefix of their own.
    let prefixes = ["SKB_DROP_REASON_SUBSYS_", "SKB_DROP_REASON_", "SKB_"];
    prefixes
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons() -> DropReasons {
        let names = [
            (0, "SKB_NOT_DROPPED_YET"),
            (1, "SKB_CONSUMED"),
            (12, "SKB_DROP_REASON_NETFILTER_DROP"),
            (104, "SKB_DROP_REASON_QUEUE_PURGE"),
            (0x2_0001, "OVS_DROP_LAST_ACTION"),
        ];
        let subsystems = [
            (0, "SKB_DROP_REASON_SUBSYS_CORE"),
            (2, "SKB_DROP_REASON_SUBSYS_OPENVSWITCH"),
        ];
        let named = |pairs: &[(u32, &str)]| {
            let named = pairs.iter().map(|(n, name)| (*n, short(name).to_owned()));
            named.collect()
        };
        DropReasons {
            names: named(&names),
            subsystems: named(&subsystems),
        }
    }

    #[test]
    fn names_reasons_without_their_prefix() {
        let reasons = reasons();
        for (number, expected) in [
            (12, "NETFILTER_DROP"),
            (0x2_0001, "OVS_DROP_LAST_ACTION"),
            (0x2_0007, "OPENVSWITCH:7"),
            (0x9_0007, "589831"),
            (13, "13"),
        ] {
            assert_eq!(reasons.name(number), expected);
        }
    }

    #[test]
    fn ignores_by_name_whatever_the_number() {
        let words = reasons().ignored();
        let is_ignored = |number: usize| words[number / 32] >> (number % 32) & 1 == 1;
        for (number, expected) in [(0, true), (1, true), (12, false), (13, false), (104, true)] {
            assert_eq!(is_ignored(number), expected, "{number}");
        }
    }
}
