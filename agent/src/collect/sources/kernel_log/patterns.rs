//! The kernel log lines that mean trouble, as the kernel's own formats have them. Must not name what a probe tells better:
//! OOM kills, crashes of processes.

use inquest_proto::v1::node_event::Kind;

/// A kind of line.
pub(super) struct Pattern {
    /// As `NodeEvent.pattern` and docs/signals.md have it.
    pub(super) name: &'static str,
    /// What it means.
    pub(super) kind: Kind,
    /// What such a line holds, in this order.
    parts: &'static [&'static str],
    device: Device,
}

/// Where a line names the device, interface or file system.
enum Device {
    /// Nowhere.
    None,
    /// After the first text, up to the first of the characters.
    After(&'static str, &'static [char]),
    /// The word before the text.
    Before(&'static str),
}

use Device::{After, Before, None as Nowhere};

/// The first that fits is taken, so a special one stands before a general one.
#[rustfmt::skip]
const TABLE: &[Pattern] = &[
    pattern("hung_task", Kind::HungTask, &["INFO: task ", " blocked for more than "], Nowhere),
    pattern("soft_lockup", Kind::SoftLockup, &["BUG: soft lockup - CPU#"], Nowhere),
    pattern("hard_lockup", Kind::SoftLockup, &["Watchdog detected hard LOCKUP on cpu"], Nowhere),
    pattern("workqueue_lockup", Kind::SoftLockup, &["BUG: workqueue lockup - pool"], Nowhere),
    pattern("rcu_stall", Kind::RcuStall, &["INFO: rcu_", "detected", "stall"], Nowhere),
    pattern("kernel_panic", Kind::Oops, &["Kernel panic - not syncing"], Nowhere),
    pattern("kernel_bug", Kind::Oops, &["kernel BUG at "], Nowhere),
    pattern("null_dereference", Kind::Oops, &["BUG: kernel NULL pointer dereference"], Nowhere),
    pattern("null_dereference", Kind::Oops, &["Unable to handle kernel NULL pointer"], Nowhere),
    pattern("page_fault", Kind::Oops, &["BUG: unable to handle page fault"], Nowhere),
    pattern("page_fault", Kind::Oops, &["Unable to handle kernel paging request"], Nowhere),
    pattern("sanitizer", Kind::Oops, &["BUG: KASAN: "], Nowhere),
    pattern("sanitizer", Kind::Oops, &["BUG: KFENCE: "], Nowhere),
    pattern("bad_page", Kind::Oops, &["BUG: Bad page"], Nowhere),
    pattern("scheduling_while_atomic", Kind::Oops, &["BUG: scheduling while atomic"], Nowhere),
    pattern("oops", Kind::Oops, &["Oops: ", " [#"], Nowhere),
    pattern("protection_fault", Kind::Oops, &["general protection fault", " [#"], Nowhere),
    pattern("kernel_warning", Kind::KernelLog, &["WARNING: CPU: ", " at "], Nowhere),

    pattern("ext4_read_only", Kind::FilesystemReadOnly, &["EXT4-fs (", "Remounting filesystem read-only"], After("EXT4-fs (", &[')'])),
    pattern("ext4_error", Kind::FilesystemError, &["EXT4-fs error (device "], After("(device ", &[')', ' '])),
    pattern("ext4_data_loss", Kind::FilesystemError, &["EXT4-fs (", "potential data loss"], After("EXT4-fs (", &[')'])),
    pattern("journal_abort", Kind::FilesystemError, &["Aborting journal on device "], After("on device ", &['.'])),
    pattern("xfs_shutdown", Kind::FilesystemError, &["XFS (", "hut", "down"], After("XFS (", &[')'])),
    pattern("xfs_corruption", Kind::FilesystemError, &["XFS (", "orruption"], After("XFS (", &[')'])),
    pattern("xfs_io_error", Kind::FilesystemError, &["XFS (", "I/O error"], After("XFS (", &[')'])),
    pattern("btrfs_read_only", Kind::FilesystemReadOnly, &["BTRFS", "forced readonly"], After("(device ", &[')', ' '])),
    pattern("btrfs_error", Kind::FilesystemError, &["BTRFS error (device "], After("(device ", &[')', ' '])),
    pattern("btrfs_error", Kind::FilesystemError, &["BTRFS critical (device "], After("(device ", &[')', ' '])),
    pattern("btrfs_error", Kind::FilesystemError, &["BTRFS: error (device "], After("(device ", &[')', ' '])),
    pattern("f2fs_error", Kind::FilesystemError, &["F2FS-fs (", "inconsistent"], After("F2FS-fs (", &[')'])),

    pattern("machine_check", Kind::MachineCheck, &["Machine check"], Nowhere),
    pattern("machine_check", Kind::MachineCheck, &["Machine Check:"], Nowhere),
    pattern("memory_error", Kind::MachineCheck, &["EDAC MC", " UE "], After("EDAC ", &[':'])),
    pattern("memory_error_corrected", Kind::MachineCheck, &["EDAC MC", " CE "], After("EDAC ", &[':'])),
    pattern("memory_failure", Kind::MachineCheck, &["Memory failure: 0x"], Nowhere),
    pattern("hardware_error", Kind::MachineCheck, &["[Hardware Error]: Hardware error from"], Nowhere),
    pattern("pcie_error", Kind::MachineCheck, &["PCIe Bus Error: severity=Uncorrect"], Before(": PCIe Bus Error")),

    pattern("transmit_timeout", Kind::NicReset, &["NETDEV WATCHDOG: CPU: "], Before(": NETDEV WATCHDOG")),
    pattern("transmit_timeout", Kind::NicReset, &["NETDEV WATCHDOG: "], After("NETDEV WATCHDOG: ", &[' ', ':'])),
    pattern("adapter_reset", Kind::NicReset, &[": Reset adapter"], Before(": Reset adapter")),
    pattern("link_down", Kind::KernelLog, &["NIC Link is Down"], Before(" NIC Link is Down")),
    pattern("link_down", Kind::KernelLog, &[": Link is Down"], Before(": Link is Down")),

    pattern("conntrack_full", Kind::ConntrackFull, &["nf_conntrack: table full"], Nowhere),
    pattern("neighbor_table_full", Kind::KernelLog, &["neighbor table overflow!"], Before(": neighbor table")),
    pattern("tcp_memory_full", Kind::KernelLog, &["TCP: out of memory"], Nowhere),
    pattern("syn_flood", Kind::KernelLog, &["Possible SYN flooding on port "], After("on port ", &[' '])),
    pattern("file_limit", Kind::KernelLog, &["VFS: file-max limit "], Nowhere),
    pattern("page_allocation_failure", Kind::KernelLog, &["page allocation failure: order:"], Nowhere),

    pattern("disk_error", Kind::KernelLog, &[" error, dev ", ", sector "], After(" error, dev ", &[','])),
    pattern("buffer_error", Kind::KernelLog, &["Buffer I/O error on dev"], After("Buffer I/O error on dev ", &[','])),
    pattern("nvme_timeout", Kind::KernelLog, &["nvme nvme", "timeout, "], After("nvme ", &[':'])),
    pattern("nvme_down", Kind::KernelLog, &["nvme nvme", "controller is down"], After("nvme ", &[':'])),
    pattern("ata_error", Kind::KernelLog, &["ata", ": exception Emask"], Before(": exception Emask")),
    pattern("raid_disk_failure", Kind::KernelLog, &["Disk failure on ", ", disabling device"], After("Disk failure on ", &[','])),
    pattern("thin_pool_full", Kind::KernelLog, &["switching pool to out-of-data-space mode"], Before(": switching pool")),
    pattern("nfs_not_responding", Kind::KernelLog, &["nfs: server ", " not responding"], After("nfs: server ", &[' '])),
    pattern("clocksource_unstable", Kind::KernelLog, &["Marking clocksource '", "as unstable"], After("clocksource '", &['\''])),
    pattern("cpu_overheated", Kind::KernelLog, &["temperature", "above threshold, cpu clock"], Nowhere),
];

const fn pattern(
    name: &'static str,
    kind: Kind,
    parts: &'static [&'static str],
    device: Device,
) -> Pattern {
    Pattern {
        name,
        kind,
        parts,
        device,
    }
}

