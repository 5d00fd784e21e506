//! The checks of what is sampled of network namespaces.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use inquest_proto::v1::signal::Body;
use rustix::{
    net::{AddressFamily, SocketType},
    thread::{NanosleepRelativeResult, Timespec, nanosleep},
};

use super::{
    actor::{self, Actor},
    check::{Check, NotPossible, Place},
};
use crate::collect::lists_listeners;

const PLACE: Place = Place {
    network: true,
    ..Place::CGROUP
};
/// How long what was done stays to be seen: a round over all namespaces, and time for it.
const KEPT: Timespec = Timespec {
    tv_sec: 7,
    tv_nsec: 0,
};
/// How long a connect is tried; the SYN is sent again after a second.
const TRIED: Duration = Duration::from_millis(1500);
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

pub(super) const LISTEN_OVERFLOW: Check = Check {
    name: "listen_overflow",
    probe: Some("netns_samples"),
    expects: "the listening socket whose accept queue is full, and how often",
    place: PLACE,
    act: fill_a_queue,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::ListenOverflow(overflow)) => {
            let is_ours = overflow.listeners.iter().any(|listener| {
                let local = listener.local.clone().unwrap_or_default();
                let owner = listener.owner.clone().unwrap_or_default();
                local.port.to_string() == deed.fact("port")
                    && (listener.queued, listener.max) == (1, 0)
                    && owner.pid == deed.pid
            });
            deed.is_home(signal)
                && overflow.netns == deed.netns
                && overflow.overflows > 0
                && is_ours
        }
        _ => false,
    },
};

pub(super) const PORTS: Check = Check {
    name: "ephemeral_port_usage",
    probe: Some("netns_samples"),
    expects: "a connect that found no free local port, and the range of them",
    place: PLACE,
    act: use_up_the_ports,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::EphemeralPortUsage(usage)) => {
            let peer = usage.peer.clone().unwrap_or_default();
            let port = deed.fact("only_port");
            deed.is_home(signal)
                && usage.netns == deed.netns
                && usage.exhausted == 1
                && peer.port.to_string() == deed.fact("port")
                && usage.first_port.to_string() == port
                && usage.last_port.to_string() == port
        }
        _ => false,
    },
};

/// With a backlog of 0, one connection may wait to be accepted.
pub(super) fn listen_without_backlog() -> anyhow::Result<(rustix::fd::OwnedFd, SocketAddr)> {
    let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)
        .context("failed to make a socket")?;
    rustix::net::bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .context("failed to bind it")?;
    rustix::net::listen(&listener, 0).context("failed to listen")?;
    let address = rustix::net::getsockname(&listener).context("failed to read its port")?;
    let address = SocketAddr::try_from(address).context("failed to read its address")?;
    actor::tell("port", address.port())?;
    Ok((listener, address))
}

fn fill_a_queue(_: &Actor) -> anyhow::Result<()> {
    lists_listeners().map_err(|error| {
        let why = "this kernel does not list listening sockets (needs inet_diag and tcp_diag)";
        NotPossible(format!("{why}: {error}"))
    })?;
    let (_listener, address) = listen_without_backlog()?;
    let _waits = TcpStream::connect(address).context("failed to connect at first")?;
    let timed_out = TcpStream::connect_timeout(&address, TRIED).is_err();
    ensure!(timed_out, "a full queue took another connection");
    stay()
}

fn use_up_the_ports(_: &Actor) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to listen at a port")?;
    let address = listener.local_addr().context("failed to read its port")?;
    actor::tell("port", address.port())?;
    // Any but the listener's own.
    let only_port = if address.port() == 50_000 {
        50_001
    } else {
        50_000
    };
    actor::tell("only_port", only_port)?;
    fs::write(PORT_RANGE, format!("{only_port} {only_port}"))
        .map_err(|error| NotPossible(format!("{PORT_RANGE} cannot be written: {error}")))?;
    let _holds = TcpStream::connect(address).context("failed to connect at first")?;
    ensure!(
        TcpStream::connect(address).is_err(),
        "a second connection found a port"
    );
    stay()
}

fn stay() -> anyhow::Result<()> {
    match nanosleep(&KEPT) {
        NanosleepRelativeResult::Err(error) => Err(error).context("failed to wait"),
        _ => Ok(()),
    }
}
