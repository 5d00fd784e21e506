//! What the reading commands print, in every format.

use inquest_api::List;
use serde_json::Value;

use crate::fixture::Fixture;
use crate::golden;
use crate::run::inquest;
use crate::server::Server;

fn server(fixture: Fixture) -> Server {
    let incidents = vec![fixture.incident(), fixture.resolved()];
    Server::start()
        .object("incidents", &List::new("IncidentList", incidents, None))
        .object("incidents/inc-3f2a9c01d4e5", &fixture.incident())
        .object(
            "nodes",
            &List::new("NodeList", fixture.nodes().to_vec(), None),
        )
        .object("signals", &List::new("SignalList", fixture.signals(), None))
        .object("status", &fixture.status())
}

#[test]
fn tables_are_those_of_the_golden_files() {
    let fixture = Fixture::new();
    let server = server(fixture);
    for (name, args) in [
        ("incident-list.txt", "incident list"),
        (
            "incident-list-wide.txt",
            "incident list -o wide --no-headers",
        ),
        ("incident-list-name.txt", "incident list -o name"),
        (
            "incident-show.txt",
            "incident show incident/inc-3f2a9c01d4e5",
        ),
        ("node-list.txt", "node list"),
        ("node-list-wide.txt", "node list -o wide"),
        ("signal-list.txt", "signal list"),
        ("signal-list-wide.txt", "signal list -o wide"),
        ("status.txt", "status"),
        ("doctor.txt", "doctor"),
        ("version.txt", "version"),
    ] {
        let text = inquest(args).at(&server).run().quietly();
        let text = fixture
            .masked(&text)
            .replace(&server.url(), "http://aggregator");
        golden::check(name, &text);
    }
}

#[test]
fn json_and_yaml_are_the_same_object_unchanged() {
    let fixture = Fixture::new();
    let server = server(fixture);
    let sent = serde_json::to_value(fixture.incident()).unwrap();
    let json = inquest("incident show inc-3f2a9c01d4e5 -o json")
        .at(&server)
        .run()
        .quietly();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), sent);
    let yaml = inquest("incident show inc-3f2a9c01d4e5 -o yaml")
        .at(&server)
        .run()
        .quietly();
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), sent);
    for command in [
        "incident list",
        "node list",
        "signal list",
        "status",
        "doctor",
        "version",
    ] {
        let json = inquest(command).arg("-ojson").at(&server).run().quietly();
        let object: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(object["apiVersion"], "inquest.dev/v1", "{command}");
        assert!(object["kind"].is_string(), "{command}");
    }
}

#[test]
fn a_kind_and_fields_of_a_newer_aggregator_survive_as_json() {
    let fixture = Fixture::new();
    let json = inquest("signal list -o json")
        .at(&server(fixture))
        .run()
        .quietly();
    let list: List<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(list.items[2]["dnsFailure"]["rcode"], 3);
}

#[test]
fn filters_reach_the_aggregator() {
    let server = server(Fixture::new());
    let calls = [
        (
            "incident list --state open --node n1 --cause memory-limit-oom --limit 5",
            "incidents?state=open&node=n1&cause=memory-limit-oom&limit=5",
        ),
        (
            "signal list --kind oom_kill --node n1 --cgroup /a/b --pid 7 --since 2026-01-31T10:00:00Z",
            "signals?kind=oom_kill&node=n1&cgroup=%2Fa%2Fb&pid=7&since=2026-01-31T10%3A00%3A00Z&limit=100",
        ),
    ];
    for (args, _) in calls {
        inquest(args).at(&server).run().quietly();
    }
    assert_eq!(server.asked(), calls.map(|(_, asked)| asked));
}

#[test]
fn reads_page_after_page_up_to_the_limit() {
    let fixture = Fixture::new();
    let page = |token: Option<&str>| {
        List::new(
            "IncidentList",
            vec![fixture.incident()],
            token.map(str::to_owned),
        )
    };
    let server = Server::start()
        .object("incidents?limit=2", &page(Some("t1")))
        .object("incidents?limit=1&continue=t1", &page(Some("t2")));
    let ended = inquest("incident list -o name --limit 2").at(&server).run();
    assert_eq!(ended.stdout.lines().count(), 2);
    assert_eq!(ended.stderr, "more than 2 incidents match: raise --limit\n");
}

