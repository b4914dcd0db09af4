//! The record of a run, form 1.1, and the two traits between a training loop and where its results are kept.
//!
//! A run folder is append-only. `log.jsonl` holds [`LogLine`]s, one JSON object a line, in the order they happened;
//! `record.json` is written once, whole, when the run is over. Everything after it can be rebuilt from records.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::count::{FlopsCounts, ParameterCounts};
use crate::digest::json_digest;
use crate::run::{Role, RunConfig, RunId};

/// Version of the record's form.
pub const RECORD_SCHEMA: &str = "forescale.record/1.1";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// All steps done.
    Finished,
    /// The loss stopped being a number or left the range of a working run.
    Diverged,
    /// Ended before its last step by a person or a limit.
    Stopped,
}

/// One measured number of a finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// `loss` for cross-entropy on the validation set.
    pub name: String,
    /// Unit, in words: `nats_per_token`.
    pub unit: String,
    /// Digest of the evaluation set: which tokens, in which windows.
    pub eval_set_digest: String,
    /// Digest of the tokenizer.
    pub tokenizer_digest: String,
    /// The number.
    pub value: f64,
    /// Its standard error over clusters (documents or crates); common to all runs on one evaluation set.
    pub se: Option<f64>,
    /// Tokens, or problems, it is a mean over.
    pub n: u64,
}

/// One evaluation during training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// Optimiser steps done.
    pub step: u64,
    /// Training tokens seen.
    pub tokens: u64,
    /// Learning rate of that step as a share of the peak.
    pub learning_rate_share: f64,
    /// Validation loss in nats per token.
    pub loss: f64,
}

/// Where and how a run was computed; outside its `result_digest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// `cpu` or `cuda:0`.
    pub device: String,
    /// Number format of the arithmetic.
    pub dtype: String,
    /// Widest vector instructions in use (`avx512`, `avx2`, `scalar`).
    pub simd: String,
    /// Threads used.
    pub threads: u32,
    /// Version of Forescale.
    pub version: String,
    /// Wall time over all attempts, seconds.
    pub wall_seconds: f64,
    /// Attempts, the first one included.
    pub attempts: u32,
    /// Peak resident memory of the last attempt, bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// What changed between attempts, in words (a change of SIMD level, a batch dealt anew for want of memory).
    pub notes: Vec<String>,
    /// Parts that each batch was dealt into, one after another, for want of memory; 1 where it was taken whole.
    #[serde(default = "whole_batch", skip_serializing_if = "is_whole_batch")]
    pub accumulate: u32,
    /// The card that the last attempt trained on, where there was one and its driver tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardUse>,
}

fn whole_batch() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_whole_batch(accumulate: &u32) -> bool {
    *accumulate == 1
}

/// A card while a run trained on it, as its driver told once a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CardUse {
    /// Name, as the driver says it.
    pub name: String,
    /// Version of the driver.
    pub driver: String,
    /// Memory of the card, bytes.
    pub memory_bytes: u64,
    /// Most memory that the run's process held, bytes, where the driver tells processes apart; in a container it does not.
    pub peak_memory_bytes: Option<u64>,
    /// Most memory that was in use on the card, bytes, other processes' included.
    pub peak_card_memory_bytes: u64,
    /// Share of the time in which the card computed, from 0 to 1, other processes' work included.
    pub mean_utilisation: Option<f64>,
    /// Mean clock of the processors, MHz.
    pub mean_clock_mhz: Option<f64>,
    /// Mean clock of the memory, MHz.
    pub mean_memory_clock_mhz: Option<f64>,
    /// Readings that peak and means are over.
    pub readings: u64,
}

/// `record.json`: all that is known of a run that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// [`RECORD_SCHEMA`].
    pub schema: String,
    /// Identity.
    pub run_id: RunId,
    /// Readable name.
    pub name: String,
    /// What it was for.
    pub role: Role,
    /// How it was trained.
    pub config: RunConfig,
    /// Digest of the config.
    pub config_digest: String,
    /// Digest of the corpus.
    pub corpus_digest: String,
    /// Digest of the tokenizer.
    pub tokenizer_digest: String,
    /// Parameters by group, equal to the tensors that were trained.
    pub parameters: ParameterCounts,
    /// FLOPs under each rule.
    pub flops: FlopsCounts,
    /// Training tokens, repeats included.
    pub tokens: u64,
    /// Training tokens, each counted once.
    pub unique_tokens: u64,
    /// Steps done.
    pub steps: u64,
    /// Tokens per step.
    pub batch_tokens: u64,
    /// Runs that share a trunk share a cluster; otherwise the run's own id.
    pub cluster: String,
    /// Whether the point is the end of its schedule (decayed), not a checkpoint on the way.
    pub is_final: bool,
    /// How it ended.
    pub status: RunStatus,
    /// Why, unless it finished.
    pub reason: Option<String>,
    /// What was measured at the end.
    pub metrics: Vec<Metric>,
    /// What was measured on the way.
    pub curve: Vec<CurvePoint>,
    /// How often the training loss stood far above its running mean and came back; 0 in a quiet run.
    #[serde(default)]
    pub spikes: u64,
    /// Digest of the results per problem that lie beside the record, where the run was asked any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_digest: Option<String>,
    /// Digest of the registration that this run was held out under, if any.
    pub registration_sha256: Option<String>,
    /// Digest over everything above that training decides: two results are equal when these are.
    pub result_digest: String,
    /// Where and how; outside the digest.
    pub environment: Environment,
}

