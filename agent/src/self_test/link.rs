//! Network devices of a namespace that an act has to itself: brings them up, and makes a link of its own. Must not touch
//! any other namespace's.

use std::{
    ffi::c_ulong,
    io,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd as _,
};

use anyhow::Context as _;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send};

use super::check::NotPossible;

/// What `rtnetlink` is asked and answers (`include/uapi/linux/{netlink,rtnetlink,if_link}.h`).
const RTM_NEWLINK: u16 = 16;
/// A request for something new, to be confirmed.
const NEW_AND_CONFIRMED: u16 = 0x605;
const NLMSG_ERROR: u16 = 2;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
/// Sizes of `nlmsghdr` and `ifinfomsg`, and of the header of an attribute.
const MESSAGE_HEADER: usize = 16;
const LINK_HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
/// Room for a confirmation, which holds the request again when it is a refusal.
const ANSWER_BYTES: usize = 1024;

/// How the kernel names the two ends of the first link of a namespace.
const ENDS: [&str; 2] = ["veth0", "veth1"];

/// Brings a device of this namespace up.
pub(super) fn bring_up(device: &str) -> io::Result<()> {
    let mut request = request_for(device);
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    ask_device(libc::SIOCSIFFLAGS, &request)
}

/// Makes a link whose one end has `address`, among as many others as its class has; nobody is at the other end. Returns
/// the name of the first.
pub(super) fn make_link(address: Ipv4Addr) -> anyhow::Result<&'static str> {
    let [here, there] = ENDS;
    add_device_pair().map_err(|error| {
        NotPossible(format!(
            "no link can be made (needs CAP_NET_ADMIN and the module veth): {error}"
        ))
    })?;
    let mut request = request_for(here);
    let address = SocketAddrV4::new(address, 0);
    request.ifr_ifru.ifru_addr = socket_address(address);
    ask_device(libc::SIOCSIFADDR, &request).context("failed to give a link its address")?;
    for end in [here, there] {
        bring_up(end).with_context(|| format!("failed to bring {end} up"))?;
    }
    Ok(here)
}

fn request_for(device: &str) -> libc::ifreq {
    // SAFETY: all bytes zero are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    request
}

fn socket_address(address: SocketAddrV4) -> libc::sockaddr {
    let [a, b, c, d] = address.ip().octets();
    // What a `sockaddr_in` has after its family: the port, then the address.
    let [high, low] = address.port().to_be_bytes();
    let mut data = [0; 14];
    for (to, from) in data.iter_mut().zip([high, low, a, b, c, d]) {
        *to = from.cast_signed();
    }
    libc::sockaddr {
        sa_family: libc::AF_INET as libc::sa_family_t,
        sa_data: data,
    }
}

fn ask_device(what: c_ulong, request: &libc::ifreq) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: what is asked here reads an ifreq, which lives until the call returns.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), what, std::ptr::from_ref(request)) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes the two ends of a link, named by the kernel.
fn add_device_pair() -> io::Result<()> {
    // Without a protocol, netlink is that of links and routes.
    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::DGRAM, None)?;
    let kind = attribute(IFLA_INFO_KIND, b"veth");
    let body = [vec![0; LINK_HEADER], attribute(IFLA_LINKINFO, &kind)].concat();
    let mut request = Vec::with_capacity(MESSAGE_HEADER + body.len());
    request.extend(((MESSAGE_HEADER + body.len()) as u32).to_ne_bytes());
    request.extend(RTM_NEWLINK.to_ne_bytes());
    request.extend(NEW_AND_CONFIRMED.to_ne_bytes());
    // Sequence and port, of which one request needs none.
    request.extend([0; 8]);
    request.extend(body);
    send(&socket, &request, SendFlags::empty())?;
    let mut answer = [0; ANSWER_BYTES];
    let (len, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    confirmed(answer.get(..len).unwrap_or(&answer))
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = (ATTRIBUTE_HEADER + value.len()) as u16;
    let mut attribute = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
    attribute.extend(value);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    attribute
}

/// Reads the confirmation of a request: 0, or an error number below it.
fn confirmed(answer: &[u8]) -> io::Result<()> {
    let unreadable = || io::Error::from(io::ErrorKind::InvalidData);
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok());
    let code = answer.get(MESSAGE_HEADER..MESSAGE_HEADER + 4);
    let code = code.and_then(|bytes| bytes.try_into().ok());
    let (Some(kind), Some(code)) = (kind.map(u16::from_ne_bytes), code.map(i32::from_ne_bytes))
    else {
        return Err(unreadable());
    };
    match (kind, code) {
        (NLMSG_ERROR, 0) => Ok(()),
        (NLMSG_ERROR, code) => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(unreadable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_attributes_up_to_the_next_word() {
        assert_eq!(attribute(1, b"veth").len(), 8);
        assert_eq!(
            attribute(1, b"dummy"),
            [9, 0, 1, 0, 100, 117, 109, 109, 121, 0, 0, 0]
        );
    }

    #[test]
    fn reads_a_confirmation_a_refusal_and_anything_else() {
        let answer = |kind: u16, code: i32| {
            let mut answer = vec![0; 4];
            answer.extend(kind.to_ne_bytes());
            answer.extend([0; 10]);
            answer.extend(code.to_ne_bytes());
            answer
        };
        assert!(confirmed(&answer(NLMSG_ERROR, 0)).is_ok());
        let refused = confirmed(&answer(NLMSG_ERROR, -1)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        for other in [answer(3, 0), vec![], vec![2; 17]] {
            let error = confirmed(&other).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
