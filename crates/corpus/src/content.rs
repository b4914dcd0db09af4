//! A corpus in memory, and how it is written: `tokens.bin` and `manifest.json`.
//!
//! A source hands over its pieces in order; nothing here knows which source it was. All of a corpus passes through
//! memory once, so that a corpus should be smaller than half of it.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use forescale_core::corpus::{CORPUS_SCHEMA, Cluster, CorpusManifest, CorpusSpec, LeftOut, TokenWidth};
use forescale_core::digest::{Hasher, json_digest};
use forescale_core::math;
use rayon::prelude::*;

use crate::error::CorpusError;

/// What a source hands over.
pub(crate) struct Content {
    /// Vocabulary size.
    pub(crate) vocabulary: u32,
    /// Name or digest of the tokenizer.
    pub(crate) tokenizer: String,
    /// Training pieces, in order, as they lie in `tokens.bin`.
    pub(crate) train: Vec<Vec<u8>>,
    /// Validation pieces, in order; neighbours of one name are one cluster.
    pub(crate) validation: Vec<Piece>,
    /// Windows start at multiples of this many tokens.
    pub(crate) window_alignment: u32,
    /// Documents in the training split.
    pub(crate) train_documents: u64,
    /// Documents left out, by reason.
    pub(crate) left_out: Vec<LeftOut>,
    /// Bytes of text per token.
    pub(crate) bytes_per_token: Option<f64>,
    /// The true entropy rate, nats per token.
    pub(crate) entropy_rate: Option<f64>,
}

/// A validation piece and the cluster it belongs to.
pub(crate) struct Piece {
    pub(crate) cluster: String,
    pub(crate) bytes: Vec<u8>,
}

/// Tokenizer of every byte-level source.
pub(crate) const BYTES: &str = "bytes-256";

impl Content {
    /// Byte-level text: one byte a token.
    pub(crate) fn text(train: Vec<Vec<u8>>, validation: Vec<Piece>, left_out: Vec<LeftOut>) -> Self {
        let train_documents = train.len() as u64;
        Self {
            vocabulary: 256,
            tokenizer: BYTES.into(),
            train,
            validation,
            window_alignment: 1,
            train_documents,
            left_out,
            bytes_per_token: Some(1.0),
            entropy_rate: None,
        }
    }

    fn width(&self) -> TokenWidth {
        if self.vocabulary <= 256 { TokenWidth::U8 } else { TokenWidth::U16 }
    }
}

/// Writes a content into an existing folder.
pub(crate) fn write(content: &Content, spec: &CorpusSpec, dir: &Path) -> Result<CorpusManifest, CorpusError> {
    let tokens_sha256 = write_tokens(content, &dir.join("tokens.bin"))?;
    let manifest = describe(content, spec, tokens_sha256);
    write_manifest(&manifest, &dir.join("manifest.json"))?;
    Ok(manifest)
}

fn write_tokens(content: &Content, path: &Path) -> Result<String, CorpusError> {
    let file = fs::File::create(path).map_err(CorpusError::io("create", path))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let mut hasher = Hasher::default();
    let pieces = content.train.iter().chain(content.validation.iter().map(|piece| &piece.bytes));
    for piece in pieces {
        hasher.update(piece);
        writer.write_all(piece).map_err(CorpusError::io("write", path))?;
    }
    let file = writer.into_inner().map_err(|error| CorpusError::io("write", path)(error.into_error()))?;
    file.sync_all().map_err(CorpusError::io("write", path))?;
    Ok(hasher.finish())
}

fn write_manifest(manifest: &CorpusManifest, path: &Path) -> Result<(), CorpusError> {
    let mut text = serde_json::to_vec_pretty(manifest).expect("a manifest has a JSON form");
    text.push(b'\n');
    fs::write(path, text).map_err(CorpusError::io("write", path))
}

