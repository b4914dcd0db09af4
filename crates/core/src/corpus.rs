//! What a tokenised corpus is on disk: `tokens.bin` and `manifest.json` beside it.
//!
//! `tokens.bin` has no header: all tokens of the training split, then all of the validation split, each token one
//! byte or two bytes little endian. The manifest says where each split lies, and how validation text is clustered.
//! Text that is not cut into bytes has its `tokenizer.json` there too, and a corpus with tasks its `problems.jsonl`.

mod mixture;

pub use mixture::{
    BucketCount, FilesPart, MixtureSpec, PartSpec, PartSummary, ProblemSet, RustCodePart, TaskPart, TaskSpec,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the manifest's form. 1.1 adds tokenizers and the source `shards`, 1.2 mixtures, tasks and problems; what
/// says 1.0 or 1.1 still reads.
pub const CORPUS_SCHEMA: &str = "forescale.corpus/1.2";

/// Forms of the manifest that this version reads.
pub const READABLE_CORPUS_SCHEMAS: [&str; 3] = ["forescale.corpus/1.0", "forescale.corpus/1.1", CORPUS_SCHEMA];

/// How the text of a mixture is cut.
static BYTES: TokenizerSpec = TokenizerSpec::Bytes {};

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
    /// Tokens that were made elsewhere, in the files of nanoGPT or llm.c.
    Shards(ShardsSpec),
    /// Text of several sources and tasks, in fixed shares.
    Mixture(MixtureSpec),
    /// One task.
    Task(TaskSpec),
}

impl CorpusSpec {
    /// The vocabulary, as far as the spec alone says it; `None` for a `tokenizer.json` whose size it does not state.
    #[must_use]
    pub fn vocabulary(&self) -> Option<u32> {
        match self {
            Self::Files(_) | Self::RustCode(_) | Self::Mixture(_) | Self::Task(_) => {
                self.tokenizer().and_then(TokenizerSpec::vocabulary)
            }
            Self::ZipfFacts(spec) => Some(spec.vocabulary),
            Self::Shards(spec) => Some(spec.vocabulary),
        }
    }

    /// How its text is cut; `None` for sources that have no text.
    #[must_use]
    pub fn tokenizer(&self) -> Option<&TokenizerSpec> {
        match self {
            Self::Files(spec) => Some(&spec.tokenizer),
            Self::RustCode(spec) => Some(&spec.tokenizer),
            Self::Mixture(_) | Self::Task(_) => Some(&BYTES),
            Self::ZipfFacts(_) | Self::Shards(_) => None,
        }
    }
}

/// A glob or folder of text, JSONL (`text` field) or Parquet (`text` column).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesSpec {
    /// Globs or folders, relative to the spec's own folder.
    pub paths: Vec<String>,
    /// Share of documents (by bytes) held out for validation, chosen by the digest of each document.
    #[serde(default = "default_validation_share")]
    pub validation_share: f64,
    /// How text becomes tokens; bytes when absent.
    #[serde(default, skip_serializing_if = "TokenizerSpec::is_bytes")]
    pub tokenizer: TokenizerSpec,
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
    /// How text becomes tokens; bytes when absent.
    #[serde(default, skip_serializing_if = "TokenizerSpec::is_bytes")]
    pub tokenizer: TokenizerSpec,
}

/// How text becomes tokens: `{ kind = "bpe", vocabulary = 4096 }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TokenizerSpec {
    /// A token is a byte; vocabulary 256.
    Bytes {},
    /// Byte-level BPE, learnt from the training split.
    Bpe(BpeSpec),
    /// A tokenizer that exists.
    File(TokenizerFileSpec),
}

impl Default for TokenizerSpec {
    fn default() -> Self {
        Self::Bytes {}
    }
}

impl TokenizerSpec {
    /// Whether a token is a byte.
    #[must_use]
    pub fn is_bytes(&self) -> bool {
        *self == Self::Bytes {}
    }

    /// The vocabulary, where the spec says it.
    #[must_use]
    pub fn vocabulary(&self) -> Option<u32> {
        match self {
            Self::Bytes {} => Some(256),
            Self::Bpe(spec) => Some(spec.vocabulary),
            Self::File(spec) => spec.vocabulary,
        }
    }
}

/// Byte-level BPE over GPT-2's words, learnt from the training split alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BpeSpec {
    /// Vocabulary V, 257 to 65536: the end of a text, 256 bytes, V - 257 merges.
    pub vocabulary: u32,
    /// Bytes of training text that it learns from, spread evenly over the split.
    #[serde(default = "default_bpe_train_bytes")]
    pub train_bytes: u64,
}

/// A `tokenizer.json` of the `tokenizers` library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenizerFileSpec {
    /// The file, relative to the spec's own folder.
    pub path: String,
    /// Its vocabulary, so that a plan can count parameters before the corpus is built; checked against the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<u32>,
}

