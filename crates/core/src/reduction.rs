//! What became of runs that differ in tuning alone.
//!
//! A table of these goes with every observation that `--best-of` made, so that nothing is folded in silence. How a vertex
//! is found is not told here but in the room that fits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A knob of training: what runs of one size and data may differ in, and what is recommended at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// Peak learning rate.
    LearningRate,
    /// Tokens per optimiser step.
    BatchTokens,
}

impl Knob {
    /// Every knob.
    pub const ALL: [Self; 2] = [Self::LearningRate, Self::BatchTokens];

    /// As `--best-of` spells it.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::LearningRate => "lr",
            Self::BatchTokens => "batch",
        }
    }

    /// The words for a sentence.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::LearningRate => "learning rate",
            Self::BatchTokens => "batch",
        }
    }
}

/// How one observation came from several runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReductionMethod {
    /// The vertex of a parabola through the settings near the lowest.
    Quadratic,
    /// The lowest setting, which is the smallest or largest tried: better ones may lie beyond it.
    AtEdge,
    /// The lowest setting, with no parabola through its neighbours that is as shallow as they are: one of them is far away.
    NoVertex,
    /// The lowest setting of two: no parabola goes through fewer than three.
    TooFew,
}

/// One size and data, and the observation that stands for its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reduction {
    /// Identity of the observation that stands for them.
    pub run_id: String,
    /// What they differ in.
    pub knob: Knob,
    /// Group.
    pub group: Option<String>,
    /// Size N.
    pub params: f64,
    /// Data D, tokens.
    pub tokens: f64,
    /// Runs folded.
    pub runs: Vec<String>,
    /// Distinct settings among them.
    pub settings: u64,
    /// Settings that the parabola went through; 0 where there is none.
    pub settings_used: u64,
    /// The setting chosen.
    pub value: f64,
    /// The loss there.
    pub loss: f64,
    /// Its standard error over seeds, where the scatter about the parabolas or between repeats tells it.
    pub standard_error: Option<f64>,
    /// The lowest loss of any single run: biased downwards by noise.
    pub raw_minimum: f64,
    /// The setting of that run.
    pub raw_value: f64,
    /// How.
    pub method: ReductionMethod,
}