fn describe(content: &Content, spec: &CorpusSpec, tokens_sha256: String) -> CorpusManifest {
    let width = content.width();
    let train_bytes: usize = content.train.iter().map(Vec::len).sum();
    let clusters = clusters(&content.validation, width);
    let mut manifest = CorpusManifest {
        schema: CORPUS_SCHEMA.into(),
        spec: spec.clone(),
        digest: String::new(),
        tokens_sha256,
        tokenizer_digest: content.tokenizer.clone(),
        vocabulary: content.vocabulary,
        token_width: width,
        train_tokens: (train_bytes / width.bytes()) as u64,
        validation_tokens: clusters.last().map_or(0, |cluster| cluster.end),
        unique_tokens: (train_bytes / width.bytes()) as u64,
        window_alignment: content.window_alignment,
        clusters,
        train_documents: content.train_documents,
        left_out: content.left_out.clone(),
        bytes_per_token: content.bytes_per_token,
        unigram_entropy: unigram_entropy(&content.train, width),
        entropy_rate: content.entropy_rate,
    };
    manifest.digest = content_digest(&manifest);
    manifest
}

/// What two corpora must share to be the same, wherever their specs lie.
fn content_digest(manifest: &CorpusManifest) -> String {
    json_digest(&serde_json::json!({
        "tokens_sha256": manifest.tokens_sha256,
        "tokenizer_digest": manifest.tokenizer_digest,
        "vocabulary": manifest.vocabulary,
        "token_width": manifest.token_width,
        "train_tokens": manifest.train_tokens,
        "validation_tokens": manifest.validation_tokens,
        "window_alignment": manifest.window_alignment,
        "clusters": manifest.clusters,
    }))
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

/// Entropy in nats of single tokens; 0 for an empty split.
fn unigram_entropy(pieces: &[Vec<u8>], width: TokenWidth) -> f64 {
    let counts =
        pieces.par_chunks(256).map(|chunk| count_tokens(chunk, width)).reduce(|| vec![0; alphabet(width)], add_counts);
    let total: u64 = counts.iter().sum();
    let share = |count: u64| count as f64 / total as f64;
    let seen = counts.iter().filter(|count| **count > 0);
    seen.map(|count| -share(*count) * math::ln(share(*count))).sum()
}

fn alphabet(width: TokenWidth) -> usize {
    match width {
        TokenWidth::U8 => 1 << 8,
        TokenWidth::U16 => 1 << 16,
    }
}

fn count_tokens(pieces: &[Vec<u8>], width: TokenWidth) -> Vec<u64> {
    let mut counts = vec![0; alphabet(width)];
    for piece in pieces {
        match width {
            TokenWidth::U8 => piece.iter().for_each(|byte| counts[usize::from(*byte)] += 1),
            TokenWidth::U16 => piece.as_chunks::<2>().0.iter().for_each(|pair| {
                counts[usize::from(u16::from_le_bytes(*pair))] += 1;
            }),
        }
    }
    counts
}

fn add_counts(mut left: Vec<u64>, right: Vec<u64>) -> Vec<u64> {
    left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_equally_likely_bytes_have_the_entropy_ln_4() {
        // By hand: -4 * (1/4) ln(1/4) = ln 4 = 1.386294361119891.
        let entropy = unigram_entropy(&[b"abcd".to_vec(), b"dcba".to_vec()], TokenWidth::U8);
        assert!((entropy - 1.386_294_361_119_891).abs() < 1e-15);
    }

    #[test]
    fn two_byte_tokens_are_counted_as_pairs() {
        // Tokens 1, 1, 256, 1: -(3/4) ln(3/4) - (1/4) ln(1/4) = 0.5623351446188083.
        let entropy = unigram_entropy(&[vec![1, 0, 1, 0, 0, 1, 1, 0]], TokenWidth::U16);
        assert!((entropy - 0.562_335_144_618_808_3).abs() < 1e-15);
    }

    #[test]
    fn one_repeated_byte_has_no_entropy() {
        assert!(unigram_entropy(&[vec![7; 10]], TokenWidth::U8).abs() < 1e-15);
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
