//! `items.jsonl`: how a run answered the problems of its corpus, one result a line.
//!
//! It is written before the record, which holds the digest of the results: a record without its results, or with others,
//! is found out when they are read.

use std::fs;
use std::path::Path;

use forescale_core::digest::json_list_digest;
use forescale_core::items::ItemResult;
use forescale_core::record::RunRecord;

use super::{StoreError, write_atomically};

const FILE: &str = "items.jsonl";

/// Writes the results of a run in one step.
pub(super) fn save(folder: &Path, items: &[ItemResult]) -> Result<(), StoreError> {
    let mut lines = Vec::new();
    for item in items {
        serde_json::to_writer(&mut lines, item).expect("a result has a JSON form");
        lines.push(b'\n');
    }
    write_atomically(&folder.join(FILE), &lines)
}

/// The results that a record speaks of; none where it speaks of none.
pub(super) fn read(folder: &Path, record: &RunRecord) -> Result<Vec<ItemResult>, StoreError> {
    let Some(digest) = &record.items_digest else { return Ok(Vec::new()) };
    let path = folder.join(FILE);
    let text = fs::read_to_string(&path).map_err(|cause| StoreError::reading(&path, cause))?;
    let items =
        text.lines().enumerate().map(|(index, line)| parse(&path, index, line)).collect::<Result<Vec<_>, _>>()?;
    let found = json_list_digest(&items);
    if found == *digest {
        return Ok(items);
    }
    Err(damaged(&path, format!("its results have the digest `{found}`; the record of the run says `{digest}`")))
}

fn parse(path: &Path, index: usize, line: &str) -> Result<ItemResult, StoreError> {
    serde_json::from_str(line).map_err(|error| damaged(path, format!("line {} is no result: {error}", index + 1)))
}

fn damaged(path: &Path, problem: String) -> StoreError {
    StoreError::new(
        path,
        problem,
        "the file was changed after it was written: restore it, or remove the run's folder to train it anew",
    )
}
