//! Hooks `net:net_dev_queue` and `net:netif_receive_skb`: DNS queries as they leave the socket that asks, and answers as
//! they arrive in its network namespace. Kernel 5.10 and later. The first runs for each packet that this node sends, the
//! second for each that it receives: by `tp_btf` both end after two loads and at most one call unless it is of UDP. Emits
//! `DnsMessage`, bulk.
//!
//! A query is nearly always sent by the process that asks, but one that waited for the address of a neighbour is sent in an
//! interrupt: the current task is only asked when the program runs on that task's own stack.

use aya_ebpf::{
    EbpfContext,
    helpers::generated::bpf_probe_read_kernel,
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{DNS_PORT, DnsMessage, Lane, MAX_COMM, MAX_DNS_MESSAGE, Meter, RecordKind};

use crate::{
    emit::emit,
    kernel_read::{Arguments, IpHeader, PacketPtr, TaskPtr, TracepointFields, TypedPacket},
    maps::LAYOUT,
    meter::metered,
    owner,
};

const SENT: Meter = Meter::NET_DEV_QUEUE;
const RECEIVED: Meter = Meter::NETIF_RECEIVE_SKB;

const UDP: u8 = 17;
const UDP_HEADER: u16 = 8;
/// Bytes of a DNS header; less is no message.
const DNS_HEADER: u16 = 12;
const _: () = assert!(MAX_DNS_MESSAGE.is_power_of_two());

#[btf_tracepoint(function = "net_dev_queue")]
pub(crate) fn dns_query_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(SENT, || {
        let packet = TypedPacket::argument(&ctx);
        if packet.is_sent_by_udp() {
            sent(packet.untyped(), running(&ctx));
        }
    });
    0
}

#[raw_tracepoint(tracepoint = "net_dev_queue")]
pub(crate) fn dns_query_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(SENT, || {
        let packet = PacketPtr::at(Arguments::of(&ctx).get(0));
        sent(packet, running(&ctx));
    });
    0
}

/// Its record is not on a task's stack, so nobody is known to ask.
#[tracepoint(category = "net", name = "net_dev_queue")]
pub(crate) fn dns_query_tracepoint(ctx: TracePointContext) -> u32 {
    metered(SENT, || {
        let packet = TracepointFields::of(&ctx).get(&LAYOUT.tracepoint.net_dev_queue_packet);
        sent(PacketPtr::at(packet), None);
    });
    0
}

#[btf_tracepoint(function = "netif_receive_skb")]
pub(crate) fn dns_answer_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(RECEIVED, || {
        let packet = TypedPacket::argument(&ctx);
        if packet.arrives_with_udp() {
            received(packet.untyped());
        }
    });
    0
}

#[raw_tracepoint(tracepoint = "netif_receive_skb")]
pub(crate) fn dns_answer_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(RECEIVED, || {
        received(PacketPtr::at(Arguments::of(&ctx).get(0)));
    });
    0
}

#[tracepoint(category = "net", name = "netif_receive_skb")]
pub(crate) fn dns_answer_tracepoint(ctx: TracePointContext) -> u32 {
    metered(RECEIVED, || {
        let fields = TracepointFields::of(&ctx);
        received(PacketPtr::at(
            fields.get(&LAYOUT.tracepoint.netif_receive_skb_packet),
        ));
    });
    0
}

/// Returns the task that runs the program of `ctx`, `None` in an interrupt.
#[inline(always)]
fn running(ctx: &impl EbpfContext) -> Option<TaskPtr> {
    let task = TaskPtr::current();
    task.has_on_stack(ctx.as_ptr().cast()).then_some(task)
}

#[inline(always)]
fn sent(packet: PacketPtr, task: Option<TaskPtr>) {
    // What is forwarded has none.
    let socket = packet.socket();
    if socket.is_null() || !socket.is_udp() {
        return;
    }
    let Some(ip) = packet.ip() else {
        return;
    };
    if ip.protocol() != UDP {
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

#[inline(always)]
fn received(packet: PacketPtr) {
    let Some(ip) = packet.arriving_ip() else {
        return;
    };
    if ip.protocol() != UDP {
        return;
    }
    let (port, local_port) = ip.ports();
    if port != DNS_PORT {
        return;
    }
    emit_message(&Query {
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
    let len = datagram - UDP_HEADER;
    let mut kept = u32::from(len);
    if kept > MAX_DNS_MESSAGE as u32 {
        kept = MAX_DNS_MESSAGE as u32;
    }
    let from = query.ip.payload().wrapping_add(u64::from(UDP_HEADER));
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
                (*record).message_len = len;
                (*record).ip_version = query.ip.version();
                (*record).is_answer = u8::from(query.is_answer);
                (*record).comm = comm;
                // Kernels before 6.12 forget the bound of a number that was on the stack: told again, where the compiler
                // cannot take it for known. It is from 1 to the room there is, so nothing changes.
                let size = (core::hint::black_box(kept) - 1 & (MAX_DNS_MESSAGE as u32 - 1)) + 1;
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
