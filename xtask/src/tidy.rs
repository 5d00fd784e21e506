//! The rules of this project that neither the compiler nor clippy knows.
//!
//! Each rule is a function over texts, so that a test can show what it refuses. Reports; repairs
//! nothing.

mod layout;
mod manifests;
mod sources;

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::command;

/// A file of the repository.
#[derive(Clone, Debug)]
struct RepositoryFile {
    /// Its path from the root, with `/`.
    path: String,
    /// Its text; empty if it is not text.
    text: String,
}

impl RepositoryFile {
    fn is_rust(&self) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|extension| extension == "rs")
    }

    fn is_manifest(&self) -> bool {
        self.path == "Cargo.toml" || self.path.ends_with("/Cargo.toml")
    }

    /// Recorded inputs are kept as they were found.
    fn is_recorded(&self) -> bool {
        self.path.starts_with("tests/fixtures/") || self.path.starts_with("tests/scenarios/")
    }

    fn problem(&self, what: impl Into<String>) -> Problem {
        Problem {
            path: self.path.clone(),
            line: None,
            what: what.into(),
        }
    }

    fn problem_at(&self, line_index: usize, what: impl Into<String>) -> Problem {
        Problem {
            line: Some(line_index + 1),
            ..self.problem(what)
        }
    }
}

/// Something that breaks a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    path: String,
    line: Option<usize>,
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.what),
            None => write!(f, "{}: {}", self.path, self.what),
        }
    }
}

/// Applies every rule to the files that git knows or would add.
pub(crate) fn check_workspace(root: &Path) -> anyhow::Result<Vec<Problem>> {
    let files = repository_files(root)?;
    let mut problems = layout::check(&files);
    for file in &files {
        problems.extend(sources::check(file));
        problems.extend(manifests::check(file));
    }
    Ok(problems)
}

fn repository_files(root: &Path) -> anyhow::Result<Vec<RepositoryFile>> {
    // Git refuses to read a clone of another user, as under sudo, unless it is told to.
    let trust = format!("safe.directory={}", root.display());
    let mut git = Command::new("git");
    git.current_dir(root).args(["-c", &trust]).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let list = command::capture(&mut git).context("failed to list the files: `git` failed")?;
    let mut files = Vec::new();
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        // A file that is deleted but not yet committed is listed, too.
        if let Ok(bytes) = fs::read(root.join(path)) {
            let text = String::from_utf8(bytes).unwrap_or_default();
            files.push(RepositoryFile {
                path: path.to_owned(),
                text,
            });
        }
    }
    Ok(files)
}

/// Makes a file for a test.
#[cfg(test)]
fn file(path: &str, text: &str) -> RepositoryFile {
    RepositoryFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}
