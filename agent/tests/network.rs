//! What the agent tells about the network, against what was sent, what `nft` counted and what the kernel's own counters
//! say. Each test runs in a network namespace of its own.

#[cfg(test)]
#[path = "network/kernel.rs"]
mod kernel;
#[cfg(test)]
#[path = "network/live.rs"]
mod live;

#[cfg(test)]
#[path = "network/router.rs"]
mod router;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
    use std::time::Duration;

    use inquest_proto::v1::{
        DnsQueries, IcmpError, NeighborFailure, PacketDrop, SocketDrops, signal::Body,
    };
    use rustix::net::sockopt::set_socket_recv_buffer_size;

    use super::kernel::{ip, snmp};
    use super::live::{Agent, in_own_network, nft, nft_counter, own_netns};
    use super::router::{NARROW, ROUTER, Router};

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

    /// What was told of the sockets of this namespace that are bound to a port.
    fn socket_drops(agent: &mut Agent, port: u16) -> Vec<SocketDrops> {
        let bodies = agent.bodies().into_iter();
        let drops = bodies.filter_map(|body| match body {
            Body::SocketDrops(drops) if drops.netns == own_netns() => Some(drops),
            _ => None,
        });
        let is_at = |drops: &SocketDrops| {
            let local = drops.local.as_ref();
            local.is_some_and(|local| local.port == u32::from(port))
        };
        drops.filter(is_at).collect()
    }

    #[tokio::test]
    async fn datagrams_that_find_a_buffer_full_are_told_as_the_kernel_counted_them() {
        const DATAGRAMS: usize = 5000;
        if !in_own_network("datagrams_that_find_a_buffer_full_are_told_as_the_kernel_counted_them")
        {
            return;
        }
        let Some(mut agent) = Agent::start("udp_fail_queue_rcv_skb").await else {
            return;
        };
        let cases: [(SocketAddr, &str); 2] = [
            ((Ipv4Addr::LOCALHOST, 0).into(), "UdpRcvbufErrors"),
            // Told since Linux 6.5.
            ((Ipv6Addr::LOCALHOST, 0).into(), "Udp6RcvbufErrors"),
        ];
        for (at, counter) in cases {
            let unread = UdpSocket::bind(at).unwrap();
            set_socket_recv_buffer_size(&unread, 1).unwrap();
            let at = unread.local_addr().unwrap();
            let sender = UdpSocket::bind((at.ip(), 0)).unwrap();
            for sent in 0..DATAGRAMS {
                sender.send_to(&[0; 1024], at).unwrap();
                if sent % 100 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            let counted = snmp(counter);
            assert!(counted > DATAGRAMS as u64 / 2, "{counter}: {counted}");
            let told = |agent: &mut Agent| -> u64 {
                let drops = socket_drops(agent, at.port());
                drops.iter().map(|drops| drops.count).sum()
            };
            agent.until(|agent| told(agent) >= counted).await;
            println!("{counter}: {counted} counted, {} told", told(&mut agent));
            assert_eq!(told(&mut agent), counted);
            for drops in socket_drops(&mut agent, at.port()) {
                let local = drops.local.unwrap();
                assert_eq!(local.address, at.ip().to_string());
            }
        }
        agent.stop().await;
    }

    /// Of this namespace.
    fn neighbor_failures(agent: &mut Agent) -> Vec<NeighborFailure> {
        let bodies = agent.bodies().into_iter();
        let failures = bodies.filter_map(|body| match body {
            Body::NeighborFailures(failures) if failures.netns == own_netns() => {
                Some(failures.failures)
            }
            _ => None,
        });
        failures.flatten().collect()
    }

    #[tokio::test]
    async fn addresses_that_nobody_answers_for_are_told_as_the_kernel_lists_them() {
        if !in_own_network("addresses_that_nobody_answers_for_are_told_as_the_kernel_lists_them") {
            return;
        }
        for command in [
            "link add near type veth peer name far",
            "link set near up",
            "link set far up",
            "address add 10.77.0.1/24 dev near",
            "address add fd77::1/64 dev near nodad",
            "neighbor add 10.77.0.9 lladdr 02:00:00:00:00:09 dev near",
        ] {
            ip(command);
        }
        let Some(mut agent) = Agent::start("neigh_timer_handler").await else {
            return;
        };
        let socket = |from: SocketAddr| UdpSocket::bind(from).unwrap();
        let v4 = socket((Ipv4Addr::UNSPECIFIED, 0).into());
        let v6 = socket((Ipv6Addr::UNSPECIFIED, 0).into());
        // The last one is known, though nobody is there.
        for nobody in ["10.77.0.2", "10.77.0.3", "10.77.0.9"] {
            v4.send_to(b"anyone?", (nobody, 9)).unwrap();
        }
        v6.send_to(b"anyone?", ("fd77::2", 9)).unwrap();
        agent
            .until(|agent| neighbor_failures(agent).len() >= 3)
            .await;
        let mut told: Vec<_> = neighbor_failures(&mut agent)
            .into_iter()
            .map(|failure| (failure.address, failure.interface, failure.count))
            .collect();
        told.sort();
        let failed = |address: &str| (address.to_owned(), "near".to_owned(), 1);
        assert_eq!(
            told,
            [failed("10.77.0.2"), failed("10.77.0.3"), failed("fd77::2")]
        );
        let listed = ip("neighbor show nud failed");
        for (address, ..) in told {
            assert!(listed.contains(&format!("{address} dev near")), "{listed}");
        }
        assert!(!listed.contains("10.77.0.9"), "{listed}");
        agent.stop().await;
    }

    /// Of this namespace: those that it received, or those that it sent.
    fn icmp_errors(agent: &mut Agent, received: bool) -> Vec<IcmpError> {
        let bodies = agent.bodies().into_iter();
        let errors = bodies.filter_map(|body| match body {
            Body::IcmpErrors(errors) if errors.netns == own_netns() => Some(errors.errors),
            _ => None,
        });
        let errors = errors.flatten();
        errors.filter(|error| error.received == received).collect()
    }

    fn errors(errors: &[IcmpError]) -> u64 {
        errors.iter().map(|error| error.count).sum()
    }

    #[tokio::test]
    async fn closed_ports_are_told_by_who_says_so_and_by_who_hears_it() {
        const DATAGRAMS: usize = 200;
        if !in_own_network("closed_ports_are_told_by_who_says_so_and_by_who_hears_it") {
            return;
        }
        let Some(mut agent) = Agent::start("net_dev_queue").await else {
            return;
        };
        let cases: [(SocketAddr, [&str; 2]); 2] = [
            (
                (Ipv4Addr::LOCALHOST, 9).into(),
                ["IcmpOutDestUnreachs", "IcmpInDestUnreachs"],
            ),
            (
                (Ipv6Addr::LOCALHOST, 9).into(),
                ["Icmp6OutDestUnreachs", "Icmp6InDestUnreachs"],
            ),
        ];
        for (closed, counters) in cases {
            let socket = UdpSocket::bind((closed.ip(), 0)).unwrap();
            for _ in 0..DATAGRAMS {
                socket.send_to(b"anyone?", closed).unwrap();
            }
            for (counter, received) in counters.into_iter().zip([false, true]) {
                let counted = snmp(counter);
                assert!(counted > 0, "{counter}");
                let ours = |agent: &mut Agent| {
                    let mut told = icmp_errors(agent, received);
                    told.retain(|error| error.reporter == closed.ip().to_string());
                    told
                };
                agent.until(|agent| errors(&ours(agent)) >= counted).await;
                let told = ours(&mut agent);
                println!("{counter}: {counted} counted, {} told", errors(&told));
                assert_eq!(errors(&told), counted);
                for error in told {
                    assert_eq!(
                        (error.meaning.as_str(), error.protocol.as_str()),
                        ("destination unreachable: port unreachable", "udp")
                    );
                    let (source, destination) = (error.source.unwrap(), error.destination.unwrap());
                    let own = socket.local_addr().unwrap();
                    assert_eq!(source.port, u32::from(own.port()));
                    assert_eq!(
                        (destination.address, destination.port),
                        (closed.ip().to_string(), 9)
                    );
                }
            }
        }
        agent.stop().await;
    }

    #[tokio::test]
    async fn a_router_that_cannot_forward_is_told_with_what_would_fit() {
        const DESTINATIONS: u8 = 5;
        if !in_own_network("a_router_that_cannot_forward_is_told_with_what_would_fit") {
            return;
        }
        let _router = Router::start().await;
        let Some(mut agent) = Agent::start("netif_receive_skb").await else {
            return;
        };
        let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        // Each destination has a limit of its own to be found.
        for host in 2..2 + DESTINATIONS {
            v4.send_to(&[0; 1400], (format!("10.88.0.{host}").as_str(), 9))
                .unwrap();
            v6.send_to(&[0; 1400], (format!("fd88::{host}").as_str(), 9))
                .unwrap();
        }
        v4.set_ttl(1).unwrap();
        v4.send_to(b"not far", ("10.88.0.99", 9)).unwrap();
        let [router_v4, router_v6] = ROUTER;
        let expected = [
            (
                "destination unreachable: fragmentation needed",
                router_v4,
                NARROW,
                "IcmpInDestUnreachs",
            ),
            ("packet too big", router_v6, NARROW, "Icmp6InPktTooBigs"),
            (
                "time exceeded: too many hops",
                router_v4,
                0,
                "IcmpInTimeExcds",
            ),
        ];
        for (meaning, reporter, mtu, counter) in expected {
            let ours = |agent: &mut Agent| {
                let mut told = icmp_errors(agent, true);
                told.retain(|error| error.meaning == meaning);
                told
            };
            agent
                .until(|agent| {
                    let counted = snmp(counter);
                    counted > 0 && errors(&ours(agent)) >= counted
                })
                .await;
            let (told, counted) = (ours(&mut agent), snmp(counter));
            println!("{counter}: {counted} counted, {} told", errors(&told));
            assert_eq!(errors(&told), counted);
            for error in told {
                assert_eq!((error.reporter.as_str(), error.mtu), (reporter, mtu));
                let destination = error.destination.unwrap().address;
                assert!(
                    destination.starts_with("10.88.0.") || destination.starts_with("fd88::"),
                    "{destination}"
                );
            }
        }
        agent.stop().await;
    }

    /// What a network device leaves in pages cannot be read by programs: here sendfile(2) puts it there.
    #[tokio::test]
    async fn a_query_whose_answer_cannot_be_read_is_not_told_as_unanswered() {
        /// Header and question of `a.test`, type A: an answer when the bit of the third byte is set.
        const MESSAGE: &[u8] = b"\x07\x07\x01\x00\x00\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";
        if !in_own_network("a_query_whose_answer_cannot_be_read_is_not_told_as_unanswered") {
            return;
        }
        let Some(mut agent) = Agent::start("netif_receive_skb").await else {
            return;
        };
        let resolver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).unwrap();
        let asking = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        asking.connect(resolver.local_addr().unwrap()).unwrap();
        resolver.connect(asking.local_addr().unwrap()).unwrap();
        asking.send(MESSAGE).unwrap();
        let mut answer = MESSAGE.to_vec();
        answer[2] |= 0x80;
        let in_pages = rustix::fs::memfd_create("answer", rustix::fs::MemfdFlags::empty()).unwrap();
        rustix::io::write(&in_pages, &answer).unwrap();
        rustix::fs::sendfile(&resolver, &in_pages, Some(&mut 0), answer.len()).unwrap();
        asking
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        assert_eq!(asking.recv(&mut [0; 512]).unwrap(), answer.len());

        let told = |agent: &mut Agent| -> Vec<DnsQueries> {
            let bodies = agent.bodies();
            let queries = bodies.into_iter().filter_map(|body| match body {
                Body::DnsQueries(queries) if queries.netns == own_netns() => Some(queries),
                _ => None,
            });
            queries.collect()
        };
        agent.until(|agent| !told(agent).is_empty()).await;
        let [queries] = &told(&mut agent)[..] else {
            panic!("told twice")
        };
        assert_eq!(
            (queries.total, queries.answered, queries.timed_out),
            (1, 0, 0)
        );
        assert!(agent.lost("dns_end_unknown") >= 1);
        agent.stop().await;
    }
}
