//! What the questions besides "what loss" are answered with: a budget to reach a loss, the best shape under a cap, and
//! the learning rate and batch at a target.
//!
//! Documents only: how they are worked out is `fit`'s. Every number is an [`Estimate`]; a number that a question fixes
//! (a given size) is one without width.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cost::CostRange;
use crate::estimate::Estimate;
use crate::observation::FlopsPerProduct;
use crate::outcome::{Diagnosis, Inputs};
use crate::reduction::Knob;

/// Form of the optimum under a cap.
pub const OPTIMUM_SCHEMA: &str = "forescale.optimum/1.0";
/// Form of the recommended learning rate and batch.
pub const RECOMMENDATION_SCHEMA: &str = "forescale.recommendation/1.0";

/// The budget at which a forecast reaches a level, with N and D there; the forecast's target is the run at that budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// The level of the metric.
    pub loss: f64,
    /// Budget at which the median reaches it. Below the lower end even a lucky run does not, from the upper end on an
    /// unlucky one does too: there the outer quantiles of one run's loss reach it. An end is missing where its quantile
    /// does not cross the level between the smallest run and a million times the largest.
    pub flops: Estimate,
    /// N at that budget; `None` where neither a law of size and data nor a path gives one.
    pub params: Option<Estimate>,
    /// D at that budget.
    pub tokens: Option<Estimate>,
    /// What a parameter and token cost in the runs, where N and D follow from it; absent in answers made before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flops_per_product: Option<FlopsPerProduct>,
}

/// What else was asked at a target, each where it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// The best size and data under caps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimum: Option<OptimumUnderCap>,
    /// The learning rate and batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendations: Option<Recommendations>,
    /// What the compute costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostRange>,
}

/// What an optimum is sought for: exactly one of the two is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// The lowest loss for a budget, FLOPs: training, and serving where it is asked for.
    Flops(f64),
    /// The least compute for a loss.
    Loss(f64),
}

/// Tokens a model will process after training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serving {
    /// Tokens a month, read and written alike.
    pub tokens_per_month: f64,
    /// For how many months.
    pub months: f64,
}

impl Serving {
    /// All tokens served.
    #[must_use]
    pub fn tokens(&self) -> f64 {
        self.tokens_per_month * self.months
    }
}

/// What an optimum must keep to; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Caps {
    /// Most training tokens there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<f64>,
    /// Largest size allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_params: Option<f64>,
    /// The size, where it is given: D follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<f64>,
    /// Serving counted into the compute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
}

/// One size with its data, its loss and its compute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// N.
    pub params: Estimate,
    /// D.
    pub tokens: Estimate,
    /// Loss there, the law's mean.
    pub loss: Estimate,
    /// Compute of training.
    pub training_flops: Estimate,
    /// Compute of serving; `None` where none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving_flops: Option<Estimate>,
    /// Both.
    pub total_flops: Estimate,
}

/// One law's word on an optimum under a cap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LawOptimum {
    /// The law of size and data.
    pub law: String,
    /// The optimum that keeps to the caps.
    pub chosen: Choice,
    /// The optimum of training alone, without any cap.
    pub unconstrained: Choice,
    /// The caps that hold it where it is: `max_tokens`, `max_params`, `params`, `serving`.
    pub binding: Vec<String>,
    /// Loss over that of the unconstrained optimum at the same budget, 1.02 for 2% more; where a budget is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_ratio: Option<Estimate>,
    /// Total compute over that of the unconstrained optimum of the same loss that serves the same tokens, 0.8 for a fifth
    /// saved; where a loss is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flops_ratio: Option<Estimate>,
}

/// The best size and data under a cap, law by law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptimumUnderCap {
    /// [`OPTIMUM_SCHEMA`].
    pub schema: String,
    /// What is sought.
    pub aim: Aim,
    /// What it must keep to.
    pub caps: Caps,
    /// One per law of size and data, those that a forecast listens to first.
    pub laws: Vec<LawOptimum>,
    /// What the numbers rest on.
    pub assumptions: Vec<String>,
    /// Doubts.
    pub diagnoses: Vec<Diagnosis>,
    /// Provenance.
    pub inputs: Inputs,
}

/// The best value of a knob at one size and data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellOptimum {
    /// N.
    pub params: f64,
    /// D.
    pub tokens: f64,
    /// Vertex of the local parabola.
    pub best: Estimate,
    /// Runs the parabola was fitted to.
    pub runs: u64,
    /// Runs there are at this size and data.
    pub runs_of: u64,
}

/// A size and data that told nothing of a knob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellLeftOut {
    /// N.
    pub params: f64,
    /// D.
    pub tokens: f64,
    /// Runs there are.
    pub runs: u64,
    /// Why.
    pub reason: String,
}

/// The value of a knob at a target, carried there by a power law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recommendation {
    /// The knob.
    pub quantity: Knob,
    /// At the target: the interval is that of the best value of one more size and data.
    pub value: Estimate,
    /// The power law's exponents by quantity: `N` and `D`, or `C` where the two moved together.
    pub exponents: BTreeMap<String, Estimate>,
    /// The sizes and data it was fitted to.
    pub cells: Vec<CellOptimum>,
    /// Those it was not, with the reason.
    pub left_out: Vec<CellLeftOut>,
    /// log10 of the target's compute over that of the largest cell.
    pub decades_beyond_cells: f64,
    /// What the value rests on.
    pub assumptions: Vec<String>,
}

/// Why a knob has no recommendation, and what can be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedKnob {
    /// The knob.
    pub quantity: Knob,
    /// Why.
    pub reason: String,
    /// What can be done.
    pub hint: String,
    /// Sizes and data that told nothing of it.
    pub left_out: Vec<CellLeftOut>,
}

/// The recommended learning rate and batch at a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recommendations {
    /// [`RECOMMENDATION_SCHEMA`].
    pub schema: String,
    /// N of the target.
    pub params: f64,
    /// D of the target.
    pub tokens: f64,
    /// Knobs with a value.
    pub recommended: Vec<Recommendation>,
    /// Knobs without.
    pub refused: Vec<RefusedKnob>,
    /// Doubts.
    pub diagnoses: Vec<Diagnosis>,
    /// Provenance.
    pub inputs: Inputs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_written_as_one_key_with_its_number() {
        assert_eq!(serde_json::to_string(&Aim::Flops(2.5)).expect("JSON"), r#"{"flops":2.5}"#);
        assert_eq!(serde_json::from_str::<Aim>(r#"{"loss":2.0}"#).expect("an aim"), Aim::Loss(2.0));
    }

    #[test]
    fn caps_that_are_not_given_are_not_written() {
        assert_eq!(serde_json::to_string(&Caps::default()).expect("JSON"), "{}");
        assert_eq!(serde_json::from_str::<Caps>("{}").expect("no caps"), Caps::default());
    }
}
