//! The outward contract, shared by aggregator and command line: REST objects, the report, and the
//! edge where wire signals become engine signals. Must hold no I/O and no judgement of its own.

#![forbid(unsafe_code)]

pub mod incident;
pub mod node;
pub mod object;
pub mod problem;
pub mod signal;
pub mod status;
pub mod time;

pub use incident::{Analysis, AnalysisState, Incident};
pub use object::{API_VERSION, List, Report};
pub use problem::Problem;
