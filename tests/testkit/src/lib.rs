//! Doubles and builders for tests: what the real thing cannot be had for in a test. Must hold no
//! behaviour of the product itself, only the other side of its contracts.

#![forbid(unsafe_code)]

pub mod agent;
pub mod llm;
mod privileges;
pub mod signal;
mod skip;

pub use privileges::documented_capabilities;
pub use skip::skip;
