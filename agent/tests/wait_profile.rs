//! Where threads spend their time, by the running kernel. Skipped without root.

#[cfg(test)]
#[path = "double/watch.rs"]
#[expect(dead_code, reason = "commands are for other tests")]
mod watch;

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::process::{Command, Stdio};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use inquest_proto::v1;
    use inquest_proto::v1::probe_status::State as ProbeState;
    use inquest_proto::v1::signal::Body;
    use inquest_proto::v1::wait_share::State;

    use super::watch::{ScratchCgroup, Watch};

    const PROBES: [&str; 3] = ["sched_switch", "sched_wakeup", "task_iter"];
    /// Has the child tests below play their part; without it, they pass at once.
    const PART: &str = "INQUEST_TEST_PART";
    const WAITERS: usize = 4;

    /// A command that has this test program play `part`.
    fn actor(part: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", &format!("tests::{part}")])
            .env(PART, "on")
            .stdout(Stdio::null());
        command
    }

    fn is_actor() -> bool {
        std::env::var_os(PART).is_some()
    }

    #[test]
    fn part_of_threads_that_queue_for_a_lock() {
        if !is_actor() {
            return;
        }
        let lock = Arc::new(Mutex::new(()));
        let kept = lock.lock().unwrap();
        let waiters: Vec<_> = (0..WAITERS)
            .map(|_| {
                let lock = Arc::clone(&lock);
                std::thread::spawn(move || drop(lock.lock()))
            })
            .collect();
        // Killed by then.
        std::thread::park_timeout(Duration::from_mins(5));
        drop(kept);
        for waiter in waiters {
            waiter.join().unwrap();
        }
    }

    #[test]
    fn part_of_threads_that_compute_and_receive() {
        if !is_actor() {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_silent, _) = listener.accept().unwrap();
        std::thread::spawn(move || client.read(&mut [0]));
        loop {
            std::hint::spin_loop();
        }
    }

    fn profile_of(path: &str, signal: &v1::Signal) -> Option<v1::WaitProfile> {
        let subject = signal.subject.as_ref()?;
        match &signal.body {
            Some(Body::WaitProfile(profile)) if subject.cgroup.as_ref()?.path == path => {
                Some(profile.clone())
            }
            _ => None,
        }
    }

    fn share(profile: &v1::WaitProfile, state: State) -> v1::WaitShare {
        let share = profile.shares.iter().find(|share| share.state() == state);
        share
            .cloned()
            .unwrap_or_else(|| panic!("no {state:?} in {profile:#?}"))
    }

    #[tokio::test]
    async fn a_lock_that_is_kept_is_found_without_being_asked_for() {
        let Some(mut watch) = Watch::start(&PROBES).await else {
            return;
        };
        for name in PROBES {
            let probe = watch
                .probes
                .iter()
                .find(|probe| probe.name == name)
                .unwrap();
            let works = [ProbeState::OnDemand, ProbeState::Attached].contains(&probe.state());
            assert!(works, "{probe:?}");
        }
        let cgroup = ScratchCgroup::new("lock");
        let member = cgroup.spawn(&mut actor("part_of_threads_that_queue_for_a_lock"));
        let profile = watch.next(|signal| profile_of(&cgroup.path, signal)).await;
        let futex = share(&profile, State::Futex);
        assert_eq!(profile.shares[0], futex);
        assert!(futex.share > 0.9, "{profile:#?}");
        assert_eq!(futex.syscall, "futex");
        assert!(futex.threads as usize >= WAITERS, "{profile:#?}");
        assert!(futex.longest_ns > 4_000_000_000, "{profile:#?}");
        let lock = profile.locks.first().unwrap();
        assert!(lock.waiters as usize >= WAITERS, "{profile:#?}");
        assert_eq!(lock.process.as_ref().unwrap().pid, member.pid());
        assert_eq!(futex.thread.unwrap().parent_pid, member.pid());
        watch.stop().await;
    }

    #[tokio::test]
    async fn a_profile_that_was_asked_for_tells_cpu_and_peer() {
        let Some(mut watch) = Watch::start(&PROBES).await else {
            return;
        };
        let cgroup = ScratchCgroup::new("mixed");
        let _member = cgroup.spawn(&mut actor("part_of_threads_that_compute_and_receive"));
        let window = Duration::from_secs(3);
        let answer = watch.profile_desk.ask(cgroup.path.clone(), window).unwrap();
        answer.await.unwrap().unwrap();
        let profile = watch.next(|signal| profile_of(&cgroup.path, signal)).await;
        let socket = share(&profile, State::Socket);
        let peer = socket.peer.clone().unwrap();
        assert_eq!(peer.address, "127.0.0.1", "{profile:#?}");
        assert!(["read", "recvfrom"].contains(&socket.syscall.as_str()));
        let cpu = share(&profile, State::OnCpu).share + run_queue(&profile);
        // One of three threads computes, one receives, one waits for the test to end.
        assert!((0.2..0.5).contains(&cpu), "{profile:#?}");
        let sum: f64 = profile.shares.iter().map(|share| share.share).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        watch.stop().await;
    }

    fn run_queue(profile: &v1::WaitProfile) -> f64 {
        let shares = profile.shares.iter();
        shares
            .filter(|share| share.state() == State::RunQueue)
            .map(|share| share.share)
            .sum()
    }

    #[tokio::test]
    async fn a_cgroup_that_is_not_there_is_refused() {
        let Some(watch) = Watch::start(&PROBES).await else {
            return;
        };
        let asked = watch
            .profile_desk
            .ask("/inquest-test-none".to_owned(), Duration::from_secs(1));
        let refusal = asked.unwrap().await.unwrap().unwrap_err();
        assert!(refusal.to_string().contains("no such cgroup"), "{refusal}");
        watch.stop().await;
    }
}
