//! What to do about a memory limit that was reached. Must give a command only where its object is known.

use crate::correlate::death::Death;
use crate::explain::quantity::bytes;
use crate::explain::quote::{clean, word};
use crate::model::signal::{Container, MemoryCgroup, OomKill, Runtime};

/// What remains to be done about a limit that was reached.
pub(in crate::detect) fn remediation(death: &Death<'_>, kill: &OomKill) -> Vec<String> {
    let mut steps = vec![what_grew(death, kill)];
    if let Some((index, level)) = death.limiting() {
        steps.push(raise_limit(death, index, level));
    }
    steps
}

/// Which kind of memory to look at: the largest part says where the growth is.
fn what_grew(death: &Death<'_>, kill: &OomKill) -> String {
    let of = death.victim();
    let Some(stat) = kill.cgroup_stat else {
        return format!("find out what grew in {of}: compare its memory over time with its load");
    };
    // The victim's memory is freed while the agent reads, so its own figures are counted in.
    let shared = stat.shmem_bytes.max(kill.victim_usage.shmem_bytes);
    let anonymous = stat.anon_bytes.max(kill.victim_usage.anon_bytes);
    let files = stat.file_bytes.max(kill.victim_usage.file_bytes);
    let largest = anonymous.max(shared).max(files).max(stat.kernel_bytes);
    if anonymous == largest {
        format!(
            "find out what grew in {of}: the largest part of the memory was anonymous (heap and stacks), so take a heap profile under load"
        )
    } else if shared == largest {
        "look for large files in tmpfs, /dev/shm or emptyDir volumes with medium Memory: they count against the limit".to_owned()
    } else if stat.kernel_bytes == largest {
        "look for many open sockets, files or threads: the largest part of the memory was the kernel's own, on the workload's behalf".to_owned()
    } else {
        "look for files that are locked in memory or written faster than the disk takes them: the largest part of the memory was cached files, which the kernel could not give up".to_owned()
    }
}

fn raise_limit(death: &Death<'_>, index: usize, level: &MemoryCgroup) -> String {
    let limit = level.max_bytes.unwrap_or(0);
    let larger = limit.saturating_add(limit / 2);
    let name = death.level_name(index);
    if death.is_limit_of_pod(index) {
        return format!(
            "if the need is real, raise resources.limits.memory of the pod's container, for example from {} to {}",
            bytes(limit),
            bytes(larger)
        );
    }
    let command = limit_command(death, index, larger)
        .map_or_else(String::new, |command| format!(": {command}"));
    format!(
        "if the need is real, raise the limit of cgroup {name}, for example to {}{command}",
        bytes(larger)
    )
}

/// The command that raises a limit where it was set: by the container engine, by systemd, or by hand.
fn limit_command(death: &Death<'_>, index: usize, larger: u64) -> Option<String> {
    let own = death.container().filter(|_| index == 0);
    if let Some((engine, id)) = own.and_then(engine_of) {
        return Some(format!(
            "{engine} update --memory {larger} --memory-swap -1 {id}"
        ));
    }
    let name = death.level_name(index);
    let unit = name.rsplit('/').next().filter(|unit| is_unit(unit));
    unit.map(|unit| format!("systemctl set-property {} MemoryMax={larger}", word(unit)))
        .or_else(|| {
            Some(format!(
                "echo {larger} > {}",
                word(&death.limit_file(index)?)
            ))
        })
}

fn engine_of(container: &Container) -> Option<(&'static str, String)> {
    let engine = match container.runtime {
        Runtime::Docker => "docker",
        Runtime::Podman => "podman",
        Runtime::Containerd | Runtime::CriO | Runtime::Other => return None,
    };
    Some((engine, word(&clean(&container.id))))
}

