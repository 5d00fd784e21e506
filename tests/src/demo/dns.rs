//! A pod's `resolv.conf` names a resolver that never answers.

use std::fs;
use std::net::SocketAddr;

use anyhow::Context as _;
use inquest_proto::v1::{self, signal::Body};

use super::play::{About, BY_COUNTERS, Played, Props, Stored, is_address, name};
use crate::namespaces::{Link, PEER_ADDRESS};
use crate::scratch::Scratch;
use crate::tool::Tool;
use crate::victim::{Act, Launcher};

const PORT: u16 = 53;
/// What the client asks for.
const DATABASE: &str = "database.shop.svc";
/// As in a pod, but with a resolver that is given up sooner than after five seconds.
const OPTIONS: &str = "search shop.svc.cluster.local svc.cluster.local cluster.local
options ndots:5 timeout:1 attempts:1
";

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let dir = tempfile::tempdir().context("failed to make a directory")?;
    let link = Link::create()?.with_pod_mounts()?;
    let conf = dir.path().join("resolv.conf");
    fs::write(&conf, format!("nameserver {PEER_ADDRESS}\n{OPTIONS}"))?;
    let conf = conf.to_string_lossy();
    link.pod
        .run(Tool::Mount, &["--bind", &conf, "/etc/resolv.conf"])?;
    let resolver = SocketAddr::from((PEER_ADDRESS, PORT));
    let there = Scratch::create(None)?;
    let silent = Act::AnswerDns {
        at: resolver,
        rcode: None,
    };
    let mut server = launcher
        .launch_in(&link.peer, &there, "resolver", silent)
        .await?;
    server.release().await?;
    let cgroup = Scratch::create(None)?;
    let look_up = Act::LookUp {
        name: DATABASE.into(),
    };
    let mut shop = launcher
        .launch_in(&link.pod, &cgroup, "shop", look_up)
        .await?;
    shop.release().await?;
    let since = shop.says("failed to lookup").await?;
    Ok(Played {
        target: cgroup.path(),
        cause: "pod-dns-misconfigured",
        since,
        visible_within: BY_COUNTERS,
        names: vec![
            name("cgroup", cgroup.path()),
            name("resolver", PEER_ADDRESS),
            name("query", DATABASE),
        ],
        stored: Stored {
            kind: "dns_queries",
            about: About::Cgroup(cgroup.path()),
            holds: Box::new(move |signal| holds(signal, resolver)),
        },
        props: Props {
            victims: vec![shop, server],
            cgroups: vec![cgroup, there],
            link: Some(link),
            dir: Some(dir),
            ..Props::default()
        },
    })
}

/// The resolver was asked for the name, and nobody answered.
fn holds(signal: &v1::Signal, resolver: SocketAddr) -> bool {
    let Some(Body::DnsQueries(dns)) = &signal.body else {
        return false;
    };
    let mut queries = dns.queries.iter();
    is_address(dns.resolver.as_ref(), resolver)
        && dns.timed_out > 0
        && dns.answered == 0
        && queries.any(|query| query.name.starts_with(DATABASE) && query.rcode.is_empty())
}
