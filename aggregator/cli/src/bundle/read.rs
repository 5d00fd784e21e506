//! Reads a bundle into memory. Must bound what it reads, refuse what reaches outside the bundle,
//! and count every line and file that it does not understand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use inquest_api::node::Node;
use inquest_api::{List, signal};
use inquest_engine::model::{NodeName, Signal, SignalBody};

use self::lines::{Line, Lines};
use super::{MANIFEST, Manifest, NODES, SIGNALS, VERSION};
use crate::failure::Failure;

mod archive;
mod bounded;
mod folder;
mod lines;

/// Most signals held at once: some hundred MB, and more than a day of a busy node.
const MAX_SIGNALS: usize = 1_000_000;
/// Largest `bundle.json` and `nodes.json`.
const MAX_DOCUMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Most files in a bundle.
const MAX_FILES: usize = 100_000;

/// One case, as far as this version reads it.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub manifest: Manifest,
    /// In the order of the file.
    pub signals: Vec<Signal>,
    pub nodes: Vec<Node>,
    pub unread: Unread,
}

/// What was there and was not understood.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Unread {
    /// Lines of `signals.jsonl` that are no signal.
    pub lines: u64,
    /// The first of them: its number and why.
    pub first: Option<(u64, String)>,
    /// Signals of a kind that this version does not know.
    pub unknown_kinds: u64,
    /// Files by what they are, for example `logs/`.
    pub files: BTreeMap<String, u64>,
}

/// Receives each file: its path within the bundle, `/` between parts, and its content.
type Visit<'a> = &'a mut dyn FnMut(&str, &mut dyn Read) -> Result<(), Failure>;

/// Reads a folder or a `.tar.gz`.
pub(crate) fn read(path: &Path) -> Result<Bundle, Failure> {
    let mut reader = Reader::default();
    let mut visit = |name: &str, content: &mut dyn Read| reader.file(name, content);
    let metadata = std::fs::metadata(path).map_err(|error| failure(path, error))?;
    let visited = if metadata.is_dir() {
        folder::visit(path, &mut visit)
    } else {
        archive::visit(path, &mut visit)
    };
    visited.map_err(|failure| named(path, failure))?;
    reader.finish().map_err(|failure| named(path, failure))
}

fn failure(path: &Path, error: impl std::fmt::Display) -> Failure {
    let what = format!("cannot read bundle {}", path.display());
    Failure::new(
        what,
        error,
        "give a folder or a .tar.gz made by `inquest bundle create`",
    )
}

/// Says of which bundle a failure inside it speaks.
fn named(path: &Path, inner: Failure) -> Failure {
    Failure {
        what: format!("cannot read bundle {}: {}", path.display(), inner.what),
        ..inner
    }
}

/// Collects a bundle file by file.
#[derive(Default)]
struct Reader {
    manifest: Option<Manifest>,
    signals: Vec<Signal>,
    nodes: Vec<Node>,
    unread: Unread,
}

impl Reader {
    fn file(&mut self, name: &str, content: &mut dyn Read) -> Result<(), Failure> {
        match name {
            MANIFEST => self.manifest = Some(manifest(content)?),
            NODES => self.read_nodes(content),
            SIGNALS => self.read_signals(BufReader::new(content))?,
            _ => self.unread_file(class(name)),
        }
        Ok(())
    }

    fn unread_file(&mut self, class: String) {
        *self.unread.files.entry(class).or_default() += 1;
    }

    fn read_nodes(&mut self, content: &mut dyn Read) {
        match serde_json::from_reader::<_, List<Node>>(content.take(MAX_DOCUMENT_BYTES)) {
            Ok(list) => self.nodes = list.items,
            Err(_) => self.unread_file(format!("{NODES} (damaged)")),
        }
    }

    fn read_signals(&mut self, content: impl BufRead) -> Result<(), Failure> {
        for (number, line) in (1..).zip(Lines::new(content)) {
            let line = line.map_err(|error| {
                let what = format!("{SIGNALS} ends at line {number}");
                Failure::new(what, error, "record or copy it again: the file is damaged")
            })?;
            self.signal(number, &line);
            if self.signals.len() > MAX_SIGNALS {
                let what = format!("{SIGNALS} is too large");
                let why = format!("it holds more than {MAX_SIGNALS} signals");
                let next = "record a shorter span with `inquest bundle create --since`";
                return Err(Failure::new(what, why, next));
            }
        }
        Ok(())
    }

    fn signal(&mut self, number: u64, line: &Line) {
        match parse(line) {
            Ok(None) => {}
            Ok(Some(signal)) => {
                if signal.body == SignalBody::Unknown {
                    self.unread.unknown_kinds += 1;
                }
                self.signals.push(signal);
            }
            Err(why) => {
                self.unread.lines += 1;
                self.unread.first.get_or_insert((number, why));
            }
        }
    }

    fn finish(self) -> Result<Bundle, Failure> {
        let manifest = self.manifest.ok_or_else(|| {
            let next = "is it a bundle? docs/bundle.md says what belongs into one";
            Failure::new("it is no bundle", format!("it has no {MANIFEST}"), next)
        })?;
        Ok(Bundle {
            manifest,
            signals: self.signals,
            nodes: self.nodes,
            unread: self.unread,
        })
    }
}

fn manifest(content: &mut dyn Read) -> Result<Manifest, Failure> {
    let manifest: Manifest =
        serde_json::from_reader(content.take(MAX_DOCUMENT_BYTES)).map_err(|error| {
            let what = format!("{MANIFEST} is damaged");
            Failure::new(what, error, "compare it with docs/bundle.md")
        })?;
    if manifest.version != VERSION {
        let what = format!("version {} of the format is not known", manifest.version);
        let why = format!("this version of inquest reads version {VERSION}");
        return Err(Failure::new(
            what,
            why,
            "use the `inquest` that recorded it",
        ));
    }
    Ok(manifest)
}

/// Reads one line; an empty one is nothing.
fn parse(line: &Line) -> Result<Option<Signal>, String> {
    let bytes = match line {
        Line::Whole(bytes) => bytes.trim_ascii(),
        Line::TooLong => return Err("it is longer than 1 MiB".to_owned()),
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    let value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let wire = signal::from_json(value).map_err(|error| error.to_string())?;
    let signal = signal::to_engine(&wire, &NodeName::default());
    signal.map(Some).map_err(|error| error.to_string())
}

/// What a file is, by where the format puts it.
fn class(name: &str) -> String {
    match name.split_once('/') {
        Some((folder @ ("objects" | "logs" | "metrics"), _)) => format!("{folder}/"),
        _ => match name {
            "events.json" | "traces.jsonl" | "graph.json" | "changes.jsonl" | "alerts.json" => {
                name.to_owned()
            }
            _ => "other files".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests;
