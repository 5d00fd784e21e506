//! Makes signals of executions and of the removal of cgroups. Must not read anything.

use inquest_agent_abi::{CgroupRemoved, ProcessExec};
use inquest_proto::v1::{self, signal::Body};

use crate::{
    attribute::{Attributor, cgroup_path::owner},
    decode,
};

impl Attributor {
    /// Returns that a process executed a file.
    pub fn exec_signal(&mut self, exec: &ProcessExec) -> v1::Signal {
        let ktime_ns = exec.header.ktime_ns;
        let subject = self.subject(&exec.process, &exec.cgroups, ktime_ns);
        let filename = decode::text(&exec.filename);
        let body = Body::ProcessExec(v1::ProcessExec { filename });
        self.signal(ktime_ns, subject, body)
    }

    /// Takes note of an execution; returns the start of its cgroup's program if it is that.
    pub fn start_signal(&mut self, exec: &ProcessExec) -> Option<v1::Signal> {
        let ktime_ns = exec.header.ktime_ns;
        let cgroup = self.identity(&exec.cgroups);
        let filename = decode::text(&exec.filename);
        let start = self
            .lives
            .executed(&exec.process, cgroup, &filename, ktime_ns)?;
        let subject = self.subject(&exec.process, &exec.cgroups, ktime_ns);
        let earlier_starts = self.lives.count_start(&subject.pod_uid, &filename);
        let body = Body::ContainerStart(v1::ContainerStart {
            filename,
            after_created_ns: start.after_created_ns,
            earlier_starts,
        });
        Some(self.signal(ktime_ns, subject, body))
    }

    /// Returns that a cgroup was removed. Its path is the one remembered: nobody else knows it any more.
    pub fn removed_signal(&mut self, removed: &CgroupRemoved) -> v1::Signal {
        let ktime_ns = removed.header.ktime_ns;
        let path = self.paths.get_mut(&removed.id).map(|path| path.to_string());
        let path = path.unwrap_or_default();
        let owner = owner(&path);
        let subject = v1::Subject {
            cgroup: Some(v1::Cgroup {
                id: removed.id,
                hierarchy: removed.hierarchy,
                path,
            }),
            container: owner.container,
            pod_uid: owner.pod_uid.unwrap_or_default(),
            process: None,
        };
        let lifetime_ns = self.lives.removed(removed.id, ktime_ns).unwrap_or(0);
        let body = Body::CgroupRemoved(v1::CgroupRemoved { lifetime_ns });
        self.signal(ktime_ns, subject, body)
    }
}

#[cfg(test)]
mod tests {
    use inquest_agent_abi::{CgroupIds, MAX_FILENAME, RecordHeader, RecordKind};

    use super::*;
    use crate::attribute::tests::{NOWHERE, attributor, created, process};

    const CGROUP: u64 = 5;
    const UID: &str = "0f6c1b2a-3d4e-5f60-7182-93a4b5c6d7e8";

    fn header(kind: RecordKind, ktime_ns: u64) -> RecordHeader {
        RecordHeader {
            kind,
            reserved: 0,
            ktime_ns,
        }
    }

    fn exec(cgroup: u64, name: &str, ktime_ns: u64) -> ProcessExec {
        let mut filename = [0; MAX_FILENAME];
        filename[..name.len()].copy_from_slice(name.as_bytes());
        ProcessExec {
            header: header(RecordKind::PROCESS_EXEC, ktime_ns),
            process: process(42),
            cgroups: CgroupIds {
                memory: cgroup,
                unified: cgroup,
                ..NOWHERE
            },
            netns: 0,
            reserved: 0,
            filename,
        }
    }

    fn removed(id: u64, ktime_ns: u64) -> CgroupRemoved {
        CgroupRemoved {
            header: header(RecordKind::CGROUP_REMOVED, ktime_ns),
            id,
            hierarchy: 0,
            reserved: 0,
        }
    }

    fn start(signal: Option<v1::Signal>) -> Option<(v1::Subject, v1::ContainerStart)> {
        let signal = signal?;
        match signal.body {
            Some(Body::ContainerStart(start)) => Some((signal.subject?, start)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tells_the_start_of_a_container_and_which_one_of_its_pod_it_is() {
        let mut attributor = attributor();
        for (number, cgroup) in [CGROUP, CGROUP + 1].into_iter().enumerate() {
            let id = number.to_string().repeat(64);
            let path = format!("/kubepods/burstable/pod{UID}/{id}");
            attributor.learn(&created(cgroup, &path));
            let signal = attributor.start_signal(&exec(cgroup, "/bin/app", 50));
            let (subject, start) = start(signal).unwrap();
            assert_eq!(subject.container.unwrap().id, id);
            assert_eq!(subject.pod_uid, UID);
            assert_eq!(start.filename, "/bin/app");
            assert_eq!(start.after_created_ns, 49);
            assert_eq!(start.earlier_starts, number as u32);
            let again = attributor.start_signal(&exec(cgroup, "/bin/more", 60));
            assert_eq!(again, None);
        }
    }

    #[test]
    fn names_a_removed_cgroup_by_what_is_remembered() {
        let mut attributor = attributor();
        attributor.learn(&created(CGROUP, &format!("/kubepods/pod{UID}")));
        for (id, uid, lifetime) in [(CGROUP, UID, 99), (CGROUP + 1, "", 0)] {
            let signal = attributor.removed_signal(&removed(id, 100));
            let subject = signal.subject.unwrap();
            assert_eq!(subject.cgroup.unwrap().id, id);
            assert_eq!(subject.pod_uid, uid);
            let Some(Body::CgroupRemoved(body)) = signal.body else {
                panic!("{:?}", signal.body)
            };
            assert_eq!(body.lifetime_ns, lifetime);
        }
    }
}
