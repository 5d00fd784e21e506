//! What the agent told of a load and what it says it lost of it. Must count by itself nothing that the
//! agent could have told.

use std::time::Duration;

use inquest_proto::v1::{self, signal::Body};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::proof::Proof;
use crate::scratch::Scratch;
use crate::victim::Work;

/// Longest wait until all is told: counts come each second, losses with the status every ten.
const DEADLINE: Duration = Duration::from_secs(20);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The tale of one load.
#[derive(Debug)]
pub(super) struct Told<'a> {
    client: &'a Client,
    work: Work,
    cgroup: String,
    lost_before: u64,
}

impl<'a> Told<'a> {
    /// Begins before the load does.
    pub(super) async fn begin(
        client: &'a Client,
        work: Work,
        cgroup: &Scratch,
    ) -> anyhow::Result<Self> {
        let mut told = Self {
            client,
            work,
            cgroup: cgroup.path(),
            lost_before: 0,
        };
        told.lost_before = told.lost().await?;
        Ok(told)
    }

    /// Waits until it adds up to what was done, or the time is over, and judges.
    pub(super) async fn judge(&self, of: &str, done: u64, proof: &mut Proof) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let (told, lost) = (self.told().await?, self.lost().await?);
            let lost = lost.saturating_sub(self.lost_before);
            if told + lost >= done || Instant::now() > deadline {
                let name = format!("{of}: told {told}, lost {lost}, together");
                proof.exactly(&name, told + lost, done);
                return Ok(());
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    fn kind(&self) -> &'static str {
        match self.work {
            Work::Exec => "process_exec",
            Work::Send => "packet_drops",
            Work::Connect | Work::ConnectElsewhere => "tcp_flows",
            Work::Succeed | Work::Fail | Work::OpenMissing => "syscall_failures",
        }
    }

    /// How often the work appears in stored signals.
    async fn told(&self) -> anyhow::Result<u64> {
        let mut filter = vec![("kind", self.kind())];
        // Drops are told of the network namespace in which they happen, which is the peer's.
        if self.work != Work::Send {
            filter.push(("cgroup", &self.cgroup));
        }
        let signals = self.client.signals(&filter).await?;
        Ok(signals.iter().map(times).sum())
    }

    /// What the agent says it lost of that kind, of this cgroup or of nobody in particular.
    async fn lost(&self) -> anyhow::Result<u64> {
        let nodes = self.client.nodes().await?;
        let lost = nodes.iter().flat_map(|node| &node.lost);
        let of_it = lost.filter(|loss| {
            loss.kind == self.kind() && (loss.cgroup.is_empty() || loss.cgroup == self.cgroup)
        });
        Ok(of_it.map(|loss| loss.count).sum())
    }
}

/// How often the work appears in one signal.
fn times(signal: &v1::Signal) -> u64 {
    match &signal.body {
        Some(Body::ProcessExec(exec)) => u64::from(exec.filename == "/bin/true"),
        Some(Body::SyscallFailures(failures)) => {
            let closes = failures.failures.iter();
            let closes = closes.filter(|it| it.syscall == "close" && it.errno == "EBADF");
            closes.map(|it| it.count).sum()
        }
        Some(Body::PacketDrops(drops)) => {
            let drops = drops.drops.iter();
            let drops = drops.filter(|drop| drop.netfilter && drop.protocol == "udp");
            drops.map(|drop| drop.count).sum()
        }
        Some(Body::TcpFlows(flows)) => flows.flows.iter().map(|flow| flow.attempts).sum(),
        _ => 0,
    }
}
