//! `files`: text, JSONL and Parquet in folders and globs.
//!
//! A text file is one document; so is each line of a JSONL file and each row of a Parquet file. Documents come in the
//! order of their paths, each ends with a zero byte, exact copies are dropped. Validation documents are the first by
//! digest until their share of the bytes is reached, so that the split does not depend on names or order.

mod parse;

use std::collections::HashSet;
use std::path::PathBuf;

use forescale_core::corpus::FilesSpec;
use forescale_core::digest::{json_digest, sha256_hex};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use self::parse::Document;
use super::Source;
use super::gather::{self, InputFile};
use super::left_out::Tally;
use crate::build::{BuildRequest, Progress};
use crate::content::{Content, Piece, Text};
use crate::error::CorpusError;
use crate::tokenizer;

/// Raised whenever the same files would give other tokens.
const READER_VERSION: u32 = 1;

/// Files read at once between two reports of progress.
const FILES_PER_REPORT: usize = 64;

/// The source, with its spec.
pub(crate) struct Files<'a>(pub(crate) &'a FilesSpec);

impl Source for Files<'_> {
    fn name(&self) -> &'static str {
        "files"
    }

    /// Reads every file, because a file can change and keep its length and time.
    fn key(&self, request: &BuildRequest) -> Result<String, CorpusError> {
        self.check()?;
        let files = gather::files(&self.0.paths, request.spec_dir)?;
        let prints = files.par_iter().map(fingerprint).collect::<Result<Vec<_>, _>>()?;
        let text = json_digest(&(READER_VERSION, self.0.validation_share, prints));
        tokenizer::key(text, &self.0.tokenizer, request.spec_dir)
    }

    fn read(&self, request: &BuildRequest, progress: &mut dyn FnMut(Progress)) -> Result<Content, CorpusError> {
        tokenizer::tokenise(self.text(request, progress)?, &self.0.tokenizer, request.spec_dir, progress)
    }
}

impl Files<'_> {
    /// The documents of both splits, before they are cut into tokens.
    pub(crate) fn text(&self, request: &BuildRequest, progress: &mut dyn FnMut(Progress)) -> Result<Text, CorpusError> {
        self.check()?;
        let files = gather::files(&self.0.paths, request.spec_dir)?;
        let documents = read_documents(&files, progress)?;
        let mut tally = Tally::default();
        let kept = screen(documents, &mut tally);
        let held_out = choose_validation(&kept, self.0.validation_share, &tally)?;
        Ok(split(kept, &held_out, tally))
    }

    fn check(&self) -> Result<(), CorpusError> {
        let share = self.0.validation_share;
        if share > 0.0 && share < 1.0 {
            return Ok(());
        }
        Err(CorpusError::BadValue {
            field: "validation_share",
            value: share.to_string(),
            allowed: "more than 0 and less than 1 is needed".into(),
            hint: "0.02 is the default".into(),
        })
    }
}

/// Name, length and digest of a file.
fn fingerprint(file: &InputFile) -> Result<(String, u64, String), CorpusError> {
    let bytes = read_file(&file.path)?;
    Ok((file.name.clone(), bytes.len() as u64, sha256_hex(&bytes)))
}

fn read_file(path: &PathBuf) -> Result<Vec<u8>, CorpusError> {
    std::fs::read(path).map_err(CorpusError::io("read", path))
}

fn read_documents(files: &[InputFile], progress: &mut dyn FnMut(Progress)) -> Result<Vec<Document>, CorpusError> {
    let total = Some(files.len() as u64);
    let mut documents = Vec::new();
    for (index, chunk) in files.chunks(FILES_PER_REPORT).enumerate() {
        progress(Progress { stage: "read files", done: (index * FILES_PER_REPORT) as u64, total });
        let read = chunk.par_iter().map(|file| parse::documents(file, read_file(&file.path)?));
        for found in read.collect::<Result<Vec<_>, CorpusError>>()? {
            documents.extend(found);
        }
    }
    progress(Progress { stage: "read files", done: files.len() as u64, total });
    Ok(documents)
}

/// A document that is kept, with its end byte.
struct Kept {
    name: String,
    bytes: Vec<u8>,
    digest: [u8; 32],
}

/// Drops what is no text and what was there before.
fn screen(documents: Vec<Document>, tally: &mut Tally) -> Vec<Kept> {
    let judged = documents.into_par_iter().map(|document| (reason_to_leave_out(&document.bytes), document));
    let judged: Vec<_> = judged.map(|(reason, doc)| (reason, Sha256::digest(&doc.bytes).into(), doc)).collect();
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for (reason, digest, Document { name, mut bytes }) in judged {
        let reason = reason.or_else(|| (!seen.insert(digest)).then_some("duplicate"));
        if let Some(reason) = reason {
            tally.add(reason, bytes.len() as u64);
            continue;
        }
        bytes.push(0);
        kept.push(Kept { name, bytes, digest });
    }
    kept
}

fn reason_to_leave_out(bytes: &[u8]) -> Option<&'static str> {
    if bytes.is_empty() {
        Some("empty")
    } else if std::str::from_utf8(bytes).is_err() {
        Some("not_utf8")
    } else if bytes.contains(&0) {
        Some("zero_byte")
    } else {
        None
    }
}

/// Indices of the validation documents.
fn choose_validation(kept: &[Kept], share: f64, tally: &Tally) -> Result<HashSet<usize>, CorpusError> {
    if kept.len() < 2 {
        return Err(CorpusError::TooFewDocuments {
            documents: kept.len() as u64,
            left_out: tally.words(),
            validation: 0,
            hint: "a text file is one document; cut it with `split -C 64k --additional-suffix=.txt FILE part-`".into(),
        });
    }
    let total: usize = kept.iter().map(|document| document.bytes.len()).sum();
    let mut order: Vec<usize> = (0..kept.len()).collect();
    order.sort_by_key(|index| kept[*index].digest);
    let mut held_out = HashSet::new();
    let mut bytes = 0;
    for index in order.into_iter().take(kept.len() - 1) {
        if bytes as f64 >= share * total as f64 {
            break;
        }
        bytes += kept[index].bytes.len();
        held_out.insert(index);
    }
    Ok(held_out)
}

fn split(kept: Vec<Kept>, held_out: &HashSet<usize>, tally: Tally) -> Text {
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for (index, Kept { name, bytes, .. }) in kept.into_iter().enumerate() {
        if held_out.contains(&index) {
            validation.push(Piece { cluster: name, bytes });
        } else {
            train.push(bytes);
        }
    }
    Text { train, validation, left_out: tally.finish() }
}

#[cfg(test)]
mod tests;
