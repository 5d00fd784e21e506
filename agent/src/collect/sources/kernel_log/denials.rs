//! What the kernel's log tells of refusals: the audit lines of AppArmor and SELinux. Must not tell what probes tell
//! better: what seccomp filters refuse.
//!
//! The kernel writes text that a process chose either in quotes, or in hexadecimal digits when it holds a space or a
//! quote: so a line can be split at its spaces, whoever tries to look like another field.

use std::collections::BTreeMap;

use inquest_proto::v1::{self, Denial, denial::Kind, loss::Stage};

use super::{Entry, cut, plausible};
use crate::{attribute::Attributor, loss::Losses, syscalls::capability_name};

/// Different denials told of one reading; a program under the wrong profile is refused a few things again and again.
const MAX_DENIALS: usize = 32;

/// Start of an audit line about an access that a security module judged (`AUDIT_AVC`).
const ACCESS: &str = "audit: type=1400 ";

/// What one line says.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Line {
    kind: Kind,
    /// On the node.
    pid: u32,
    comm: String,
    object: String,
    capability: String,
    profile: String,
}

/// The denials of one reading, equal ones counted.
#[derive(Default)]
pub(super) struct LoggedDenials {
    seen: BTreeMap<Line, Seen>,
    untold: u64,
}

#[derive(Default)]
struct Seen {
    /// Of the first.
    at_ns: u64,
    count: u64,
}

impl LoggedDenials {
    /// Takes note of `entry` if it is the kernel's line about a denial.
    pub(super) fn take(&mut self, entry: &Entry<'_>) {
        let Some(line) = parse(entry.text).filter(|_| entry.from_kernel) else {
            return;
        };
        if self.seen.len() >= MAX_DENIALS && !self.seen.contains_key(&line) {
            self.untold += 1;
            return;
        }
        let first = || Seen {
            at_ns: entry.at_ns,
            count: 0,
        };
        self.seen.entry(line).or_insert_with(first).count += 1;
    }

    /// Returns them as signals, each about the process that the line names, and its cgroup while the process lives.
    pub(super) fn tell(
        self,
        now_ns: u64,
        attributor: &Attributor,
        losses: &mut Losses,
    ) -> Vec<v1::Signal> {
        losses.add(Stage::RateLimit, "logged_denial", self.untold);
        let tell = |(line, seen): (Line, Seen)| {
            let process = v1::Process {
                pid: line.pid,
                comm: line.comm,
                ..v1::Process::default()
            };
            let denial = Denial {
                kind: line.kind.into(),
                object: line.object,
                capability: line.capability,
                profile: line.profile,
                count: seen.count,
                ..Denial::default()
            };
            attributor.logged_denial_signal(plausible(seen.at_ns, now_ns), process, denial)
        };
        self.seen.into_iter().map(tell).collect()
    }
}

/// Reads a line of the log; `None` when it tells of no denial.
fn parse(text: &str) -> Option<Line> {
    if !text.starts_with(ACCESS) {
        return None;
    }
    if field(text, "apparmor") == Some("\"DENIED\"") {
        return line(Kind::Apparmor, text);
    }
    let is_refused = text.contains(" avc:  denied ") && field(text, "permissive") != Some("1");
    is_refused.then(|| line(Kind::Selinux, text))?
}

/// What all lines have.
fn line(kind: Kind, text: &str) -> Option<Line> {
    let first = |names: &[&str]| {
        let found = names.iter().find_map(|name| field(text, name));
        found.map(plain).unwrap_or_default()
    };
    Some(Line {
        kind,
        pid: field(text, "pid")?.parse().ok()?,
        comm: first(&["comm"]),
        object: first(&["path", "name", "peer", "tcontext"]),
        capability: capability(text),
        profile: first(&["profile", "scontext"]),
    })
}

