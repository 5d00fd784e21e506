//! Bundles: recorded through the API, explained without it, the same every time.

use std::path::Path;

use inquest_api::{List, Report};
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::run::{Ended, inquest};
use crate::server::Server;

/// A recorded kill: perl grew past the limit of `/shop` in its child `/shop/cart`.
const RECORDED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/oom-memcg"
);

fn server(fixture: Fixture) -> Server {
    Server::start()
        .object(
            "nodes",
            &List::new("NodeList", fixture.nodes().to_vec(), None),
        )
        .object("signals", &List::new("SignalList", fixture.signals(), None))
}

fn create(server: &Server, path: &Path) -> Ended {
    inquest("bundle create --since 1d --cluster lab")
        .arg(path)
        .at(server)
        .run()
}

fn analyze(path: &Path) -> Ended {
    inquest("analyze -o json").arg(path).run()
}

#[test]
fn a_recorded_kill_is_explained_without_any_aggregator() {
    let root = tempfile::tempdir().unwrap();
    let server = server(Fixture::new());
    let mut reports = Vec::new();
    for name in ["case", "case.tar.gz"] {
        let path = root.path().join(name);
        let told = create(&server, &path).quietly();
        assert!(
            told.contains("3 signals") && told.contains("2 nodes"),
            "{told}"
        );
        let ended = analyze(&path);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(
            ended
                .stderr
                .contains("1 signal of a kind that this version does not know")
        );
        reports.push(ended.stdout);
    }
    let report: Report = serde_json::from_str(&reports[0]).unwrap();
    assert_eq!(report.kind, "Report");
    assert_eq!(report.incidents.len(), 1, "{report:?}");
    assert_eq!(report.incidents[0].root_cause.cause, "memory-limit-oom");
    assert_eq!(report.coverage.len(), 1);
}

#[test]
fn the_same_bundle_gives_the_same_report_byte_for_byte() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("case.tar.gz");
    create(&server(Fixture::new()), &path).quietly();
    for format in ["table", "wide", "json", "yaml", "name"] {
        let run = || inquest("analyze -o").arg(format).arg(&path).run().stdout;
        let first = run();
        assert!(!first.is_empty());
        assert_eq!(first, run(), "{format}");
    }
}

#[test]
fn asks_for_the_span_and_keeps_what_a_newer_aggregator_says() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("case");
    let server = server(Fixture::new());
    inquest("bundle create --since 2026-01-31T10:00:00Z --node n1")
        .arg(&path)
        .at(&server)
        .run()
        .quietly();
    assert_eq!(
        server.asked(),
        [
            "nodes",
            "signals?since=2026-01-31T10%3A00%3A00Z&node=n1&limit=1000"
        ]
    );
    let lines = std::fs::read_to_string(path.join("signals.jsonl")).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["id"], "00000000000000a1-1");
    assert_eq!(lines[2]["dnsFailure"]["rcode"], 3);
    let manifest = std::fs::read_to_string(path.join("bundle.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["version"], 1);
    assert_eq!(manifest["window"]["start"], "2026-01-31T10:00:00Z");
}

#[test]
fn never_overwrites_a_bundle() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("case.tar.gz");
    let server = server(Fixture::new());
    create(&server, &path).quietly();
    let before = std::fs::read(&path).unwrap();
    let error = create(&server, &path).failed(1);
    assert!(error.contains("nothing is ever overwritten"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_failed_recording_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start().problem("nodes", 503, "store_unavailable", "later");
    create(&server, &root.path().join("case.tar.gz")).failed(1);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn damaged_lines_are_counted_in_the_report() {
    let root = tempfile::tempdir().unwrap();
    let good = Fixture::new().signals()[2].to_string();
    std::fs::write(
        root.path().join("bundle.json"),
        json!({"version": 1}).to_string(),
    )
    .unwrap();
    std::fs::write(
        root.path().join("signals.jsonl"),
        format!("garbage\n{good}\n{{\n"),
    )
    .unwrap();
    let ended = analyze(root.path());
    let report: Report = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report.incidents.len(), 1);
    assert!(
        report.coverage[0].starts_with("2 lines of signals.jsonl could not be read"),
        "{report:?}"
    );
    assert!(
        ended.stderr.contains(&report.coverage[0]),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_bundle_with_nothing_wrong_has_no_incident() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(
        root.path().join("bundle.json"),
        json!({"version": 1}).to_string(),
    )
    .unwrap();
    let ended = inquest("analyze --exit-code").arg(root.path()).run();
    assert_eq!(
        ended.quietly(),
        "No incident: nothing in this case points to a failure.\n"
    );
}

#[test]
fn what_is_no_bundle_says_so() {
    let error = inquest("analyze /nonexistent").run().failed(1);
    assert!(error.contains("cannot read bundle /nonexistent"), "{error}");
}

#[test]
fn the_recorded_kernel_kill_names_the_limiting_ancestor() {
    let fixture = Path::new(RECORDED);
    let ended = analyze(fixture);
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.stdout, analyze(fixture).stdout);
    let report: Report = serde_json::from_str(&ended.stdout).unwrap();
    let [incident] = report.incidents.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(incident.root_cause.cause, "memory-limit-oom");
    assert_eq!(incident.root_cause.entity.name, "/shop");
    for words in ["perl[25741]", "/shop/cart", "48 MiB"] {
        assert!(incident.headline.contains(words), "{}", incident.headline);
    }
}

#[test]
fn the_manual_shows_the_report_on_the_recorded_kill() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let text = inquest("analyze")
        .arg(RECORDED)
        .env("COLUMNS", "100")
        .run()
        .quietly();
    let example = format!("$ inquest analyze tests/fixtures/oom-memcg\n{text}```");
    assert!(manual.contains(&example), "{text}");
}
