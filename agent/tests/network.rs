//! What the agent tells about the network, against what was sent, what `nft` counted and what the kernel's own counters
//! say. Each test runs in a network namespace of its own.

#[cfg(test)]
#[path = "network/live.rs"]
mod live;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
    use std::time::Duration;

    use inquest_proto::v1::{PacketDrop, signal::Body};

    use super::live::{Agent, in_own_network, nft, nft_counter, own_netns};

    /// A rule that drops, and counts what it drops, for each of two ports.
    const RULES: &str = "table inet t {
        chain c {
            type filter hook input priority 0;
            udp dport 9001 counter drop
            udp dport 9002 counter drop
        }
    }";

    /// All drops told so far of this namespace.
    fn drops(agent: &mut Agent) -> Vec<PacketDrop> {
        let bodies = agent.bodies();
        let drops = bodies.into_iter().filter_map(|body| match body {
            Body::PacketDrops(drops) if drops.netns == own_netns() => Some(drops.drops),
            _ => None,
        });
        drops.flatten().collect()
    }

    fn drops_to(agent: &mut Agent, port: u16) -> Vec<PacketDrop> {
        drops(agent)
            .into_iter()
            .filter(|drop| {
                drop.destination
                    .as_ref()
                    .is_some_and(|to| to.port == u32::from(port))
            })
            .collect()
    }

    fn packets(drops: &[PacketDrop]) -> u64 {
        drops.iter().map(|drop| drop.count).sum()
    }

    #[tokio::test]
    async fn drops_of_a_firewall_rule_are_told_as_the_rule_counted_them() {
        if !in_own_network("drops_of_a_firewall_rule_are_told_as_the_rule_counted_them") {
            return;
        }
        if !nft(RULES) {
            return testkit::skip("nft is not installed");
        }
        let Some(mut agent) = Agent::start("kfree_skb").await else {
            return;
        };
        let targets: [(SocketAddr, u64); 2] = [
            ((Ipv4Addr::LOCALHOST, 9001).into(), 40),
            ((Ipv6Addr::LOCALHOST, 9002).into(), 30),
        ];
        for (target, count) in targets {
            let socket = UdpSocket::bind((target.ip(), 0)).unwrap();
            for _ in 0..count {
                socket.send_to(b"for the rule", target).unwrap();
            }
            agent
                .until(|agent| packets(&drops_to(agent, target.port())) >= count)
                .await;
            let drops = drops_to(&mut agent, target.port());
            assert_eq!(packets(&drops), count);
            assert_eq!(nft_counter(target.port()), count);
            let first = drops.first().unwrap();
            assert_eq!(
                (
                    first.reason.as_str(),
                    first.protocol.as_str(),
                    first.netfilter
                ),
                ("NETFILTER_DROP", "udp", true)
            );
            let source = first.source.as_ref().unwrap();
            assert_eq!(source.address, target.ip().to_string());
            assert_eq!(source.port, u32::from(socket.local_addr().unwrap().port()));
            assert_eq!(first.interface, "lo");
        }
        agent.stop().await;
    }

    /// More flows than the map holds, and more packets than anyone would tell one by one.
    #[tokio::test]
    async fn every_drop_of_a_storm_is_told_or_counted_as_lost() {
        const PACKETS: u64 = 100_000;
        const FLOWS: u16 = 20_000;
        /// Far more than the rest of a machine has dropped in that time.
        const OTHERS: u64 = PACKETS / 100;
        if !in_own_network("every_drop_of_a_storm_is_told_or_counted_as_lost") {
            return;
        }
        let rules = "table inet t {
            chain c {
                type filter hook input priority 0;
                udp dport 10000-60000 counter drop
            }
        }";
        if !nft(rules) {
            return testkit::skip("nft is not installed");
        }
        let Some(mut agent) = Agent::start("kfree_skb").await else {
            return;
        };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let began = tokio::time::Instant::now();
        for packet in 0..PACKETS {
            let port = 10_000 + (packet % u64::from(FLOWS)) as u16;
            socket
                .send_to(b"storm", (Ipv4Addr::LOCALHOST, port))
                .unwrap();
            if packet % 1000 == 0 {
                tokio::task::yield_now().await;
            }
        }
        println!("{PACKETS} drops provoked in {:?}", began.elapsed());
        let told = |agent: &mut Agent| packets(&drops(agent));
        agent
            .until(|agent| told(agent) + agent.lost("drop_map") >= PACKETS)
            .await;
        // A second count of any of them would come with the next window.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let (told, lost) = (told(&mut agent), agent.lost("drop_map"));
        println!("told {told}, counted as lost {lost}");
        assert_eq!(nft_counter(10_000), PACKETS);
        // What others had dropped meanwhile found no room either, and is counted with ours.
        assert!(told + lost >= PACKETS);
        assert!(told + lost < PACKETS + OTHERS);
        assert!(told > PACKETS / 4);
        agent.stop().await;
    }
}
