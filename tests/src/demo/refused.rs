//! A client connects again and again to a port at which nobody listens.

use std::net::SocketAddr;

use inquest_proto::v1::{self, signal::Body};
use rustix::io::Errno;

use super::play::{About, BY_COUNTERS, Played, Props, Stored, is_address, name};
use crate::namespaces::{Link, PEER_ADDRESS};
use crate::scratch::Scratch;
use crate::victim::{Act, Launcher};

/// Of the database that does not run.
const PORT: u16 = 5432;

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let link = Link::create()?;
    let cgroup = Scratch::create(None)?;
    let database = SocketAddr::from((PEER_ADDRESS, PORT));
    let connect = Act::Connect { to: database };
    let mut shop = launcher
        .launch_in(&link.pod, &cgroup, "shop", connect)
        .await?;
    shop.release().await?;
    let since = shop.failed_with(Errno::CONNREFUSED.raw_os_error()).await?;
    Ok(Played {
        target: cgroup.path(),
        cause: "dependency-unavailable",
        since,
        visible_within: BY_COUNTERS,
        names: vec![
            name("cgroup", cgroup.path()),
            name("process", "shop"),
            name("dependency", database),
        ],
        stored: Stored {
            kind: "tcp_flows",
            about: About::Cgroup(cgroup.path()),
            holds: Box::new(move |signal| holds(signal, database)),
        },
        props: Props {
            victims: vec![shop],
            cgroups: vec![cgroup],
            link: Some(link),
            ..Props::default()
        },
    })
}

/// Every attempt was refused.
fn holds(signal: &v1::Signal, database: SocketAddr) -> bool {
    let Some(Body::TcpFlows(flows)) = &signal.body else {
        return false;
    };
    flows.flows.iter().any(|flow| {
        is_address(flow.peer.as_ref(), database)
            && flow.established == 0
            && flow.refused > 0
            && flow.refused == flow.attempts
    })
}
