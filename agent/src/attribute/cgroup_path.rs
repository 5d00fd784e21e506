//! Tells container and pod from the path of a cgroup, for every runtime and driver we know. Pure: must not
//! look anything up, and what a path does not say stays unknown.

use inquest_proto::v1::{self, container::Runtime};

/// Hex digits of a container id.
const CONTAINER_ID_LEN: usize = 64;
/// Hex digits of the hash that names a static pod.
const STATIC_POD_UID_LEN: usize = 32;
/// Lengths of the parts of a UUID.
const UUID_PARTS: [usize; 5] = [8, 4, 4, 4, 12];
/// Below this, sysbox keeps the cgroups that a system container made for itself.
const SYSBOX_INNER: &str = "syscont-cgroup-root";

/// Whom a cgroup belongs to, as far as its path tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Owner {
    /// The container.
    pub container: Option<v1::Container>,
    /// The pod's UID, a static pod's hash as it is.
    pub pod_uid: Option<String>,
}

/// What a cgroup is to the containers of its node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// The root of the hierarchy.
    Root,
    /// A pod's, above its containers.
    Pod,
    /// A container's.
    Container,
    /// One that a container made for itself.
    InsideContainer,
    /// Any other, a systemd unit's for example.
    Other,
}

impl Place {
    /// Reads it off a path.
    pub(crate) fn of(path: &str) -> Self {
        let Some((parent, name)) = path.rsplit_once('/') else {
            return Self::Other;
        };
        if name.is_empty() {
            return Self::Root;
        }
        let (own, above) = (owner(path), owner(parent));
        match (own.container, own.pod_uid) {
            (container @ Some(_), _) if container != above.container => Self::Container,
            (Some(_), _) => Self::InsideContainer,
            (None, uid @ Some(_)) if uid != above.pod_uid => Self::Pod,
            (None, _) => Self::Other,
        }
    }
}

/// What one component of a path names.
enum Component {
    Pod(String),
    Container(v1::Container),
    PodAndContainer(String, v1::Container),
    Other,
}

/// Reads the owner off a path.
///
/// In nested clusters the innermost pod counts, with the first container below it: that is what its kubelet
/// and API server know. Without a pod, the innermost container.
pub(crate) fn owner(path: &str) -> Owner {
    let mut owner = Owner::default();
    let mut previous = "";
    for component in path.split('/').filter(|component| !component.is_empty()) {
        if component == SYSBOX_INNER {
            break;
        }
        match classify(component, previous) {
            Component::Pod(uid) => {
                owner = Owner {
                    container: None,
                    pod_uid: Some(uid),
                }
            }
            Component::PodAndContainer(uid, container) => {
                owner = Owner {
                    container: Some(container),
                    pod_uid: Some(uid),
                };
            }
            Component::Container(container) => {
                if owner.pod_uid.is_none() || owner.container.is_none() {
                    owner.container = Some(container);
                }
            }
            Component::Other => {}
        }
        previous = component;
    }
    owner
}

fn classify(component: &str, previous: &str) -> Component {
    // containerd under the systemd convention but with the cgroupfs driver: slice:prefix:id in one name.
    if let [slice, prefix, id] = component.split(':').collect::<Vec<_>>()[..] {
        return match (pod_uid(slice), container(prefix, id)) {
            (Some(uid), Some(container)) => Component::PodAndContainer(uid, container),
            (Some(uid), None) => Component::Pod(uid),
            (None, Some(container)) => Component::Container(container),
            (None, None) => Component::Other,
        };
    }
    if let Some(uid) = pod_uid(component) {
        return Component::Pod(uid);
    }
    let name = component.strip_suffix(".scope").unwrap_or(component);
    let (prefix, id) = name.rsplit_once('-').unwrap_or(("", name));
    match container(if prefix.is_empty() { previous } else { prefix }, id) {
        // A bare id says nothing of its runtime, except below a runtime's own folder.
        Some(found) if prefix.is_empty() && previous != "docker" => {
            Component::Container(v1::Container {
                runtime: Runtime::Unspecified.into(),
                ..found
            })
        }
        Some(found) => Component::Container(found),
        None => Component::Other,
    }
}

/// Returns the container of `prefix` and `id`, `None` when it is none or a container's monitor.
fn container(prefix: &str, id: &str) -> Option<v1::Container> {
    let is_id = id.len() == CONTAINER_ID_LEN && is_hex(id);
    let is_monitor = prefix.ends_with("conmon");
    if !is_id || is_monitor {
        return None;
    }
    let runtime = match prefix {
        "cri-containerd" | "nerdctl" => Runtime::Containerd,
        "crio" => Runtime::Crio,
        "docker" => Runtime::Docker,
        "libpod" => Runtime::Podman,
        _ => Runtime::Other,
    };
    Some(v1::Container {
        id: id.to_owned(),
        runtime: runtime.into(),
    })
}

