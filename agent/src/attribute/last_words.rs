//! Makes of the failed calls that the kernel side kept of a cgroup what an exit tells of them. Must not read anything.

use std::net::{Ipv4Addr, Ipv6Addr};

use inquest_agent_abi::{Argument, FailedCall, LastWords, MAX_LAST_WORDS, ProcessExit};
use inquest_proto::v1;

use crate::{
    decode,
    syscalls::{call_name, errno_name},
};

/// Calls told with the end of a process that is no container's init: such ends are frequent, and what others in its cgroup
/// did matters less.
const MAX_OF_OTHERS: usize = 16;

/// What failed before an end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FailedBefore {
    /// As the wire has them.
    pub calls: Vec<v1::FailedCall>,
    /// Calls that are no longer known.
    pub dropped: u64,
}

impl FailedBefore {
    /// Picks what failed before `exit` of what failed in its cgroup.
    ///
    /// Of a container's init, everything, oldest first. Of another process, what failed since it started: its own calls
    /// first, then those of others, each oldest first; the others' are left out when `alone`.
    pub fn new(words: &LastWords, exit: &ProcessExit, alone: bool) -> Self {
        let known = known_calls(words);
        let after = known
            .iter()
            .filter(|call| call.ktime_ns > exit.header.ktime_ns);
        let told_later = after.count() as u64;
        let mut before = known;
        before.retain(|call| call.ktime_ns <= exit.header.ktime_ns);
        let kept = before.len() as u64;
        let dropped = words
            .written
            .saturating_sub(told_later)
            .saturating_sub(kept);
        if exit.process.container_init == 0 {
            before = of_process(before, exit, alone);
        }
        Self {
            calls: before.into_iter().map(wire_call).collect(),
            dropped,
        }
    }
}

/// Returns the calls that were written whole and are of the latest, in order.
fn known_calls(words: &LastWords) -> Vec<&FailedCall> {
    let oldest = words.written.saturating_sub(MAX_LAST_WORDS as u64);
    let is_known = |call: &&FailedCall| call.sequence > oldest && call.sequence <= words.written;
    let mut known: Vec<_> = words.calls.iter().filter(is_known).collect();
    known.sort_by_key(|call| call.sequence);
    known
}

/// Picks the latest calls of the process and, unless it is taken `alone`, as many of others as there is room for.
fn of_process<'a>(
    mut calls: Vec<&'a FailedCall>,
    exit: &ProcessExit,
    alone: bool,
) -> Vec<&'a FailedCall> {
    calls.retain(|call| call.ktime_ns >= exit.process.start_ktime_ns);
    let (mut own, mut others): (Vec<_>, Vec<_>) = calls
        .into_iter()
        .partition(|call| call.pid == exit.process.pid);
    let latest =
        |calls: &mut Vec<_>, max: usize| calls.drain(..calls.len().saturating_sub(max)).count();
    latest(&mut own, MAX_OF_OTHERS);
    let room = if alone { 0 } else { MAX_OF_OTHERS - own.len() };
    latest(&mut others, room);
    own.append(&mut others);
    own
}

fn wire_call(call: &FailedCall) -> v1::FailedCall {
    let (path, address) = match call.kind {
        Argument::PATH_FIRST
        | Argument::PATH_SECOND
        | Argument::EXEC_FIRST
        | Argument::EXEC_SECOND => (decode::text(&call.argument), None),
        Argument::ADDRESS_SECOND | Argument::ADDRESS_FIFTH => {
            (String::new(), address(&call.argument))
        }
        _ => (String::new(), None),
    };
    v1::FailedCall {
        ktime_ns: call.ktime_ns,
        pid: call.pid,
        comm: decode::text(&call.comm),
        syscall: call_name(call.call),
        errno: errno_name(call.errno.into()),
        path,
        address,
        device: device(call.device),
        mount_point: mount_point(call).unwrap_or_default(),
    }
}

/// Spells a device as mountinfo does; empty for none. The kernel keeps 12 bits of major number above 20 of minor.
fn device(number: u32) -> String {
    if number == 0 {
        return String::new();
    }
    format!("{}:{}", number >> 20, number & 0xf_ffff)
}

