//! Tells what the sender of a signal is to its target: kubelet, runtime, parent, sibling and so on. Pure: must not
//! look anything up, and a name alone makes nobody one of the node's daemons.

use inquest_proto::v1::{self, fatal_signal::SenderClass};

use super::cgroup_path::{Owner, owner};

/// Programs that are a kubelet, or contain one: k3s, MicroK8s and old releases link it into theirs.
const KUBELETS: &[&str] = &[
    "kubelet",
    "k3s",
    "k3s-server",
    "k3s-agent",
    "kubelite",
    "hyperkube",
];
/// Programs that start and end containers, by the start of their name: shims carry a version.
const RUNTIMES: &[&str] = &[
    "containerd",
    "crio",
    "conmon",
    "dockerd",
    "docker-containe",
    "docker-runc",
    "podman",
    "runc",
    "crun",
    "youki",
];
/// Programs that run as the node's first process, or as the first one of a user's session.
const INITS: &[&str] = &[
    "systemd",
    "init",
    "launchd",
    "openrc-init",
    "runit",
    "s6-svscan",
];
const INIT_PID: u32 = 1;
const ROOT_CGROUP: &str = "/";

/// One end of a signal.
pub(super) struct Party<'a> {
    process: &'a v1::Process,
    cgroup: Option<&'a v1::Cgroup>,
    owner: Owner,
}

impl<'a> Party<'a> {
    /// Returns `process` in `cgroup` as it was when the signal was sent.
    pub(super) fn new(process: &'a v1::Process, cgroup: Option<&'a v1::Cgroup>) -> Self {
        let owner = cgroup.map(|cgroup| owner(&cgroup.path)).unwrap_or_default();
        Self {
            process,
            cgroup,
            owner,
        }
    }

    /// Returns the path of its cgroup, `None` when it could not be told.
    fn path(&self) -> Option<&str> {
        self.cgroup
            .map(|cgroup| cgroup.path.as_str())
            .filter(|path| !path.is_empty())
    }

    fn is_owned(&self) -> bool {
        self.owner.container.is_some() || self.owner.pod_uid.is_some()
    }

    fn container_id(&self) -> Option<&str> {
        self.owner.container.as_ref().map(|found| found.id.as_str())
    }

    fn is_below_first_pid_namespace(&self) -> bool {
        let inside = self.process.namespace_pid;
        inside != 0 && inside != self.process.pid
    }

    /// Returns whether it runs on the node that `target` runs on, outside its containers. A node may be a
    /// container itself, as with kind: then what runs in it beside the pods is outside of them.
    fn is_outside_containers_of(&self, target: &Self) -> bool {
        if self.path().is_none() {
            return false;
        }
        if self.is_owned() {
            return self.encloses(target);
        }
        // What can signal a container from another pid namespace sees it from above.
        !self.is_below_first_pid_namespace() || target.is_owned()
    }

    /// Returns whether the container of `target` lies inside its own.
    fn encloses(&self, target: &Self) -> bool {
        let (Some(own), Some(path)) = (self.container_id(), target.path()) else {
            return false;
        };
        target.container_id() != Some(own) && path.contains(own)
    }

    fn shares_container_with(&self, target: &Self) -> bool {
        if self.is_owned() || target.is_owned() {
            return self.container_id().is_some() && self.container_id() == target.container_id();
        }
        self.shares_cgroup_with(target)
    }

    /// The root cgroup is where processes are that nobody put anywhere.
    fn shares_cgroup_with(&self, target: &Self) -> bool {
        let (Some(own), Some(other)) = (self.cgroup, target.cgroup) else {
            return false;
        };
        own.id == other.id && own.path != ROOT_CGROUP
    }

    fn shares_pod_with(&self, target: &Self) -> bool {
        self.owner.pod_uid.is_some() && self.owner.pod_uid == target.owner.pod_uid
    }
}

