//! Yields what the kernel side saw, in the order in which it was read; must not store or send it.

use inquest_proto::v1;

/// One thing a collector hands on.
#[derive(Debug)]
pub enum Observed {
    /// An attributed signal; its id is still empty.
    Signal(Box<v1::Signal>),
    /// Something that was not kept.
    Loss(v1::Loss),
    /// Everything that happened before this wall-clock time has been handed on.
    Watermark(jiff::Timestamp),
}