#[test]
fn following_goes_on_from_the_newest_signal_and_skips_none() {
    let fixture = Fixture::new();
    let [third, second, first] = fixture.signals().try_into().unwrap();
    let list = |signals: Vec<&Value>, token: &str| {
        let items = signals.into_iter().cloned().collect();
        List::<Value>::new("SignalList", items, Some(token.to_owned()))
    };
    let server = Server::start()
        .object("signals?limit=1", &list(vec![&first], "41"))
        .object(
            "signals?limit=1000&wait=20&after=41",
            &list(vec![&second, &third], "43"),
        )
        .object("signals?limit=1000&wait=20&after=43", &list(vec![], "44"))
        .problem(
            "signals?limit=1000&wait=20&after=44",
            503,
            "unavailable",
            "going down",
        );
    let ended = inquest("signal list --follow").at(&server).run();
    assert_eq!(ended.code, 1);
    golden::check("signal-follow.txt", &fixture.masked(&ended.stdout));
    let ended = inquest("signal list --follow -o json").at(&server).run();
    let lines: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, [second, third]);
}

#[test]
fn an_empty_list_is_no_data_and_a_word_on_stderr() {
    let server = Server::start().object(
        "incidents",
        &List::<Value>::new("IncidentList", vec![], None),
    );
    let ended = inquest("incident list").at(&server).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
    assert_eq!(ended.stderr, "no incidents\n");
}

#[test]
fn color_comes_only_when_it_is_wanted() {
    let server = server(Fixture::new());
    let plain = inquest("incident list").at(&server).run().quietly();
    assert!(!plain.contains('\u{1b}'));
    let colored = inquest("incident list")
        .at(&server)
        .env("CLICOLOR_FORCE", "1")
        .run()
        .quietly();
    assert!(colored.contains("\u{1b}[31mopen\u{1b}[0m"), "{colored:?}");
    let never = inquest("incident list --color never")
        .at(&server)
        .env("CLICOLOR_FORCE", "1");
    assert_eq!(never.run().quietly(), plain);
}

#[test]
fn exit_code_10_is_for_an_open_incident_and_only_when_asked() {
    let fixture = Fixture::new();
    let server = server(fixture).object("incidents/inc-0badc0ffee00", &fixture.resolved());
    for (args, code) in [
        ("status", 0),
        ("status --exit-code", 10),
        ("incident list --exit-code", 10),
        ("incident show inc-3f2a9c01d4e5", 0),
        ("incident show inc-3f2a9c01d4e5 --exit-code", 10),
        ("incident show inc-0badc0ffee00 --exit-code", 0),
    ] {
        assert_eq!(inquest(args).at(&server).run().code, code, "{args}");
    }
}

#[test]
fn doctor_fails_when_the_store_does_and_says_what_to_do() {
    let fixture = Fixture::new();
    let mut status = fixture.status();
    status.store.error = Some("disk full".into());
    let server = server(fixture).object("status", &status);
    let ended = inquest("doctor").at(&server).run();
    assert_eq!(ended.code, 1);
    assert!(
        ended.stdout.contains("writes fail: disk full"),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains("\n- check space and permissions of /var/lib"),
        "{}",
        ended.stdout
    );
}

#[test]
fn doctor_without_an_aggregator_is_one_failed_check() {
    let ended = inquest("doctor").run();
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    assert!(ended.stdout.contains("fail"), "{}", ended.stdout);
    assert!(ended.stdout.contains("cargo xtask up"), "{}", ended.stdout);
}

#[test]
fn version_prints_the_client_also_when_no_aggregator_answers() {
    let client = format!("Client: {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(inquest("version --client").run().quietly(), client);
    let ended = inquest("version").run();
    assert_eq!((ended.code, ended.stdout), (1, client));
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
}