/// Returns what `sender`, which runs `program`, is to `target`, whose parent was `parent_pid`.
///
/// `program` is the name of the executed file, or of the process where that cannot be told any more.
pub(super) fn sender_class(
    sender: &Party<'_>,
    target: &Party<'_>,
    parent_pid: u32,
    program: &str,
) -> SenderClass {
    if sender.process.pid == target.process.pid {
        return SenderClass::Itself;
    }
    let outside = sender.is_outside_containers_of(target);
    if let Some(class) = daemon(sender, program)
        && outside
    {
        return class;
    }
    if sender.process.pid == parent_pid {
        SenderClass::Parent
    } else if sender.shares_container_with(target) {
        SenderClass::Sibling
    } else if sender.shares_pod_with(target) {
        SenderClass::Pod
    } else if outside {
        SenderClass::Host
    } else if sender.is_owned() {
        SenderClass::OtherContainer
    } else {
        SenderClass::Unspecified
    }
}

/// Returns which of the node's daemons `program` is.
fn daemon(sender: &Party<'_>, program: &str) -> Option<SenderClass> {
    let is_init = sender.process.pid == INIT_PID
        || (INITS.contains(&program) && sender.process.namespace_pid == INIT_PID)
        || program == "systemd";
    if KUBELETS.contains(&program) {
        Some(SenderClass::Kubelet)
    } else if RUNTIMES.iter().any(|name| program.starts_with(name)) {
        Some(SenderClass::Runtime)
    } else {
        is_init.then_some(SenderClass::Init)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f1c7a52b0e94d6688a1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f50617";
    const OTHER_ID: &str = "99887766554433221100ffeeddccbbaa99887766554433221100ffeeddccbbaa";
    const UID: &str = "0f6c1b2a-3d4e-5f60-7182-93a4b5c6d7e8";
    const OTHER_UID: &str = "11111111-3d4e-5f60-7182-93a4b5c6d7e8";
    const PARENT: u32 = 50;
    const TARGET: u32 = 60;
    const SENDER: u32 = 70;

    fn in_pod(uid: &str, container: &str) -> String {
        format!("/kubepods/burstable/pod{uid}/{container}")
    }

    fn process(pid: u32, namespace_pid: u32) -> v1::Process {
        v1::Process {
            pid,
            namespace_pid,
            ..v1::Process::default()
        }
    }

    fn cgroup(path: &str) -> v1::Cgroup {
        // Equal paths have equal ids, others not.
        let id = path.bytes().fold(7, |id: u64, byte| {
            id.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        v1::Cgroup {
            id,
            hierarchy: 0,
            path: path.to_owned(),
        }
    }

    #[track_caller]
    fn check(
        sender: (v1::Process, &str, &str),
        target: (v1::Process, &str),
        expected: SenderClass,
    ) {
        let (sender, sender_path, program) = sender;
        let (target, target_path) = target;
        let (sender_cgroup, target_cgroup) = (cgroup(sender_path), cgroup(target_path));
        let found = sender_class(
            &Party::new(&sender, Some(&sender_cgroup)),
            &Party::new(&target, Some(&target_cgroup)),
            PARENT,
            program,
        );
        assert_eq!(found, expected, "{program} in {sender_path}, {target_path}");
    }

    #[test]
    fn tells_who_a_sender_is_to_a_process_of_a_pod() {
        use SenderClass::{
            Host, Init, Itself, Kubelet, OtherContainer, Parent, Pod, Runtime, Sibling, Unspecified,
        };
        let own = in_pod(UID, ID);
        let inner = format!("{own}/inner");
        let same_pod = in_pod(UID, OTHER_ID);
        let other_pod = in_pod(OTHER_UID, OTHER_ID);
        let contained = |pid| process(pid, 5);
        let host = |pid| process(pid, pid);
        let shim = "containerd-shim-runc-v2";
        for (sender, path, program, expected) in [
            (contained(TARGET), own.as_str(), "app", Itself),
            (contained(PARENT), &own, "sh", Parent),
            (contained(SENDER), &own, "sh", Sibling),
            (contained(SENDER), &inner, "sh", Sibling),
            (contained(SENDER), &same_pod, "sidecar", Pod),
            (contained(SENDER), &other_pod, "nosy", OtherContainer),
            (host(SENDER), &other_pod, "nosy", OtherContainer),
            (
                host(SENDER),
                "/system.slice/kubelet.service",
                "kubelet",
                Kubelet,
            ),
            (
                host(SENDER),
                "/system.slice/k3s.service",
                "k3s-server",
                Kubelet,
            ),
            (host(SENDER), "/podruntime/runtime", "containerd", Runtime),
            (
                host(SENDER),
                "/system.slice/containerd.service",
                "runc",
                Runtime,
            ),
            (
                host(PARENT),
                "/system.slice/containerd.service",
                shim,
                Runtime,
            ),
            (host(SENDER), "/system.slice/crio.service", "crun", Runtime),
            (host(1), "/init.scope", "systemd", Init),
            (host(1), "/", "s6-svscan", Init),
            (host(SENDER), "/user.slice/user-0.slice", "bash", Host),
            (host(SENDER), "/", "oomd", Host),
            (host(SENDER), "", "kubelet", Unspecified),
        ] {
            check((sender, path, program), (contained(TARGET), &own), expected);
        }
    }

    #[test]
    fn takes_no_name_inside_a_container_for_a_daemon() {
        let own = in_pod(UID, ID);
        let target = || process(TARGET, 9);
        for program in ["kubelet", "runc", "systemd", "containerd-shim"] {
            let sibling = (process(SENDER, 8), own.as_str(), program);
            check(sibling, (target(), &own), SenderClass::Sibling);
            let other = in_pod(OTHER_UID, OTHER_ID);
            let stranger = (process(SENDER, SENDER), other.as_str(), program);
            check(stranger, (target(), &own), SenderClass::OtherContainer);
        }
        // A container's own process 1 is no init of the node.
        let init = (process(SENDER, 1), own.as_str(), "init");
        check(init, (target(), &own), SenderClass::Sibling);
    }

    #[test]
    fn knows_the_daemons_of_a_node_that_is_a_container_itself() {
        let node = format!("/docker/{ID}");
        let pod = format!("{node}/kubelet/kubepods/pod{UID}/{OTHER_ID}");
        let kubelet = format!("{node}/kubelet.slice/kubelet.service");
        let target = || process(TARGET, 1);
        for (sender, path, program, expected) in [
            (
                process(SENDER, 200),
                &kubelet,
                "kubelet",
                SenderClass::Kubelet,
            ),
            (
                process(SENDER, 201),
                &node,
                "containerd-shim",
                SenderClass::Runtime,
            ),
            (process(SENDER, 1), &node, "systemd", SenderClass::Init),
            (process(SENDER, 202), &node, "bash", SenderClass::Host),
        ] {
            check((sender, path, program), (target(), &pod), expected);
        }
        // Without nested pods it is a container like any other.
        let sender = (process(SENDER, 200), node.as_str(), "kubelet");
        check(sender, (process(TARGET, 9), &node), SenderClass::Sibling);
    }

    #[test]
    fn tells_senders_of_processes_that_no_container_holds() {
        let unit = "/system.slice/app.service";
        let target = || (process(TARGET, TARGET), unit);
        for (pid, path, program, expected) in [
            (SENDER, unit, "helper", SenderClass::Sibling),
            (PARENT, unit, "app", SenderClass::Parent),
            (1, "/init.scope", "systemd", SenderClass::Init),
            (SENDER, "/user.slice", "bash", SenderClass::Host),
        ] {
            check((process(pid, pid), path, program), target(), expected);
        }
        // The root cgroup makes no siblings.
        let sender = (process(SENDER, SENDER), "/", "bash");
        check(sender, (process(TARGET, TARGET), "/"), SenderClass::Host);
    }
}
