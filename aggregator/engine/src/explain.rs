//! The engine's words: facts and stories in plain language. Must not decide: it only words what
//! detectors found, and says nothing that no fact holds.

pub(crate) mod address;
pub(crate) mod clock;
pub(crate) mod facts;
pub(crate) mod quantity;
pub(crate) mod quote;
pub(crate) mod signal_name;
pub(crate) mod story;
pub(crate) mod undetermined;
