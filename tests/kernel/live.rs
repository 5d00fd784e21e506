//! One small run of each proof against the real binaries and the real kernel.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is a test module"
)]

use std::path::Path;

use e2e::binaries::Binaries;
use e2e::demo::Stage;
use e2e::proof::Proof;
use e2e::stack::{ALWAYS_ON, Stack};
use e2e::victim::Launcher;
use e2e::{explain, host, kernel};

/// What a test against the real kernel needs; without it, counts the test as skipped.
fn needs() -> Option<(Binaries, Launcher)> {
    if !host::is_root() {
        testkit::skip("loading probes needs root");
        return None;
    }
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release");
    match Binaries::find(&release) {
        Ok(binaries) => {
            let program = Path::new(env!("CARGO_BIN_EXE_inquest-e2e"));
            Some((binaries, Launcher::from_program(program)))
        }
        Err(error) => {
            testkit::skip(format_args!("{error:#}"));
            None
        }
    }
}

fn check(proof: &Proof) {
    let short: Vec<_> = proof.short().map(ToString::to_string).collect();
    assert!(short.is_empty(), "{short:#?}");
}

#[tokio::test]
async fn real_deaths_are_reported_as_they_happened() {
    let Some((binaries, launcher)) = needs() else {
        return;
    };
    let mut stack = Stack::start_with(&binaries, "", ALWAYS_ON).await.unwrap();
    let agent = stack.agent().unwrap().admin().base().to_owned();
    let stage = Stage::new(stack.client.clone(), launcher, &binaries.cli);
    let mut proof = Proof::begin("live").unwrap();
    kernel::prove_briefly(&stage, &agent, &mut proof)
        .await
        .unwrap();
    check(&proof);
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_that_a_model_invents_reaches_the_screen() {
    let Some((binaries, launcher)) = needs() else {
        return;
    };
    let mut proof = Proof::begin("live").unwrap();
    explain::prove(&binaries, &launcher, &mut proof)
        .await
        .unwrap();
    check(&proof);
}
