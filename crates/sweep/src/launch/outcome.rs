//! How a run ended, as its own folder tells, whatever started it.

use std::fs;
use std::path::Path;

use forescale_core::record::LogLine;
use forescale_core::run::RunId;

use crate::store::Store;

/// Lines of a failed process's words that are reported.
const LAST_LINES: usize = 12;

/// Memory needed and memory there was, bytes, as far as they were told.
pub(super) type Refusal = (Option<u64>, Option<u64>);

/// What memory did not suffice for, by each line of a run's log that says so.
pub(super) fn refusals(store: &Store, id: &RunId) -> Vec<Refusal> {
    // A log that cannot be read says nothing; the run's own end says what is wrong with it.
    let lines = store.log(id).unwrap_or_default();
    let refusal = |line: &LogLine| match line {
        LogLine::OutOfMemory { needed_bytes, free_bytes, .. } => Some((*needed_bytes, *free_bytes)),
        _ => None,
    };
    lines.iter().filter_map(refusal).collect()
}

/// The last lines of a file of words; none where there is no such file.
pub(super) fn last_words(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
