//! What the check keeps and what it drops: honest paraphrases, lies, and anything at all.

use inquest_api::{
    Incident,
    incident::{Entity, Evidence, RootCause},
};
use inquest_engine::model::Timestamp;
use proptest::prelude::*;

use super::{super::reply::Claim, *};

mod table;

const CGROUP: &str = "/kubepods/burstable/pod7f3c/web";

/// An incident with the facts of an OOM kill, a kill by a sender, and a fault, as the engine words them.
pub(crate) fn incident() -> Incident {
    let texts = [
        "The kernel's OOM killer chose python[4242] (oom_score_adj 987) and killed it",
        "python[4242] itself held 31.5 MiB: 31 MiB anonymous, 512 KiB of files, 0 B shared; 0 B were swapped out",
        "Cgroup /kubepods/burstable/pod7f3c, 1 level above the victim's own /kubepods/burstable/pod7f3c/web, was at \
         its memory limit: 32 MiB in use of 32 MiB allowed (33554432 of 33554432 bytes); it had run into this limit \
         12 times (failcnt), 1 OOM event raised here",
        "The other levels: /kubepods/burstable/pod7f3c/web 31.8 MiB in use, no limit; / 3.2 GiB in use, no limit",
        "The largest processes in cgroup /kubepods/burstable/pod7f3c: python[4242] 31.5 MiB, feeder[4243] 1.2 MiB",
        "bash[977] from cgroup /user.slice sent SIGKILL (9) to sleep[4711] (si_code 0)",
        "A fault of parser[815] at address 0x7f0a raised SIGSEGV (11) (si_code 1)",
        "parser[815] ended by SIGSEGV (11) and left a core dump",
        "1.5 s after the kill container 3f9a0c1d2e3f4a5b6c7d of Pod payments-api-7d4b9c-x2x exited with code 137",
    ];
    let evidence = texts.iter().enumerate().map(|(at, text)| Evidence {
        id: format!("e{}", at + 1),
        source: "kernel".to_owned(),
        entity: entity(),
        time: Timestamp::from_nanos(1_795_545_800_123_456_789).into(),
        text: (*text).to_owned(),
        signal: None,
    });
    let time = Timestamp::from_nanos(1_795_545_800_123_456_789).into();
    Incident {
        id: "inc-1".to_owned(),
        fingerprint: "f".to_owned(),
        state: "open".to_owned(),
        severity: "critical".to_owned(),
        opened_at: time,
        last_seen_at: time,
        resolved_at: None,
        occurrences: 1,
        headline: "python[4242] was killed".to_owned(),
        explanation: String::new(),
        root_cause: RootCause {
            cause: "memory-limit-oom".to_owned(),
            entity: entity(),
            confidence: 0.98,
        },
        hypotheses: Vec::new(),
        chain: Vec::new(),
        evidence: evidence.collect(),
        ruled_out: Vec::new(),
        impact: Vec::new(),
        remediation: Vec::new(),
        coverage: Vec::new(),
        history: Vec::new(),
        aliases: Vec::new(),
        analysis: None,
    }
}

fn entity() -> Entity {
    Entity {
        kind: "Cgroup".to_owned(),
        namespace: String::new(),
        name: CGROUP.to_owned(),
        container: String::new(),
        node: "n1".to_owned(),
    }
}

fn claim(text: &str, evidence: &[&str]) -> Claim {
    Claim {
        text: text.to_owned(),
        evidence: evidence.iter().map(|id| (*id).to_owned()).collect(),
    }
}

#[test]
fn drops_sentences_without_valid_evidence() {
    let facts = Facts::of(&incident());
    let cases: [(&[&str], _); 5] = [
        (&[], DropReason::NoEvidence),
        (&["e99"], DropReason::UnknownEvidence),
        (&["e1", "e0"], DropReason::UnknownEvidence),
        (&["1"], DropReason::UnknownEvidence),
        (&[""], DropReason::UnknownEvidence),
    ];
    for (ids, reason) in cases {
        assert_eq!(
            check_claim(&claim("It was killed.", ids), &facts),
            Err(reason),
            "{ids:?}"
        );
    }
    let kept = check_claim(&claim("It was killed.", &["e1", " e1 ", "e3"]), &facts).unwrap();
    assert_eq!(kept.evidence, ["e1", "e3"]);
}

#[test]
fn keeps_no_more_sentences_than_asked_for() {
    let facts = Facts::of(&incident());
    let claims = vec![claim("It was killed.", &["e1"]); MAX_SENTENCES + 3];
    let checked = check(&claims, &facts);
    assert_eq!(checked.sentences.len(), MAX_SENTENCES);
    assert_eq!(checked.dropped, [DropReason::TooMany; 3]);
}

#[test]
fn a_fact_that_is_not_cited_covers_nothing() {
    let facts = Facts::of(&incident());
    let text = "The limit of 32 MiB was reached.";
    assert!(check_claim(&claim(text, &["e3"]), &facts).is_ok());
    assert_eq!(
        check_claim(&claim(text, &["e1"]), &facts),
        Err(DropReason::UnknownFigure)
    );
    let text = "The process feeder was killed.";
    assert!(check_claim(&claim(text, &["e5"]), &facts).is_ok());
    assert_eq!(
        check_claim(&claim(text, &["e1"]), &facts),
        Err(DropReason::UnknownName)
    );
    // An ordinary word, but here the name of a process that the cited fact does not hold.
    assert_eq!(
        check_claim(&claim("Then sleep was killed.", &["e1"]), &facts),
        Err(DropReason::UnknownName)
    );
    assert!(check_claim(&claim("Then sleep was killed.", &["e6"]), &facts).is_ok());
}

