//! TCP connections of one network namespace, against the kernel's statistics of it.

use std::fs;

use anyhow::Context as _;
use inquest_proto::v1::{self, signal::Body, tcp_flow::Direction};

use super::{Counts, compare, told};
use crate::client::Client;
use crate::namespaces::Namespaces;
use crate::proof::Proof;
use crate::scratch::Scratch;
use crate::victim::{Act, Done, Launcher, Load, Work};

/// Connections that come about.
const GOOD: u64 = 400;
/// Connections that are refused, each at an address of its own.
const REFUSED: u64 = 100;

pub(super) async fn prove(
    client: &Client,
    launcher: &Launcher,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let (network, cgroup) = (Namespaces::network()?, Scratch::create(None)?);
    let mut pids = Vec::new();
    for (work, count) in [(Work::Connect, GOOD), (Work::ConnectElsewhere, REFUSED)] {
        let load = Act::Load(Load {
            work,
            count: Some(count),
            rate: None,
            to: None,
        });
        let mut load = launcher.launch_in(&network, &cgroup, "load", load).await?;
        load.release().await?;
        let said = load.next_line().await?;
        Done::parse(&said).with_context(|| format!("the load said `{said}`"))?;
        pids.push(load);
    }
    let first = pids.first().context("no load ran")?.pid();
    let truth = statistics(&fs::read_to_string(format!("/proc/{first}/net/snmp"))?)
        .context("no TCP statistics")?;
    let path = cgroup.path();
    let filter = [("kind", "tcp_flows"), ("cgroup", path.as_str())];
    let told = told(client, &filter, &truth, count).await?;
    compare("snmp", &told, &truth, proof);
    Ok(())
}

/// Attempts, and those of them that failed, as RFC 4022 has them.
fn statistics(snmp: &str) -> Option<Counts<&'static str>> {
    let mut tcp = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (tcp.next()?, tcp.next()?);
    let value = |name: &str| {
        let at = names.split(' ').position(|it| it == name)?;
        values.split(' ').nth(at)?.parse::<u64>().ok()
    };
    Some(Counts::from([
        ("attempts", value("ActiveOpens")?),
        ("refused", value("AttemptFails")?),
        ("accepted", value("PassiveOpens")?),
    ]))
}

fn count(signal: &v1::Signal, counts: &mut Counts<&'static str>) {
    let Some(Body::TcpFlows(flows)) = &signal.body else {
        return;
    };
    for flow in &flows.flows {
        if flow.direction() == Direction::In {
            *counts.entry("accepted").or_default() += flow.established;
        } else {
            *counts.entry("attempts").or_default() += flow.attempts;
            *counts.entry("refused").or_default() += flow.refused;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_statistics() {
        let snmp = "\
Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoMin ActiveOpens PassiveOpens AttemptFails
Tcp: 200 7 5 2
";
        let expected = [("accepted", 5), ("attempts", 7), ("refused", 2)];
        assert_eq!(statistics(snmp), Some(Counts::from(expected)));
        assert_eq!(statistics("Tcp: RtoMin\nTcp: 200\n"), None);
    }
}
