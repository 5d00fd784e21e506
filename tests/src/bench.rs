//! Benches: figures of the product against absolute bars, each the median of several runs on an
//! otherwise idle machine. Must print the load under which they were taken.

pub mod agent;
mod bpf;
pub mod idle;
pub mod oom_latency;
mod process;

use crate::proof::median;

/// The median of one figure over the runs.
fn median_of<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> anyhow::Result<f64> {
    let figures: Vec<f64> = runs.iter().map(figure).collect();
    median(&figures).ok_or_else(|| anyhow::anyhow!("a bench needs at least one run"))
}