/// Returns the pattern that `line` fits, with the device it names, empty when it names none.
pub(super) fn find(line: &str) -> Option<(&'static Pattern, &str)> {
    let pattern = TABLE.iter().find(|pattern| pattern.fits(line))?;
    Some((pattern, pattern.device.find(line).unwrap_or_default()))
}

impl Pattern {
    fn fits(&self, line: &str) -> bool {
        let mut rest = Some(line);
        for part in self.parts {
            rest = rest
                .and_then(|rest| rest.split_once(part))
                .map(|(_, after)| after);
        }
        rest.is_some()
    }
}

impl Device {
    fn find<'a>(&self, line: &'a str) -> Option<&'a str> {
        match self {
            Nowhere => None,
            After(marker, ends) => {
                let (_, after) = line.split_once(marker)?;
                after.split(*ends).next()
            }
            Before(marker) => {
                let (before, _) = line.split_once(marker)?;
                before.split_whitespace().next_back()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line or more for each pattern, as kernels from 5.10 to 6.18 print them.
    #[rustfmt::skip]
    const LINES: &[(&str, &str, &str)] = &[
        ("hung_task", "", "INFO: task jbd2/sda1-8:412 blocked for more than 120 seconds."),
        ("soft_lockup", "", "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [stress:1234]"),
        ("hard_lockup", "", "NMI watchdog: Watchdog detected hard LOCKUP on cpu 2"),
        ("hard_lockup", "", "watchdog: Watchdog detected hard LOCKUP on cpu 0"),
        ("workqueue_lockup", "", "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!"),
        ("rcu_stall", "", "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"),
        ("rcu_stall", "", "rcu: INFO: rcu_sched self-detected stall on CPU"),
        ("rcu_stall", "", "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-...D } 21 jiffies s: 57 root: 0x2/."),
        ("kernel_panic", "", "Kernel panic - not syncing: Fatal exception in interrupt"),
        ("kernel_bug", "", "kernel BUG at mm/slub.c:305!"),
        ("null_dereference", "", "BUG: kernel NULL pointer dereference, address: 0000000000000010"),
        ("null_dereference", "", "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008"),
        ("page_fault", "", "BUG: unable to handle page fault for address: ffffc90000a00000"),
        ("page_fault", "", "Unable to handle kernel paging request at virtual address ffff800010c00000"),
        ("sanitizer", "", "BUG: KASAN: slab-use-after-free in skb_dequeue+0x1f/0x80"),
        ("sanitizer", "", "BUG: KFENCE: out-of-bounds read in test_out_of_bounds_read+0xa3/0x22b"),
        ("bad_page", "", "BUG: Bad page state in process kswapd0  pfn:13a5b4"),
        ("bad_page", "", "BUG: Bad page map in process java  pte:800000012 pmd:10a3b067"),
        ("scheduling_while_atomic", "", "BUG: scheduling while atomic: swapper/0/0/0x00010000"),
        ("oops", "", "Oops: 0002 [#1] PREEMPT SMP NOPTI"),
        ("oops", "", "Oops: general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] SMP"),
        ("oops", "", "Internal error: Oops: 0000000096000006 [#1] PREEMPT SMP"),
        ("protection_fault", "", "general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] SMP PTI"),
        ("kernel_warning", "", "WARNING: CPU: 1 PID: 8123 at net/core/dev.c:5142 __netif_receive_skb_core+0x1a/0x40"),

        ("ext4_error", "sda1", "EXT4-fs error (device sda1): ext4_find_entry:1463: inode #2: comm ls: reading directory lblock 0"),
        ("ext4_error", "vdb", "EXT4-fs error (device vdb) in ext4_reserve_inode_write:5764: Journal has aborted"),
        ("ext4_read_only", "nvme0n1p2", "EXT4-fs (nvme0n1p2): Remounting filesystem read-only"),
        ("ext4_data_loss", "sda1", "EXT4-fs (sda1): failed to convert unwritten extents to written extents -- potential data loss!  (inode 12, error -5)"),
        ("journal_abort", "sda1-8", "Aborting journal on device sda1-8."),
        ("xfs_shutdown", "dm-0", "XFS (dm-0): Filesystem has been shut down due to log error (0x2)."),
        ("xfs_shutdown", "sdb1", "XFS (sdb1): Corruption of in-memory data detected.  Shutting down filesystem"),
        ("xfs_shutdown", "sdb1", "XFS (sdb1): I/O Error Detected. Shutting down filesystem"),
        ("xfs_corruption", "dm-0", "XFS (dm-0): Metadata corruption detected at xfs_inode_buf_verify+0x14d/0x160 [xfs], xfs_inode block 0x80"),
        ("xfs_io_error", "sdb1", "XFS (sdb1): metadata I/O error in \"xfs_trans_read_buf_map\" at daddr 0x2 len 1 error 5"),
        ("xfs_io_error", "sdb1", "XFS (sdb1): log I/O error -5"),
        ("btrfs_read_only", "sda2", "BTRFS info (device sda2): forced readonly"),
        ("btrfs_error", "sda2", "BTRFS error (device sda2): bdev /dev/sda2 errs: wr 1, rd 0, flush 0, corrupt 0, gen 0"),
        ("btrfs_error", "sda2", "BTRFS error (device sda2 state EA): parent transid verify failed on 30408704 wanted 5 found 3"),
        ("btrfs_error", "dm-1", "BTRFS critical (device dm-1): corrupt leaf: root=5 block=30425088 slot=0, bad key order"),
        ("btrfs_error", "sda2", "BTRFS: error (device sda2) in btrfs_commit_transaction:2265: errno=-5 IO failure (Error while writing out transaction)"),
        ("f2fs_error", "sdc1", "F2FS-fs (sdc1): inconsistent footer nid:5, node type:1"),

        ("machine_check", "", "mce: [Hardware Error]: Machine check events logged"),
        ("machine_check", "", "mce: [Hardware Error]: CPU 3: Machine Check: 0 Bank 5: be00000000800400"),
        ("memory_error", "MC0", "EDAC MC0: 1 UE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x1a2 offset:0x0)"),
        ("memory_error_corrected", "MC1", "EDAC MC1: 1 CE memory scrubbing error on CPU_SrcID#1_Ha#0_Chan#0_DIMM#1 (channel:0 slot:1)"),
        ("memory_failure", "", "Memory failure: 0x1f3a2: recovery action for dirty LRU page: Recovered"),
        ("hardware_error", "", "{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 1"),
        ("pcie_error", "0000:3b:00.0", "nvme 0000:3b:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer, (Receiver ID)"),
        ("pcie_error", "0000:00:1c.0", "pcieport 0000:00:1c.0: PCIe Bus Error: severity=Uncorrectable (Non-Fatal), type=Inaccessible"),

        ("transmit_timeout", "eth0", "NETDEV WATCHDOG: eth0 (e1000e): transmit queue 0 timed out 5388 ms"),
        ("transmit_timeout", "enp0s3", "NETDEV WATCHDOG: enp0s3 (e1000): transmit queue 0 timed out"),
        ("transmit_timeout", "eth0", "e1000e 0000:00:1f.6 eth0: NETDEV WATCHDOG: CPU: 3: transmit queue 0 timed out 5388 ms"),
        ("adapter_reset", "eno1", "e1000e 0000:00:1f.6 eno1: Reset adapter unexpectedly"),
        ("link_down", "eth0", "igb 0000:01:00.0 eth0: igb: eth0 NIC Link is Down"),
        ("link_down", "eth1", "r8169 0000:02:00.0 eth1: Link is Down"),

        ("conntrack_full", "", "nf_conntrack: nf_conntrack: table full, dropping packet"),
        ("conntrack_full", "", "nf_conntrack: table full in netns 4026532178, dropping packet"),
        ("neighbor_table_full", "arp_cache", "neighbour: arp_cache: neighbor table overflow!"),
        ("tcp_memory_full", "", "TCP: out of memory -- consider tuning tcp_mem"),
        ("syn_flood", "0.0.0.0:8080.", "TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:8080. Dropping request."),
        ("file_limit", "", "VFS: file-max limit 8192 reached"),
        ("page_allocation_failure", "", "kworker/u8:1: page allocation failure: order:5, mode:0x40cc0(GFP_KERNEL|__GFP_COMP), nodemask=(null)"),

        ("disk_error", "sda", "I/O error, dev sda, sector 2048 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2"),
        ("disk_error", "vdb", "blk_update_request: I/O error, dev vdb, sector 123 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 0"),
        ("disk_error", "sdb", "critical medium error, dev sdb, sector 991232 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2"),
        ("buffer_error", "loop0", "Buffer I/O error on dev loop0, logical block 16, async page read"),
        ("nvme_timeout", "nvme0", "nvme nvme0: I/O 123 QID 4 timeout, aborting"),
        ("nvme_timeout", "nvme1", "nvme nvme1: I/O tag 12 (000c) opcode 0x1 (Write) QID 2 timeout, reset controller"),
        ("nvme_down", "nvme0", "nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0xffff"),
        ("ata_error", "ata1.00", "ata1.00: exception Emask 0x10 SAct 0x0 SErr 0x4890000 action 0xe frozen"),
        ("raid_disk_failure", "sdb1", "md/raid1:md0: Disk failure on sdb1, disabling device."),
        ("thin_pool_full", "253:4", "device-mapper: thin: 253:4: switching pool to out-of-data-space mode"),
        ("nfs_not_responding", "10.0.0.9", "nfs: server 10.0.0.9 not responding, still trying"),
        ("nfs_not_responding", "nas", "nfs: server nas not responding, timed out"),
        ("clocksource_unstable", "tsc", "clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable because the skew is too large:"),
        ("cpu_overheated", "", "CPU2: Core temperature is above threshold, cpu clock is throttled (total events = 1)"),
    ];

    #[test]
    fn finds_pattern_and_device_of_kernel_lines() {
        for (name, device, line) in LINES {
            let found = find(line).map(|(pattern, device)| (pattern.name, device));
            assert_eq!(found, Some((*name, *device)), "{line}");
        }
    }

    #[test]
    fn each_pattern_has_a_line_that_it_is_found_by() {
        for (number, pattern) in TABLE.iter().enumerate() {
            let first = |line: &str| TABLE.iter().position(|pattern| pattern.fits(line));
            let proven = LINES.iter().any(|(_, _, line)| first(line) == Some(number));
            assert!(proven, "pattern {number}, {}, has no line", pattern.name);
        }
    }

    #[test]
    fn leaves_lines_alone_that_mean_no_trouble_or_that_a_probe_tells() {
        for line in [
            "app[4711]: segfault at 0 ip 000055d5c0 sp 00007ffd error 6 in app[55d5c0000000+1000]",
            "traps: app[4711] general protection fault ip:401136 sp:7ffd error:0 in app[401000+1000]",
            "app invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
            "Memory cgroup out of memory: Killed process 4711 (app) total-vm:52300kB",
            "EXT4-fs (sda1): mounted filesystem with ordered data mode. Quota mode: none.",
            "XFS (sdb1): Mounting V5 Filesystem",
            "XFS (sdb1): Ending clean mount",
            "BTRFS info (device sda2): using crc32c (crc32c-intel) checksum algorithm",
            "EDAC MC: Ver: 3.0.0",
            "EDAC MC0: Giving out device to module igen6_edac controller Intel_client_SoC MC#0",
            "rcu: Hierarchical SRCU implementation.",
            "mce: CPU0: Thermal monitoring enabled (TM1)",
            "clocksource: Switched to clocksource tsc",
            "nvme nvme0: 8/0/0 default/read/poll queues",
            "nfs: server nas OK",
            "",
        ] {
            let found = find(line).map(|(pattern, _)| pattern.name);
            assert_eq!(found, None, "{line}");
        }
    }
}
