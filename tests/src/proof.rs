//! The one language of all proofs: figures for people, then one line per bar, an exit code, JSON.
//! Must not measure anything itself.

mod quantile;

use std::fmt::{self, Display};
use std::mem;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use quantile::{median, quantile};

use crate::{host, output};

/// One figure held against what it must be; prints as `NAME: FIGURE (bar BAR): ok` or `... : short`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Bar {
    pub name: String,
    pub figure: String,
    pub bar: String,
    pub ok: bool,
}

impl Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.ok { "ok" } else { "short" };
        write!(
            f,
            "{}: {} (bar {}): {verdict}",
            self.name, self.figure, self.bar
        )
    }
}

/// A quantity with its unit, printed with as many digits as it is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    pub value: f64,
    pub unit: &'static str,
}

impl Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, unit } = *self;
        let digits = match value.abs() {
            0.0 => 0,
            v if v >= 100.0 => 0,
            v if v >= 10.0 => 1,
            v if v >= 1.0 => 2,
            v if v >= 0.1 => 3,
            _ => 4,
        };
        write!(f, "{value:.digits$} {unit}")
    }
}

/// Milliseconds.
pub fn ms(value: f64) -> Quantity {
    Quantity { value, unit: "ms" }
}

/// Mebibytes, of a number of bytes.
pub fn mib(bytes: f64) -> Quantity {
    Quantity {
        value: bytes / f64::from(1 << 20),
        unit: "MiB",
    }
}

/// Percent, of a fraction.
pub fn percent(fraction: f64) -> Quantity {
    Quantity {
        value: fraction * 100.0,
        unit: "%",
    }
}

/// Collects the figures and bars of one proof.
#[derive(Debug)]
pub struct Proof {
    name: String,
    started_under_load: f64,
    figures: Map<String, Value>,
    bars: Vec<Bar>,
}

impl Proof {
    /// Begins a proof and prints the load under which it is taken.
    pub fn begin(name: impl Into<String>) -> anyhow::Result<Self> {
        let name = name.into();
        let load = host::load_average()?;
        output::line(format_args!(
            "{name}: on {} with {} CPUs, load {load:.2}",
            host::kernel_release(),
            host::cpus()
        ));
        Ok(Self {
            name,
            started_under_load: load,
            figures: Map::new(),
            bars: Vec::new(),
        })
    }

    /// Keeps a figure for the JSON and prints it.
    pub fn figure(&mut self, name: &str, value: impl Serialize + Display) -> anyhow::Result<()> {
        output::line(format_args!("  {name}: {value}"));
        self.keep(name, value)
    }

    /// Keeps a figure for the JSON alone.
    pub fn keep(&mut self, name: &str, value: impl Serialize) -> anyhow::Result<()> {
        let value =
            serde_json::to_value(value).with_context(|| format!("failed to keep {name}"))?;
        self.figures.insert(name.to_owned(), value);
        Ok(())
    }

    /// The figure must be below the bar.
    pub fn below(&mut self, name: &str, figure: Quantity, bar: f64) {
        let bar = Quantity {
            value: bar,
            ..figure
        };
        self.push(name, figure, format!("< {bar}"), figure.value < bar.value);
    }

    /// The figure must not be above the bar.
    pub fn at_most(&mut self, name: &str, figure: Quantity, bar: f64) {
        let bar = Quantity {
            value: bar,
            ..figure
        };
        self.push(name, figure, format!("<= {bar}"), figure.value <= bar.value);
    }

    /// The figure must be exactly the bar.
    pub fn exactly<T: Display + PartialEq>(&mut self, name: &str, figure: T, bar: T) {
        let ok = figure == bar;
        self.push(name, figure, bar, ok);
    }

    /// Adds a bar that was judged elsewhere.
    pub fn add(&mut self, bar: Bar) {
        self.bars.push(bar);
    }

    /// Gives away what was collected so far, to be judged elsewhere.
    pub fn take(&mut self) -> (Map<String, Value>, Vec<Bar>) {
        (mem::take(&mut self.figures), mem::take(&mut self.bars))
    }

    fn push(&mut self, name: &str, figure: impl Display, bar: impl Display, ok: bool) {
        self.bars.push(Bar {
            name: name.to_owned(),
            figure: figure.to_string(),
            bar: bar.to_string(),
            ok,
        });
    }

    /// The bars that are not met.
    pub fn short(&self) -> impl Iterator<Item = &Bar> {
        self.bars.iter().filter(|bar| !bar.ok)
    }

    /// Prints one line per bar, writes the JSON if asked, and gives exit code 1 when a bar is short.
    pub fn finish(self, json: Option<&Path>) -> anyhow::Result<ExitCode> {
        output::line("");
        for bar in &self.bars {
            output::line(bar);
        }
        let ok = self.short().next().is_none();
        if let Some(path) = json {
            self.write(path, ok)?;
        }
        Ok(if ok {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn write(self, path: &Path, ok: bool) -> anyhow::Result<()> {
        let document = serde_json::json!({
            "name": self.name,
            "ok": ok,
            "kernel": host::kernel_release(),
            "cpus": host::cpus(),
            "load": self.started_under_load,
            "figures": self.figures,
            "bars": self.bars,
        });
        let text = serde_json::to_string_pretty(&document)?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("failed to write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_prints_its_figure_and_verdict() {
        let mut proof = Proof::begin("test").unwrap();
        proof.below("latency p99", ms(12.345), 500.0);
        proof.at_most("memory", mib(f64::from(41 << 20)), 40.0);
        proof.exactly("victims reported", 199, 200);
        let lines: Vec<_> = proof.bars.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "latency p99: 12.3 ms (bar < 500 ms): ok",
                "memory: 41.0 MiB (bar <= 40.0 MiB): short",
                "victims reported: 199 (bar 200): short",
            ]
        );
    }

    #[test]
    fn one_short_bar_fails_the_proof_and_all_of_it_is_in_the_json() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proof.json");
        let mut proof = Proof::begin("test").unwrap();
        proof.figure("kills", 100).unwrap();
        proof.exactly("a", 1, 1);
        proof.exactly("b", 1, 2);
        let code = proof.finish(Some(&path)).unwrap();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
        let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["figures"]["kills"], 100);
        assert_eq!(json["bars"][0]["ok"], true);
        assert_eq!(json["bars"][1]["bar"], "2");
    }

    #[test]
    fn a_bar_equal_to_its_limit_is_not_below_it() {
        let mut proof = Proof::begin("test").unwrap();
        proof.below("x", ms(500.0), 500.0);
        proof.at_most("x", ms(500.0), 500.0);
        assert_eq!(
            proof.bars.iter().map(|b| b.ok).collect::<Vec<_>>(),
            [false, true]
        );
    }
}
