//! How analysis fares, for the status answer. Must not keep what a provider wrote beyond one short error.

use std::sync::{Mutex, MutexGuard, PoisonError};

use inquest_api::status::AnalysisStatus;

/// Shared by the ends that ask and that tell.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    dropped_sentences: u64,
    last_error: Option<String>,
}

impl Standing {
    /// An answer came and was checked.
    pub(crate) fn answered(&self, dropped_sentences: u64) {
        let mut inner = self.lock();
        inner.dropped_sentences = inner.dropped_sentences.saturating_add(dropped_sentences);
        inner.last_error = None;
    }

    /// No usable answer came.
    pub(crate) fn failed(&self, error: String) {
        self.lock().last_error = Some(error);
    }

    /// The status object of a configured provider.
    pub(crate) fn status(&self, provider: &str, model: &str) -> AnalysisStatus {
        let inner = self.lock();
        let state = if inner.last_error.is_some() {
            "failing"
        } else {
            "ok"
        };
        AnalysisStatus {
            state: state.to_owned(),
            provider: provider.to_owned(),
            model: model.to_owned(),
            dropped_sentences: inner.dropped_sentences,
            last_error: inner.last_error.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
