//! Where a budget is best spent, drawn: isoFLOP curves, the frontier, and the loss over size and data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approach::BudgetVertex;
use crate::estimate::Estimate;

/// What one law of size and data says of all splits of a budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShapePanel {
    /// The law.
    pub law: String,
    /// Best size and data from the smallest run's budget to beyond the target's, rising.
    pub frontier: Vec<FrontierPoint>,
    /// Lines of equal loss, from high to low.
    pub contours: Vec<Contour>,
    /// Budgets at which more than one size was tried, rising.
    pub isoflops: Vec<Isoflop>,
    /// Such budgets that are left out of `isoflops`, for room.
    #[serde(default)]
    pub isoflops_left_out: u64,
}

/// The best split of one budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FrontierPoint {
    /// Budget, FLOPs.
    pub flops: f64,
    /// N*.
    pub params: Estimate,
    /// D*.
    pub tokens: Estimate,
    /// Loss there, by the law.
    pub loss: f64,
}

/// A size with its data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeAndData {
    /// N.
    pub params: f64,
    /// D.
    pub tokens: f64,
}

/// Sizes and data of one loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contour {
    /// The loss, by the law.
    pub loss: f64,
    /// The line, by rising size.
    pub points: Vec<SizeAndData>,
}

/// One budget spent on several sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Isoflop {
    /// Geometric mean of its runs' compute.
    pub flops: f64,
    /// Its runs, by rising size.
    pub runs: Vec<SizedLoss>,
    /// The law along the budget.
    pub curve: Vec<SizedLoss>,
    /// The law's minimum: N* with its interval, and the loss there.
    pub minimum: Option<FrontierPoint>,
    /// The vertex that the budget's own runs give, or why they give none.
    pub vertex: Option<BudgetVertex>,
}

/// A loss at a size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizedLoss {
    /// Readable name of the run; empty on a curve.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// N.
    pub params: f64,
    /// Loss.
    pub loss: f64,
}
