//! Hook `sock:inet_sock_set_state`: each step of a TCP connection, of which it has four to six. Kernel 5.10 and later.
//! Some 20 reads and two map updates a step that counts. A connect and a listen begin in the process that asks for them,
//! which is their owner; everything later may run in an interrupt. Counts in `FLOWS`.

use aya_ebpf::{
    helpers::generated::bpf_ktime_get_ns,
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{FlowCounts, FlowKey, Meter, SocketOwner};

use super::{add, count_flow, flow};
use crate::{
    kernel_read::{Arguments, SocketPtr, TaskPtr, TracepointFields, tcp_state},
    maps::{LAYOUT, LISTENERS, SOCKET_OWNERS},
    meter::metered,
    owner,
};

const METER: Meter = Meter::INET_SOCK_SET_STATE;

const EPIPE: u32 = 32;
const EADDRNOTAVAIL: u32 = 99;
const ENETUNREACH: u32 = 101;
const ECONNRESET: u32 = 104;
const ETIMEDOUT: u32 = 110;
const ECONNREFUSED: u32 = 111;
const EHOSTUNREACH: u32 = 113;

#[btf_tracepoint(function = "inet_sock_set_state")]
pub(crate) fn tcp_state_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(METER, || try_state(Arguments::of(&ctx)));
    0
}

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub(crate) fn tcp_state_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(METER, || try_state(Arguments::of(&ctx)));
    0
}

#[tracepoint(category = "sock", name = "inet_sock_set_state")]
pub(crate) fn tcp_state_tracepoint(ctx: TracePointContext) -> u32 {
    metered(METER, || try_fields(TracepointFields::of(&ctx)));
    0
}

#[inline(always)]
fn try_fields(fields: TracepointFields) {
    step(
        SocketPtr::at(fields.get(&LAYOUT.tracepoint.inet_sock_set_state_socket)),
        fields.get(&LAYOUT.tracepoint.inet_sock_set_state_old),
        fields.get(&LAYOUT.tracepoint.inet_sock_set_state_new),
    );
}

#[inline(always)]
fn try_state(arguments: Arguments) {
    step(
        SocketPtr::at(arguments.get(0)),
        arguments.get(1) as u32,
        arguments.get(2) as u32,
    );
}

#[inline(always)]
fn step(socket: SocketPtr, old: u32, new: u32) {
    if old == new || !socket.is_tcp() {
        return;
    }
    match (old, new) {
        (_, tcp_state::SYN_SENT) => connect(socket),
        (_, tcp_state::LISTEN) => listen(socket),
        (tcp_state::SYN_SENT, tcp_state::ESTABLISHED) => connected(socket),
        (tcp_state::SYN_RECV, tcp_state::ESTABLISHED) => accepted(socket),
        (tcp_state::LISTEN, tcp_state::SYN_RECV) => asked_for(socket),
        (tcp_state::LISTEN, tcp_state::CLOSE) => stop_listening(socket),
        (_, tcp_state::CLOSE) => end(socket, old),
        _ => {}
    }
}

/// Returns the current process as the owner of what it asks for.
#[inline(always)]
fn current(direction: u8) -> SocketOwner {
    let task = TaskPtr::current();
    SocketOwner {
        cgroup: task.identity_cgroup(),
        // SAFETY: the helper has no preconditions.
        start_ktime_ns: unsafe { bpf_ktime_get_ns() },
        syn_retransmits: 0,
        direction: u32::from(direction),
        comm: task.comm(),
    }
}

#[inline(always)]
fn connect(socket: SocketPtr) {
    let owner = current(FlowKey::OUT);
    // The least recently used makes room.
    let _inserted = SOCKET_OWNERS.insert(&socket.address(), &owner, 0);
    count_flow(&flow(socket, &owner), 1, |counts| {
        add!(counts, attempts, 1);
        // SAFETY: an entry stays where it is. Of two processes that write at once, either connected last.
        unsafe { (*counts).comm = owner.comm };
    });
}

#[inline(always)]
fn listen(socket: SocketPtr) {
    let owner = current(FlowKey::IN);
    let _inserted = SOCKET_OWNERS.insert(&socket.address(), &owner, 0);
    let _inserted = LISTENERS.insert(&owner::listener_key(socket), &owner, 0);
}

/// Another socket may listen at the port still, and then has made itself known there since.
#[inline(always)]
fn stop_listening(socket: SocketPtr) {
    // SAFETY: compared once; an entry replaced meanwhile is another socket's.
    let own = unsafe { SOCKET_OWNERS.get(&socket.address()) }.map_or(0, |own| own.start_ktime_ns);
    let key = owner::listener_key(socket);
    // SAFETY: the same.
    let listed = unsafe { LISTENERS.get(&key) }.map_or(0, |listed| listed.start_ktime_ns);
    if listed == own {
        let _removed = LISTENERS.remove(&key);
    }
    let _removed = SOCKET_OWNERS.remove(&socket.address());
}

