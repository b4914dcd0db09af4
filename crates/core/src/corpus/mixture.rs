//! Text of several sources in one corpus, and tasks among them.
//!
//! ```toml
//! [corpus]
//! source = "mixture"
//! train_tokens = 8_000_000
//!
//! [[corpus.part]]
//! source = "rust-code"
//! lock = "corpus.lock"
//! share = 0.9
//!
//! [[corpus.part]]
//! source = "task"
//! task = "addition"
//! share = 0.1
//! problems = 200
//! parameters = { digits = 3 }
//! ```
//!
//! What a task's parameters mean is known where the task is, not here: a new task changes no type of this file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parts in fixed shares. A token is a byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixtureSpec {
    /// `[[corpus.part]]`, at least one.
    pub part: Vec<PartSpec>,
    /// Training tokens; as many as the text of the parts gives for when absent, and needed where all parts are tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_tokens: Option<u64>,
    /// Validation tokens; as for training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_tokens: Option<u64>,
    /// Seed of the order in which documents of text come.
    #[serde(default)]
    pub seed: u64,
}

/// One part of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "source", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PartSpec {
    /// Text, JSONL or Parquet files.
    Files(FilesPart),
    /// Rust source of published crates.
    RustCode(RustCodePart),
    /// Text that teaches a task, and problems of it.
    Task(TaskPart),
}

impl PartSpec {
    /// Its share of the training tokens.
    #[must_use]
    pub fn share(&self) -> f64 {
        match self {
            Self::Files(part) => part.share,
            Self::RustCode(part) => part.share,
            Self::Task(part) => part.share,
        }
    }
}

/// As [`FilesSpec`](super::FilesSpec), in a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesPart {
    /// Share of the training tokens.
    pub share: f64,
    /// Globs or folders, relative to the spec's own folder.
    pub paths: Vec<String>,
    /// Share of documents (by bytes) held out for validation.
    #[serde(default = "super::default_validation_share")]
    pub validation_share: f64,
}

/// As [`RustCodeSpec`](super::RustCodeSpec), in a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RustCodePart {
    /// Share of the training tokens.
    pub share: f64,
    /// The lock file, relative to the spec's own folder.
    pub lock: String,
    /// Use only the first crates of the training split up to this many bytes; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_train_bytes: Option<u64>,
}

/// A task in a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskPart {
    /// Share of the training tokens; 0 for a task that is taught by the other parts' text.
    #[serde(default)]
    pub share: f64,
    /// Which task: `addition`, `brackets`, …
    pub task: String,
    /// What its problems are called, unique in the corpus; the task's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Held-out problems of each bucket; fewer where a bucket has not five times as many different ones.
    #[serde(default = "default_problems")]
    pub problems: u32,
    /// Seed of its text and problems.
    #[serde(default)]
    pub seed: u64,
    /// Its own parameters; its usual ones when absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, serde_json::Value>,
}

impl TaskPart {
    /// What its problems are called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.task)
    }
}

/// A corpus that is one task and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Which task.
    pub task: String,
    /// Training tokens to write.
    pub train_tokens: u64,
    /// Validation tokens to write.
    pub validation_tokens: u64,
    /// Held-out problems of each bucket, as in [`TaskPart`].
    #[serde(default = "default_problems")]
    pub problems: u32,
    /// Seed of its text and problems.
    #[serde(default)]
    pub seed: u64,
    /// Its own parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, serde_json::Value>,
}

impl TaskSpec {
    /// The mixture of which it is the only part.
    #[must_use]
    pub fn as_mixture(&self) -> MixtureSpec {
        let part = TaskPart {
            share: 1.0,
            task: self.task.clone(),
            name: None,
            problems: self.problems,
            seed: self.seed,
            parameters: self.parameters.clone(),
        };
        MixtureSpec {
            part: vec![PartSpec::Task(part)],
            train_tokens: Some(self.train_tokens),
            validation_tokens: Some(self.validation_tokens),
            seed: self.seed,
        }
    }
}

fn default_problems() -> u32 {
    200
}

/// What a part came to, in the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartSummary {
    /// Its name: the task's, or `files`, `rust-code`; with its number where there are several.
    pub name: String,
    /// The share of the training tokens that the spec asks for.
    pub share: f64,
    /// Its training tokens.
    pub train_tokens: u64,
    /// Its documents in the training split.
    pub train_documents: u64,
    /// Its validation tokens.
    pub validation_tokens: u64,
}

/// `problems.jsonl`, in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProblemSet {
    /// SHA-256 of `problems.jsonl`.
    pub sha256: String,
    /// Problems: lines of the file.
    pub problems: u64,
    /// Tokens of the longest prompt with its answer: the least context that asks every problem whole.
    pub longest_tokens: u64,
    /// How many there are of each task, by bucket, in the order of the file.
    pub buckets: Vec<BucketCount>,
}

/// Problems of one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketCount {
    /// The task's name.
    pub task: String,
    /// What the bucket is called.
    pub bucket: String,
    /// How many.
    pub problems: u64,
}
