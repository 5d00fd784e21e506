//! What a guest says to the harness: one JSON value a line, over a serial line of its own that no kernel message
//! gets into.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::proof::Bar;

/// A line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The guest is up; `uname -r`.
    Up(String),
    /// Something worth printing.
    Figure(String, String),
    /// A figure held against what it must be.
    Bar(Bar),
    /// The suite could not be made.
    Failed(String),
    /// Everything was said.
    End,
}

/// The guest's end of the line.
#[derive(Debug)]
pub(super) struct Speaker(File);

impl Speaker {
    /// Opens the serial line.
    pub(super) fn open(device: &str) -> anyhow::Result<Self> {
        let file = File::options().write(true).open(device);
        Ok(Self(
            file.with_context(|| format!("failed to open {device}"))?,
        ))
    }

    /// Says one line.
    pub(super) fn say(&mut self, line: &Line) -> anyhow::Result<()> {
        let text = serde_json::to_string(line).context("failed to write a line")? + "\n";
        self.0
            .write_all(text.as_bytes())
            .context("failed to speak to the harness")
    }
}

/// All that a guest said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) kernel: Option<String>,
    pub(super) figures: BTreeMap<String, String>,
    pub(super) bars: Vec<Bar>,
    pub(super) failure: Option<String>,
    pub(super) ended: bool,
}

impl Said {
    /// Takes one line as it came.
    pub(super) fn take(&mut self, text: &str) -> anyhow::Result<()> {
        let line = serde_json::from_str(text.trim_end())
            .with_context(|| format!("failed to understand a guest: {text}"))?;
        match line {
            Line::Up(kernel) => self.kernel = Some(kernel),
            Line::Figure(name, figure) => drop(self.figures.insert(name, figure)),
            Line::Bar(bar) => self.bars.push(bar),
            Line::Failed(why) => self.failure = Some(why),
            Line::End => self.ended = true,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_said_is_understood() {
        let mut said = Said::default();
        let bar = Bar {
            name: "kills".to_owned(),
            figure: "3".to_owned(),
            bar: "3".to_owned(),
            ok: true,
        };
        for line in [
            Line::Up("6.1.0".to_owned()),
            Line::Figure("kills".to_owned(), "3".to_owned()),
            Line::Bar(bar.clone()),
            Line::End,
        ] {
            // A terminal line ends as terminals do.
            said.take(&(serde_json::to_string(&line).unwrap() + "\r\n"))
                .unwrap();
        }
        assert_eq!(said.kernel.as_deref(), Some("6.1.0"));
        assert_eq!(said.bars, [bar]);
        assert!(said.ended && said.failure.is_none());
        assert!(said.take("[    0.1] Linux version").is_err());
    }
}
