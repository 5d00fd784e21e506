//! OOM kills. Must keep the limiting level only where the chain holds it.

use inquest_engine::model::signal as to;
use inquest_proto::v1;

use super::bound::{list, text};

pub(super) fn oom_kill(from: &v1::OomKill) -> to::OomKill {
    use v1::oom_kill::Scope;
    let chain = list(&from.chain, memory_cgroup);
    let limiting = from
        .limiting
        .map(|index| index as usize)
        .filter(|index| *index < chain.len());
    to::OomKill {
        scope: match from.scope() {
            Scope::Memcg => to::OomScope::Memcg,
            Scope::Global => to::OomScope::Global,
            Scope::Unspecified => to::OomScope::Unknown,
        },
        chain,
        limiting,
        victim_usage: from
            .victim_usage
            .as_ref()
            .map(memory_usage)
            .unwrap_or_default(),
        oom_score_adj: from.oom_score_adj,
        trigger: from.trigger.as_ref().map(super::process),
        cgroup_stat: from.cgroup_stat.as_ref().map(cgroup_stat),
        top_processes: list(&from.top_processes, process_memory),
    }
}

fn memory_cgroup(from: &v1::MemoryCgroup) -> to::MemoryCgroup {
    to::MemoryCgroup {
        id: from.id,
        name: text(&from.name),
        usage_bytes: from.usage_bytes,
        max_bytes: from.max_bytes,
        failcnt: from.failcnt,
        oom_events: from.oom_events,
        oom_group: from.oom_group,
    }
}

fn memory_usage(from: &v1::MemoryUsage) -> to::MemoryUsage {
    to::MemoryUsage {
        anon_bytes: from.anon_bytes,
        file_bytes: from.file_bytes,
        shmem_bytes: from.shmem_bytes,
        swap_bytes: from.swap_bytes,
    }
}

fn cgroup_stat(from: &v1::CgroupMemoryStat) -> to::CgroupMemoryStat {
    to::CgroupMemoryStat {
        anon_bytes: from.anon_bytes,
        file_bytes: from.file_bytes,
        shmem_bytes: from.shmem_bytes,
        kernel_bytes: from.kernel_bytes,
        read_after_ns: from.read_after_ns,
    }
}

fn process_memory(from: &v1::ProcessMemory) -> to::ProcessMemory {
    to::ProcessMemory {
        pid: from.pid,
        comm: text(&from.comm),
        rss_bytes: from.rss_bytes,
    }
}
