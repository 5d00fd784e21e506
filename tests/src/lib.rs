//! Harnesses that hold the real binaries against the real kernel: demos, benches, kernel, crash and
//! explanation tests. Must take its truth from the kernel and from wait, never from the product.

pub mod bench;
pub mod binaries;
pub mod client;
pub mod crash;
pub mod demo;
pub mod explain;
pub mod guest;
pub mod host;
pub mod kernel;
pub mod kernel_log;
pub mod namespaces;
pub mod output;
pub mod proof;
mod readable;
pub mod scratch;
pub mod self_test;
pub mod stack;
pub mod tool;
pub mod traces;
pub mod truth;
pub mod victim;