fn capability(text: &str) -> String {
    // AppArmor tells it by its name, both by its number.
    match field(text, "capname") {
        Some(name) => format!("CAP_{}", plain(name).to_uppercase()),
        None => field(text, "capability")
            .and_then(|number| number.parse().ok())
            .map(capability_name)
            .unwrap_or_default(),
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// Returns a value as the process has it, without quotes or digits.
fn plain(value: &str) -> String {
    if let Some(quoted) = value.strip_prefix('"') {
        return cut(quoted.trim_end_matches('"'));
    }
    match decoded(value) {
        Some(bytes) => cut(&String::from_utf8_lossy(&bytes)),
        None => cut(value),
    }
}

/// Returns the bytes that upper-case hexadecimal digits stand for, `None` when `value` is not made of those.
fn decoded(value: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let (pairs, rest) = value.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines as kernels print them, and what they say: kind, process, name, object, capability, profile.
    #[rustfmt::skip]
    const LINES: &[(&str, Kind, u32, [&str; 4])] = &[
        (
            "audit: type=1400 audit(1700000000.123:45): apparmor=\"DENIED\" operation=\"open\" class=\"file\" profile=\"docker-default\" \
             name=\"/proc/sysrq-trigger\" pid=4711 comm=\"sh\" requested_mask=\"w\" denied_mask=\"w\" fsuid=0 ouid=0",
            Kind::Apparmor, 4711, ["sh", "/proc/sysrq-trigger", "", "docker-default"],
        ),
        (
            "audit: type=1400 audit(1700000000.123:46): apparmor=\"DENIED\" operation=\"capable\" profile=\"web\" pid=12 comm=\"nginx\" \
             capability=12  capname=\"net_admin\"",
            Kind::Apparmor, 12, ["nginx", "", "CAP_NET_ADMIN", "web"],
        ),
        (
            "audit: type=1400 audit(1700000000.123:47): apparmor=\"DENIED\" operation=\"ptrace\" profile=\"a\" pid=12 comm=\"gdb\" \
             requested_mask=\"read\" denied_mask=\"read\" peer=\"unconfined\"",
            Kind::Apparmor, 12, ["gdb", "unconfined", "", "a"],
        ),
        (
            "audit: type=1400 audit(1700000000.123:48): apparmor=\"DENIED\" operation=\"open\" profile=\"a\" name=2F746D702F612062 \
             pid=12 comm=6D792061 requested_mask=\"r\"",
            Kind::Apparmor, 12, ["my a", "/tmp/a b", "", "a"],
        ),
        (
            "audit: type=1400 audit(1700000000.1:5): avc:  denied  { read open } for  pid=99 comm=\"httpd\" name=\"index.html\" dev=\"sda1\" \
             ino=131 scontext=system_u:system_r:container_t:s0:c1,c2 tcontext=system_u:object_r:user_home_t:s0 tclass=file permissive=0",
            Kind::Selinux, 99, ["httpd", "index.html", "", "system_u:system_r:container_t:s0:c1,c2"],
        ),
        (
            "audit: type=1400 audit(1700000000.1:6): avc:  denied  { sys_admin } for  pid=7 comm=\"mount\" capability=21  \
             scontext=u:r:t:s0 tcontext=u:r:t:s0 tclass=capability permissive=0",
            Kind::Selinux, 7, ["mount", "u:r:t:s0", "CAP_SYS_ADMIN", "u:r:t:s0"],
        ),
    ];

    #[test]
    fn reads_what_security_modules_refused() {
        for (text, kind, pid, told) in LINES {
            let line = parse(text).unwrap();
            assert_eq!((line.kind, line.pid), (*kind, *pid), "{text}");
            let [comm, object, capability, profile] = told.map(str::to_owned);
            assert_eq!((line.comm, line.object), (comm, object));
            assert_eq!((line.capability, line.profile), (capability, profile));
        }
    }

    #[test]
    fn leaves_lines_alone_that_refuse_nothing() {
        for text in [
            "audit: type=1400 audit(1.1:2): apparmor=\"ALLOWED\" operation=\"open\" profile=\"a\" name=\"/x\" pid=4711 comm=\"sh\"",
            "audit: type=1400 audit(1.1:2): apparmor=\"STATUS\" operation=\"profile_load\" profile=\"unconfined\" name=\"a\" pid=9 comm=\"b\"",
            "audit: type=1400 audit(1.1:2): avc:  denied  { read } for  pid=99 comm=\"a\" tclass=file permissive=1",
            "audit: type=1400 audit(1.1:2): avc:  granted  { read } for  pid=99 comm=\"a\"",
            "audit: type=1400 audit(1.1:2): apparmor=\"DENIED\" operation=\"open\" pid=many",
            "app said: audit: type=1400 audit(1.1:2): apparmor=\"DENIED\" pid=1",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn counts_equal_lines_and_tells_how_many_different_ones_found_no_room() {
        let mut denials = LoggedDenials::default();
        let mut take = |from_kernel, text: &str| {
            denials.take(&Entry {
                from_kernel,
                at_ns: 1,
                text,
            });
        };
        take(true, LINES[0].0);
        take(true, LINES[0].0);
        take(false, LINES[1].0);
        for pid in 0..MAX_DENIALS {
            let other = LINES[0].0.replace("pid=4711", &format!("pid={pid}"));
            take(true, &other);
        }
        assert_eq!((denials.seen.len(), denials.untold), (MAX_DENIALS, 1));
        let first = parse(LINES[0].0).unwrap();
        assert_eq!(denials.seen[&first].count, 2);
    }

    proptest! {
        #[test]
        fn takes_anything(text in ".*", word in "[a-z]{1,8}=[\"0-9A-F]*") {
            for refused in ["apparmor=\"DENIED\"", "avc:  denied  { read } for ", ""] {
                let _parsed = parse(&format!("{ACCESS}audit(1.1:2): {refused} {word} {text}"));
            }
        }

        #[test]
        fn gives_back_what_a_process_chose_however_the_kernel_writes_it(text in ".{1,60}") {
            let digits: Vec<String> = text.bytes().map(|byte| format!("{byte:02X}")).collect();
            prop_assert_eq!(plain(&digits.concat()), text);
        }
    }
}
