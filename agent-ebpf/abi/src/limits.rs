//! The bounds of records and maps, each with its reason; nothing here is configurable.

/// Levels of a cgroup chain that a record holds, the root included: kubelet, QoS class, pod and container are
/// four; nested clusters and a systemd prefix double that, and a container may have cgroups of its own.
pub const MAX_CGROUP_LEVELS: usize = 12;

/// Bytes of one cgroup name: `cri-containerd-<64 hex digits>.scope` takes 86.
pub const MAX_CGROUP_NAME: usize = 128;

/// Bytes of a cgroup path: a nested cluster's container takes about 300.
pub const MAX_CGROUP_PATH: usize = 512;

/// Bytes of a process name, as the kernel keeps it.
pub const MAX_COMM: usize = 16;

/// Bytes of the file name given to execve.
pub const MAX_FILENAME: usize = 256;

/// Bytes of the name of a network device, its NUL included, as the kernel keeps it.
pub const MAX_INTERFACE_NAME: usize = 16;

/// Kinds of drops counted apart in a second: a port scan of this many ports is still told port by port. With 160 bytes
/// each the map takes 1.3 MB.
pub const DROPS: u32 = 8192;

/// Sockets whose overflows are counted apart in a second: more than a node has with a full buffer at once. With 100 bytes
/// each the map takes 100 KB.
pub const SOCKET_DROPS: u32 = 1024;

/// Kinds of ICMP errors counted apart in a second: the kernel sends some 1,000 a second at most (`icmp_msgs_per_sec`), and
/// may receive those of several that do. With 120 bytes each the map takes 250 KB.
pub const ICMP_ERRORS: u32 = 2048;

/// Addresses given up in a second: as many as one device's table of neighbors holds (`gc_thresh3`). With 110 bytes each
/// the map takes 110 KB.
pub const NEIGHBOR_FAILURES: u32 = 1024;

/// Owners and peers counted apart in a second: beyond what a node talks to, except when a program scans. With 260 bytes
/// each the map takes 2.1 MB.
pub const FLOWS: u32 = 8192;

/// Owners whose further peers are counted together: more than a node runs containers.
pub const OTHER_FLOWS: u32 = 1024;

/// Sockets whose owner is remembered, each from its connect to its end; the least recently used is forgotten first. With
/// 120 bytes each the map takes 2 MB.
pub const SOCKET_OWNERS: u32 = 16_384;

/// Ports that somebody listens at, over all network namespaces.
pub const LISTENERS: u32 = 4096;

/// Processes and signals whose origin is remembered; the least recently used is forgotten first. A
/// fatal signal is asked for within milliseconds, so this only has to cover that time on a busy node.
pub const SIGNAL_ORIGINS: u32 = 4096;

/// Tasks that the kernel has just sent SIGKILL. The OOM killer's are taken out at once, so this only has to hold them while
/// others, such as those of an ending pid namespace, come in.
pub const OOM_VICTIMS: u32 = 1024;

/// Room for about 370 OOM kills with the exits they cause, should the agent not be scheduled for a while.
pub const URGENT_RING_BYTES: u32 = 1024 * 1024;

/// Room for about 2,400 executions between two polls.
pub const BULK_RING_BYTES: u32 = 1024 * 1024;

/// Cgroups whose threads are watched at once: each is asked for, or looks stuck.
pub const WATCHED_CGROUPS: u32 = 64;

/// Threads of watched cgroups that are told apart at once; the one that was quiet for longest is forgotten first,
/// and taken up again when it runs.
pub const WAIT_THREADS: u32 = 4096;

/// Totals, one for each thread and reason: a thread has some four. Threads that find no room share one.
pub const WAIT_TOTALS: u32 = 4096;
/// Levels of a chain of cgroups with limits of tasks; as [`MAX_CGROUP_LEVELS`].
pub const MAX_PIDS_LEVELS: usize = MAX_CGROUP_LEVELS;

/// Requests under way at all disks of the node: with more, the oldest are counted without their time.
pub const BLOCK_REQUESTS: u32 = 4096;

/// Pairs of cgroup and disk between which requests are told apart in one second.
pub const BLOCK_IO: u32 = 1024;

/// Daemons of the node whose ends are told even when they are clean: a shim for each pod, and a few others.
pub const DAEMONS: u32 = 1024;

/// Cgroups and kinds of records whose rates are known; the least recently used are forgotten, and may cause a burst
/// anew. Several times what a node runs containers.
pub const RATES: u32 = 8192;

/// Cgroups and kinds of records of which some were beyond their rate within a second and are told apart.
pub const SHED: u32 = 1024;
