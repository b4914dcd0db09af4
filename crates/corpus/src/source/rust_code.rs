//! `rust-code`: Rust source of published crates, fixed by a lock of its own.
//!
//! The lock names every crate with its version, the SHA-256 of its archive and its split, so that the corpus never
//! follows our own `Cargo.lock`. Cargo fetches the archives; we read them, never what cargo unpacked, because only
//! the archive is covered by the checksum. Whole crates are held out: no other version of a validation crate, no
//! crate from its repository, and no file with the same content is trained on.
//!
//! Crates come in the order of their checksums, so that every prefix of the training split is a fair sample; files
//! within a crate come in the order of their paths, and each ends with a zero byte.

mod archive;
mod fetch;
mod lock;
mod screen;
mod select;

use std::collections::HashSet;

use forescale_core::corpus::RustCodeSpec;
use forescale_core::digest::json_digest;
use rayon::prelude::*;

use self::archive::{CrateText, SourceFile};
use self::fetch::CargoHome;
pub use self::lock::{CrateLock, LockedCrate, Split};
pub use self::select::{LockRequest, lock_crates};
use super::Source;
use super::left_out::Tally;
use crate::build::{BuildRequest, Progress};
use crate::content::{Content, Piece, Text};
use crate::error::CorpusError;
use crate::tokenizer;

/// Raised whenever the same lock would give other tokens.
const READER_VERSION: u32 = 1;

/// Crates read at once between two reports of progress.
const CRATES_PER_REPORT: usize = 32;

/// The source, with its spec.
pub(crate) struct RustCode<'a>(pub(crate) &'a RustCodeSpec);

impl Source for RustCode<'_> {
    fn name(&self) -> &'static str {
        "rust-code"
    }

    fn key(&self, request: &BuildRequest) -> Result<String, CorpusError> {
        let lock = self.lock(request)?;
        let text = json_digest(&(READER_VERSION, lock.to_string(), self.0.max_train_bytes));
        tokenizer::key(text, &self.0.tokenizer, request.spec_dir)
    }

    fn read(&self, request: &BuildRequest, progress: &mut dyn FnMut(Progress)) -> Result<Content, CorpusError> {
        let text = self.text(request, progress)?;
        tokenizer::tokenise(text, &self.0.tokenizer, request.spec_dir, progress)
    }
}

impl RustCode<'_> {
    fn lock(&self, request: &BuildRequest) -> Result<CrateLock, CorpusError> {
        CrateLock::read(&request.spec_dir.join(&self.0.lock))
    }

    /// The files of both splits, before they are cut into tokens.
    pub(crate) fn text(&self, request: &BuildRequest, progress: &mut dyn FnMut(Progress)) -> Result<Text, CorpusError> {
        self.text_from(&CargoHome::from_environment(), request, progress)
    }

    fn text_from(
        &self,
        home: &CargoHome,
        request: &BuildRequest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Text, CorpusError> {
        let lock = self.lock(request)?;
        home.fetch(&lock, request.cache, progress)?;
        let crates = read_crates(&lock, home, progress)?;
        Ok(assemble(crates, self.0.max_train_bytes.unwrap_or(u64::MAX)))
    }
}

/// A crate of the lock with its text.
struct ReadCrate<'a> {
    locked: &'a LockedCrate,
    text: CrateText,
}

/// Reads and screens all crates, in the order of their checksums.
fn read_crates<'a>(
    lock: &'a CrateLock,
    home: &CargoHome,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<ReadCrate<'a>>, CorpusError> {
    let order = lock.by_checksum();
    let total = Some(order.len() as u64);
    let mut crates = Vec::with_capacity(order.len());
    for chunk in order.chunks(CRATES_PER_REPORT) {
        progress(Progress { stage: "read crates", done: crates.len() as u64, total });
        let read = chunk.par_iter().map(|&locked| {
            let text = archive::read(locked, &home.archive(locked)?)?;
            Ok(ReadCrate { locked, text })
        });
        crates.extend(read.collect::<Result<Vec<_>, CorpusError>>()?);
    }
    progress(Progress { stage: "read crates", done: crates.len() as u64, total });
    Ok(crates)
}

/// Drops copies and joins what is left; validation is seen first, so that training never holds its text.
fn assemble(crates: Vec<ReadCrate>, max_train_bytes: u64) -> Text {
    let (validation, train): (Vec<_>, Vec<_>) =
        crates.into_iter().partition(|each| each.locked.split == Split::Validation);
    let mut sieve = Sieve::default();
    let mut held_out = Vec::new();
    for each in validation {
        let files = sieve.keep(each.text);
        let cluster = each.locked.name.clone();
        held_out.push(Piece { cluster, bytes: files.into_iter().flat_map(|file| file.bytes).collect() });
    }
    held_out.retain(|piece| !piece.bytes.is_empty());
    let pieces = take_up_to(train, max_train_bytes, &mut sieve);
    Text { train: pieces, validation: held_out, left_out: sieve.tally.finish() }
}

/// The files of the first crates that fit.
fn take_up_to(crates: Vec<ReadCrate>, max_bytes: u64, sieve: &mut Sieve) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut bytes = 0;
    for each in crates {
        let files = sieve.keep(each.text);
        bytes += files.iter().map(|file| file.bytes.len() as u64).sum::<u64>();
        if bytes > max_bytes {
            break;
        }
        pieces.extend(files.into_iter().map(|file| file.bytes));
    }
    pieces
}

/// Lets each content through once.
#[derive(Default)]
struct Sieve {
    seen: HashSet<[u8; 32]>,
    tally: Tally,
}

impl Sieve {
    fn keep(&mut self, text: CrateText) -> Vec<SourceFile> {
        for (reason, bytes) in text.left_out {
            self.tally.add(reason, bytes);
        }
        let mut kept = text.files;
        kept.retain(|file| {
            let new = self.seen.insert(file.digest);
            if !new {
                self.tally.add("duplicate", file.bytes.len() as u64 - 1);
            }
            new
        });
        kept
    }
}

#[cfg(test)]
mod tests;
