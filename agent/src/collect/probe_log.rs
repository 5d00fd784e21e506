//! Hands what the probes log for their developers to the agent's own log. Does nothing without feature
//! `probe-log`, which needs an object built with `cargo xtask build-ebpf --log`.

use aya::Ebpf;

/// The lines that probes log.
#[cfg(feature = "probe-log")]
pub(crate) struct ProbeLog(Option<Box<dyn FnMut() + Send>>);

#[cfg(feature = "probe-log")]
impl ProbeLog {
    /// Opens the log of the programs in `ebpf`, if they were built to have one.
    pub(crate) fn open(ebpf: &mut Ebpf) -> Self {
        match aya_log::EbpfLogger::init(ebpf) {
            Ok(mut logger) => Self(Some(Box::new(move || logger.flush()))),
            Err(error) => {
                tracing::warn!(%error, "the probes have no log");
                Self(None)
            }
        }
    }

    /// Logs what there is now.
    pub(crate) fn flush(&mut self) {
        if let Some(flush) = &mut self.0 {
            flush();
        }
    }
}

/// The lines that probes log: none.
#[cfg(not(feature = "probe-log"))]
pub(crate) struct ProbeLog;

#[cfg(not(feature = "probe-log"))]
impl ProbeLog {
    /// Does nothing.
    pub(crate) fn open(_ebpf: &mut Ebpf) -> Self {
        Self
    }

    /// Does nothing.
    #[expect(clippy::unused_self, reason = "the same shape as with the feature")]
    pub(crate) fn flush(&mut self) {}
}
