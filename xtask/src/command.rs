//! Runs other programs: logged, timed, with progress when it takes long.
//!
//! Decides nothing about what a program's output means.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::clock::{self, Stopwatch};
use crate::{output, workspace};

/// A step that ends sooner says nothing while it runs.
const QUIET_FOR: Duration = Duration::from_secs(3);
/// How often a long step without output of its own says that it still runs.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Lines of a failed child's output that are shown.
const TAIL_LINES: usize = 40;

/// Characters of a child's line that a heartbeat shows.
const MAX_LINE_CHARS: usize = 70;

/// What is shown of a step while it runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Show {
    /// A line at the start, one every 20 seconds with what the child wrote last, and one at the end.
    Heartbeat,
    /// The child's own output, once the step has taken 3 seconds.
    OutputWhenLong,
}

/// How a step ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The child's exit status.
    pub(crate) status: ExitStatus,
    /// The file that holds its output, both streams in order.
    pub(crate) log: PathBuf,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// Whether the person at the terminal has seen the output.
    was_shown: bool,
}

impl Outcome {
    /// Reads the child's output; bytes that are not UTF-8 are replaced.
    pub(crate) fn output(&self) -> anyhow::Result<String> {
        read_lossy(&self.log)
    }
}

/// Makes a command for the cargo that runs this program, without what `cargo run` adds to the
/// environment. Build scripts watch some of those variables and would run again after each
/// change between `cargo build` and `cargo xtask`.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(workspace::root()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if is_set_by_cargo_run(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn is_set_by_cargo_run(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    let names = ["CARGO", "CARGO_CRATE_NAME", "LD_LIBRARY_PATH", "OUT_DIR"];
    prefixes.iter().any(|prefix| name.starts_with(prefix)) || names.contains(&name.as_ref())
}

/// Runs `command` and fails, with the last lines of its output, when it does not succeed.
pub(crate) fn run(name: &str, command: &mut Command, show: Show) -> anyhow::Result<Outcome> {
    let outcome = run_to_end(name, command, show)?;
    if outcome.status.success() {
        return Ok(outcome);
    }
    let end = if outcome.was_shown {
        String::new()
    } else {
        tail(&outcome.output()?) + "\n"
    };
    bail!(
        "{name} failed ({}) after {}\n{end}all of its output: {}",
        outcome.status,
        clock::in_words(outcome.elapsed),
        outcome.log.display(),
    )
}

/// Runs `command` to its end, its output going to a log file named after the step.
pub(crate) fn run_to_end(name: &str, command: &mut Command, show: Show) -> anyhow::Result<Outcome> {
    let log = log_path(name)?;
    let file = File::create(&log).with_context(|| format!("failed to create {}", log.display()))?;
    let watch = Stopwatch::start();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("failed to share the log file")?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("failed to start {}", command.get_program().display()))?;

    let mut progress = Progress::new(name, show, &log)?;
    let status = loop {
        if let Some(status) = child.try_wait().context("failed to wait for a child")? {
            break status;
        }
        progress.update(watch)?;
        clock::pause();
    };
    progress.finish(watch, status)?;
    Ok(Outcome {
        status,
        log,
        elapsed: watch.elapsed(),
        was_shown: progress.announced && show == Show::OutputWhenLong,
    })
}

/// Runs `command` and returns what it wrote to standard output, or nothing if it failed.
pub(crate) fn capture(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let succeeded = output.status.success();
    succeeded.then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last lines of a text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(TAIL_LINES);
    lines.get(first..).unwrap_or_default().join("\n")
}

/// Reads a file as text; bytes that are not UTF-8 are replaced.
pub(crate) fn read_lossy(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn log_path(name: &str) -> anyhow::Result<PathBuf> {
    let dir = workspace::logs();
    fs::create_dir_all(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
    let word = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    let file: String = name.chars().map(word).chain(".log".chars()).collect();
    Ok(dir.join(file))
}

/// Tells the person at the terminal how a step goes.
struct Progress<'a> {
    name: &'a str,
    show: Show,
    log: File,
    announced: bool,
    next_heartbeat: Duration,
}

impl<'a> Progress<'a> {
    fn new(name: &'a str, show: Show, log: &Path) -> anyhow::Result<Self> {
        let log = File::open(log).with_context(|| format!("failed to open {}", log.display()))?;
        Ok(Self {
            name,
            show,
            log,
            announced: false,
            next_heartbeat: HEARTBEAT,
        })
    }

    fn update(&mut self, watch: Stopwatch) -> anyhow::Result<()> {
        if watch.elapsed() < QUIET_FOR {
            return Ok(());
        }
        if !self.announced {
            self.announced = true;
            output::progress(format_args!("{} ...", self.name));
        }
        match self.show {
            Show::OutputWhenLong => self.pass_on_output()?,
            Show::Heartbeat if watch.elapsed() >= self.next_heartbeat => {
                self.next_heartbeat += HEARTBEAT;
                let line = self.last_line()?;
                output::progress(format_args!("{} ... {}: {line}", self.name, watch.words()));
            }
            Show::Heartbeat => {}
        }
        Ok(())
    }

    fn finish(&mut self, watch: Stopwatch, status: ExitStatus) -> anyhow::Result<()> {
        if !self.announced {
            return Ok(());
        }
        if self.show == Show::OutputWhenLong {
            self.pass_on_output()?;
        }
        let how = if status.success() { "done" } else { "failed" };
        output::progress(format_args!("{}: {how} in {}", self.name, watch.words()));
        Ok(())
    }

    fn pass_on_output(&mut self) -> anyhow::Result<()> {
        output::pass_on(&self.new_output()?);
        Ok(())
    }

    /// What the child has just written, as far as it fits on a line.
    fn last_line(&mut self) -> anyhow::Result<String> {
        let text = self.new_output()?;
        let line = text
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("(no output)");
        Ok(line.trim().chars().take(MAX_LINE_CHARS).collect())
    }

    /// The log grows while it is read; reading goes on where it ended the last time.
    fn new_output(&mut self) -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        let read = self.log.read_to_end(&mut bytes);
        read.with_context(|| format!("failed to read the output of {}", self.name))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_shows_the_last_lines_and_where_the_rest_is() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let error = run("xtask unit test", &mut command, Show::Heartbeat)
            .unwrap_err()
            .to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("out\nerr"), "{error}");
        assert!(error.contains("xtask-unit-test.log"), "{error}");
    }

    #[test]
    fn keeps_the_end_of_a_long_text() {
        let lines: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let text = lines.join("\n");
        assert!(tail(&text).starts_with("60\n"));
        assert!(tail(&text).ends_with("99"));
    }

    #[test]
    fn nested_cargo_keeps_registry_settings() {
        for kept in [
            "CARGO_HOME",
            "RUSTUP_HOME",
            "CARGO_REGISTRIES_X_INDEX",
            "CARGO_TARGET_DIR",
        ] {
            assert!(!is_set_by_cargo_run(OsStr::new(kept)), "{kept}");
        }
        for dropped in [
            "CARGO",
            "CARGO_PKG_NAME",
            "CARGO_MANIFEST_DIR",
            "LD_LIBRARY_PATH",
        ] {
            assert!(is_set_by_cargo_run(OsStr::new(dropped)), "{dropped}");
        }
    }
}
