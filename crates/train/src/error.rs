//! Why a run could not be trained: only what is not a result. A diverged run is an outcome, not an error.

use forescale_core::record::SinkError;
use thiserror::Error;

/// A run could not be trained.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The token file could not be read.
    #[error("`{path}`: {source}\n\nhint: build the corpus again with `forescale corpus build SPEC`")]
    TokensUnreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The token file is not the one its manifest describes.
    #[error("`{path}`: {problem}\n\nhint: build the corpus again with `forescale corpus build SPEC`")]
    TokensDamaged {
        /// The file.
        path: String,
        /// What does not agree.
        problem: String,
    },
    /// The run was planned on another corpus.
    #[error(
        "the run was planned on corpus `{planned}`, but the corpus at hand is `{found}`\n\nhint: plan again with `forescale plan SWEEP`, or restore the corpus the plan was made on"
    )]
    OtherCorpus {
        /// Digest in the config.
        planned: String,
        /// Digest in the manifest.
        found: String,
    },
    /// The config cannot be trained.
    #[error("{problem}\n\nhint: {hint}")]
    BadConfig {
        /// What is wrong, with the wrong number and the allowed one.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The run would see tokens twice.
    #[error(
        "the run needs {needed} blocks of {context} tokens, but the training split has {available}\n\nhint: shorten the run, use a larger corpus, or set `allow_repeats = true`"
    )]
    NotEnoughTokens {
        /// Blocks the run would read.
        needed: u64,
        /// Blocks there are.
        available: u64,
        /// Tokens per block.
        context: u32,
    },
    /// The validation split is too small for the evaluation set.
    #[error(
        "evaluation of {tokens} tokens needs {needed} windows of {context} tokens, but the validation split has {available}\n\nhint: lower `evaluation.tokens` to {allowed} or less, or hold out more validation text"
    )]
    NotEnoughValidation {
        /// Tokens asked for.
        tokens: u64,
        /// Windows that takes.
        needed: u64,
        /// Windows there are.
        available: u64,
        /// Tokens the split allows.
        allowed: u64,
        /// Tokens per window.
        context: u32,
    },
    /// The device cannot train.
    #[error("{problem}\n\nhint: {hint}")]
    Device {
        /// What is missing.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// A checkpoint is not one of this run, or is damaged.
    #[error("checkpoint at step {step}: {problem}\n\nhint: {hint}")]
    Checkpoint {
        /// Step the sink said it was taken at.
        step: u64,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The state of a trunk is not one that this branch can go on from, or is damaged.
    #[error(
        "trunk checkpoint at step {step}: {problem}\n\nhint: delete the trunk's checkpoint; its branches are then trained from the start"
    )]
    TrunkCheckpoint {
        /// Step the sink said it was taken at.
        step: u64,
        /// What is wrong.
        problem: String,
    },
    /// The log or a checkpoint could not be stored or read.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The worker threads could not be started.
    #[error("cannot start {threads} worker threads: {problem}\n\nhint: ask for fewer threads")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the system said.
        problem: String,
    },
    /// A tensor operation refused its input: a defect of this program.
    #[error(
        "tensor operation failed: {0}\n\nhint: this is a defect of forescale; please report it with the sweep file"
    )]
    Tensor(#[from] candle_core::Error),
}

impl TrainError {
    pub(crate) fn config(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::BadConfig { problem: problem.into(), hint: hint.into() }
    }
}
