//! What a tokenised corpus is on disk: `tokens.bin` and `manifest.json` beside it.
//!
//! `tokens.bin` has no header: all tokens of the training split, then all of the validation split, each token one
//! byte or two bytes little endian. The manifest says where each split lies, and how validation text is clustered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the manifest's form.
pub const CORPUS_SCHEMA: &str = "forescale.corpus/1.0";

/// Where text comes from, as a spec says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "source", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CorpusSpec {
    /// Text, JSONL or Parquet files.
    Files(FilesSpec),
    /// Rust source of published crates.
    RustCode(RustCodeSpec),
    /// The Zipf knowledge base.
    ZipfFacts(ZipfFactsSpec),
}

/// A glob or folder of text, JSONL (`text` field) or Parquet (`text` column); bytes, vocabulary 256.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesSpec {
    /// Globs or folders, relative to the spec's own folder.
    pub paths: Vec<String>,
    /// Share of documents (by bytes) held out for validation, chosen by the digest of each document.
    #[serde(default = "default_validation_share")]
    pub validation_share: f64,
}

/// Published crates named by a lock file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RustCodeSpec {
    /// The lock file (crate, version, checksum, split), relative to the spec's own folder.
    pub lock: String,
    /// Use only the first crates of the training split up to this many bytes; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_train_bytes: Option<u64>,
}

/// A synthetic knowledge base with Zipf-distributed facts and an exactly known entropy rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZipfFactsSpec {
    /// Vocabulary V; ids are written in base V.
    pub vocabulary: u32,
    /// Number of facts K, at most V^m.
    pub facts: u64,
    /// Digits m of an id; a sentence is m digits and one value.
    pub key_digits: u32,
    /// Zipf exponent a of the ranks, above 1.
    pub exponent: f64,
    /// Probability epsilon that a value is replaced by another.
    pub noise: f64,
    /// Training tokens to write.
    pub train_tokens: u64,
    /// Validation tokens to write.
    pub validation_tokens: u64,
    /// Seed of the facts and of the sentences.
    pub seed: u64,
}

fn default_validation_share() -> f64 {
    0.02
}

/// How many bytes one token takes in `tokens.bin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenWidth {
    /// One byte: vocabularies up to 256.
    U8,
    /// Two bytes, little endian: vocabularies up to 65536.
    U16,
}

impl TokenWidth {
    /// Bytes per token in `tokens.bin`.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
        }
    }
}

/// A run of validation tokens from one origin (a document or a crate), the unit of its standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Where it is from.
    pub name: String,
    /// First token, counted from the start of the validation split.
    pub start: u64,
    /// One past the last token.
    pub end: u64,
}

/// `manifest.json`: what `tokens.bin` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorpusManifest {
    /// [`CORPUS_SCHEMA`].
    pub schema: String,
    /// The spec it was built from.
    pub spec: CorpusSpec,
    /// SHA-256 over spec-independent content: `tokens.bin`, splits, clusters and tokenizer.
    pub digest: String,
    /// SHA-256 of `tokens.bin` alone.
    pub tokens_sha256: String,
    /// Digest of the tokenizer; bytes are `bytes-256`.
    pub tokenizer_digest: String,
    /// Vocabulary size.
    pub vocabulary: u32,
    /// Bytes per token in the file.
    pub token_width: TokenWidth,
    /// Tokens of the training split, which starts the file.
    pub train_tokens: u64,
    /// Tokens of the validation split, which follows.
    pub validation_tokens: u64,
    /// Tokens of the training split that are not copies of an earlier document.
    pub unique_tokens: u64,
    /// Windows must start at a multiple of this many tokens (1 for text, a sentence for synthetic facts).
    pub window_alignment: u32,
    /// Clusters of the validation split, in order, covering it.
    pub clusters: Vec<Cluster>,
    /// Documents kept in the training split.
    pub train_documents: u64,
    /// Documents left out, by reason (`duplicate`, `generated`, `not_utf8`, …).
    pub left_out: Vec<LeftOut>,
    /// Bytes of the original text per token; absent where there is no text.
    pub bytes_per_token: Option<f64>,
    /// Entropy of single tokens on the training split, nats: where an untrained model ends up first.
    pub unigram_entropy: f64,
    /// Exact entropy rate in nats per token, where the source has one: the true irreducible loss.
    pub entropy_rate: Option<f64>,
}

/// Documents left out of a corpus for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Why.
    pub reason: String,
    /// How many documents.
    pub documents: u64,
    /// How many bytes.
    pub bytes: u64,
}
