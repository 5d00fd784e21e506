//! The deterministic engine: signals in, incidents out. It must not read a clock, a file, a socket
//! or a random source; time and inventory come in as data, so the same input gives the same output.

#![forbid(unsafe_code)]

pub mod config;
mod correlate;
mod detect;
mod explain;
mod incidents;
pub mod model;
#[cfg(test)]
mod properties;
pub mod rank;
pub mod step;
#[cfg(test)]
mod testing;

pub use config::Config;
pub use step::{Engine, Input, Output};
