//! Reads the formats of plain tracepoints' records. Must not mount tracefs: where it is absent, plain
//! tracepoints cannot be used.

use std::{
    fs,
    path::{Path, PathBuf},
};

use inquest_agent_abi::{Offset, TracepointLayout};

/// Where tracefs is looked for, as the loader does.
const MOUNT_POINTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Tracefs is not mounted, or not readable.
#[derive(Debug, thiserror::Error)]
#[error("tracefs is not mounted at {} or {}", MOUNT_POINTS[0], MOUNT_POINTS[1])]
pub(crate) struct TracefsError;

/// A mounted tracefs.
#[derive(Debug)]
pub(crate) struct Tracefs {
    events: PathBuf,
}

impl Tracefs {
    /// Finds it where it is usually mounted.
    pub(crate) fn find() -> Result<Self, TracefsError> {
        MOUNT_POINTS
            .iter()
            .map(|mount| Path::new(mount).join("events"))
            .find(|events| events.is_dir())
            .map(|events| Self { events })
            .ok_or(TracefsError)
    }

    /// Fills in the fields of `layout` that this kernel's records have.
    pub(crate) fn fill(&self, layout: &mut TracepointLayout) {
        let read = |event: &str| fs::read_to_string(self.events.join(event).join("format"));
        let formats = |event: &str| read(event).unwrap_or_default();
        let mark_victim = formats("oom/mark_victim");
        layout.mark_victim_pid = field(&mark_victim, "pid");
        let exec = formats("sched/sched_process_exec");
        layout.sched_process_exec_filename = field(&exec, "filename");
        let signal = formats("signal/signal_generate");
        layout.signal_generate_sig = field(&signal, "sig");
        layout.signal_generate_code = field(&signal, "code");
        layout.signal_generate_pid = field(&signal, "pid");
        layout.signal_generate_result = field(&signal, "result");
        let mkdir = formats("cgroup/cgroup_mkdir");
        layout.cgroup_mkdir_root = field(&mkdir, "root");
        layout.cgroup_mkdir_id = field(&mkdir, "id");
        layout.cgroup_mkdir_path = field(&mkdir, "path");
        let drop = formats("skb/kfree_skb");
        layout.kfree_skb_packet = field(&drop, "skbaddr");
        layout.kfree_skb_location = field(&drop, "location");
        layout.kfree_skb_reason = field(&drop, "reason");
        layout.net_dev_queue_packet = field(&formats("net/net_dev_queue"), "skbaddr");
        layout.netif_receive_skb_packet = field(&formats("net/netif_receive_skb"), "skbaddr");
        let state = formats("sock/inet_sock_set_state");
        layout.inet_sock_set_state_socket = field(&state, "skaddr");
        layout.inet_sock_set_state_old = field(&state, "oldstate");
        layout.inet_sock_set_state_new = field(&state, "newstate");
        layout.tcp_retransmit_skb_socket = field(&formats("tcp/tcp_retransmit_skb"), "skaddr");
        let reset = formats("tcp/tcp_send_reset");
        layout.tcp_send_reset_socket = field(&reset, "skaddr");
        layout.tcp_send_reset_packet = field(&reset, "skbaddr");
        layout.tcp_send_reset_reason = field(&reset, "reason");
        layout.tcp_receive_reset_socket = field(&formats("tcp/tcp_receive_reset"), "skaddr");
        let issue = formats("block/block_rq_issue");
        layout.block_rq_issue_dev = field(&issue, "dev");
        layout.block_rq_issue_sector = field(&issue, "sector");
        let complete = formats("block/block_rq_complete");
        layout.block_rq_complete_dev = field(&complete, "dev");
        layout.block_rq_complete_sector = field(&complete, "sector");
        layout.block_rq_complete_nr_sector = field(&complete, "nr_sector");
        layout.block_rq_complete_error = field(&complete, "error");
        let switch = formats("sched/sched_switch");
        layout.sched_switch_prev_state = field(&switch, "prev_state");
        layout.sched_switch_next_pid = field(&switch, "next_pid");
        layout.sched_wakeup_pid = field(&formats("sched/sched_wakeup"), "pid");
        let sys_exit = formats("raw_syscalls/sys_exit");
        layout.sys_exit_id = field(&sys_exit, "id");
        layout.sys_exit_ret = field(&sys_exit, "ret");
        let capable = formats("capability/cap_capable");
        layout.cap_capable_cap = field(&capable, "cap");
        layout.cap_capable_ret = field(&capable, "ret");
    }
}

/// Returns the offset of `name` in a format such as `field:__data_loc char[] path; offset:24; size:4; signed:0;`.
fn field(format: &str, name: &str) -> Offset {
    let offset = format.lines().find_map(|line| {
        let (declaration, rest) = line.trim().strip_prefix("field:")?.split_once(';')?;
        let declared = declaration.rsplit([' ', '*']).next()?;
        if declared.split('[').next() != Some(name) {
            return None;
        }
        let (offset, _) = rest.trim_start().strip_prefix("offset:")?.split_once(';')?;
        offset.parse().ok()
    });
    offset.map_or(Offset::ABSENT, Offset::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "name: cgroup_mkdir
ID: 300
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:int root;\toffset:8;\tsize:4;\tsigned:1;
\tfield:u64 id;\toffset:16;\tsize:8;\tsigned:0;
\tfield:__data_loc char[] path;\toffset:24;\tsize:4;\tsigned:0;
\tfield:char comm[16];\toffset:28;\tsize:16;\tsigned:0;

print fmt: \"root=%d id=%llu path=%s\", REC->root, REC->id, __get_str(path)
";

    #[test]
    fn finds_fields_of_each_form_of_declaration() {
        for (name, expected) in [
            ("root", Offset::new(8)),
            ("id", Offset::new(16)),
            ("path", Offset::new(24)),
            ("comm", Offset::new(28)),
            ("pid", Offset::ABSENT),
            ("", Offset::ABSENT),
        ] {
            assert_eq!(field(FORMAT, name), expected, "{name}");
        }
        assert_eq!(field("field:int root; offset:x;", "root"), Offset::ABSENT);
    }
}
