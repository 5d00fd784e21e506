//! Lists the listening TCP sockets of a network namespace with their accept queues, as ss(8) does: by `sock_diag`, asked
//! from inside the namespace.

use std::{
    fs::File,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send,
        socket_with,
    },
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// Listeners looked at in one namespace.
const MAX_LISTENERS: usize = 4096;
/// Room for one answer; the kernel fills 8 to 32 KiB at a time.
const ANSWER_BYTES: usize = 32 * 1024;
/// `SOCK_DIAG_BY_FAMILY` and flags of netlink (`include/uapi/linux/{sock_diag,netlink}.h`).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const IPPROTO_TCP: u8 = 6;
/// A bit for each state; `TCP_LISTEN` is 10.
const LISTENING: u32 = 1 << 10;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Sizes of `nlmsghdr`, `inet_diag_req_v2` and `inet_diag_msg`.
const HEADER: usize = 16;
const REQUEST: usize = 56;
const MESSAGE: usize = 72;

/// A listening socket and its accept queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Listener {
    pub(super) address: IpAddr,
    pub(super) port: u16,
    /// Connections that wait to be accepted.
    pub(super) queued: u32,
    /// How many may wait; the queue is full with one more.
    pub(super) max: u32,
    /// By which the processes that hold it can be found.
    pub(super) inode: u32,
}

impl Listener {
    /// Returns whether its queue takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.queued > self.max
    }
}

/// Does something in another network namespace and comes back. Only for a thread of its own: it is the thread that goes
/// there.
pub(super) fn within<T>(pid: u32, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let own = File::open("/proc/thread-self/ns/net")?;
    let other = File::open(format!("/proc/{pid}/ns/net"))?;
    let network = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(other.as_fd(), network)?;
    let outcome = act();
    move_into_link_name_space(own.as_fd(), network)?;
    outcome
}

/// Lists the listeners of the namespace that this thread is in.
pub(super) fn list() -> io::Result<Vec<Listener>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    let mut listeners = Vec::new();
    ask(&socket, AF_INET, &mut listeners)?;
    // A kernel without IPv6 has none of these.
    let _answered = ask(&socket, AF_INET6, &mut listeners).is_ok();
    Ok(listeners)
}

fn ask(socket: &OwnedFd, family: u8, listeners: &mut Vec<Listener>) -> io::Result<()> {
    send(socket, &request(family), SendFlags::empty())?;
    let mut answer = vec![0; ANSWER_BYTES];
    loop {
        let (_, len) = recv(socket, answer.as_mut_slice(), RecvFlags::empty())?;
        let answer = answer.get(..len).unwrap_or_default();
        if answer.is_empty() || !take(answer, listeners)? {
            return Ok(());
        }
    }
}

fn request(family: u8) -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER + REQUEST);
    request.extend(((HEADER + REQUEST) as u32).to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    // Sequence and port, neither of which matters on a socket of its own.
    request.extend([0; 8]);
    request.extend([family, IPPROTO_TCP, 0, 0]);
    request.extend(LISTENING.to_ne_bytes());
    request.resize(HEADER + REQUEST, 0);
    request
}

/// Takes the listeners out of an answer; returns whether there is more to come. A kernel that has no module for it
/// answers with an error.
fn take(mut answer: &[u8], listeners: &mut Vec<Listener>) -> io::Result<bool> {
    while let (Some(len), Some(kind)) = (u32_at(answer, 0), u16_at(answer, 4)) {
        let message = answer.get(..len as usize).unwrap_or_default();
        if kind == NLMSG_ERROR
            && let Some(error) = u32_at(message, HEADER)
        {
            let errno = error.cast_signed().saturating_neg();
            return Err(io::Error::from_raw_os_error(errno));
        }
        if message.len() < HEADER || kind == NLMSG_DONE || kind == NLMSG_ERROR {
            return Ok(false);
        }
        if let Some(listener) = message.get(HEADER..).and_then(listener)
            && listeners.len() < MAX_LISTENERS
        {
            listeners.push(listener);
        }
        // Messages are aligned to four bytes.
        let next = (len as usize).next_multiple_of(4);
        answer = answer.get(next..).unwrap_or_default();
    }
    Ok(true)
}

/// Reads an `inet_diag_msg`.
fn listener(message: &[u8]) -> Option<Listener> {
    if message.len() < MESSAGE {
        return None;
    }
    let address = message.get(8..24)?;
    let address = if *message.first()? == AF_INET {
        let bytes: [u8; 4] = address.get(..4)?.try_into().ok()?;
        IpAddr::from(Ipv4Addr::from(bytes))
    } else {
        let bytes: [u8; 16] = address.try_into().ok()?;
        IpAddr::from(Ipv6Addr::from(bytes))
    };
    Some(Listener {
        address,
        port: u16::from_be_bytes(message.get(4..6)?.try_into().ok()?),
        queued: u32_at(message, 56)?,
        max: u32_at(message, 60)?,
        inode: u32_at(message, 68)?,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_a_listener_of_this_namespace_with_its_queue() {
        let own = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let address = own.local_addr().unwrap();
        let _waits = std::net::TcpStream::connect(address).unwrap();
        let listed = list().unwrap();
        let found = listed
            .iter()
            .find(|listener| listener.port == address.port());
        let found = found.unwrap();
        assert_eq!((found.address, found.queued), (address.ip(), 1));
        assert!(found.max > 1 && !found.is_full() && found.inode != 0);
    }

    proptest! {
        #[test]
        fn takes_any_answer_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0_u16..30, len in 0_u32..200) {
            let mut answer = len.to_ne_bytes().to_vec();
            answer.extend(kind.to_ne_bytes());
            answer.extend(bytes);
            let mut listeners = Vec::new();
            let _taken = take(&answer, &mut listeners);
            prop_assert!(listeners.len() <= answer.len() / MESSAGE);
        }
    }
}