/// Each figure of a kept sentence, spelled in any way, stands in a cited fact.
fn spellings(value: u64) -> impl Strategy<Value = String> {
    let grouped = |separator: &str| {
        let digits = value.to_string();
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push_str(separator);
            }
            text.push(digit);
        }
        text
    };
    let full_width: String = value
        .to_string()
        .chars()
        .filter_map(|digit| char::from_u32(u32::from(digit) - u32::from('0') + 0xff10))
        .collect();
    let arabic: String = value
        .to_string()
        .chars()
        .filter_map(|digit| char::from_u32(u32::from(digit) - u32::from('0') + 0x660))
        .collect();
    prop::sample::select(vec![
        value.to_string(),
        format!("{value}.0"),
        format!("{value:#x}"),
        format!("{value} MiB"),
        format!("{value}MiB"),
        format!("{value}%"),
        format!("{value} seconds"),
        format!("{value}th"),
        format!("{value}x"),
        format!("pid {value}"),
        format!("python[{value}]"),
        format!("max={value}"),
        format!("`{value}`"),
        format!("({value})"),
        format!("{value}-MiB"),
        grouped(","),
        grouped("\u{202f}"),
        grouped("_"),
        full_width,
        arabic,
    ])
}

fn foreign_figure() -> impl Strategy<Value = String> {
    // In no fact above, by value or by digits, in any of the units used.
    let value = prop::sample::select(vec![
        34_u64, 48, 64, 77, 138, 150, 999, 5000, 70_001, 44_444_444,
    ]);
    value.prop_flat_map(spellings)
}

fn foreign_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{3,8}-[0-9a-f]{6,10}-[a-z0-9]{5}",
        "/[a-z]{3,8}/[a-z]{3,8}",
        "[a-z]{3,8}\\[[0-9]{5}\\]",
        "1[0-9]{2}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}",
        "[a-z]{3,8}\\.svc\\.cluster\\.local",
        "[a-z]{4,8}_[a-z]{4,8}",
        "[A-Z][a-z]{2,5}[A-Z][a-z]{2,5}",
        "SIG(TERM|INT|HUP|BUS|ABRT|QUIT)",
        prop::sample::select(vec![
            "redis",
            "postgres",
            "nginx",
            "kafka",
            "java",
            "mysql",
            "Redis",
            "etcd",
            "`orders`",
            "pod orders",
            "orders pod",
            "pod called orders",
            "billing service",
            "payment-worker",
            "container checkout",
            "r\u{435}dis",
            "Checkout",
            "orders[4242]",
            "checkout/api",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Sentences around a hole, each honest with an ordinary word in it.
fn frame() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("The process was killed by ", ""),
        ("It exceeded ", " and was killed."),
        ("Because ", " was involved, the kernel killed it."),
        ("The kernel killed it (", ")."),
        ("", " was killed by the kernel."),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn never_keeps_a_foreign_figure((before, after) in frame(), figure in foreign_figure()) {
        let facts = Facts::of(&incident());
        let all: Vec<String> = (1..=9).map(|id| format!("e{id}")).collect();
        let text = format!("{before}{figure}{after}");
        let checked = check_claim(&Claim { text: text.clone(), evidence: all }, &facts);
        prop_assert!(checked.is_err(), "{text:?}");
    }

    #[test]
    fn never_keeps_a_foreign_name((before, after) in frame(), name in foreign_name()) {
        let facts = Facts::of(&incident());
        let all: Vec<String> = (1..=9).map(|id| format!("e{id}")).collect();
        let text = format!("{before}{name}{after}");
        let checked = check_claim(&Claim { text: text.clone(), evidence: all }, &facts);
        prop_assert!(checked.is_err(), "{text:?}");
    }

    #[test]
    fn never_panics_and_never_keeps_what_a_terminal_obeys(text in "\\PC{0,80}|.{0,80}", ids in prop::collection::vec("e[0-9]{1,2}|.{0,4}", 0..4)) {
        let facts = Facts::of(&incident());
        if let Ok(kept) = check_claim(&Claim { text, evidence: ids }, &facts) {
            prop_assert!(!kept.evidence.is_empty());
            prop_assert!(!kept.text.chars().any(is_invisible));
            prop_assert!(kept.text.chars().count() <= text::MAX_SENTENCE_CHARS);
        }
    }

    /// Any mixture of the facts' own words, ordinary words and noise: what is kept holds only digits
    /// that a cited fact holds, whatever the rules say.
    #[test]
    fn every_digit_kept_is_one_of_the_facts(
        words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 1..12),
        noise in "[0-9a-z%./,-]{1,6}",
        at in 0..12usize,
    ) {
        let facts = Facts::of(&incident());
        let mut words: Vec<&str> = words;
        words.insert(at.min(words.len()), &noise);
        let text = words.join(" ");
        if let Ok(kept) = check_claim(&claim(&text, &["e3"]), &facts) {
            let fact = facts.line("e3").unwrap();
            for run in kept.text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()) {
                let equal = run.trim_start_matches('0');
                prop_assert!(equal.is_empty() || fact.contains(equal), "{run} in {:?}", kept.text);
            }
        }
    }
}

const WORDS: &[&str] = &[
    "The",
    "the",
    "process",
    "limit",
    "of",
    "32",
    "MiB",
    "33554432",
    "bytes",
    "was",
    "12",
    "times",
    "cgroup",
    "reached",
    "and",
    "/kubepods/burstable/pod7f3c",
    "memory",
    "killed",
    "in",
    "use",
    "1",
    "level",
    "above",
];