/// A name that begins with a dash would be taken for an option.
fn is_unit(name: &str) -> bool {
    let endings = [".service", ".scope", ".slice"];
    !name.starts_with('-') && endings.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{CgroupMemoryStat, MemoryUsage};
    use crate::model::{EntityKind, Severity, SignalBody};
    use crate::testing::checks::opens;
    use crate::testing::{Actor, at_ms, incidents_of};

    const CAUSE: &str = "memory-limit-oom";

    #[test]
    fn suggests_the_command_of_whoever_set_the_limit() {
        let plain = Actor::new("worker", 7);
        let cases = [
            (
                plain.clone().in_cgroup(77, "/demo/limited/inner"),
                "echo 100663296 > /sys/fs/cgroup/demo/limited/memory.max",
            ),
            (
                plain
                    .clone()
                    .in_cgroup(77, "/demo/limited/inner")
                    .in_hierarchy(9),
                "echo 100663296 > /sys/fs/cgroup/memory/demo/limited/memory.limit_in_bytes",
            ),
        ];
        for (victim, command) in cases {
            let incident = opens(vec![victim.oom("s-1", at_ms(0))], CAUSE, Severity::Warning);
            assert!(
                incident.remediation[1].contains(command),
                "{:?}",
                incident.remediation
            );
        }
    }

    #[test]
    fn suggests_systemctl_for_a_unit_and_the_engine_for_its_container() {
        let mut service = Actor::new("worker", 7).oom("s-1", at_ms(0));
        let mut hostile = service.clone();
        let mut docker = Actor::new("worker", 7)
            .in_docker("c0ffee")
            .oom("s-1", at_ms(0));
        for (signal, level, name) in [
            (&mut service, 1, "app.service"),
            (&mut hostile, 1, "x; reboot .scope"),
            (&mut docker, 0, "docker-c0ffee.scope"),
        ] {
            if let SignalBody::OomKill(kill) = &mut signal.body {
                kill.limiting = Some(level);
                kill.chain[level].name = name.to_owned();
                kill.chain[level].max_bytes = Some(64 << 20);
            }
        }
        for (signal, command) in [
            (
                service,
                ": systemctl set-property app.service MemoryMax=100663296",
            ),
            (
                hostile,
                ": systemctl set-property 'x; reboot .scope' MemoryMax=100663296",
            ),
            (
                docker,
                ": docker update --memory 100663296 --memory-swap -1 c0ffee",
            ),
        ] {
            let incident = &incidents_of(vec![signal])[0];
            let steps = incident.remediation.join("; ");
            assert!(steps.contains(command), "{steps}");
        }
    }

    #[test]
    fn looks_where_the_largest_part_of_the_memory_was() {
        for (anon, file, shmem, kernel, place) in [
            (60, 2, 0, 1, "heap profile"),
            (0, 2, 50, 1, "tmpfs"),
            (10, 20, 5, 30, "sockets"),
            (10, 40, 5, 1, "cached files"),
        ] {
            let mut signal = Actor::new("worker", 7).oom("s-1", at_ms(0));
            if let SignalBody::OomKill(kill) = &mut signal.body {
                kill.victim_usage = MemoryUsage::default();
                kill.cgroup_stat = Some(CgroupMemoryStat {
                    anon_bytes: anon << 20,
                    file_bytes: file << 20,
                    shmem_bytes: shmem << 20,
                    kernel_bytes: kernel << 20,
                    read_after_ns: 0,
                });
            }
            let incident = opens(vec![signal], CAUSE, Severity::Warning);
            let step = &incident.remediation[0];
            assert!(step.contains(place), "{step}");
        }
    }

    #[test]
    fn tells_a_limit_of_the_pod_from_one_of_the_node() {
        let victim = Actor::new("worker", 7).in_pod("12ab-34cd");
        for (limited, is_of_pod) in [
            ("kubepods-burstable-pod12ab_34cd.slice", true),
            ("kubepods.slice", false),
        ] {
            let mut signal = victim.oom("s-1", at_ms(0));
            if let SignalBody::OomKill(kill) = &mut signal.body {
                kill.chain[1].name = limited.to_owned();
            }
            let incident = opens(vec![signal], CAUSE, Severity::Warning);
            let is_pod = incident.root_cause.entity.kind == EntityKind::Pod;
            assert_eq!(is_pod, is_of_pod, "{limited}");
            let pod_step = "raise resources.limits.memory of the pod's container, for example \
                            from 64 MiB to 96 MiB";
            assert_eq!(
                incident.remediation[1].contains(pod_step),
                is_of_pod,
                "{:?}",
                incident.remediation
            );
        }
    }
}
