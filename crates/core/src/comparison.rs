//! What a comparison of two recipes says: the JSON contract of `compare`, as types.
//!
//! A recipe is a family of runs trained alike. It is compared along its own compute-optimal path: what a budget buys under
//! one recipe against what it buys under the other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::outcome::{Diagnosis, Inputs};
use crate::quantity::LossUnit;

/// Form of `compare --json`.
pub const COMPARISON_SCHEMA: &str = "forescale.compare/1.0";

/// One of the two recipes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComparedRecipe {
    /// Its name as given.
    pub name: String,
    /// Runs.
    pub runs: u64,
    /// Smallest compute among them.
    pub min_flops: f64,
    /// Largest compute among them.
    pub max_flops: f64,
    /// Laws fitted.
    pub laws: Vec<String>,
    /// Provenance.
    pub inputs: Inputs,
}

/// One law's word on a budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LawComparison {
    /// The law, fitted to both recipes.
    pub law: String,
    /// Its weight; weights sum to one. 0 where a forecast would not listen to it beside the others: it has no floor, is drawn
    /// through few vertices, or is a special case of another.
    pub weight: f64,
    /// Loss of A.
    pub loss_a: f64,
    /// Loss of B.
    pub loss_b: f64,
    /// Compute multiplier, absent where no budget of B gives A's loss.
    pub multiplier: Option<f64>,
}

/// What a budget buys under either recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetComparison {
    /// The budget of A, FLOPs.
    pub flops: f64,
    /// log10 of the budget over A's largest run; negative inside its data.
    pub decades_beyond_a: f64,
    /// log10 of the budget over B's largest run.
    pub decades_beyond_b: f64,
    /// A's loss there.
    pub loss_a: f64,
    /// B's loss at the same budget.
    pub loss_b: f64,
    /// B's loss less A's, median and interval: negative where B is better.
    pub difference: Estimate,
    /// Compute multiplier: A's budget over the budget with which B reaches A's loss. Above 1 B needs less compute. Absent
    /// where no budget of B within a factor of a million is expected to give that loss.
    pub multiplier: Option<f64>,
    /// Its interval: an end is absent where the data set none.
    pub multiplier_lower: Option<f64>,
    /// Upper end.
    pub multiplier_upper: Option<f64>,
    /// Probability that B's loss at this budget is below A's.
    pub probability_b_better: f64,
    /// Level of the intervals.
    pub level: f64,
    /// Law by law.
    pub laws: Vec<LawComparison>,
}

/// Budgets from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComputeRange {
    /// The least, FLOPs.
    pub least: f64,
    /// The most, FLOPs.
    pub most: f64,
}

/// Where the two curves meet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crossing {
    /// The budget; the interval holds all budgets around it at which neither recipe is known to be better.
    pub flops: Estimate,
    /// Whether B is better above it.
    pub b_better_above: bool,
}

/// `compare --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// [`COMPARISON_SCHEMA`].
    pub schema: String,
    /// The first recipe.
    pub a: ComparedRecipe,
    /// The second.
    pub b: ComparedRecipe,
    /// Unit of the losses.
    pub unit: LossUnit,
    /// The largest budget that runs of both recipes reach.
    pub common_flops: f64,
    /// At the largest common budget first, then at each budget asked for.
    pub budgets: Vec<BudgetComparison>,
    /// Where the curves cross, in rising order of compute; empty where they do not within `searched`.
    pub crossings: Vec<Crossing>,
    /// Budgets between which crossings were sought.
    pub searched: ComputeRange,
    /// What was seen, in one sentence.
    pub verdict: String,
    /// Whether noise of the evaluation set is left out because both were measured on one set.
    pub shared_evaluation: bool,
    /// Doubts.
    pub diagnoses: Vec<Diagnosis>,
}
