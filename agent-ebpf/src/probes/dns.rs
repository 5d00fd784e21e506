//! DNS messages among the packets of UDP: queries as they leave the socket that asks, and answers as they arrive in its
//! network namespace. Emits `DnsMessage`, bulk.
//!
//! A query is nearly always sent by the process that asks, but one that waited for the address of a neighbour is sent in an
//! interrupt: the current task is only asked when the program runs on that task's own stack.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use inquest_agent_abi::{DNS_PORT, DnsMessage, Lane, MAX_COMM, MAX_DNS_MESSAGE, RecordKind};

use crate::{
    emit::emit,
    kernel_read::{IpHeader, PacketPtr, TaskPtr, protocol},
    owner,
};

const UDP_HEADER: u16 = 8;
/// Bytes of a DNS header; less is no message.
const DNS_HEADER: u16 = 12;
const _: () = assert!(MAX_DNS_MESSAGE.is_power_of_two());

/// Takes a packet of a UDP socket, which `task` sends.
#[inline(always)]
pub(super) fn sent(packet: PacketPtr, task: Option<TaskPtr>) {
    let socket = packet.socket();
    let Some(ip) = packet.ip() else {
        return;
    };
    if u16::from(ip.protocol()) != protocol::UDP {
        return;
    }
    let (local_port, port) = ip.ports();
    // The packet's may have been translated already.
    let asked_port = if port == DNS_PORT {
        port
    } else {
        socket.peer_port()
    };
    if asked_port != DNS_PORT {
        return;
    }
    let query = Query {
        packet,
        ip,
        is_answer: false,
        netns: socket.netns().inode(),
        cgroup: match (owner::cgroup(socket), task) {
            (0, Some(task)) => task.identity_cgroup(),
            (known, _) => known,
        },
        task,
        resolver: if port == DNS_PORT {
            ip.destination()
        } else {
            socket.peer_address()
        },
        local_port,
        resolver_port: asked_port,
    };
    emit_message(&query);
}

/// Takes a packet of UDP as it arrives at a device.
#[inline(always)]
pub(super) fn received(packet: PacketPtr) {
    let Some(ip) = packet.arriving_ip() else {
        return;
    };
    if u16::from(ip.protocol()) != protocol::UDP {
        return;
    }
    let (port, local_port) = ip.ports();
    if port != DNS_PORT {
        return;
    }
    emit_message(&Query {
        packet,
        ip,
        is_answer: true,
        netns: packet.device().netns().inode(),
        cgroup: 0,
        task: None,
        resolver: ip.source(),
        local_port,
        resolver_port: port,
    });
}

/// What is known of a message besides itself.
struct Query {
    packet: PacketPtr,
    ip: IpHeader,
    is_answer: bool,
    netns: u32,
    cgroup: u64,
    task: Option<TaskPtr>,
    resolver: [u8; 16],
    local_port: u16,
    resolver_port: u16,
}

#[inline(always)]
fn emit_message(query: &Query) {
    let datagram = query.ip.udp_len();
    if datagram < UDP_HEADER + DNS_HEADER {
        return;
    }
    let from = query.ip.payload().wrapping_add(u64::from(UDP_HEADER));
    let mut kept = query.packet.readable_from(from);
    if kept > u32::from(datagram - UDP_HEADER) {
        kept = u32::from(datagram - UDP_HEADER);
    }
    if kept > MAX_DNS_MESSAGE as u32 {
        kept = MAX_DNS_MESSAGE as u32;
    }
    let (pid, comm) = match query.task {
        Some(task) => (task.pid(), task.comm()),
        None => (0, [0; MAX_COMM]),
    };
    // SAFETY: a `DnsMessage` is what the kind says; every field is written, of the message as much as its length says.
    unsafe {
        emit(
            Lane::Bulk,
            RecordKind::DNS_MESSAGE,
            |record: *mut DnsMessage| {
                (*record).cgroup = query.cgroup;
                (*record).resolver = query.resolver;
                (*record).netns = query.netns;
                (*record).pid = pid;
                (*record).local_port = query.local_port;
                (*record).resolver_port = query.resolver_port;
                (*record).message_len = kept as u16;
                (*record).ip_version = query.ip.version();
                (*record).is_answer = u8::from(query.is_answer);
                (*record).comm = comm;
                // Kernels before 6.12 forget the bound of a number that was on the stack: told again, where the compiler
                // cannot take it for known. It is at most the room there is, so nothing changes but that 0 reads what its
                // length then leaves out.
                let size = (core::hint::black_box(kept).wrapping_sub(1)
                    & (MAX_DNS_MESSAGE as u32 - 1))
                    + 1;
                let read = bpf_probe_read_kernel(
                    (&raw mut (*record).message).cast(),
                    size,
                    from as *const _,
                );
                if read != 0 {
                    // Nothing of it is there to be read.
                    (*record).message_len = 0;
                }
            },
        );
    }
}