#[inline(always)]
fn connected(socket: SocketPtr) {
    let owner = owner::of_connection(socket);
    count_flow(&flow(socket, &owner), 0, |counts| {
        add!(counts, established, 1);
        add_latency(counts, &owner);
    });
}

/// A new socket: what is remembered at its address is of an older one.
#[inline(always)]
fn asked_for(socket: SocketPtr) {
    let _removed = SOCKET_OWNERS.remove(&socket.address());
}

/// A connection that a peer asked for, or one of two that asked for one another at once.
#[inline(always)]
fn accepted(socket: SocketPtr) {
    let owner = owner::of_connection(socket);
    let asked_itself = owner.start_ktime_ns != 0;
    if asked_itself {
        connected(socket);
        return;
    }
    let owner = SocketOwner {
        direction: u32::from(FlowKey::IN),
        ..owner
    };
    let _inserted = SOCKET_OWNERS.insert(&socket.address(), &owner, 0);
    count_flow(&flow(socket, &owner), 1, |counts| {
        add!(counts, attempts, 1);
        add!(counts, established, 1);
        // SAFETY: as in `connect`.
        unsafe { (*counts).comm = owner.comm };
    });
}

#[inline(always)]
fn end(socket: SocketPtr, old: u32) {
    let owner = owner::of_connection(socket);
    if !resets_next(socket, old) {
        let _removed = SOCKET_OWNERS.remove(&socket.address());
    }
    count_flow(&flow(socket, &owner), 0, |counts| {
        if old == tcp_state::SYN_SENT {
            count_failed_connect(counts, socket, &owner);
        } else {
            count_end(counts, socket);
        }
    });
}

/// Whether the owner breaks the connection off, by which a reset follows: it has not said goodbye, and has no error.
#[inline(always)]
fn resets_next(socket: SocketPtr, old: u32) -> bool {
    matches!(old, tcp_state::ESTABLISHED | tcp_state::CLOSE_WAIT) && socket.error() == 0
}

#[inline(always)]
fn count_failed_connect(counts: *mut FlowCounts, socket: SocketPtr, owner: &SocketOwner) {
    add_latency(counts, owner);
    match socket.error() {
        ECONNREFUSED => add!(counts, refused, 1),
        ETIMEDOUT => add!(counts, timed_out, 1),
        ECONNRESET => add!(counts, reset, 1),
        EHOSTUNREACH | ENETUNREACH => add!(counts, unreachable, 1),
        // The kernel never tells the socket of a lack of ports, only the call that ends with it.
        0 if socket.local_port() == 0 => {
            add!(counts, without_port, 1);
            count_other(counts, EADDRNOTAVAIL);
        }
        // The program gave up first, or has taken the error already.
        0 if owner.syn_retransmits > 0 => add!(counts, timed_out, 1),
        error => count_other(counts, error),
    }
}

#[inline(always)]
fn count_other(counts: *mut FlowCounts, error: u32) {
    add!(counts, failed_otherwise, 1);
    // SAFETY: an entry stays where it is; of two errors at once, either is the last.
    unsafe { (*counts).other_errno = error };
}

#[inline(always)]
fn count_end(counts: *mut FlowCounts, socket: SocketPtr) {
    match socket.error() {
        // The latter when the peer had ended its side before.
        ECONNRESET | EPIPE => add!(counts, reset, 1),
        ETIMEDOUT => add!(counts, timed_out, 1),
        EHOSTUNREACH | ENETUNREACH => add!(counts, unreachable, 1),
        _ => {}
    }
    let srtt = socket.srtt_us();
    if srtt != 0 {
        add!(counts, srtt_sum_us, srtt);
        add!(counts, srtt_samples, 1);
    }
    add!(counts, bytes_sent, socket.bytes_sent());
    add!(counts, bytes_received, socket.bytes_received());
}

#[inline(always)]
fn add_latency(counts: *mut FlowCounts, owner: &SocketOwner) {
    if owner.start_ktime_ns == 0 {
        return;
    }
    // SAFETY: the helper has no preconditions.
    let latency = unsafe { bpf_ktime_get_ns() }.wrapping_sub(owner.start_ktime_ns);
    add!(counts, connect_latency_sum_ns, latency);
    // SAFETY: an entry stays where it is. There is no atomic maximum: see its declaration.
    unsafe {
        if latency > (*counts).connect_latency_max_ns {
            (*counts).connect_latency_max_ns = latency;
        }
    }
}
