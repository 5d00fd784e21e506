//! Floods of deaths against the real kernel programs: what is shed is counted, and costs no other cgroup anything.

#[cfg(test)]
#[path = "flood/collector.rs"]
mod collector;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::collector::{Idle, Scratch};

    const DEADLINE: Duration = Duration::from_mins(1);
    /// Deaths in each flooding cgroup: twice what one may cause at once.
    const FLOOD: u64 = 4000;
    /// What the urgent ring holds, with room to spare: records are at least this large.
    const MOST_TOLD: u64 = 1024 * 1024 / 200;
    /// Deaths in the cgroup that does not flood.
    const FEW: u64 = 12;

    #[tokio::test]
    async fn a_flood_of_deaths_costs_no_other_cgroup_its_own_and_all_of_it_is_counted() {
        let Some(idle) =
            Idle::load(&["sched_process_exit", "signal_generate", "cgroup_mkdir"]).await
        else {
            return;
        };
        // Three bursts are more than the ring holds.
        let flooding = ["first", "second", "third"].map(Scratch::new);
        let quiet = Scratch::new("quiet");
        // Nobody reads meanwhile: the ring has to hold what is told.
        let mut floods = flooding.each_ref().map(|cgroup| cgroup.begin_deaths(FLOOD));
        for flood in &mut floods {
            assert!(flood.wait().unwrap().success());
        }
        assert!(quiet.begin_deaths(FEW).wait().unwrap().success());

        let mut running = idle.run();
        let deadline = Instant::now() + DEADLINE;
        let all: Vec<_> = flooding
            .iter()
            .map(|cgroup| (cgroup, FLOOD))
            .chain([(&quiet, FEW)])
            .collect();
        while all
            .iter()
            .any(|(cgroup, deaths)| running.accounted_for(&cgroup.path) < *deaths)
        {
            assert!(Instant::now() < deadline, "{running:?}");
            running.take_in();
            sleep(Duration::from_millis(20)).await;
        }
        for (cgroup, deaths) in all {
            assert_eq!(running.accounted_for(&cgroup.path), deaths, "{running:?}");
        }
        assert_eq!(running.told(&quiet.path), FEW, "{running:?}");
        assert_eq!(running.unnamed_losses(), 0, "{running:?}");
        let told: u64 = flooding
            .iter()
            .map(|cgroup| running.told(&cgroup.path))
            .sum();
        assert!(told < MOST_TOLD, "{told}");
        running.stop().await;
    }
}
