//! One small run of each proof against the real binaries.
