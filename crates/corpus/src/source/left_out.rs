//! The tally of documents that were left out, so that nothing is dropped in silence.

use std::collections::BTreeMap;

use forescale_core::corpus::LeftOut;

/// Documents left out so far, by reason.
#[derive(Default)]
pub(super) struct Tally(BTreeMap<&'static str, (u64, u64)>);

impl Tally {
    /// Counts one document of this many bytes.
    pub(super) fn add(&mut self, reason: &'static str, bytes: u64) {
        let entry = self.0.entry(reason).or_default();
        entry.0 += 1;
        entry.1 += bytes;
    }

    /// The counts in words, ` (left out: 1 empty, 2 not_utf8)`; nothing where nothing was left out.
    pub(super) fn words(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let counts: Vec<String> =
            self.0.iter().map(|(reason, (documents, _))| format!("{documents} {reason}")).collect();
        format!(" (left out: {})", counts.join(", "))
    }

    /// As the manifest has it, sorted by reason.
    pub(super) fn finish(self) -> Vec<LeftOut> {
        let entries = self.0.into_iter();
        entries.map(|(reason, (documents, bytes))| LeftOut { reason: reason.into(), documents, bytes }).collect()
    }
}
