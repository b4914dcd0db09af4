//! A corpus as its source hands it over, and how it is written: `tokens.bin`, `manifest.json`, and where there are such
//! `tokenizer.json` and `problems.jsonl`.
//!
//! Nothing here knows which source it was. Text passes through memory once, so that it should be smaller than half of
//! it; the training split of shards is copied block by block and may be larger.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use forescale_core::corpus::{CORPUS_SCHEMA, Cluster, CorpusManifest, CorpusSpec, LeftOut, PartSummary, TokenWidth};
use forescale_core::digest::{Hasher, json_digest};
use forescale_core::math;
use forescale_core::problem::Problem;

use crate::build::Progress;
use crate::error::CorpusError;
use crate::problems;

/// What a source hands over.
pub(crate) struct Content {
    /// Vocabulary size.
    pub(crate) vocabulary: u32,
    /// What the tokenizer is.
    pub(crate) tokenizer: TokenizerIdentity,
    /// The training split, in order, as it lies in `tokens.bin`.
    pub(crate) train: Blocks,
    /// Validation pieces, in order; neighbours of one name are one cluster.
    pub(crate) validation: Vec<Piece>,
    /// Windows start at multiples of this many tokens.
    pub(crate) window_alignment: u32,
    /// Documents in the training split.
    pub(crate) train_documents: TrainDocuments,
    /// Documents left out, by reason.
    pub(crate) left_out: Vec<LeftOut>,
    /// Bytes of text per token of the validation split.
    pub(crate) bytes_per_token: Option<f64>,
    /// The true entropy rate, nats per token.
    pub(crate) entropy_rate: Option<f64>,
    /// What each part of a mixture came to.
    pub(crate) parts: Vec<PartSummary>,
    /// Held-out problems.
    pub(crate) problems: Vec<Problem>,
}

/// What a tokenizer is known by.
pub(crate) struct TokenizerIdentity {
    /// Name or digest.
    pub(crate) digest: String,
    /// Its `tokenizer.json`, where it has one.
    pub(crate) json: Option<Vec<u8>>,
}

impl TokenizerIdentity {
    /// One that has a name and no file.
    pub(crate) fn named(name: impl Into<String>) -> Self {
        Self { digest: name.into(), json: None }
    }
}

/// How many documents the training split has.
pub(crate) enum TrainDocuments {
    /// Known beforehand.
    Counted(u64),
    /// As many as it has tokens of this id.
    EndedBy(u32),
}

/// A validation piece and the cluster it belongs to.
pub(crate) struct Piece {
    pub(crate) cluster: String,
    pub(crate) bytes: Vec<u8>,
}

/// Blocks of whole tokens, read no earlier than they are written.
pub(crate) struct Blocks(Box<dyn Iterator<Item = Result<Vec<u8>, CorpusError>>>);

impl Blocks {
    /// Blocks that are read while they are written.
    pub(crate) fn streamed(blocks: impl Iterator<Item = Result<Vec<u8>, CorpusError>> + 'static) -> Self {
        Self(Box::new(blocks))
    }

    #[cfg(test)]
    pub(crate) fn concat(self) -> Vec<u8> {
        self.0.flat_map(|block| block.expect("a block in memory")).collect()
    }
}

impl From<Vec<Vec<u8>>> for Blocks {
    fn from(pieces: Vec<Vec<u8>>) -> Self {
        Self::streamed(pieces.into_iter().map(Ok))
    }
}

/// Text before it is cut into tokens: each document is UTF-8 without a zero byte, and one zero byte after it.
pub(crate) struct Text {
    /// Training pieces: a document, or several.
    pub(crate) train: Vec<Vec<u8>>,
    /// Validation pieces.
    pub(crate) validation: Vec<Piece>,
    /// Documents left out, by reason.
    pub(crate) left_out: Vec<LeftOut>,
}

/// Tokenizer of every byte-level source.
const BYTES: &str = "bytes-256";

impl Text {
    /// One byte a token.
    pub(crate) fn into_bytes(self) -> Content {
        self.into_content(256, TokenizerIdentity::named(BYTES), Some(1.0))
    }