/// Returns the UID that a component such as `pod<uid>` or `kubepods-burstable-pod<uid>.slice` carries.
fn pod_uid(component: &str) -> Option<String> {
    let name = component.strip_suffix(".slice").unwrap_or(component);
    let uid = match name.rsplit_once("-pod") {
        Some((prefix, uid)) if prefix.contains("kubepods") => uid,
        _ => name.strip_prefix("pod")?,
    };
    // systemd reads a dash as a level of slices, so its driver writes underscores.
    let uid = uid.replace('_', "-");
    let is_static = uid.len() == STATIC_POD_UID_LEN && is_hex(&uid);
    (is_static || is_uuid(&uid)).then_some(uid)
}

fn is_uuid(text: &str) -> bool {
    let mut parts = text.split('-');
    let all_fit = UUID_PARTS.iter().all(|len| {
        parts
            .next()
            .is_some_and(|part| part.len() == *len && is_hex(part))
    });
    all_fit && parts.next().is_none()
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "3f1c7a52b0e94d6688a1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f50617";
    const INNER: &str = "99887766554433221100ffeeddccbbaa99887766554433221100ffeeddccbbaa";
    const UID: &str = "0f6c1b2a-3d4e-5f60-7182-93a4b5c6d7e8";
    const UID_: &str = "0f6c1b2a_3d4e_5f60_7182_93a4b5c6d7e8";
    const HASH: &str = "5d41402abc4b2a76b9719d911017c592";

    #[track_caller]
    fn check(path: &str, expected: Option<(&str, Runtime)>, pod_uid: Option<&str>) {
        let found = owner(path);
        let container = found
            .container
            .as_ref()
            .map(|c| (c.id.as_str(), c.runtime()));
        assert_eq!(container, expected, "container of {path}");
        assert_eq!(found.pod_uid.as_deref(), pod_uid, "pod of {path}");
    }

    #[test]
    fn knows_the_paths_of_kubernetes_nodes() {
        use Runtime::{Containerd, Crio, Docker, Unspecified};
        let slice =
            format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice");
        // systemd driver
        check(&slice, None, Some(UID));
        check(
            &format!("{slice}/cri-containerd-{ID}.scope"),
            Some((ID, Containerd)),
            Some(UID),
        );
        check(
            &format!("{slice}/crio-{ID}.scope"),
            Some((ID, Crio)),
            Some(UID),
        );
        check(
            &format!("{slice}/crio-{ID}.scope/container"),
            Some((ID, Crio)),
            Some(UID),
        );
        check(
            &format!("{slice}/docker-{ID}.scope"),
            Some((ID, Docker)),
            Some(UID),
        );
        // the runtime's monitor is no container
        check(&format!("{slice}/crio-conmon-{ID}.scope"), None, Some(UID));
        // Guaranteed: no level of its class
        let guaranteed = format!("/kubepods.slice/kubepods-pod{UID_}.slice");
        check(
            &format!("{guaranteed}/cri-containerd-{ID}.scope"),
            Some((ID, Containerd)),
            Some(UID),
        );
        let best_effort = format!(
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID_}.slice"
        );
        check(
            &format!("{best_effort}/crio-{ID}"),
            Some((ID, Crio)),
            Some(UID),
        );
        // cgroupfs driver
        check(
            &format!("/kubepods/burstable/pod{UID}/{ID}"),
            Some((ID, Unspecified)),
            Some(UID),
        );
        check(
            &format!("/kubepods/pod{UID}/{ID}"),
            Some((ID, Unspecified)),
            Some(UID),
        );
        check(
            &format!("/kubepods/besteffort/pod{UID}/crio-{ID}"),
            Some((ID, Crio)),
            Some(UID),
        );
        check(
            &format!("/kubepods/besteffort/pod{UID}/crio-conmon-{ID}"),
            None,
            Some(UID),
        );
        // containerd's mixture of both
        let mixed = format!("kubepods-burstable-pod{UID_}.slice:cri-containerd:{ID}");
        check(
            &format!("/system.slice/containerd.service/{mixed}"),
            Some((ID, Containerd)),
            Some(UID),
        );
        // static pods
        let fixed =
            format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{HASH}.slice");
        check(
            &format!("{fixed}/cri-containerd-{ID}.scope"),
            Some((ID, Containerd)),
            Some(HASH),
        );
        check(
            &format!("/kubepods/burstable/pod{HASH}/{ID}"),
            Some((ID, Unspecified)),
            Some(HASH),
        );
    }

    #[test]
    fn knows_the_paths_of_nested_nodes() {
        use Runtime::{Containerd, Unspecified};
        // kind: a node in a docker container
        let kind = format!(
            "/docker/{ID}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/\
             kubelet-kubepods-burstable-pod{UID_}.slice/cri-containerd-{INNER}.scope"
        );
        check(&kind, Some((INNER, Containerd)), Some(UID));
        // kind on podman
        check(
            &format!(
                "/machine.slice/libpod-{ID}.scope/container/kubelet.slice/kubelet-kubepods.slice/\
                 kubelet-kubepods-pod{UID_}.slice/cri-containerd-{INNER}.scope"
            ),
            Some((INNER, Containerd)),
            Some(UID),
        );
        check(
            &format!("/docker/{ID}/kubelet/kubepods/besteffort/pod{UID}/{INNER}"),
            Some((INNER, Unspecified)),
            Some(UID),
        );
        // seen from inside a cgroup namespace
        check(
            &format!("/../../pod{UID}/{ID}"),
            Some((ID, Unspecified)),
            Some(UID),
        );
        check(
            &format!("/../cri-containerd-{ID}.scope"),
            Some((ID, Containerd)),
            None,
        );
        // docker inside a pod: the kubelet knows the outer one
        check(
            &format!("/kubepods/burstable/pod{UID}/{ID}/docker/{INNER}"),
            Some((ID, Unspecified)),
            Some(UID),
        );
        // sysbox: a system container's own cgroups
        check(
            &format!("/kubepods/pod{UID}/crio-{ID}/syscont-cgroup-root/docker/{INNER}"),
            Some((ID, Runtime::Crio)),
            Some(UID),
        );
        check(
            &format!("/docker/{ID}/syscont-cgroup-root/docker/{INNER}"),
            Some((ID, Runtime::Docker)),
            None,
        );
    }

    #[test]
    fn knows_the_paths_of_plain_runtimes() {
        use Runtime::{Containerd, Docker, Other, Podman, Unspecified};
        check(&format!("/docker/{ID}"), Some((ID, Docker)), None);
        check(
            &format!("/system.slice/docker-{ID}.scope"),
            Some((ID, Docker)),
            None,
        );
        check(
            &format!("/machine.slice/libpod-{ID}.scope/container"),
            Some((ID, Podman)),
            None,
        );
        check(
            &format!("/machine.slice/libpod-{ID}.scope"),
            Some((ID, Podman)),
            None,
        );
        check(
            &format!("/machine.slice/libpod-conmon-{ID}.scope"),
            None,
            None,
        );
        check(
            &format!(
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"
            ),
            Some((ID, Podman)),
            None,
        );
        check(
            &format!("/system.slice/nerdctl-{ID}.scope"),
            Some((ID, Containerd)),
            None,
        );
        check(
            &format!("/system.slice/isulad-{ID}.scope"),
            Some((ID, Other)),
            None,
        );
        check(&format!("/builds/{ID}"), Some((ID, Unspecified)), None);
    }

    #[test]
    fn tells_containers_and_pods_from_what_is_inside_them() {
        let pod = format!("/kubepods/burstable/pod{UID}");
        let systemd = format!("/kubepods.slice/kubepods-pod{UID_}.slice");
        for (path, expected) in [
            ("/".to_owned(), Place::Root),
            (String::new(), Place::Other),
            ("/system.slice/sshd.service".to_owned(), Place::Other),
            ("/kubepods/burstable".to_owned(), Place::Other),
            (pod.clone(), Place::Pod),
            (format!("{pod}/{ID}"), Place::Container),
            (format!("{pod}/{ID}/init.scope"), Place::InsideContainer),
            (format!("{systemd}/crio-conmon-{ID}.scope"), Place::Other),
            (format!("{systemd}/crio-{ID}.scope"), Place::Container),
            (
                format!("/machine.slice/libpod-{ID}.scope/container"),
                Place::InsideContainer,
            ),
            (
                format!("/docker/{ID}/kubelet/kubepods/pod{UID}"),
                Place::Pod,
            ),
        ] {
            assert_eq!(Place::of(&path), expected, "{path}");
        }
    }

    #[test]
    fn finds_no_owner_where_there_is_none() {
        for path in [
            "",
            "/",
            "/init",
            "/system/apid",
            "/podruntime/kubelet",
            "/podruntime/runtime",
            "/system.slice/sshd.service",
            "/kubepods.slice/kubepods-burstable.slice",
            "/podman",
            "/pods/podium",
            "/docker/buildkit/rx3tqo4w",
            "/kubepods/burstable/podnot-a-uid",
            "/a::b",
            "/:::",
        ] {
            check(path, None, None);
        }
        // the right length, but not hex
        check(&format!("/docker/{}", "z".repeat(64)), None, None);
    }

    proptest! {
        #[test]
        fn never_panics_and_never_finds_an_id_of_another_shape(
            path in "(/|-|_|:|\\.|pod|kubepods|docker|crio|conmon|\\.slice|\\.scope|[0-9a-f]{8}|[0-9a-f]{64}|\\PC){0,12}",
        ) {
            let found = owner(&path);
            if let Some(container) = found.container {
                prop_assert!(container.id.len() == CONTAINER_ID_LEN && is_hex(&container.id));
            }
            if let Some(uid) = found.pod_uid {
                prop_assert!(uid.len() == STATIC_POD_UID_LEN || is_uuid(&uid));
            }
        }
    }
}
