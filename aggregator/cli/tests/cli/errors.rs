//! Every way in which asking can fail: three lines on stderr and a documented exit code.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use inquest_api::List;

use crate::fixture::Fixture;
use crate::run::inquest;
use crate::server::{self, Server};

#[test]
fn no_aggregator_says_how_to_start_one() {
    let error = inquest("incident list").run().failed(1);
    assert!(
        error.contains("cannot reach the aggregator at http://127.0.0.1:9"),
        "{error}"
    );
    assert!(error.contains("why:   Connection refused"), "{error}");
    assert!(error.contains("`cargo xtask up`"), "{error}");
}

#[test]
fn a_silent_aggregator_is_given_up_after_the_timeout() {
    let call = inquest("why 1 --request-timeout 100ms").at_url(&server::silent());
    let error = call.run().failed(1);
    assert!(error.contains("no answer within 0.1 s"), "{error}");
}

#[test]
fn a_torn_answer_is_an_error() {
    let url = server::raw(|mut stream| {
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).unwrap() > 0);
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{";
        stream.write_all(head.as_bytes()).unwrap();
    });
    inquest("status").at_url(&url).run().failed(1);
}

#[test]
fn a_stranger_on_the_port_is_told_apart() {
    let html = Server::start().text("status", "text/html", "<html>hello</html>");
    let other = Server::start().text("status", "application/json", r#"{"hello":1}"#);
    for server in [html, other, Server::start()] {
        let code = inquest("status").at(&server).run();
        let error = if code.code == 3 {
            code.failed(3)
        } else {
            code.failed(1)
        };
        assert!(
            error.contains("does an Inquest aggregator answer there?"),
            "{error}"
        );
    }
}

#[test]
fn problems_keep_their_detail_and_decide_the_exit_code() {
    for (status, code, exit) in [
        (400, "bad_query", 1),
        (401, "unauthorized", 3),
        (403, "forbidden", 3),
        (404, "incident_not_found", 3),
        (503, "store_unavailable", 1),
    ] {
        let server = Server::start().problem("incidents/inc-1", status, code, "the very reason");
        let error = inquest("incident show inc-1")
            .at(&server)
            .run()
            .failed(exit);
        assert!(error.contains("the very reason"), "{error}");
    }
}

#[test]
fn wrong_usage_is_2_and_helps() {
    for (args, help) in [
        ("incident lisst", "list"),
        (
            "incident list -o jason",
            "[possible values: table, wide, json, yaml, name]",
        ),
        ("incident list --sate open", "--state"),
        ("signal list --since yesterday", "an age such as 15m"),
        (
            "status --request-timeout soon",
            "expected a span such as 90s",
        ),
        ("incident list --limit 0", "0"),
        ("", "Usage: inquest"),
    ] {
        let ended = inquest(args).run();
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (2, ""),
            "{args}: {ended:?}"
        );
        assert!(ended.stderr.contains(help), "{args}: {}", ended.stderr);
    }
}

#[test]
fn a_loopback_address_is_not_asked_through_a_proxy() {
    let server = Server::start().object("status", &Fixture::new().status());
    let call = inquest("status").at(&server);
    call.env("http_proxy", "http://127.0.0.1:9").run().quietly();
}

#[test]
fn secrets_do_not_belong_on_the_command_line() {
    let error = inquest("status --aggregator http://me:hunter2@127.0.0.1:9")
        .run()
        .failed(2);
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn commands_are_spelled_the_way_the_program_was_called() {
    let root = tempfile::tempdir().unwrap();
    let plugin = root.path().join("kubectl-inquest");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_inquest"), &plugin).unwrap();
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(&plugin);
        let output = command.args(args).env_clear().output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let help = run(&["incident", "list", "--help"]);
    assert!(
        help.contains("Usage: kubectl inquest incident list"),
        "{help}"
    );
    assert!(
        help.contains("\n  kubectl inquest incident list --state open"),
        "{help}"
    );
    let server = Server::start().problem("incidents/x", 404, "incident_not_found", "no such");
    let error = run(&["incident", "show", "x", "--aggregator", &server.url()]);
    assert!(error.contains("`kubectl inquest incident list`"), "{error}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let incidents = vec![Fixture::new().incident(); 1000];
    let server = Server::start().object("incidents", &List::new("IncidentList", incidents, None));
    let mut child = inquest("incident list -o json --limit 1000")
        .at(&server)
        .into_command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn ctrl_c_ends_with_130() {
    let (asked, is_asked) = std::sync::mpsc::channel();
    let url = server::raw(move |mut stream| {
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).unwrap() > 0);
        asked.send(stream).unwrap();
    });
    let child = inquest("why 1")
        .at_url(&url)
        .into_command()
        .spawn()
        .unwrap();
    let open = is_asked.recv().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    drop(open);
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
}
