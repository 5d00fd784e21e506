//! Names of kernel functions by address, from `/proc/kallsyms`. Kept for the few addresses that were asked for; the
//! whole list would take ten megabytes. Without the right to see addresses (CAP_SYSLOG, or `kernel.kptr_restrict` 0)
//! there are none.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    time::Duration,
};

use tokio::time::Instant;

/// Where the kernel lists its symbols.
const KALLSYMS: &str = "/proc/kallsyms";
/// Addresses remembered. Packets are dropped at some hundred places of a kernel.
const MAX_ADDRESSES: usize = 2048;
/// Time between two readings of the list, each of which takes some 30 ms.
const READ_INTERVAL: Duration = Duration::from_secs(10);

/// What is known of the addresses asked for so far.
#[derive(Debug, Default)]
pub(crate) struct KernelSymbols {
    /// Empty for an address that is in no function, or that may not be told.
    names: HashMap<u64, String>,
    read: Option<Instant>,
}

impl KernelSymbols {
    /// Learns the names of `addresses`; those that come too soon after the last reading have to wait for the next.
    pub(crate) fn learn(&mut self, addresses: impl Iterator<Item = u64>) {
        let mut wanted: Vec<u64> = addresses
            .filter(|address| !self.names.contains_key(address))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.truncate(MAX_ADDRESSES.saturating_sub(self.names.len()));
        let too_soon = self.read.is_some_and(|read| read.elapsed() < READ_INTERVAL);
        if wanted.is_empty() || too_soon {
            return;
        }
        self.read = Some(Instant::now());
        let names = File::open(KALLSYMS)
            .map(|file| resolve(&wanted, BufReader::new(file)))
            .unwrap_or_default();
        let known = wanted.iter().copied().zip(names.into_iter().chain(
            // What could not be read at all is not asked for again and again.
            std::iter::repeat(String::new()),
        ));
        self.names.extend(known);
    }

    /// Returns the function that `address` is in, empty when it is not known.
    pub(crate) fn name(&self, address: u64) -> &str {
        self.names.get(&address).map_or("", String::as_str)
    }
}

/// Returns for each of the ascending `wanted` the name of the last function that starts at or before it.
fn resolve(wanted: &[u64], mut listing: impl BufRead) -> Vec<String> {
    let mut best: Vec<(u64, String)> = vec![(0, String::new()); wanted.len()];
    let mut line = String::new();
    while matches!(listing.read_line(&mut line), Ok(read) if read > 0) {
        if let Some((start, name)) = function(&line) {
            // Each function can only be the best for those behind it.
            let behind = wanted.partition_point(|address| *address < start);
            for (_, found) in wanted
                .iter()
                .zip(&mut best)
                .skip(behind)
                .take_while(|(_, found)| found.0 < start)
            {
                found.0 = start;
                name.clone_into(&mut found.1);
            }
        }
        line.clear();
    }
    best.into_iter().map(|(_, name)| name).collect()
}

/// Parses `ffffffff81000000 T name [module]`, `None` for what is no function or has no address.
fn function(line: &str) -> Option<(u64, &str)> {
    let mut fields = line.split_ascii_whitespace();
    let start = u64::from_str_radix(fields.next()?, 16).ok()?;
    let is_code = matches!(fields.next()?, "t" | "T" | "w" | "W");
    (is_code && start != 0).then_some((start, fields.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_function_an_address_is_in_whatever_the_order_of_the_list() {
        let listing = "\
ffffffff81000100 T first
ffffffff81000300 t third
ffffffff81000200 T second
ffffffff81000280 d data
ffffffffc0000000 t in_module\t[veth]
rubbish
";
        let wanted = [
            0x10,
            0xffff_ffff_8100_0100,
            0xffff_ffff_8100_02ff,
            0xffff_ffff_8100_0301,
            0xffff_ffff_c000_0010,
        ];
        let names = resolve(&wanted, listing.as_bytes());
        assert_eq!(names, ["", "first", "second", "third", "in_module"]);
    }

    #[test]
    fn knows_no_name_when_addresses_are_hidden() {
        let listing = "0000000000000000 T first\n0000000000000000 T second\n";
        assert_eq!(resolve(&[0xffff_ffff_8100_0100], listing.as_bytes()), [""]);
        assert_eq!(KernelSymbols::default().name(1), "");
    }
}
