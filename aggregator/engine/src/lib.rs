//! The deterministic engine: signals in, incidents out. It must not read a clock, a file, a socket
//! or a random source; time and inventory come in as data, so the same input gives the same output.

#![forbid(unsafe_code)]

pub mod model;
pub mod step;

pub use step::{Engine, Input, Output};
