//! What the kernel itself says of this network namespace, to hold signals against.

use std::{fs, process::Command};

/// Runs `ip` with these arguments in this namespace and returns what it prints.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {complained}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns what the kernel counted in this namespace, by the name that `nstat` has for it.
pub(crate) fn snmp(name: &str) -> u64 {
    let v6 = fs::read_to_string("/proc/thread-self/net/snmp6").unwrap_or_default();
    let mut v6 = v6.lines().filter_map(|line| line.split_once(' '));
    if let Some((_, number)) = v6.find(|(found, _)| *found == name) {
        return number.trim().parse().unwrap();
    }
    let v4 = fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let lines: Vec<_> = v4.lines().map(|line| line.split_whitespace()).collect();
    let pairs = lines.chunks_exact(2).flat_map(|lines| {
        let protocol = lines[0].clone().next().unwrap().trim_end_matches(':');
        let named = lines[0].clone().zip(lines[1].clone()).skip(1);
        named.map(move |(field, number)| (format!("{protocol}{field}"), number))
    });
    let mut numbers = pairs.filter(|(found, _)| found == name);
    numbers.next().unwrap().1.parse().unwrap()
}