/// Files of token ids as nanoGPT and llm.c write them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShardsSpec {
    /// Files, folders or globs of the training split, relative to the spec's own folder.
    pub train: Vec<String>,
    /// The same for the validation split.
    pub validation: Vec<String>,
    /// Layout of the files; told by their first bytes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ShardFormat>,
    /// Vocabulary size, 2 to 65536: every id is below it.
    pub vocabulary: u32,
    /// Bytes of the validation split's text per token of it; without it there are no bits per byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_token: Option<f64>,
    /// The tokenizer's file, relative to the spec's own folder, for its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// The id between documents (50256 for GPT-2); without it a file is one document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_of_text: Option<u32>,
}

/// How a file of token ids is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShardFormat {
    /// Ids of two bytes, little endian, and nothing else.
    Nanogpt,
    /// A header of 256 four-byte integers (magic, version, count), then the ids.
    Llmc,
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
    /// Facts to ask for in each half decade of ranks; no problems when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problems: Option<u32>,
}

fn default_validation_share() -> f64 {
    0.02
}

fn default_bpe_train_bytes() -> u64 {
    20_000_000
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
    /// SHA-256 over spec-independent content: `tokens.bin`, splits, clusters, tokenizer, and problems where there are any.
    pub digest: String,
    /// SHA-256 of `tokens.bin` alone.
    pub tokens_sha256: String,
    /// SHA-256 of `tokenizer.json`; `bytes-256` for bytes, `symbols-V` and `ids-V` where there is no such file.
    pub tokenizer_digest: String,
    /// Vocabulary size.
    pub vocabulary: u32,
    /// Bytes per token in the file.
    pub token_width: TokenWidth,
    /// Tokens of the training split, which starts the file.
    pub train_tokens: u64,
    /// Tokens of the validation split, which follows.
    pub validation_tokens: u64,
    /// Tokens of the training split that are not copies of an earlier document; in shards copies cannot be seen.
    pub unique_tokens: u64,
    /// Windows must start at a multiple of this many tokens (1 for text, a sentence for synthetic facts).
    pub window_alignment: u32,
    /// Clusters of the validation split, in order, covering it.
    pub clusters: Vec<Cluster>,
    /// Documents kept in the training split.
    pub train_documents: u64,
    /// Documents left out, by reason (`duplicate`, `generated`, `not_utf8`, …).
    pub left_out: Vec<LeftOut>,
    /// Bytes of the validation split's text per token of it, each document's end counted as one byte.
    ///
    /// Loss per token of the validation split over this is loss per byte. Absent where there is no text, or where the
    /// tokenizer does not give all of it back, so that its loss would say nothing of the bytes it forgets.
    pub bytes_per_token: Option<f64>,
    /// Entropy of single tokens on the training split, nats: where an untrained model ends up first.
    pub unigram_entropy: f64,
    /// Exact entropy rate in nats per token, where the source has one: the true irreducible loss.
    pub entropy_rate: Option<f64>,
    /// What each part of a mixture came to; empty for other sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartSummary>,
    /// The held-out problems, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problems: Option<ProblemSet>,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn files(tokenizer: &str) -> Result<CorpusSpec, serde_json::Error> {
        serde_json::from_str(&format!(r#"{{"source": "files", "paths": ["t"]{tokenizer}}}"#))
    }

    #[test]
    fn a_spec_without_a_tokenizer_is_bytes_and_writes_as_it_did_before_there_were_any() {
        let spec = files("").expect("reads");
        assert_eq!(spec.vocabulary(), Some(256));
        assert_eq!(spec, files(r#", "tokenizer": {"kind": "bytes"}"#).expect("reads"));
        let written = serde_json::to_string(&spec).expect("writes");
        assert_eq!(written, r#"{"source":"files","paths":["t"],"validation_share":0.02}"#);
    }

    #[test]
    fn a_bpe_says_its_vocabulary_and_learns_from_twenty_million_bytes() {
        let spec = files(r#", "tokenizer": {"kind": "bpe", "vocabulary": 4096}"#).expect("reads");
        assert_eq!(spec.vocabulary(), Some(4096));
        let bpe = BpeSpec { vocabulary: 4096, train_bytes: 20_000_000 };
        assert_eq!(spec.tokenizer(), Some(&TokenizerSpec::Bpe(bpe)));
    }

    #[test]
    fn keys_that_a_tokenizer_does_not_have_are_refused() {
        for wrong in [r#"{"kind": "bytes", "vocabulary": 300}"#, r#"{"kind": "bpe", "vocabulary": 300, "path": "x"}"#] {
            let error = files(&format!(", \"tokenizer\": {wrong}")).expect_err("unknown key").to_string();
            assert!(error.starts_with("unknown field"), "{error}");
        }
    }
}
