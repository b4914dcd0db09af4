//! Why a run could not be trained: only what is not a result. A diverged run is an outcome, not an error.

use forescale_core::memory::{told_apart, words};
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
    /// The device has too little memory for the run.
    #[error(
        "`{device}` is out of memory{}\n\nhint: {}",
        memory_asked(*needed_bytes, *free_bytes),
        memory_hint(*needed_bytes, *accumulate, *sequences)
    )]
    OutOfMemory {
        /// The device.
        device: String,
        /// Bytes the run takes; `None` where not even the device itself could be opened.
        needed_bytes: Option<u64>,
        /// Bytes that were free, where the device tells.
        free_bytes: Option<u64>,
        /// Parts that a step was split into.
        accumulate: u32,
        /// Sequences of a step.
        sequences: u32,
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

fn memory_asked(needed: Option<u64>, free: Option<u64>) -> String {
    match (needed, free) {
        (Some(needed), Some(free)) => {
            let [needed, free] = told_apart(needed, free);
            format!(": the run takes {needed}, and {free} are free")
        }
        (Some(needed), None) => format!(": the run takes {}", words(needed)),
        (None, Some(free)) => format!(": {} are free", words(free)),
        (None, None) => String::new(),
    }
}

fn memory_hint(needed: Option<u64>, accumulate: u32, sequences: u32) -> String {
    if needed.is_none() {
        return "other processes hold the card's memory (`nvidia-smi` lists them): end some, or train fewer runs at once"
            .to_owned();
    }
    match next_accumulation(accumulate, sequences) {
        Some(more) => {
            format!("--accumulate {more} splits each step into smaller parts, with the same result but for rounding")
        }
        None => "a part of a step is one sequence already: use a card with more memory, or a smaller model".to_owned(),
    }
}

/// The next number of equal parts, above a given one, that a step's sequences can be split into.
fn next_accumulation(accumulate: u32, sequences: u32) -> Option<u32> {
    (accumulate.saturating_add(1)..=sequences).find(|parts| sequences.is_multiple_of(*parts))
}

impl TrainError {
    /// For a run that found too little memory: the number of parts to split a step into next, if there is one.
    #[must_use]
    pub fn next_accumulation(&self) -> Option<u32> {
        match self {
            Self::OutOfMemory { accumulate, sequences, .. } => next_accumulation(*accumulate, *sequences),
            _ => None,
        }
    }

    /// Of a device that was opened for a run of so many sequences a step, in so many parts.
    pub(crate) fn opening_for(self, sequences: u32, accumulate: u32) -> Self {
        match self {
            Self::OutOfMemory { device, needed_bytes, free_bytes, .. } => {
                Self::OutOfMemory { device, needed_bytes, free_bytes, accumulate, sequences }
            }
            other => other,
        }
    }

    pub(crate) fn config(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::BadConfig { problem: problem.into(), hint: hint.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::CardError;

    fn full(accumulate: u32) -> TrainError {
        TrainError::OutOfMemory {
            device: "cuda:0".to_owned(),
            needed_bytes: Some(3 << 30),
            free_bytes: Some(1 << 30),
            accumulate,
            sequences: 12,
        }
    }

    #[test]
    fn a_full_card_says_how_much_was_asked_for_and_what_to_try() {
        let error = full(4).to_string();
        assert!(error.contains("`cuda:0` is out of memory: the run takes 3.0 GiB, and 1.0 GiB are free"), "{error}");
        // The next divisor of twelve sequences after four parts.
        assert!(error.contains("hint: --accumulate 6"), "{error}");
        assert_eq!((full(6).next_accumulation(), full(12).next_accumulation()), (Some(12), None));
        assert!(full(12).to_string().contains("one sequence already"));
    }

    #[test]
    fn a_card_too_full_to_be_opened_is_out_of_memory_for_the_run_it_was_opened_for() {
        let full = CardError::OutOfMemory { free_bytes: Some(9 << 20) };
        let error = full.on("cuda:0").opening_for(12, 4);
        let text = error.to_string();
        assert!(text.contains("`cuda:0` is out of memory: 9.0 MiB are free"), "{text}");
        assert!(text.contains("hint: other processes hold the card's memory"), "{text}");
        assert_eq!(error.next_accumulation(), Some(6));
        let broken = CardError::Failed("gone".to_owned()).on("cuda:0").opening_for(12, 4);
        assert!(matches!(broken, TrainError::Device { .. }), "{broken}");
    }
}
