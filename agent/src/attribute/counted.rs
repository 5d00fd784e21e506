//! Makes signals of what was counted over a window, or told by a file: about a cgroup or the node rather than a
//! process. Must not read anything.

use inquest_proto::v1::{self, signal::Body};

use super::{Attributor, cgroup_path};

impl Attributor {
    /// Returns a signal about cgroup `id` of the hierarchy that names processes; 0 is about no cgroup.
    pub fn cgroup_signal(&mut self, id: u64, ktime_ns: u64, body: Body) -> v1::Signal {
        let cgroup = self.cgroup(id, ktime_ns);
        let owner = cgroup
            .as_ref()
            .map(|cgroup| cgroup_path::owner(&cgroup.path))
            .unwrap_or_default();
        let subject = v1::Subject {
            cgroup,
            container: owner.container,
            pod_uid: owner.pod_uid.unwrap_or_default(),
            process: None,
        };
        self.signal(ktime_ns, subject, body)
    }

    /// Returns a signal about the node.
    pub fn node_signal(&self, ktime_ns: u64, body: Body) -> v1::Signal {
        self.signal(ktime_ns, v1::Subject::default(), body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::tests::attributor;

    #[test]
    fn is_about_a_cgroup_or_the_node_and_no_process() {
        let mut attributor = attributor();
        let body = || Body::WaitProfile(v1::WaitProfile::default());
        let about = |signal: v1::Signal| signal.subject.unwrap();
        let cgroup = about(attributor.cgroup_signal(7, 1, body()));
        assert_eq!(cgroup.cgroup.map(|cgroup| cgroup.id), Some(7));
        assert_eq!(cgroup.process, None);
        assert_eq!(about(attributor.cgroup_signal(0, 1, body())).cgroup, None);
        let node = attributor.node_signal(5, body());
        assert_eq!(node.ktime_ns, 5);
        assert_eq!(node.subject, Some(v1::Subject::default()));
    }
}
