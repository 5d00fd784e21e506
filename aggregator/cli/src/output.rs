//! Everything that reaches the terminal: data on stdout, talk on stderr. The only module that
//! prints; must not fetch or conclude anything.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use self::color::Paint;
use crate::args::{ColorWhen, Format, OutputArgs};
use crate::failure::{Exit, Failure};

pub(crate) mod color;
mod json;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod why;

/// Width where neither COLUMNS nor a terminal tells one.
const DEFAULT_WIDTH: usize = 100;
/// Narrower than this, wrapped text is unreadable; wider, too.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=160;

/// What a text is laid out for.
pub(crate) struct Page {
    /// Ages count from here.
    pub now: jiff::Timestamp,
    pub width: usize,
    pub paint: Paint,
    /// Everything rather than what fits a screen.
    pub wide: bool,
    pub headers: bool,
}

/// Something that a command shows; as JSON and YAML it is its own serialization.
pub(crate) trait View: Serialize {
    /// The text for people, with its final newline.
    fn text(&self, page: &Page) -> String;
    /// `kind/name` of each object.
    fn names(&self) -> Vec<String>;
}

/// Where a command prints, and how.
pub(crate) struct Output {
    format: Format,
    headers: bool,
    color: ColorWhen,
    name: &'static str,
}

impl Output {
    /// Prints as the options say; `name` is how the program was called.
    pub(crate) fn new(args: &OutputArgs, color: ColorWhen, name: &'static str) -> Self {
        Self {
            format: args.output,
            headers: !args.no_headers,
            color,
            name,
        }
    }

    /// The format asked for.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The same, for the next part of one long table.
    pub(crate) fn continued(&self, headers: bool) -> Self {
        Self {
            headers: self.headers && headers,
            ..*self
        }
    }

    /// Prints one view; ages count from `now`.
    pub(crate) fn show(&self, view: &impl View, now: jiff::Timestamp) -> Result<(), Failure> {
        let text = match self.format {
            Format::Json => json::json(view)?,
            Format::Yaml => json::yaml(view)?,
            Format::Name => lines(&view.names()),
            Format::Table | Format::Wide => spell(&view.text(&self.page(now)), self.name),
        };
        data(&text)
    }

    /// Prints one object as a line of JSON, for streams.
    pub(crate) fn json_line(object: &impl Serialize) -> Result<(), Failure> {
        data(&json::line(object)?)
    }

    /// What texts are laid out for.
    pub(crate) fn page(&self, now: jiff::Timestamp) -> Page {
        Page {
            now,
            width: width(),
            paint: Paint::decide(self.color, io::stdout().is_terminal()),
            wide: self.format == Format::Wide,
            headers: self.headers,
        }
    }

    /// Says something to the person on stderr.
    pub(crate) fn note(&self, text: &str) {
        talk(&spell(text, self.name));
    }
}

fn lines(names: &[String]) -> String {
    names.iter().flat_map(|name| [name, "\n"]).collect()
}

/// Writes data to stdout. A reader that went away ends the program quietly and well.
#[expect(
    clippy::exit,
    reason = "nobody reads on; there is nothing left to do or to say"
)]
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::new(
            "cannot write to standard output",
            error,
            "check where it is redirected to, and the space left there",
        )),
        Ok(()) => Ok(()),
    }
}

/// Prints an error in three lines on stderr.
pub(crate) fn failure(failure: &Failure, name: &str) {
    let text = format!(
        "error: {}\nwhy:   {}\nnext:  {}",
        text::clean(&failure.what),
        text::clean(&failure.why),
        text::clean(&failure.next),
    );
    talk(&spell(&text, name));
}

/// Prints what the parser has to say: help on stdout, errors on stderr.
pub(crate) fn usage(error: &clap::Error) -> Exit {
    // Nothing better can be done when the terminal is gone.
    drop(error.print());
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Ok
    }
}

/// Writes to stderr; when that is gone there is nobody left to tell.
fn talk(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Spells the commands in a text the way the program was called.
fn spell(text: &str, name: &str) -> String {
    text.replace("`inquest ", &format!("`{name} "))
}

/// COLUMNS, else the terminal's width, else a default; held within what can be read.
fn width() -> usize {
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok());
    columns
        .or_else(terminal_width)
        .unwrap_or(DEFAULT_WIDTH)
        .clamp(*WIDTHS.start(), *WIDTHS.end())
}

fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
