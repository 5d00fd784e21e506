//! A router beside this network namespace: a namespace of its own, held by a process that does nothing, with a narrow link
//! behind it.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    process::{Child, Command},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{kernel::ip, live::own_netns};

/// Longest wait for the process to be in its namespace.
const DEADLINE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// What the narrow link takes; the one to the router takes 1500.
pub(crate) const NARROW: u32 = 1300;
/// Where the router is from here, and what is routed through it: 10.88.0.0/24 and fd88::/64.
pub(crate) const ROUTER: [&str; 2] = ["10.77.0.254", "fd77::254"];

/// The process that holds the namespace, which ends with this.
pub(crate) struct Router(Child);

impl Drop for Router {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Router {
    /// Makes it, with routes to what is behind it.
    pub(crate) async fn start() -> Self {
        let mut held = Command::new("unshare");
        held.args(["--net", "sleep", "infinity"]);
        let router = Self(held.spawn().unwrap());
        let netns = format!("/proc/{}/ns/net", router.0.id());
        let deadline = Instant::now() + DEADLINE;
        while fs::metadata(&netns).unwrap().ino() == own_netns() {
            assert!(Instant::now() < deadline, "no namespace for a router");
            sleep(LOOK_AGAIN).await;
        }
        ip(&format!(
            "link add near type veth peer name far netns {}",
            router.0.id()
        ));
        ip("link set near up");
        ip("address add 10.77.0.1/24 dev near");
        ip("address add fd77::1/64 dev near nodad");
        router.run(&format!(
            "echo 1 > /proc/sys/net/ipv4/ip_forward
             echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
             ip link set lo up
             ip link set far up
             ip address add 10.77.0.254/24 dev far
             ip address add fd77::254/64 dev far nodad
             ip link add narrow mtu {NARROW} type veth peer name end
             ip link set narrow up
             ip link set end up
             ip address add 10.88.0.1/24 dev narrow
             ip address add fd88::1/64 dev narrow nodad"
        ));
        ip("route add 10.88.0.0/24 via 10.77.0.254");
        ip("-6 route add fd88::/64 via fd77::254");
        router
    }

    fn run(&self, script: &str) {
        let netns = format!("--net=/proc/{}/ns/net", self.0.id());
        let status = Command::new("nsenter")
            .args([&netns, "sh", "-e", "-c", script])
            .status();
        assert!(status.unwrap().success());
    }
}
