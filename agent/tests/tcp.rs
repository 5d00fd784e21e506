//! What the agent tells about TCP connections, against what was done and what `/proc/net/snmp` counted. Each test runs in a
//! network namespace of its own.

#[cfg(test)]
#[path = "network/live.rs"]
mod live;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use inquest_proto::v1::{ListenOverflow, TcpFlow, signal::Body, tcp_flow::Direction};

    use super::live::{Agent, in_own_network, nft, nft_counter, own_netns};

    /// The connections of this namespace told so far, summed up by direction and port.
    type Sums = BTreeMap<(i32, u32), TcpFlow>;

    fn sums(agent: &mut Agent) -> Sums {
        let mut sums = Sums::new();
        for body in agent.bodies() {
            let Body::TcpFlows(flows) = body else {
                continue;
            };
            if flows.netns != own_netns() {
                continue;
            }
            for flow in flows.flows {
                let port = flow.peer.as_ref().map_or(0, |peer| peer.port);
                let sum = sums.entry((flow.direction, port)).or_default();
                sum.attempts += flow.attempts;
                sum.established += flow.established;
                sum.refused += flow.refused;
                sum.reset += flow.reset;
                sum.timed_out += flow.timed_out;
                sum.unreachable += flow.unreachable;
                sum.failed_otherwise += flow.failed_otherwise;
                sum.syn_retransmits += flow.syn_retransmits;
                sum.retransmits += flow.retransmits;
                sum.srtt_samples += flow.srtt_samples;
                sum.bytes_sent += flow.bytes_sent;
                sum.bytes_received += flow.bytes_received;
                sum.resets_sent += flow.resets_sent;
                sum.resets_received += flow.resets_received;
                sum.connect_latency_max_ns =
                    sum.connect_latency_max_ns.max(flow.connect_latency_max_ns);
                if !flow.other_errno.is_empty() {
                    sum.other_errno = flow.other_errno;
                }
                if !flow.reset_reason.is_empty() {
                    sum.reset_reason = flow.reset_reason;
                }
                if !flow.comm.is_empty() {
                    sum.comm = flow.comm;
                }
                sum.peer = flow.peer;
            }
        }
        sums
    }

    fn sum(agent: &mut Agent, direction: Direction, port: u16) -> TcpFlow {
        let key = (direction as i32, u32::from(port));
        sums(agent).remove(&key).unwrap_or_default()
    }

    /// A counter of this namespace as the kernel has it.
    fn snmp(name: &str) -> u64 {
        counter("snmp", "Tcp:", name)
    }

    fn counter(file: &str, line: &str, name: &str) -> u64 {
        let counters = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap();
        let mut lines = counters.lines().filter_map(|text| text.strip_prefix(line));
        let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
        let mut pairs = names.split_whitespace().zip(values.split_whitespace());
        pairs
            .find(|(key, _)| *key == name)
            .unwrap()
            .1
            .parse()
            .unwrap()
    }

    fn total(agent: &mut Agent, of: impl Fn(&TcpFlow) -> u64) -> u64 {
        sums(agent).values().map(of).sum()
    }

    #[tokio::test]
    async fn every_connect_is_told_with_its_end_as_the_kernel_counted_it() {
        const GOOD: u64 = 30;
        const REFUSED: u64 = 20;
        const SENT: usize = 5000;
        if !in_own_network("every_connect_is_told_with_its_end_as_the_kernel_counted_it") {
            return;
        }
        let Some(mut agent) = Agent::start("inet_sock_set_state").await else {
            return;
        };
        let servers = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        ];
        for server in servers {
            let listener = TcpListener::bind(server).unwrap();
            let address = listener.local_addr().unwrap();
            for _ in 0..GOOD {
                let mut client = TcpStream::connect(address).unwrap();
                let (mut accepted, _) = listener.accept().unwrap();
                client.write_all(&[7; SENT]).unwrap();
                drop(client);
                let mut received = Vec::new();
                accepted.read_to_end(&mut received).unwrap();
                assert_eq!(received.len(), SENT);
            }
            drop(listener);
            for _ in 0..REFUSED {
                let refused = TcpStream::connect(address).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            }
            let port = address.port();
            agent
                .until(|agent| {
                    let out = sum(agent, Direction::Out, port);
                    // The end of the last is told with its time of waiting for stray segments.
                    out.refused >= REFUSED
                        && out.bytes_sent >= GOOD * SENT as u64
                        && sum(agent, Direction::In, port).bytes_received >= GOOD * SENT as u64
                        && sum(agent, Direction::In, port).resets_sent >= REFUSED
                })
                .await;
            let out = sum(&mut agent, Direction::Out, port);
            assert_eq!(out.attempts, GOOD + REFUSED);
            assert_eq!((out.established, out.refused), (GOOD, REFUSED));
            assert_eq!(out.resets_received, REFUSED);
            assert_eq!(out.bytes_sent, GOOD * SENT as u64);
            assert_eq!(out.srtt_samples, GOOD);
            assert!(out.connect_latency_max_ns > 0);
            assert!(!out.comm.is_empty());
            assert_eq!(out.peer.unwrap().address, address.ip().to_string());
            let into = sum(&mut agent, Direction::In, port);
            assert_eq!((into.attempts, into.established), (GOOD, GOOD));
            // The end of the client's data counts as a byte.
            let most = GOOD * (SENT as u64 + 1);
            assert!((GOOD * SENT as u64..=most).contains(&into.bytes_received));
            assert_eq!(into.resets_sent, REFUSED);
            assert_eq!(into.reset_reason, "NO_SOCKET");
        }
        let opened = snmp("ActiveOpens");
        agent
            .until(|agent| total(agent, |flow| flow.attempts) >= opened + snmp("PassiveOpens"))
            .await;
        let out = |agent: &mut Agent, of: fn(&TcpFlow) -> u64| -> u64 {
            let sums = sums(agent).into_iter();
            sums.filter(|((direction, _), _)| *direction == Direction::Out as i32)
                .map(|(_, flow)| of(&flow))
                .sum()
        };
        assert_eq!(out(&mut agent, |flow| flow.attempts), opened);
        assert_eq!(
            total(&mut agent, |flow| flow.attempts) - opened,
            snmp("PassiveOpens")
        );
        assert_eq!(out(&mut agent, |flow| flow.refused), snmp("AttemptFails"));
        assert_eq!(total(&mut agent, |flow| flow.resets_sent), snmp("OutRsts"));
        assert_eq!(
            total(&mut agent, |flow| flow.retransmits + flow.syn_retransmits),
            snmp("RetransSegs")
        );
        assert_eq!(agent.lost("flow_map"), 0);
        agent.stop().await;
    }

    #[tokio::test]
    async fn a_full_accept_queue_is_told_with_its_listener_as_the_kernel_counted_it() {
        if !in_own_network("a_full_accept_queue_is_told_with_its_listener_as_the_kernel_counted_it")
        {
            return;
        }
        let Some(mut agent) = Agent::start("netns_samples").await else {
            return;
        };
        let listener = rustix::net::socket(
            rustix::net::AddressFamily::INET6,
            rustix::net::SocketType::STREAM,
            None,
        )
        .unwrap();
        let any = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        rustix::net::bind(&listener, &any).unwrap();
        rustix::net::listen(&listener, 1).unwrap();
        let address = SocketAddr::try_from(rustix::net::getsockname(&listener).unwrap()).unwrap();
        let timeout = Duration::from_millis(1200);
        let waiting: Vec<_> = (0..6)
            .filter_map(|_| TcpStream::connect_timeout(&address, timeout).ok())
            .collect();
        assert_eq!(waiting.len(), 2, "the backlog, and one more");
        let counted = counter("netstat", "TcpExt:", "ListenOverflows");
        assert!(counted > 0);
        let told = |agent: &mut Agent| -> Vec<ListenOverflow> {
            let bodies = agent.bodies().into_iter();
            let overflows = bodies.filter_map(|body| match body {
                Body::ListenOverflow(told) if told.netns == own_netns() => Some(told),
                _ => None,
            });
            overflows.collect()
        };
        let overflows =
            |told: &[ListenOverflow]| told.iter().map(|told| told.overflows).sum::<u64>();
        agent
            .until(|agent| overflows(&told(agent)) >= counted)
            .await;
        let told = told(&mut agent);
        assert_eq!(
            overflows(&told),
            counter("netstat", "TcpExt:", "ListenOverflows")
        );
        let full = told.iter().flat_map(|told| &told.listeners).next().unwrap();
        assert_eq!((full.queued, full.max), (2, 1));
        assert_eq!(full.owner.as_ref().unwrap().pid, std::process::id());
        let local = full.local.as_ref().unwrap();
        assert_eq!(
            (local.address.as_str(), local.port),
            ("::1", u32::from(address.port()))
        );
        agent.stop().await;
    }

    #[tokio::test]
    async fn a_connect_without_route_port_or_answer_is_told_as_what_it_was() {
        if !in_own_network("a_connect_without_route_port_or_answer_is_told_as_what_it_was") {
            return;
        }
        let Some(mut agent) = Agent::start("inet_sock_set_state").await else {
            return;
        };
        // One port for all: the second connection to the same place finds none.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40001 40001").unwrap();
        let address = listener.local_addr().unwrap();
        let _first = TcpStream::connect(address).unwrap();
        let without_port = TcpStream::connect(address).unwrap_err();
        assert_eq!(without_port.kind(), ErrorKind::AddrNotAvailable);
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "41000 50000").unwrap();

        // Nobody on the loopback device answers for this address, and the program does not wait for long.
        let silent = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 9), 9003));
        let rules = "table inet t {
            chain c {
                type filter hook input priority 0;
                tcp dport 9003 counter drop
            }
        }";
        let has_nft = nft(rules);
        if has_nft {
            let timeout = Duration::from_millis(1500);
            let unanswered = TcpStream::connect_timeout(&silent, timeout).unwrap_err();
            assert_eq!(unanswered.kind(), ErrorKind::TimedOut);
        }
        agent
            .until(|agent| {
                sum(agent, Direction::Out, address.port()).failed_otherwise == 1
                    && (!has_nft || sum(agent, Direction::Out, 9003).timed_out == 1)
            })
            .await;
        let flow = sum(&mut agent, Direction::Out, address.port());
        assert_eq!(flow.other_errno, "EADDRNOTAVAIL");
        assert_eq!((flow.attempts, flow.established), (2, 1));
        if has_nft {
            let flow = sum(&mut agent, Direction::Out, 9003);
            assert_eq!((flow.attempts, flow.syn_retransmits), (1, 1));
            assert_eq!(nft_counter(9003), flow.attempts + flow.syn_retransmits);
            assert!(flow.connect_latency_max_ns >= 1_400_000_000);
        }
        agent.stop().await;
    }
}