    /// Pieces that already hold tokens.
    pub(crate) fn into_content(
        self,
        vocabulary: u32,
        tokenizer: TokenizerIdentity,
        bytes_per_token: Option<f64>,
    ) -> Content {
        Content {
            vocabulary,
            tokenizer,
            train_documents: TrainDocuments::Counted(self.train.len() as u64),
            train: self.train.into(),
            validation: self.validation,
            window_alignment: 1,
            left_out: self.left_out,
            bytes_per_token,
            entropy_rate: None,
            parts: Vec::new(),
            problems: Vec::new(),
        }
    }
}

/// How wide the tokens of a vocabulary are in `tokens.bin`.
pub(crate) fn width_of(vocabulary: u32) -> TokenWidth {
    if vocabulary <= 256 { TokenWidth::U8 } else { TokenWidth::U16 }
}

/// Writes a content into an existing folder.
pub(crate) fn write(
    mut content: Content,
    spec: &CorpusSpec,
    dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<CorpusManifest, CorpusError> {
    let written = write_tokens(&mut content, &dir.join("tokens.bin"), progress)?;
    if let Some(json) = &content.tokenizer.json {
        let path = dir.join("tokenizer.json");
        fs::write(&path, json).map_err(CorpusError::io("write", &path))?;
    }
    let problems = problems::write(&content.problems, dir)?;
    let manifest = CorpusManifest { problems, ..describe(content, spec, written) };
    let manifest = CorpusManifest { digest: content_digest(&manifest), ..manifest };
    write_manifest(&manifest, &dir.join("manifest.json"))?;
    Ok(manifest)
}

/// What was learnt while writing.
struct Written {
    sha256: String,
    train: TokenCounts,
}

/// Blocks between two reports of progress.
const BLOCKS_PER_REPORT: u64 = 64;

fn write_tokens(
    content: &mut Content,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Written, CorpusError> {
    let file = fs::File::create(path).map_err(CorpusError::io("create", path))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let mut hasher = Hasher::default();
    let mut train = TokenCounts::new(width_of(content.vocabulary));
    for (block, number) in content.train.0.by_ref().zip(0_u64..) {
        let block = block?;
        train.add(&block);
        hasher.update(&block);
        writer.write_all(&block).map_err(CorpusError::io("write", path))?;
        if number % BLOCKS_PER_REPORT == 0 {
            progress(Progress { stage: "write tokens", done: train.total(), total: None });
        }
    }
    for piece in &content.validation {
        hasher.update(&piece.bytes);
        writer.write_all(&piece.bytes).map_err(CorpusError::io("write", path))?;
    }
    let file = writer.into_inner().map_err(|error| CorpusError::io("write", path)(error.into_error()))?;
    file.sync_all().map_err(CorpusError::io("write", path))?;
    Ok(Written { sha256: hasher.finish(), train })
}

fn write_manifest(manifest: &CorpusManifest, path: &Path) -> Result<(), CorpusError> {
    let mut text = serde_json::to_vec_pretty(manifest).expect("a manifest has a JSON form");
    text.push(b'\n');
    fs::write(path, text).map_err(CorpusError::io("write", path))
}

fn describe(content: Content, spec: &CorpusSpec, written: Written) -> CorpusManifest {
    let width = width_of(content.vocabulary);
    let clusters = clusters(&content.validation, width);
    CorpusManifest {
        schema: CORPUS_SCHEMA.into(),
        spec: spec.clone(),
        digest: String::new(),
        tokens_sha256: written.sha256,
        tokenizer_digest: content.tokenizer.digest,
        vocabulary: content.vocabulary,
        token_width: width,
        train_tokens: written.train.total(),
        validation_tokens: clusters.last().map_or(0, |cluster| cluster.end),
        unique_tokens: written.train.total(),
        window_alignment: content.window_alignment,
        clusters,
        train_documents: match content.train_documents {
            TrainDocuments::Counted(documents) => documents,
            TrainDocuments::EndedBy(id) => written.train.of(id),
        },
        left_out: content.left_out,
        bytes_per_token: content.bytes_per_token,
        unigram_entropy: written.train.entropy(),
        entropy_rate: content.entropy_rate,
        parts: content.parts,
        problems: None,
    }
}

/// What two corpora must share to be the same, wherever their specs lie.
fn content_digest(manifest: &CorpusManifest) -> String {
    let mut identity = serde_json::json!({
        "tokens_sha256": manifest.tokens_sha256,
        "tokenizer_digest": manifest.tokenizer_digest,
        "vocabulary": manifest.vocabulary,
        "token_width": manifest.token_width,
        "train_tokens": manifest.train_tokens,
        "validation_tokens": manifest.validation_tokens,
        "window_alignment": manifest.window_alignment,
        "clusters": manifest.clusters,
    });
    if let Some(problems) = &manifest.problems {
        identity["problems_sha256"] = problems.sha256.clone().into();
    }
    json_digest(&identity)
}

/// Joins neighbouring pieces of one name.
fn clusters(pieces: &[Piece], width: TokenWidth) -> Vec<Cluster> {
    let mut clusters: Vec<Cluster> = Vec::new();
    let mut end = 0;
    for piece in pieces {
        let start = end;
        end += (piece.bytes.len() / width.bytes()) as u64;
        match clusters.last_mut() {
            Some(last) if last.name == piece.cluster => last.end = end,
            _ => clusters.push(Cluster { name: piece.cluster.clone(), start, end }),
        }
    }
    clusters
}

/// How often each token occurs.
struct TokenCounts {
    width: TokenWidth,
    counts: Vec<u64>,
}

impl TokenCounts {
    fn new(width: TokenWidth) -> Self {
        let alphabet = match width {
            TokenWidth::U8 => 1 << 8,
            TokenWidth::U16 => 1 << 16,
        };
        Self { width, counts: vec![0; alphabet] }
    }

    fn add(&mut self, block: &[u8]) {
        let counts = &mut self.counts;
        match self.width {
            TokenWidth::U8 => block.iter().for_each(|byte| counts[usize::from(*byte)] += 1),
            TokenWidth::U16 => block.as_chunks::<2>().0.iter().for_each(|pair| {
                counts[usize::from(u16::from_le_bytes(*pair))] += 1;
            }),
        }
    }

    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn of(&self, id: u32) -> u64 {
        self.counts.get(id as usize).copied().unwrap_or(0)
    }

    /// Entropy in nats of single tokens; 0 where there are none.
    fn entropy(&self) -> f64 {
        let total = self.total();
        let share = |count: u64| count as f64 / total as f64;
        let seen = self.counts.iter().filter(|count| **count > 0);
        seen.map(|count| -share(*count) * math::ln(share(*count))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entropy(blocks: &[&[u8]], width: TokenWidth) -> f64 {
        let mut counts = TokenCounts::new(width);
        blocks.iter().for_each(|block| counts.add(block));
        counts.entropy()
    }

    #[test]
    fn four_equally_likely_bytes_have_the_entropy_ln_4() {
        // By hand: -4 * (1/4) ln(1/4) = ln 4 = 1.386294361119891.
        let entropy = entropy(&[b"abcd", b"dcba"], TokenWidth::U8);
        assert!((entropy - 1.386_294_361_119_891).abs() < 1e-15);
    }

    #[test]
    fn two_byte_tokens_are_counted_as_pairs() {
        // Tokens 1, 1, 256, 1: -(3/4) ln(3/4) - (1/4) ln(1/4) = 0.5623351446188083.
        let entropy = entropy(&[&[1, 0, 1, 0, 0, 1, 1, 0]], TokenWidth::U16);
        assert!((entropy - 0.562_335_144_618_808_3).abs() < 1e-15);
    }

    #[test]
    fn one_repeated_byte_has_no_entropy() {
        assert!(entropy(&[&[7; 10]], TokenWidth::U8).abs() < 1e-15);
    }

    #[test]
    fn neighbouring_pieces_of_one_name_are_one_cluster() {
        let piece = |name: &str, length| Piece { cluster: name.into(), bytes: vec![0; length] };
        let pieces = [piece("a", 3), piece("a", 2), piece("b", 4)];
        let clusters = clusters(&pieces, TokenWidth::U8);
        let ends: Vec<_> = clusters.iter().map(|c| (c.name.as_str(), c.start, c.end)).collect();
        assert_eq!(ends, [("a", 0, 5), ("b", 5, 9)]);
    }
}