/// Joins the names on the way up from where an open file's file system is mounted; `None` when some are missing.
fn mount_point(call: &FailedCall) -> Option<String> {
    if call.kind != Argument::FILE || call.argument_whole == 0 {
        return None;
    }
    let mut path = String::new();
    let names = call.argument.split(|byte| *byte == 0);
    for name in names.take_while(|name| !name.is_empty()) {
        path.insert_str(0, &String::from_utf8_lossy(name));
        path.insert(0, '/');
    }
    if path.is_empty() {
        path.push('/');
    }
    Some(path)
}

/// Reads a `struct sockaddr`.
fn address(bytes: &[u8]) -> Option<v1::SocketAddress> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = || bytes.get(2..4)?.try_into().ok().map(u16::from_be_bytes);
    match i32::from(family) {
        libc::AF_INET => Some(v1::SocketAddress {
            address: Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?).to_string(),
            port: port()?.into(),
        }),
        libc::AF_INET6 => Some(v1::SocketAddress {
            // One that is IPv4's in an IPv6 socket is told as what it is.
            address: Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?)
                .to_canonical()
                .to_string(),
            port: port()?.into(),
        }),
        libc::AF_UNIX => Some(v1::SocketAddress {
            address: unix_path(bytes.get(2..)?),
            port: 0,
        }),
        _ => None,
    }
}

/// A name in the abstract namespace begins with NUL, which is spelled `@`.
fn unix_path(bytes: &[u8]) -> String {
    match bytes {
        [0, name @ ..] => format!("@{}", decode::text(name)),
        path => decode::text(path),
    }
}

