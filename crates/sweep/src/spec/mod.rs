//! `sweep.toml`: what a sweep asks for.
//!
//! Read in two steps. `written` holds the file as typed, strict about keys and types; `check` turns it once into a
//! [`SweepSpec`], whose fields nobody can set, so that everything after may rely on it. What can only be known with
//! sizes worked out (steps, tokens, compute) is checked by [`crate::plan()`].
//!
//! Errors name the file, the line where TOML tells it, the key, the value that was wrong and the one that is allowed.

mod check;
mod source;
mod written;

use std::path::{Path, PathBuf};

use forescale_core::corpus::CorpusSpec;
use forescale_core::count::{CountingRule, FlopsRule, Mlp};
use forescale_core::run::{EvaluationConfig, Family, Parametrization, ScheduleKind};
use thiserror::Error;

/// Version of the spec's form.
pub const SWEEP_SCHEMA: &str = "forescale.sweep/1.1";

/// File name of a spec in its sweep folder.
pub const SPEC_FILE: &str = "sweep.toml";

/// A spec that cannot be read, or that asks for what cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {problem}\n\nhint: {hint}")]
pub struct SpecError {
    /// The file in backticks, with the line where it is known.
    pub place: String,
    /// What is wrong, with the value and the one that is allowed.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

/// The error of a TOML text of ours, with the line, the key and the nearest known key.
pub(crate) fn located(path: &Path, text: &str, error: &toml::de::Error) -> SpecError {
    source::Source { path: path.to_owned(), text }.translate(error)
}

/// A checked `sweep.toml`.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepSpec {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) corpus: CorpusSpec,
    pub(crate) model: ModelSpec,
    pub(crate) training: TrainingSpec,
    pub(crate) evaluation: EvaluationConfig,
    pub(crate) rungs: Vec<Rung>,
    pub(crate) off_path: Vec<OffPath>,
    pub(crate) trunks: Vec<Trunk>,
    pub(crate) target: Option<Target>,
    pub(crate) forecast: ForecastSpec,
    pub(crate) hardware: HardwareSpec,
    pub(crate) slurm_args: Vec<String>,
}

/// What all models of a sweep share.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Family.
    pub family: Family,
    /// Blocks.
    pub layers: u32,
    /// Width of one attention head; widths are multiples of it.
    pub head_size: u32,
    /// Context length in tokens.
    pub context: u32,
    /// How many of the last tokens are embedded into the input.
    pub input_order: u32,
    /// Kind of MLP.
    pub mlp: Mlp,
    /// Hidden width of the MLP over the width, before rounding up to a multiple of 8.
    pub mlp_ratio: f64,
}

/// How all runs of a sweep are trained; the plan's recipe turns it into numbers for each run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingSpec {
    /// Peak rate of hidden matrices and readout at `base_width`, before the correction for the horizon.
    pub learning_rate: f64,
    /// Peak rate of embeddings and norm gains, before the correction for the horizon.
    pub embedding_learning_rate: f64,
    /// Width at which the rates were tuned.
    pub base_width: u32,
    /// Depth at which the rates were tuned.
    pub base_layers: u32,
    /// How the rates follow the training tokens; `None` where they do not.
    pub horizon: Option<HorizonCorrection>,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment, at `beta2_base_batch_tokens` where that is named.
    pub beta2: f64,
    /// Tokens per step at which `beta2` holds; `None` where it holds for every batch.
    pub beta2_base_batch_tokens: Option<f64>,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global gradient norm.
    pub clip_norm: f64,
    /// Share of the steps that warm up.
    pub warmup: f64,
    /// Shape of the schedule.
    pub schedule: ScheduleKind,
    /// Share of the steps of the cooldown of warmup-stable-decay; 0 for the other shapes.
    pub decay: f64,
    /// How rates and scales move with width.
    pub parametrization: Parametrization,
    /// Tokens per step over the training tokens to the power of `batch_exponent`.
    pub batch_coefficient: f64,
    /// How tokens per step grow with the training tokens.
    pub batch_exponent: f64,
    /// Whether a token may be seen twice.
    pub allow_repeats: bool,
}

/// Peak rates are multiplied by (`base_tokens` / D)^`exponent`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HorizonCorrection {
    /// The exponent, not 0.
    pub exponent: f64,
    /// Training tokens at which the rates were tuned.
    pub base_tokens: f64,
}

