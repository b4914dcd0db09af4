//! `shards`: token ids that were made elsewhere, in the files of nanoGPT and llm.c.
//!
//! Files come in the order of their names, training before validation. Training files are copied block by block, so
//! that they may be larger than memory; the validation split is held in memory once. Every id is held against the
//! vocabulary while it is copied. Copies of a document cannot be seen among ids: all training tokens count as unique.
//!
//! With `end_of_text` a validation document is a cluster, neighbours joined where there would be over 4096; without
//! it a file is.

mod shard;

use std::fs;
use std::ops::Range;

use forescale_core::corpus::{ShardsSpec, TokenWidth};
use forescale_core::digest::{json_digest, sha256_hex};

use self::shard::Shard;
use super::Source;
use super::gather;
use crate::build::{BuildRequest, Progress};
use crate::content::{Blocks, Content, Piece, TokenizerIdentity, TrainDocuments, width_of};
use crate::error::CorpusError;

/// Raised whenever the same files would give other tokens.
const READER_VERSION: u32 = 1;

/// Clusters enough for a standard error; a manifest with one for each of a million documents is read by nobody.
const MAX_CLUSTERS: usize = 4096;

/// The source, with its spec.
pub(crate) struct Shards<'a>(pub(crate) &'a ShardsSpec);

impl Source for Shards<'_> {
    fn name(&self) -> &'static str {
        "shards"
    }

    /// Reads lengths, headers and samples of each file: shards are too many bytes to read them for every command.
    ///
    /// A file that is replaced is another corpus; a bit that flips between the samples is not seen here. Runs read the
    /// copy in the cache and name its digest, so that nothing depends on it.
    fn key(&self, request: &BuildRequest) -> Result<String, CorpusError> {
        let opened = self.open(request)?;
        let prints = |shards: &[Shard]| shards.iter().map(Shard::fingerprint).collect::<Result<Vec<_>, _>>();
        let tokenizer = self.tokenizer(request)?.digest;
        let numbers = (self.0.vocabulary, self.0.bytes_per_token, self.0.end_of_text);
        Ok(json_digest(&(READER_VERSION, numbers, tokenizer, prints(&opened.train)?, prints(&opened.validation)?)))
    }

    fn read(&self, request: &BuildRequest, progress: &mut dyn FnMut(Progress)) -> Result<Content, CorpusError> {
        let Opened { train, validation } = self.open(request)?;
        progress(Progress { stage: "read validation shards", done: 0, total: Some(validation.len() as u64) });
        let vocabulary = self.0.vocabulary;
        let train_documents = match self.0.end_of_text {
            Some(id) => TrainDocuments::EndedBy(id),
            None => TrainDocuments::Counted(train.len() as u64),
        };
        Ok(Content {
            vocabulary,
            tokenizer: self.tokenizer(request)?,
            validation: self.pieces(&validation)?,
            train: Blocks::streamed(train.into_iter().flat_map(move |shard| shard.blocks(vocabulary))),
            window_alignment: 1,
            train_documents,
            left_out: Vec::new(),
            bytes_per_token: self.0.bytes_per_token,
            entropy_rate: None,
            parts: Vec::new(),
            problems: Vec::new(),
        })
    }
}

/// The files of both splits, checked as far as their headers go.
struct Opened {
    train: Vec<Shard>,
    validation: Vec<Shard>,
}

