//! The probes, one family a file. Each has a program for every hook it can use: `tp_btf` and `raw_tp`,
//! which are given the kernel's own structs, and the plain tracepoint, which is given a copy of some fields.

mod block;
mod capability;
mod cgroup;
mod dns;
mod drop;
mod exec;
mod exit;
mod icmp;
mod neighbor;
mod oom;
mod packet;
mod removal;
mod signal;
mod socket_drop;
mod syscall;
mod tcp;
mod wait;

const SIGKILL: u32 = 9;
/// A system call that cannot be made, above all one that a seccomp filter refuses.
const SIGSYS: u32 = 31;
