//! Reads the counters of a network namespace from the files of one of its processes (`/proc/PID/net`). The parsers are
//! total: a counter that a file does not have is 0.

use std::fs;

/// What is read of one namespace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counters {
    /// `ListenOverflows`
    pub(super) overflows: u64,
    /// `ListenDrops`
    pub(super) listen_drops: u64,
    /// Connections that are tracked now; `None` where none can be.
    pub(super) tracked: Option<Tracked>,
    /// TCP sockets.
    pub(super) sockets: Sockets,
}

/// Of the table of tracked connections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tracked {
    pub(super) entries: u64,
    pub(super) insert_failed: u64,
    pub(super) drop: u64,
    pub(super) early_drop: u64,
}

/// TCP sockets by what holds their port.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Sockets {
    pub(super) in_use: u64,
    pub(super) time_wait: u64,
}

impl Counters {
    /// Reads those of the namespace that process `pid` is in, `None` when it has ended.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}"));
        let netstat = file("netstat").ok()?;
        let (overflows, listen_drops) = listen_counters(&netstat);
        Some(Self {
            overflows,
            listen_drops,
            tracked: file("stat/nf_conntrack").ok().map(|stat| tracked(&stat)),
            sockets: sockets(&file("sockstat").unwrap_or_default()),
        })
    }

    /// Returns how much more is counted than in `before`; what is no counter stays as it is.
    pub(super) fn since(self, before: Self) -> Self {
        let tracked = self.tracked.map(|now| {
            let before = before.tracked.unwrap_or_default();
            Tracked {
                entries: now.entries,
                insert_failed: now.insert_failed.saturating_sub(before.insert_failed),
                drop: now.drop.saturating_sub(before.drop),
                early_drop: now.early_drop.saturating_sub(before.early_drop),
            }
        });
        Self {
            overflows: self.overflows.saturating_sub(before.overflows),
            listen_drops: self.listen_drops.saturating_sub(before.listen_drops),
            tracked,
            sockets: self.sockets,
        }
    }
}

/// Returns overflows and drops of listeners from the two lines of TCP's in netstat, names and values.
fn listen_counters(netstat: &str) -> (u64, u64) {
    let mut lines = netstat
        .lines()
        .filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next(), lines.next());
    let counter = |wanted: &str| {
        let names = names?.split_ascii_whitespace();
        let mut pairs = names.zip(values?.split_ascii_whitespace());
        pairs.find(|(name, _)| *name == wanted)?.1.parse().ok()
    };
    (
        counter("ListenOverflows").unwrap_or(0),
        counter("ListenDrops").unwrap_or(0),
    )
}

/// Adds up the lines of the CPUs, hexadecimal under a line of names; each has the number of entries of the whole table.
fn tracked(stat: &str) -> Tracked {
    let mut lines = stat.lines();
    let names: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .collect();
    let mut sum = Tracked::default();
    for line in lines {
        let values = line
            .split_ascii_whitespace()
            .map(|value| u64::from_str_radix(value, 16).unwrap_or(0));
        for (name, value) in names.iter().zip(values) {
            match *name {
                "entries" => sum.entries = value,
                "insert_failed" => sum.insert_failed = sum.insert_failed.saturating_add(value),
                "drop" => sum.drop = sum.drop.saturating_add(value),
                "early_drop" => sum.early_drop = sum.early_drop.saturating_add(value),
                _ => {}
            }
        }
    }
    sum
}

/// Reads `TCP: inuse 6 orphan 0 tw 2 alloc 8 mem 1`.
fn sockets(sockstat: &str) -> Sockets {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"));
    let words: Vec<&str> = line.unwrap_or_default().split_ascii_whitespace().collect();
    let value = |wanted: &str| {
        let mut pairs = words.chunks_exact(2);
        let pair = pairs.find(|pair| pair.first() == Some(&wanted))?;
        pair.get(1)?.parse().ok()
    };
    Sockets {
        in_use: value("inuse").unwrap_or(0),
        time_wait: value("tw").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NETSTAT: &str = "\
TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits
TcpExt: 0 7 9 100
IpExt: InNoRoutes InTruncatedPkts
IpExt: 1 2
";
    const CONNTRACK: &str = "\
entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop
0000000a  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000001 00000010 00000002
0000000a  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000002 00000000 00000000
";

    #[test]
    fn reads_counters_by_their_names() {
        assert_eq!(listen_counters(NETSTAT), (7, 9));
        let expected = Tracked {
            entries: 10,
            insert_failed: 3,
            drop: 16,
            early_drop: 2,
        };
        assert_eq!(tracked(CONNTRACK), expected);
        let sockstat =
            "sockets: used 5\nTCP: inuse 6 orphan 0 tw 2 alloc 8 mem 1\nUDP: inuse 1 mem 0\n";
        let expected = Sockets {
            in_use: 6,
            time_wait: 2,
        };
        assert_eq!(sockets(sockstat), expected);
    }

    #[test]
    fn counts_what_is_new() {
        let counters = |overflows, drop| Counters {
            overflows,
            tracked: Some(Tracked {
                entries: 4,
                drop,
                ..Tracked::default()
            }),
            ..Counters::default()
        };
        let since = counters(9, 5).since(counters(7, 6));
        assert_eq!((since.overflows, since.tracked.unwrap().drop), (2, 0));
        assert_eq!(since.tracked.unwrap().entries, 4);
    }

    #[test]
    fn reads_those_of_this_process() {
        assert!(Counters::read(std::process::id()).is_some());
        assert_eq!(Counters::read(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[TcpExtTCP: a-f0-9\n]{0,200}") {
            listen_counters(&text);
            tracked(&text);
            sockets(&text);
        }
    }
}
