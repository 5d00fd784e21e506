//! The checks of TCP connections, each between two sockets on the loopback device of a network namespace of its own.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use inquest_proto::v1::{self, TcpFlow, signal::Body, tcp_flow::Direction};

use super::{
    actor::{self, Actor},
    check::{Check, Deed, Place},
    namespaces::listen_without_backlog,
};

const PLACE: Place = Place {
    network: true,
    ..Place::CGROUP
};
/// Longest wait for what the kernel does by itself within a second.
const PATIENCE: Duration = Duration::from_secs(10);
const DATA: &[u8] = b"inquest";

pub(super) const REFUSED: Check = Check {
    name: "tcp_flows",
    probe: Some("inet_sock_set_state"),
    expects: "a connection that was refused, with its destination",
    place: PLACE,
    act: connect_to_nobody,
    is_told_by: |signal, deed| {
        let refused = |flow: &TcpFlow| {
            flow.direction() == Direction::Out
                && (flow.attempts, flow.refused, flow.established) == (1, 1, 0)
        };
        deed.is_home(signal) && tells(signal, deed, refused)
    },
};

pub(super) const UNANSWERED: Check = Check {
    name: "tcp_flows_unanswered",
    probe: Some("tcp_retransmit_skb"),
    expects: "a connect that had to be tried again, as nobody answered",
    place: PLACE,
    act: connect_to_a_full_queue,
    is_told_by: |signal, deed| {
        let unanswered =
            |flow: &TcpFlow| flow.direction() == Direction::Out && flow.syn_retransmits > 0;
        deed.is_home(signal) && tells(signal, deed, unanswered)
    },
};

pub(super) const RESET_SENT: Check = Check {
    name: "tcp_flows_reset_sent",
    probe: Some("tcp_send_reset"),
    expects: "a reset sent by a server that does not read what it was sent",
    place: PLACE,
    act: leave_data_unread,
    is_told_by: |signal, deed| {
        let sent = |flow: &TcpFlow| flow.direction() == Direction::In && flow.resets_sent == 1;
        deed.is_home(signal) && tells(signal, deed, sent)
    },
};

pub(super) const RESET_RECEIVED: Check = Check {
    name: "tcp_flows_reset_received",
    probe: Some("tcp_receive_reset"),
    expects: "a reset received by the client of such a server",
    place: PLACE,
    act: leave_data_unread,
    is_told_by: |signal, deed| {
        let received =
            |flow: &TcpFlow| flow.direction() == Direction::Out && flow.resets_received == 1;
        deed.is_home(signal) && tells(signal, deed, received)
    },
};

/// Whether a signal tells of a flow with the deed's port that is as it should be.
fn tells(signal: &v1::Signal, deed: &Deed, as_expected: impl Fn(&TcpFlow) -> bool) -> bool {
    let Some(Body::TcpFlows(flows)) = &signal.body else {
        return false;
    };
    let has_port = |flow: &&TcpFlow| {
        let peer = flow.peer.clone().unwrap_or_default();
        peer.address == "127.0.0.1" && peer.port.to_string() == deed.fact("port")
    };
    flows.netns == deed.netns && flows.flows.iter().filter(has_port).any(as_expected)
}

fn listen() -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to listen at a port")?;
    let address = listener.local_addr().context("failed to read its port")?;
    actor::tell("port", address.port())?;
    Ok((listener, address))
}

fn connect_to_nobody(_: &Actor) -> anyhow::Result<()> {
    let (listener, address) = listen()?;
    drop(listener);
    ensure!(TcpStream::connect(address).is_err(), "somebody answered");
    Ok(())
}

/// A further SYN is dropped, and sent again after a second.
fn connect_to_a_full_queue(_: &Actor) -> anyhow::Result<()> {
    let (_listener, address) = listen_without_backlog()?;
    let _waits = TcpStream::connect(address).context("failed to connect at first")?;
    let timed_out = TcpStream::connect_timeout(&address, Duration::from_millis(1500)).is_err();
    ensure!(timed_out, "a full queue took another connection");
    Ok(())
}

fn leave_data_unread(_: &Actor) -> anyhow::Result<()> {
    let (listener, address) = listen()?;
    let mut client = TcpStream::connect(address).context("failed to connect")?;
    let (server, _) = listener.accept().context("failed to accept")?;
    client.write_all(DATA).context("failed to send")?;
    let mut first = [0];
    server
        .set_read_timeout(Some(PATIENCE))
        .context("failed to set a timeout")?;
    server.peek(&mut first).context("nothing arrived")?;
    // Closed with data unread, it resets.
    drop(server);
    client
        .set_read_timeout(Some(PATIENCE))
        .context("failed to set a timeout")?;
    let ended = client.read(&mut first);
    ensure!(ended.is_err(), "the connection ended in peace");
    Ok(())
}
