//! Rules about the text of single files.
//!
//! Knows nothing of manifests or folders.

use super::{Problem, RepositoryFile};

/// A Rust file longer than this holds more than one thing.
const MAX_RUST_LINES: usize = 600;
/// What the engine must not touch, in the words its code would use. Its manifest is checked, too.
const IMPURE: [&str; 8] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
];
/// Written in pieces, so that this file passes its own rules.
const UNFINISHED: [&str; 4] = [
    concat!("todo", "!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("#[ign", "ore"),
];
/// Places outside the repository that no reader of it has.
const ELSEWHERE: [&str; 2] = [concat!("../sha", "red"), concat!("/wo", "rk/")];

/// Applies the rules to one file.
pub(super) fn check(file: &RepositoryFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    if file.is_rust() {
        check_rust(file, &mut problems);
    }
    if file.path.starts_with("aggregator/engine/src/") {
        check_lines(file, &IMPURE, "the engine is pure: no", &mut problems);
    }
    if !file.is_recorded() {
        check_lines(
            file,
            &ELSEWHERE,
            "nobody else has this place:",
            &mut problems,
        );
        check_white_space(file, &mut problems);
    }
    problems
}

fn check_rust(file: &RepositoryFile, problems: &mut Vec<Problem>) {
    if file.path.ends_with("/mod.rs") {
        problems.push(file.problem("name it after the module: foo.rs beside foo/, no mod.rs"));
    }
    if !file.text.starts_with("//!") {
        problems.push(file.problem("starts without `//!`: say what the file is for"));
    }
    let lines = file.text.lines().count();
    if lines > MAX_RUST_LINES {
        problems.push(file.problem(format!(
            "{lines} lines: split it by noun, {MAX_RUST_LINES} at most"
        )));
    }
    check_lines(file, &UNFINISHED, "unfinished:", problems);
}

fn check_lines(file: &RepositoryFile, words: &[&str], what: &str, problems: &mut Vec<Problem>) {
    for (index, line) in file.text.lines().enumerate() {
        for word in words.iter().filter(|word| line.contains(**word)) {
            problems.push(file.problem_at(index, format!("{what} `{word}`")));
        }
    }
}

fn check_white_space(file: &RepositoryFile, problems: &mut Vec<Problem>) {
    for (index, line) in file.text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            problems.push(file.problem_at(index, "trailing white space"));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        problems.push(file.problem("the last line does not end"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn refuses_what_the_rules_refuse() {
        let long = format!("//! x\n{}", "\n".repeat(MAX_RUST_LINES));
        let cases: [(&str, &str, &str); 11] = [
            ("a/src/x/mod.rs", "//! x\n", "no mod.rs"),
            ("a/src/x.rs", "fn x() {}\n", "without `//!`"),
            ("a/src/x.rs", &long, "601 lines"),
            (
                "a/src/x.rs",
                concat!("//! x\n// FIX", "ME later\n"),
                "unfinished",
            ),
            ("a/src/x.rs", concat!("//! x\ntodo", "!()\n"), "unfinished"),
            (
                "a/src/x.rs",
                concat!("//! x\n#[ign", "ore = \"y\"]\n"),
                "unfinished",
            ),
            ("a/src/x.rs", "//! x \n", "trailing white space"),
            ("README.md", "x", "does not end"),
            ("README.md", concat!("see ../sha", "red/x\n"), "nobody else"),
            (".ci/run", concat!("cd /wo", "rk/x\n"), "nobody else"),
            (
                "aggregator/engine/src/x.rs",
                "//! x\nuse std::fs;\n",
                "engine is pure",
            ),
        ];
        for (path, text, expected) in cases {
            let problems = check(&file(path, text));
            assert_eq!(problems.len(), 1, "{path}: {problems:?}");
            assert!(
                problems[0].to_string().contains(expected),
                "{path}: {problems:?}"
            );
        }
    }

    #[test]
    fn accepts_ordinary_files_and_recordings_as_they_are() {
        let texts = [
            ("a/src/x.rs", "//! x\nuse std::fs;\n"),
            (
                "aggregator/engine/src/x.rs",
                "//! x\nuse std::time::Duration;\n",
            ),
            ("tests/fixtures/a.txt", "recorded \t\nwithout an end"),
            ("docs/empty.md", ""),
        ];
        for (path, text) in texts {
            assert_eq!(check(&file(path, text)), [], "{path}");
        }
    }

    #[test]
    fn names_the_line() {
        let problems = check(&file("a.md", "one\ntwo \n"));
        assert_eq!(problems[0].to_string(), "a.md:2: trailing white space");
    }
}