/// One width on the compute-optimal path.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    /// Width.
    pub width: u32,
    /// D / N.
    pub tokens_per_param: f64,
    /// Seeds 0 to this, not included.
    pub seeds: u64,
}

/// How much data a run off the path gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Horizon {
    /// D / N.
    TokensPerParam(f64),
    /// As much compute as the rung of this width.
    ComputeOf(u32),
}

/// Runs off the path, so that N and D can be told apart.
#[derive(Clone, Debug, PartialEq)]
pub struct OffPath {
    /// Width.
    pub width: u32,
    /// Data.
    pub horizon: Horizon,
    /// Seeds 0 to this, not included.
    pub seeds: u64,
}

/// One trajectory with a cooldown branch for each of several horizons.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// Width.
    pub width: u32,
    /// D / N of each branch, two or more, rising.
    pub tokens_per_param: Vec<f64>,
    /// Seed.
    pub seed: u64,
}

/// The run that is forecast first and trained afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Width.
    pub width: u32,
    /// D / N.
    pub tokens_per_param: f64,
    /// Seed.
    pub seed: u64,
}

/// What is fitted and how it is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastSpec {
    /// Level of the interval that the forecast is judged by.
    pub level: f64,
    /// What N counts.
    pub params_rule: CountingRule,
    /// How C is counted.
    pub flops_rule: FlopsRule,
    /// Laws to fit, by name, in the order written.
    pub laws: Vec<String>,
}

/// How runs may be fitted onto what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardwareSpec {
    /// Whether a batch may be dealt into parts, one after another, where memory does not suffice for the whole.
    pub accumulate: bool,
}

impl SweepSpec {
    /// Reads and checks a spec, given its file or the sweep folder that holds it.
    ///
    /// # Errors
    ///
    /// [`SpecError`] when there is no such file, it is not TOML, a key is unknown or missing, or a value is not allowed.
    pub fn load(path: &Path) -> Result<Self, SpecError> {
        let file = if path.is_dir() { path.join(SPEC_FILE) } else { path.to_owned() };
        let text = std::fs::read_to_string(&file).map_err(|error| source::unreadable(&file, &error))?;
        Self::parse(&file, &text)
    }

    /// Checks the text of a spec; `path` says where it lies, for errors and for [`SweepSpec::folder`].
    ///
    /// # Errors
    ///
    /// As [`SweepSpec::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let source = source::Source { path: path.to_owned(), text };
        check::check(&source, written::read(&source)?)
    }

    /// The spec's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that the spec lies in; relative paths in it start there.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Name of the sweep.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the sweep is, in a sentence; may be empty.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Where the text comes from.
    #[must_use]
    pub fn corpus(&self) -> &CorpusSpec {
        &self.corpus
    }

    /// What all models share.
    #[must_use]
    pub fn model(&self) -> &ModelSpec {
        &self.model
    }

    /// How all runs are trained.
    #[must_use]
    pub fn training(&self) -> &TrainingSpec {
        &self.training
    }

    /// The same spec under another parametrisation.
    pub(crate) fn with_parametrization(&self, parametrization: Parametrization) -> Self {
        Self { training: TrainingSpec { parametrization, ..self.training.clone() }, ..self.clone() }
    }

    /// What is measured.
    #[must_use]
    pub fn evaluation(&self) -> &EvaluationConfig {
        &self.evaluation
    }

    /// The compute-optimal path, by rising width.
    #[must_use]
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// Runs off the path.
    #[must_use]
    pub fn off_path(&self) -> &[OffPath] {
        &self.off_path
    }

    /// Trunks, in the order written.
    #[must_use]
    pub fn trunks(&self) -> &[Trunk] {
        &self.trunks
    }

    /// The held-out target, if the sweep has one.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// How runs may be fitted onto what there is.
    #[must_use]
    pub fn hardware(&self) -> HardwareSpec {
        self.hardware
    }

    /// What `sbatch` is told for each job of this sweep, ahead of what a person types.
    #[must_use]
    pub fn slurm_args(&self) -> &[String] {
        &self.slurm_args
    }

    /// What is fitted and how it is counted.
    #[must_use]
    pub fn forecast(&self) -> &ForecastSpec {
        &self.forecast
    }
}

#[cfg(test)]
mod tests;
