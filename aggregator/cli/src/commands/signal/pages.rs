//! Reads signals page by page, newest first, as the aggregator lists them. Must hold no more than
//! the caller asked for.

use inquest_api::List;
use serde_json::Value;

use crate::client::Client;
use crate::failure::Failure;

/// Most items one request asks for; the aggregator's own cap.
pub(super) const PAGE_ITEMS: usize = 1000;

/// The pages of one question.
pub(crate) struct Pages<'a> {
    client: &'a Client,
    filters: Vec<(&'static str, String)>,
    cursor: Option<String>,
    finished: bool,
}

impl<'a> Pages<'a> {
    /// Starts at the newest signal that the filters let through.
    pub(crate) fn new(client: &'a Client, filters: Vec<(&'static str, String)>) -> Self {
        Self {
            client,
            filters,
            cursor: None,
            finished: false,
        }
    }

    /// The next page of at most `limit` signals; `None` after the last.
    pub(crate) async fn next(&mut self, limit: usize) -> Result<Option<Vec<Value>>, Failure> {
        if self.finished {
            return Ok(None);
        }
        let mut query = self.filters.clone();
        query.push(("limit", limit.min(PAGE_ITEMS).to_string()));
        query.extend(self.cursor.take().map(|cursor| ("continue", cursor)));
        let page: List<Value> = self.client.get(&["signals"], &query).await?;
        self.cursor = page.metadata.continue_token;
        self.finished = self.cursor.is_none();
        Ok(Some(page.items))
    }

    /// The newest `limit` signals, and whether older ones match as well.
    pub(crate) async fn newest(&mut self, limit: usize) -> Result<(Vec<Value>, bool), Failure> {
        let mut signals = Vec::new();
        while signals.len() < limit {
            let Some(page) = self.next(limit - signals.len()).await? else {
                break;
            };
            signals.extend(page);
        }
        signals.truncate(limit);
        Ok((signals, !self.finished))
    }
}
