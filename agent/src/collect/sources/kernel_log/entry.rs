//! One record of /dev/kmsg. Must not know what its text means.

/// A line of the kernel log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Entry<'a> {
    /// Written by the kernel itself: no process can write such a record.
    pub(super) from_kernel: bool,
    /// Since the boot, by the clock that the kernel's log has, in nanoseconds.
    pub(super) at_ns: u64,
    /// The line.
    pub(super) text: &'a str,
}

impl<'a> Entry<'a> {
    /// Reads a record such as `6,339,5140900,-;NET: Registered PF_INET6\n SUBSYSTEM=net\n`; `None` when it is none.
    pub(super) fn parse(record: &'a str) -> Option<Self> {
        let (prefix, rest) = record.split_once(';')?;
        let mut fields = prefix.split(',');
        let priority: u32 = fields.next()?.parse().ok()?;
        let at_us: u64 = fields.nth(1)?.parse().ok()?;
        Some(Self {
            from_kernel: priority >> 3 == 0,
            at_ns: at_us.saturating_mul(1000),
            text: rest.lines().next().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_records_with_and_without_more_fields() {
        for (record, expected) in [
            (
                "6,339,5140900,-;NET: Registered; PF_INET6\n SUBSYSTEM=net\n",
                Some((true, 5_140_900_000, "NET: Registered; PF_INET6")),
            ),
            ("3,7,12,-,caller=T1;text\n", Some((true, 12_000, "text"))),
            (
                "30,7,12,c;systemd[1]: Started\n",
                Some((false, 12_000, "systemd[1]: Started")),
            ),
            (
                "4,1,18446744073709551615,-;late",
                Some((true, u64::MAX, "late")),
            ),
            ("4,1,2,-;", Some((true, 2000, ""))),
            ("4,1;short", None),
            ("x,1,2,-;no priority", None),
            ("no record", None),
        ] {
            let parsed = Entry::parse(record);
            let told = parsed.map(|entry| (entry.from_kernel, entry.at_ns, entry.text));
            assert_eq!(told, expected, "{record}");
        }
    }

    proptest! {
        #[test]
        fn takes_anything(record in ".*") {
            let _parsed = Entry::parse(&record);
        }
    }
}
