//! The demos against the real kernel, without the product: each failure must be the one it is said to
//! be, and leave nothing behind.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is a test module"
)]

use std::fs;
use std::path::Path;

use clap::ValueEnum as _;
use e2e::demo::Demo;
use e2e::host;
use e2e::scratch::{Hierarchy, NAME_PREFIX};
use e2e::victim::Launcher;

#[tokio::test]
async fn each_demo_fails_as_it_says_and_leaves_nothing_behind() {
    if !host::is_root() {
        testkit::skip("making cgroups and namespaces needs root");
        return;
    }
    let launcher = Launcher::from_program(Path::new(env!("CARGO_BIN_EXE_inquest-e2e")));
    for demo in Demo::value_variants() {
        let before = left_behind().unwrap();
        let played = demo.play(&launcher).await;
        let played = played.unwrap_or_else(|error| panic!("{demo:?}: {error:#}"));
        assert!(!played.names.is_empty(), "{demo:?}");
        drop(played);
        assert_eq!(left_behind().unwrap(), before, "{demo:?}");
    }
}

/// What demos mount, and the cgroups that this process made.
fn left_behind() -> anyhow::Result<Vec<String>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let scratch = std::env::temp_dir();
    let is_ours = |mount: &&str| {
        let point = mount.split(' ').nth(4).unwrap_or_default();
        point == "/etc/resolv.conf" || Path::new(point).starts_with(&scratch)
    };
    let mut left: Vec<_> = mounts.lines().filter(is_ours).map(str::to_owned).collect();
    let own = format!("{NAME_PREFIX}-{}-", std::process::id());
    let memory = Hierarchy::find()?.mount().to_owned();
    for hierarchy in [memory.clone(), memory.with_file_name("pids")] {
        // Without a hierarchy of its own the pids controller has no cgroups of its own either.
        for entry in fs::read_dir(hierarchy).into_iter().flatten() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            left.extend(name.starts_with(&own).then_some(name));
        }
    }
    Ok(left)
}