#[cfg(test)]
mod tests {
    use inquest_agent_abi::{
        MAX_ARGUMENT, MAX_COMM, RecordHeader, RecordKind, SignalOrigin, SignalSource, UNKNOWN_CALL,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::attribute::tests::{NOWHERE, process};

    const PID: u32 = 42;

    fn argument(bytes: &[u8]) -> [u8; MAX_ARGUMENT] {
        let mut argument = [0; MAX_ARGUMENT];
        argument[..bytes.len()].copy_from_slice(bytes);
        argument
    }

    fn call(sequence: u64, pid: u32) -> FailedCall {
        FailedCall {
            sequence,
            ktime_ns: 100 + sequence,
            pid,
            call: libc::SYS_openat as u32,
            errno: 2,
            argument_whole: 0,
            kind: Argument::PATH_SECOND,
            device: 0,
            comm: [0; MAX_COMM],
            argument: argument(format!("/{sequence}\0").as_bytes()),
        }
    }

    /// The words of a cgroup in which `callers` called one after the other.
    fn words(callers: &[u32]) -> Box<LastWords> {
        let mut words = Box::new(LastWords {
            written: 0,
            calls: [call(0, 0); MAX_LAST_WORDS],
        });
        for pid in callers {
            let place = words.written as usize % MAX_LAST_WORDS;
            words.written += 1;
            words.calls[place] = call(words.written, *pid);
        }
        words
    }

    fn exit(init: bool, ktime_ns: u64) -> ProcessExit {
        let mut process = process(PID);
        process.container_init = u32::from(init);
        ProcessExit {
            header: RecordHeader {
                kind: RecordKind::PROCESS_EXIT,
                reserved: 0,
                ktime_ns,
            },
            process,
            cgroups: NOWHERE,
            wait_status: 1 << 8,
            reserved: 0,
            origin: SignalOrigin {
                ktime_ns: 0,
                target_start_ktime_ns: 0,
                fault_address: 0,
                source: SignalSource::UNKNOWN,
                signal: 0,
                code: 0,
                target_dying: 0,
                target_parent_pid: 0,
                call: UNKNOWN_CALL,
                sender: process,
                sender_cgroups: NOWHERE,
            },
        }
    }

    fn paths(before: &FailedBefore) -> Vec<&str> {
        before.calls.iter().map(|call| call.path.as_str()).collect()
    }

    #[test]
    fn of_an_init_all_is_told_up_to_its_end_oldest_first() {
        let before = FailedBefore::new(&words(&[1, PID, 2, PID]), &exit(true, 103), false);
        assert_eq!(paths(&before), ["/1", "/2", "/3"]);
        assert_eq!(before.dropped, 0);
    }

    #[test]
    fn what_was_overwritten_is_counted() {
        let before = FailedBefore::new(&words(&[PID; 70]), &exit(true, 1000), false);
        assert_eq!(before.calls.len(), MAX_LAST_WORDS);
        assert_eq!((paths(&before)[0], before.dropped), ("/7", 6));
        let mut words = words(&[PID; 3]);
        words.calls[1].sequence = 0;
        let before = FailedBefore::new(&words, &exit(true, 1000), false);
        assert_eq!((paths(&before), before.dropped), (vec!["/1", "/3"], 1));
    }

    #[test]
    fn of_another_process_its_own_calls_come_first() {
        let callers = [7, PID, 8, PID];
        let before = FailedBefore::new(&words(&callers), &exit(false, 1000), false);
        assert_eq!(paths(&before), ["/2", "/4", "/1", "/3"]);
        let alone = FailedBefore::new(&words(&callers), &exit(false, 1000), true);
        assert_eq!(paths(&alone), ["/2", "/4"]);
        let many = FailedBefore::new(&words(&[PID; 40]), &exit(false, 1000), false);
        assert_eq!((many.calls.len(), paths(&many)[0]), (MAX_OF_OTHERS, "/25"));
        let mut late = exit(false, 1000);
        late.process.start_ktime_ns = 103;
        let since_its_start = FailedBefore::new(&words(&callers), &late, false);
        assert_eq!(paths(&since_its_start), ["/4", "/3"]);
    }

    #[test]
    fn reads_addresses_and_devices() {
        let mut v4 = (libc::AF_INET as u16).to_ne_bytes().to_vec();
        v4.extend([0x1f, 0x90, 127, 0, 0, 1]);
        let mut v6 = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
        v6.extend([0, 80, 0, 0, 0, 0]);
        let mut mapped = v6.clone();
        v6.extend(Ipv6Addr::LOCALHOST.octets());
        mapped.extend(Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets());
        let unix = |name: &[u8]| [&(libc::AF_UNIX as u16).to_ne_bytes(), name].concat();
        for (bytes, address, port) in [
            (v4, "127.0.0.1", 8080),
            (v6, "::1", 80),
            (mapped, "127.0.0.1", 80),
            (unix(b"/run/app.sock\0"), "/run/app.sock", 0),
            (unix(b"\0bus\0"), "@bus", 0),
        ] {
            let told = wire_call(&FailedCall {
                kind: Argument::ADDRESS_SECOND,
                argument: argument(&bytes),
                ..call(1, PID)
            });
            let expected = v1::SocketAddress {
                address: address.to_owned(),
                port,
            };
            assert_eq!((told.address, told.path), (Some(expected), String::new()));
        }
        assert_eq!(
            (device(0), device(8 << 20 | 1)),
            (String::new(), "8:1".to_owned())
        );
    }

    #[test]
    fn joins_the_names_up_from_a_mount_point() {
        for (names, whole, expected) in [
            (&b"data\0srv\0"[..], 1, Some("/srv/data")),
            (b"", 1, Some("/")),
            (b"data\0srv\0", 0, None),
        ] {
            let call = FailedCall {
                kind: Argument::FILE,
                argument_whole: whole,
                argument: argument(names),
                ..call(1, PID)
            };
            assert_eq!(mount_point(&call).as_deref(), expected);
        }
    }

    proptest! {
        #[test]
        fn whatever_the_kernel_side_left_is_told_without_panic(
            written in any::<u64>(),
            sequences in proptest::collection::vec(any::<u64>(), MAX_LAST_WORDS),
            bytes in proptest::collection::vec(any::<u8>(), MAX_ARGUMENT),
            kind in any::<u8>(),
            init in any::<bool>(),
        ) {
            let mut words = words(&[]);
            words.written = written;
            for (call, sequence) in words.calls.iter_mut().zip(sequences) {
                call.sequence = sequence;
                call.kind = Argument(kind);
                call.argument_whole = kind & 1;
                call.argument.copy_from_slice(&bytes);
            }
            let before = FailedBefore::new(&words, &exit(init, u64::MAX), false);
            prop_assert!(before.calls.len() <= MAX_LAST_WORDS);
        }
    }
}
