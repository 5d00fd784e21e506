//! The checks of DNS queries, against a resolver of the check's own.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::Context as _;
use inquest_proto::v1::{DnsQuery, signal::Body};

use super::{
    actor::{self, Actor},
    check::{Check, Deed, NotPossible, Place},
};

const PLACE: Place = Place {
    network: true,
    ..Place::CGROUP
};
const RESOLVER: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 53);
/// Reserved for tests, so nobody has it.
const NAME: &str = "no-such-name.inquest.test";
/// Header, with the bits that ask for recursion, and the number of questions.
const QUERY: [u8; 12] = [0x49, 0x51, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
/// The flags of an answer that there is no such name.
const NXDOMAIN: [u8; 2] = [0x81, 0x83];
/// Type A, class IN.
const TYPE_AND_CLASS: [u8; 4] = [0, 1, 0, 1];
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) const UNANSWERED: Check = Check {
    name: "dns_queries",
    probe: Some("net_dev_queue"),
    expects: "the name that was asked for, and that nobody answered",
    place: PLACE,
    act: |_| {
        let _silent = resolver()?;
        ask().map(drop)
    },
    is_told_by: |signal, deed| {
        tells(signal.body.as_ref(), deed, |query| query.rcode.is_empty()) && deed.is_home(signal)
    },
};

pub(super) const ANSWERED: Check = Check {
    name: "dns_queries_answered",
    probe: Some("netif_receive_skb"),
    expects: "the name that was asked for, and that there is no such name",
    place: PLACE,
    act: ask_and_answer,
    is_told_by: |signal, deed| {
        let told = |query: &DnsQuery| query.rcode == "NXDOMAIN" && query.latency_max_ns > 0;
        tells(signal.body.as_ref(), deed, told) && deed.is_home(signal)
    },
};

fn tells(body: Option<&Body>, deed: &Deed, as_expected: impl Fn(&DnsQuery) -> bool) -> bool {
    let Some(Body::DnsQueries(queries)) = body else {
        return false;
    };
    let resolver = queries.resolver.clone().unwrap_or_default();
    let ours = |query: &DnsQuery| {
        (query.name.as_str(), query.r#type.as_str(), query.count) == (NAME, "A", 1)
            && as_expected(query)
    };
    queries.netns == deed.netns
        && (resolver.address.as_str(), resolver.port) == ("127.0.0.1", 53)
        && queries.total == 1
        && queries.queries.iter().any(ours)
}

fn resolver() -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind(RESOLVER);
    if let Err(error) = &socket
        && error.kind() == io::ErrorKind::PermissionDenied
    {
        let why = format!("port 53 cannot be had (needs CAP_NET_BIND_SERVICE): {error}");
        return Err(NotPossible(why).into());
    }
    socket.context("failed to be a resolver")
}

fn ask() -> anyhow::Result<UdpSocket> {
    let mut query = QUERY.to_vec();
    for label in NAME.split('.') {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(TYPE_AND_CLASS);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to make a socket")?;
    socket
        .send_to(&query, SocketAddr::from(RESOLVER))
        .context("failed to ask")?;
    Ok(socket)
}

fn ask_and_answer(_: &Actor) -> anyhow::Result<()> {
    let resolver = resolver()?;
    let asking = ask()?;
    for socket in [&resolver, &asking] {
        socket
            .set_read_timeout(Some(PATIENCE))
            .context("failed to set a timeout")?;
    }
    let mut message = [0; 512];
    let (len, from) = resolver
        .recv_from(&mut message)
        .context("the query did not arrive")?;
    message[2..4].copy_from_slice(&NXDOMAIN);
    let answer = message.get(..len).unwrap_or(&message);
    resolver.send_to(answer, from).context("failed to answer")?;
    asking.recv(&mut [0; 512]).context("no answer arrived")?;
    actor::tell("answered", true)
}