impl Shards<'_> {
    fn open(&self, request: &BuildRequest) -> Result<Opened, CorpusError> {
        self.check()?;
        let train = self.open_split("train", &self.0.train, request)?;
        let validation = self.open_split("validation", &self.0.validation, request)?;
        match validation.iter().find(|held_out| train.iter().any(|shard| shard.path() == held_out.path())) {
            Some(both) => Err(CorpusError::BadShard {
                path: both.path().into(),
                reason: "is in both splits; 1 is allowed".into(),
                hint: "a glob such as `\"data/*_train_*.bin\"` keeps them apart".into(),
            }),
            None => Ok(Opened { train, validation }),
        }
    }

    fn open_split(
        &self,
        field: &'static str,
        paths: &[String],
        request: &BuildRequest,
    ) -> Result<Vec<Shard>, CorpusError> {
        if paths.is_empty() {
            let allowed = "at least 1 file, folder or glob is needed";
            return Err(bad(field, &"empty", allowed, "train = [\"train.bin\"], validation = [\"val.bin\"]"));
        }
        let files = gather::files(paths, request.spec_dir)?;
        let shards = files.into_iter().map(|file| Shard::open(file, self.0.format)).collect::<Result<Vec<_>, _>>()?;
        if shards.iter().all(|shard| shard.tokens() == 0) {
            return Err(bad(field, &"without a token", "at least 1 is needed", "the files may be cut short"));
        }
        Ok(shards)
    }

    fn check(&self) -> Result<(), CorpusError> {
        let ShardsSpec { vocabulary, bytes_per_token, end_of_text, .. } = self.0;
        if !(2..=65_536).contains(vocabulary) {
            return Err(bad("vocabulary", vocabulary, "2 to 65536 is allowed", "50257 is GPT-2's"));
        }
        if let Some(bytes) = bytes_per_token.filter(|bytes| !(bytes.is_finite() && *bytes > 0.0)) {
            let hint = "divide the bytes of the validation text by its tokens, or leave the key out";
            return Err(bad("bytes_per_token", &bytes, "more than 0 is needed", hint));
        }
        if let Some(id) = end_of_text.filter(|id| id >= vocabulary) {
            let allowed = format!("an id below the vocabulary of {vocabulary} is needed");
            return Err(bad("end_of_text", &id, &allowed, "50256 is GPT-2's"));
        }
        Ok(())
    }

    fn tokenizer(&self, request: &BuildRequest) -> Result<TokenizerIdentity, CorpusError> {
        let Some(path) = &self.0.tokenizer else {
            return Ok(TokenizerIdentity::named(format!("ids-{}", self.0.vocabulary)));
        };
        let path = request.spec_dir.join(path);
        let bytes = fs::read(&path).map_err(CorpusError::io("read", &path))?;
        Ok(TokenizerIdentity::named(sha256_hex(&bytes)))
    }

    /// The validation split, cut into its clusters.
    fn pieces(&self, shards: &[Shard]) -> Result<Vec<Piece>, CorpusError> {
        let mut files = Vec::with_capacity(shards.len());
        for shard in shards {
            let blocks = shard.clone().blocks(self.0.vocabulary).collect::<Result<Vec<_>, _>>()?;
            files.push((shard.name().to_owned(), blocks.concat()));
        }
        let Some(end) = self.0.end_of_text else {
            return Ok(files.into_iter().map(|(cluster, bytes)| Piece { cluster, bytes }).collect());
        };
        let width = width_of(self.0.vocabulary);
        let documents: Vec<_> = files.iter().map(|(_, bytes)| documents(bytes, width, end)).collect();
        let together = documents.iter().map(Vec::len).sum::<usize>().div_ceil(MAX_CLUSTERS).max(1);
        let cut = |((name, bytes), documents): ((String, Vec<u8>), Vec<Range<usize>>)| {
            clusters(&name, &bytes, &documents, together)
        };
        Ok(files.into_iter().zip(documents).flat_map(cut).collect())
    }
}

/// A piece for each so many documents, named by the file and the first of them, counted from 1.
fn clusters(name: &str, bytes: &[u8], documents: &[Range<usize>], together: usize) -> Vec<Piece> {
    let groups = documents.chunks(together).enumerate();
    let piece = |(index, group): (usize, &[Range<usize>])| Piece {
        cluster: format!("{name}:{}", index * together + 1),
        bytes: bytes[group[0].start..group[group.len() - 1].end].to_vec(),
    };
    groups.map(piece).collect()
}

/// Where documents lie, in bytes. nanoGPT writes the end after a document, llm.c before it: the first token tells.
fn documents(bytes: &[u8], width: TokenWidth, end: u32) -> Vec<Range<usize>> {
    let size = width.bytes();
    let is_end = |token: &[u8]| token.iter().rev().fold(0, |id, byte| id << 8 | u32::from(*byte)) == end;
    let before = bytes.get(..size).is_some_and(is_end);
    let ends = bytes.chunks_exact(size).enumerate().filter(|(_, token)| is_end(token));
    let mut cuts: Vec<usize> = ends.map(|(index, _)| (index + usize::from(!before)) * size).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

fn bad(field: &'static str, value: &dyn std::fmt::Display, allowed: &str, hint: &str) -> CorpusError {
    CorpusError::BadValue { field, value: value.to_string(), allowed: allowed.into(), hint: hint.into() }
}

#[cfg(test)]
mod tests;