impl RunRecord {
    /// The digest over config, status, metrics, curve, spikes and results per problem; time, host and attempts are outside
    /// it.
    ///
    /// Spikes and results per problem enter only where there are any, so that records sealed before these were counted keep
    /// their digest.
    #[must_use]
    pub fn compute_result_digest(&self) -> String {
        let quiet = (
            &self.config_digest,
            &self.parameters,
            self.steps,
            self.unique_tokens,
            self.status,
            &self.reason,
            &self.metrics,
            &self.curve,
        );
        match (&self.items_digest, self.spikes) {
            (None, 0) => json_digest(&quiet),
            (None, spikes) => json_digest(&(quiet, spikes)),
            (Some(items), spikes) => json_digest(&(quiet, spikes, items)),
        }
    }

    /// A metric by name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

/// One line of `log.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum LogLine {
    /// First line of each attempt.
    Start {
        /// Attempt number, from 1.
        attempt: u32,
        /// Step it starts from (0, or a checkpoint's).
        step: u64,
        /// Steps of the whole run.
        steps: u64,
        /// Digest of the registration, where the run is a registered target.
        registration_sha256: Option<String>,
        /// Widest vector instructions in use.
        simd: String,
        /// Device.
        device: String,
    },
    /// Training loss since the last line.
    Step {
        /// Attempt number.
        attempt: u32,
        /// Steps done.
        step: u64,
        /// Mean training loss since the last such line, nats per token.
        loss: f64,
        /// Gradient norm before clipping, of the last step.
        gradient_norm: f64,
        /// Tokens per second since the last such line.
        tokens_per_second: f64,
    },
    /// A validation loss.
    Evaluation {
        /// Attempt number.
        attempt: u32,
        /// The point on the curve.
        point: CurvePoint,
    },
    /// Last line of an attempt that the memory of its device did not suffice for; where it was refused before it began,
    /// the only one. A launcher tries such a run again with a batch dealt into more parts.
    OutOfMemory {
        /// Attempts that have begun so far.
        attempt: u32,
        /// Steps done.
        step: u64,
        /// Device.
        device: String,
        /// Parts that each batch was dealt into.
        accumulate: u32,
        /// Memory that was needed, bytes, where it was counted.
        needed_bytes: Option<u64>,
        /// Memory that there was, bytes, where the device tells.
        free_bytes: Option<u64>,
    },
    /// Last line of an attempt that came to an end.
    End {
        /// Attempt number.
        attempt: u32,
        /// Steps done.
        step: u64,
        /// How it ended.
        status: RunStatus,
        /// Seconds of this attempt.
        wall_seconds: f64,
    },
}

/// A saved state of training, as bytes whose form the training crate owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Steps done.
    pub step: u64,
    /// Weights, optimiser state and curve so far.
    pub bytes: Vec<u8>,
}

/// Where a run's log and checkpoints go. The training loop knows nothing more of it.
pub trait RunSink {
    /// Appends one line to the log.
    ///
    /// # Errors
    ///
    /// [`SinkError`] when the line could not be written whole.
    fn log(&mut self, line: &LogLine) -> Result<(), SinkError>;

    /// How many attempts have begun before this one: the log's [`LogLine::Start`] lines.
    ///
    /// # Errors
    ///
    /// [`SinkError`] when the log cannot be read.
    fn attempts(&mut self) -> Result<u32, SinkError>;

    /// Replaces the checkpoint, in one step that cannot be seen half done.
    ///
    /// # Errors
    ///
    /// [`SinkError`] when the new checkpoint is not safely stored; the old one then still is.
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError>;

    /// The newest checkpoint whose checksum holds, if there is one.
    ///
    /// # Errors
    ///
    /// [`SinkError`] when there is one but it cannot be read or is damaged.
    fn restore(&mut self) -> Result<Option<Checkpoint>, SinkError>;

    /// Keeps the state of the run's trunk for its other branches; a sink without trunks forgets it.
    ///
    /// # Errors
    ///
    /// [`SinkError`] when it is not safely stored.
    fn save_trunk(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        let _ = checkpoint;
        Ok(())
    }

    /// The latest state of the run's trunk at or before a step, if there is one.
    ///
    /// # Errors
    ///
    /// [`SinkError`] when there is one but it cannot be read or is damaged.
    fn restore_trunk(&mut self, at_most: u64) -> Result<Option<Checkpoint>, SinkError> {
        let _ = at_most;
        Ok(None)
    }
}

/// A log line or a checkpoint could not be kept or found again.
#[derive(Debug, Error)]
#[error("`{place}`: {problem}\n\nhint: {hint}")]
pub struct SinkError {
    /// The file.
    pub place: String,
    /// What went wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
}
