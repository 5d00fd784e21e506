//! `inquest why`: the whole answer on one screen, the model's words apart, never waiting.

use inquest_api::{AnalysisState, Incident, Report};

use crate::fixture::Fixture;
use crate::golden;
use crate::run::inquest;
use crate::server::Server;

/// What fits a screen.
const SCREEN: usize = 40;

fn server(incidents: Vec<Incident>) -> Server {
    Server::start().object("why", &Report::new(incidents))
}

fn with_analysis(fixture: Fixture, state: AnalysisState) -> Incident {
    Incident {
        analysis: Some(fixture.analysis(state)),
        ..fixture.incident()
    }
}

#[test]
fn answers_are_those_of_the_golden_files() {
    let fixture = Fixture::new();
    let cases = [
        ("why.txt", "100", fixture.incident()),
        (
            "why-80.txt",
            "80",
            with_analysis(fixture, AnalysisState::Done),
        ),
        (
            "why-pending.txt",
            "100",
            with_analysis(fixture, AnalysisState::Pending),
        ),
        (
            "why-failed.txt",
            "100",
            with_analysis(fixture, AnalysisState::Failed),
        ),
    ];
    for (name, columns, incident) in cases {
        let server = server(vec![incident]);
        let text = inquest("why 4242")
            .at(&server)
            .env("COLUMNS", columns)
            .run()
            .quietly();
        assert_eq!(server.asked(), ["why?target=4242"]);
        assert!(text.lines().count() <= SCREEN, "{name}");
        golden::check(name, &fixture.masked(&text));
    }
}

#[test]
fn a_long_story_fits_the_screen_and_says_what_was_left_out() {
    let fixture = Fixture::new();
    let mut incident = with_analysis(fixture, AnalysisState::Done);
    let fact = incident.evidence[0].clone();
    incident.evidence = (1..=64)
        .map(|n| inquest_api::incident::Evidence {
            id: format!("e{n}"),
            ..fact.clone()
        })
        .collect();
    incident.chain = vec![incident.chain[0].clone(); 30];
    incident.coverage = vec!["one of many things that could not be seen".into(); 9];
    incident.ruled_out = vec![incident.ruled_out[0].clone(); 6];
    let server = server(vec![incident]).object("incidents/inc-3f2a9c01d4e5", &fixture.incident());
    let text = inquest("why inc-3f2a")
        .at(&server)
        .env("COLUMNS", "80")
        .run()
        .quietly();
    assert!(
        text.lines().count() <= SCREEN,
        "{}\n{text}",
        text.lines().count()
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(
        text.contains("more: `inquest incident show inc-3f2a9c01d4e5`"),
        "{text}"
    );
    let whole = inquest("why inc-3f2a -o wide").at(&server).run().quietly();
    assert!(
        whole.contains("e64") && !whole.contains(" more: "),
        "{whole}"
    );
}

#[test]
fn says_how_many_sentences_of_the_model_were_dropped() {
    let fixture = Fixture::new();
    for (dropped, words) in [
        (
            1,
            "1 sentence of the model's answer was dropped: no evidence for it",
        ),
        (
            3,
            "3 sentences of the model's answer were dropped: no evidence for them",
        ),
    ] {
        let mut incident = with_analysis(fixture, AnalysisState::Done);
        let analysis = incident.analysis.as_mut().unwrap();
        analysis.dropped_sentences = dropped;
        analysis.sentences.clear();
        let text = inquest("why 4242")
            .at(&server(vec![incident]))
            .run()
            .quietly();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn what_a_model_wrote_cannot_command_the_terminal() {
    let fixture = Fixture::new();
    let mut incident = with_analysis(fixture, AnalysisState::Done);
    let analysis = incident.analysis.as_mut().unwrap();
    analysis.sentences[0].text = "all \u{1b}[2Jis\u{7} well\u{202e}\r\nWhy  nothing".into();
    let text = inquest("why 4242")
        .at(&server(vec![incident]))
        .run()
        .quietly();
    assert!(
        text.contains("all [2Jis well Why nothing [e1, e2]"),
        "{text}"
    );
    let printable = |c: char| c == '\n' || !c.is_control();
    assert!(text.chars().all(printable) && !text.contains('\u{202e}'));
}

#[test]
fn tells_the_best_match_and_names_the_others() {
    let fixture = Fixture::new();
    let server = server(vec![fixture.incident(), fixture.resolved()]);
    let text = inquest("why shop").at(&server).run().quietly();
    assert!(text.starts_with("inc-3f2a9c01d4e5"), "{text}");
    assert!(
        text.contains("Also matching  inc-0badc0ffee00  resolved killed-by-signal, 4h20m ago"),
        "{text}"
    );
    let names = inquest("why shop -o name").at(&server).run().quietly();
    assert_eq!(
        names,
        "incident/inc-3f2a9c01d4e5\nincident/inc-0badc0ffee00\n"
    );
}

#[test]
fn an_unknown_target_is_not_found() {
    let detail = "nothing here is called nobody";
    let server = Server::start().problem("why", 404, "target_not_found", detail);
    let error = inquest("why nobody").at(&server).run().failed(3);
    assert!(error.contains(detail), "{error}");
    let error = inquest("why nobody")
        .at(&self::server(Vec::new()))
        .run()
        .failed(3);
    assert!(error.contains("nothing is known about `nobody`"), "{error}");
}

#[test]
fn the_report_as_json_is_what_the_aggregator_said() {
    let fixture = Fixture::new();
    let sent = Report::new(vec![with_analysis(fixture, AnalysisState::Done)]);
    let server = Server::start().object("why", &sent);
    let json = inquest("why 4242 -o json").at(&server).run().quietly();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), sent);
}
