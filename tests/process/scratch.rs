//! Scratch cgroups and victims against the real kernel, without the product.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is a test module"
)]

use std::path::Path;

use e2e::host;
use e2e::scratch::Scratch;
use e2e::victim::{Act, Ended, Launcher};

const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGABRT: i32 = 6;

fn launcher() -> Launcher {
    Launcher::from_program(Path::new(env!("CARGO_BIN_EXE_inquest-e2e")))
}

/// A cgroup with a limit, or the reason why there can be none counted as a skip.
fn scratch(limit_mib: Option<u64>) -> Option<Scratch> {
    if !host::is_root() {
        testkit::skip("making cgroups needs root");
        return None;
    }
    match Scratch::create(limit_mib.map(|mib| mib << 20)) {
        Ok(scratch) => Some(scratch),
        Err(error) => {
            testkit::skip(format_args!("{error:#}"));
            None
        }
    }
}

#[tokio::test]
async fn a_grower_dies_by_its_cgroups_limit_and_the_kernel_counts_it() {
    let Some(cgroup) = scratch(Some(16)) else {
        return;
    };
    let mut hungry = launcher()
        .launch(&cgroup, "hungry", Act::Grow)
        .await
        .unwrap();
    let mut small = launcher()
        .launch(&cgroup, "small", Act::Wait { hold_mib: 1 })
        .await
        .unwrap();
    assert_eq!(cgroup.processes().unwrap().len(), 2);
    hungry.release().await.unwrap();
    let death = hungry.death().await.unwrap();
    assert_eq!(death.how, Ended::Signal(SIGKILL));
    assert_eq!(cgroup.oom_kills().unwrap(), 1);
    small.let_go();
    assert_eq!(small.death().await.unwrap().how, Ended::Code(0));
}

#[tokio::test]
async fn victims_end_as_they_are_told() {
    let Some(cgroup) = scratch(None) else {
        return;
    };
    for (act, how) in [
        (Act::Fault { address: 16 }, Ended::Signal(SIGSEGV)),
        (Act::Abort, Ended::Signal(SIGABRT)),
        (Act::Exit { code: 7 }, Ended::Code(7)),
    ] {
        let mut victim = launcher()
            .launch(&cgroup, "victim", act.clone())
            .await
            .unwrap();
        victim.release().await.unwrap();
        assert_eq!(victim.death().await.unwrap().how, how, "{act:?}");
    }
}

#[tokio::test]
async fn one_victim_can_kill_another() {
    let Some(cgroup) = scratch(None) else {
        return;
    };
    let wait = Act::Wait { hold_mib: 0 };
    let mut target = launcher().launch(&cgroup, "target", wait).await.unwrap();
    let kill = Act::Kill {
        pid: target.pid().try_into().unwrap(),
        signal: SIGKILL,
    };
    let mut killer = launcher().launch(&cgroup, "killer", kill).await.unwrap();
    killer.release().await.unwrap();
    let death = target.death().await.unwrap();
    assert_eq!(death.how, Ended::Signal(SIGKILL));
}

#[tokio::test]
async fn an_init_outlives_its_child() {
    let Some(cgroup) = scratch(Some(16)) else {
        return;
    };
    let mut container = launcher()
        .launch(&cgroup, "runtime", Act::Container)
        .await
        .unwrap();
    container.release().await.unwrap();
    let ended = container.next_line().await.unwrap();
    assert!(ended.contains("signal: 9"), "{ended}");
    container.let_go();
    assert_eq!(container.death().await.unwrap().how, Ended::Code(0));
}

#[tokio::test]
async fn dropping_a_cgroup_removes_it_with_its_children_and_processes() {
    let Some(cgroup) = scratch(Some(16)) else {
        return;
    };
    let child = cgroup.create_child("app", None).unwrap();
    assert_eq!(child.path(), format!("{}/app", cgroup.path()));
    let wait = Act::Wait { hold_mib: 0 };
    let mut victim = launcher().launch(&child, "victim", wait).await.unwrap();
    let (dir, pid) = (cgroup.procs_file(), victim.pid());
    assert_eq!(child.processes().unwrap(), [pid]);
    drop(child);
    drop(cgroup);
    assert!(!dir.try_exists().unwrap());
    assert_eq!(victim.death().await.unwrap().how, Ended::Signal(SIGKILL));
}
