//! Refusals for want of a capability, by the running kernel: told exactly as often as the refused process counts them, and
//! not for what nobody refused. Skipped without root.

#[cfg(test)]
#[path = "double/watch.rs"]
#[expect(dead_code, reason = "profiles are for other tests")]
mod watch;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::ErrorKind;
    use std::net::UdpSocket;
    use std::os::unix::fs::PermissionsExt as _;

    use inquest_proto::v1::{self, denial::Kind, signal::Body};
    use rustix::io::Errno;
    use rustix::mount::{MountFlags, mount};
    use rustix::net::{AddressFamily, SocketType, ipproto, socket};
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

    use super::watch::{ScratchCgroup, Watch};

    const PROBES: [&str; 2] = ["sys_exit", "cap_capable"];
    /// Set for the copy of the test that is refused.
    const ACTS: &str = "INQUEST_TEST_REFUSED";
    /// How an actor ends that was refused everything: as a test that panics so.
    const DONE: &str = "the end of an actor";
    /// What the actor is refused, and how often.
    const REFUSED: [(&str, &str, u64); 3] = [
        ("socket", "CAP_NET_RAW", 40),
        ("bind", "CAP_NET_BIND_SERVICE", 20),
        ("mount", "CAP_SYS_ADMIN", 1),
    ];

    /// Not a test, but the actor of one, which ends by a panic.
    #[test]
    fn acts() {
        if std::env::var_os(ACTS).is_some() {
            be_refused();
            panic!("{DONE}");
        }
    }

    fn be_refused() {
        let none = CapabilitySet::empty();
        let nothing = CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        };
        set_capabilities(None, nothing).unwrap();
        // Refused without a policy: a second name for a directory, and a file by its mode.
        let dir = tempfile::tempdir().unwrap();
        let second_name = fs::hard_link(dir.path(), dir.path().join("second"));
        assert_eq!(second_name.unwrap_err().kind(), ErrorKind::PermissionDenied);
        let secret = dir.path().join("secret");
        fs::write(&secret, "s").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o0)).unwrap();
        let unreadable = fs::read(&secret);
        assert_eq!(unreadable.unwrap_err().kind(), ErrorKind::PermissionDenied);
        for _ in 0..REFUSED[0].2 {
            let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP));
            assert_eq!(raw.unwrap_err(), Errno::PERM);
        }
        for _ in 0..REFUSED[1].2 {
            let bound = UdpSocket::bind("127.0.0.1:1");
            assert_eq!(bound.unwrap_err().kind(), ErrorKind::PermissionDenied);
        }
        let mounted = mount("none", "/", "tmpfs", MountFlags::empty(), None);
        assert_eq!(mounted.unwrap_err(), Errno::PERM);
    }

    #[tokio::test]
    async fn every_refusal_is_counted_with_the_capability_that_was_missing() {
        let Some(mut watch) = Watch::start(&PROBES).await else {
            return;
        };
        let cgroup = ScratchCgroup::new("refused");
        let ended = cgroup
            .command(std::env::current_exe().unwrap())
            .args(["--exact", "tests::acts", "--nocapture"])
            .env(ACTS, "1")
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains(DONE), "{said}");
        let mut told = BTreeMap::new();
        watch
            .next(|signal| {
                take(signal, &cgroup, &mut told);
                // The last that was refused.
                told.contains_key("mount: CAP_SYS_ADMIN").then_some(())
            })
            .await;
        let refused =
            REFUSED.map(|(call, capability, count)| (format!("{call}: {capability}"), count));
        assert_eq!(told, BTreeMap::from(refused));
        watch.stop().await;
    }

    /// Adds up what a signal tells of a cgroup, by call and capability.
    fn take(signal: &v1::Signal, cgroup: &ScratchCgroup, told: &mut BTreeMap<String, u64>) {
        let subject = signal.subject.as_ref();
        let found = subject.and_then(|subject| subject.cgroup.as_ref());
        let Some(Body::Denials(denials)) = &signal.body else {
            return;
        };
        if found.is_none_or(|found| found.path != cgroup.path) {
            return;
        }
        for denial in &denials.denials {
            assert_eq!(denial.kind(), Kind::Capability);
            let key = format!("{}: {}", denial.syscall, denial.capability);
            *told.entry(key).or_default() += denial.count;
        }
    }
}
