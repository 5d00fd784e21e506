//! Rules about where files are.
//!
//! Looks at names only.

use std::collections::BTreeSet;

use super::{Problem, RepositoryFile};

/// The folders of the repository; a new thing finds its place in one of them.
const FOLDERS: [&str; 8] = [
    "agent",
    "agent-ebpf",
    "aggregator",
    "deploy",
    "docs",
    "proto",
    "tests",
    "xtask",
];

/// Applies the rules to all files together.
pub(super) fn check(files: &[RepositoryFile]) -> Vec<Problem> {
    let mut problems = check_folders(files);
    problems.extend(check_decisions(files));
    problems
}

fn check_folders(files: &[RepositoryFile]) -> Vec<Problem> {
    let tops = files
        .iter()
        .filter_map(|file| Some(file.path.split_once('/')?.0));
    let tops: BTreeSet<&str> = tops.collect();
    tops.into_iter()
        .filter(|top| !top.starts_with('.') && !FOLDERS.contains(top))
        .map(|top| Problem {
            path: format!("{top}/"),
            line: None,
            what: format!("no new top-level folders: {}", FOLDERS.join(", ")),
        })
        .collect()
}

/// Decision records are `docs/adr/NNNN-title.md`, numbered from 0001 without a gap.
fn check_decisions(files: &[RepositoryFile]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut numbers = Vec::new();
    let records = files
        .iter()
        .filter_map(|file| Some((file, file.path.strip_prefix("docs/adr/")?)));
    for (file, name) in records {
        match decision_number(name) {
            Some(number) => numbers.push((number, file)),
            None => problems.push(file.problem("decision records are called NNNN-title.md")),
        }
    }
    numbers.sort_by_key(|(number, _)| *number);
    for (index, (number, file)) in numbers.into_iter().enumerate() {
        if number != index + 1 {
            problems.push(file.problem(format!(
                "decision record {:04} is missing or double",
                index + 1
            )));
            break;
        }
    }
    problems
}

fn decision_number(name: &str) -> Option<usize> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let is_number = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && !title.is_empty() {
        number.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn problems(paths: &[&str]) -> Vec<String> {
        let files: Vec<RepositoryFile> = paths.iter().map(|path| file(path, "")).collect();
        check(&files)
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    }

    #[test]
    fn refuses_new_top_level_folders() {
        assert_eq!(problems(&["README.md", "agent/x", ".ci/run"]), [""; 0]);
        assert_eq!(problems(&["utils/x", "utils/y", "agent/x"]), ["utils/"]);
    }

    #[test]
    fn decision_records_are_numbered_without_gap() {
        assert_eq!(
            problems(&["docs/adr/0002-b.md", "docs/adr/0001-a.md"]),
            [""; 0]
        );
        assert_eq!(
            problems(&["docs/adr/0001-a.md", "docs/adr/0003-c.md"]),
            ["docs/adr/0003-c.md"]
        );
        assert_eq!(
            problems(&["docs/adr/0001-a.md", "docs/adr/0001-b.md"]),
            ["docs/adr/0001-b.md"]
        );
        for odd in [
            "docs/adr/notes.md",
            "docs/adr/1-a.md",
            "docs/adr/0001-.md",
            "docs/adr/0001-a",
        ] {
            assert_eq!(problems(&[odd]), [odd]);
        }
    }
}
