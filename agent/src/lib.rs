//! The node agent as a library: from kernel records to acked batches; must not print or exit.

pub mod admin;
pub mod attribute;
pub mod collect;
pub mod config;
pub mod coverage;
pub mod decode;
pub mod governor;
pub mod heap;
pub mod kernel;
pub mod loss;
pub mod metrics;
pub mod privileges;
pub mod probes;
pub mod profile_desk;
pub mod run;
pub mod self_test;
pub mod ship;
pub mod spool;
pub mod state_dir;
pub mod syscalls;
pub mod telemetry;
