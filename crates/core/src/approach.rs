//! Where a budget is best spent: what the three ways of Hoffmann et al. (arXiv:2203.15556, section 3) find, side by side.
//!
//! Each way gives N* = G·C^a and D* = H·C^b: the lower envelope of training curves or runs, the vertex of each isoFLOP
//! budget, and the frontier of a loss surface. They share no arithmetic beyond a straight line in logarithms, so that
//! their disagreement is a finding. [`ApproachReport`] is the document of all three; nothing here computes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::observation::Exclusion;
use crate::outcome::{Diagnosis, Inputs};

/// Form of `fit --approach --json`.
pub const APPROACHES_SCHEMA: &str = "forescale.approaches/1.0";

/// One way to find the compute-optimal size and data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approach {
    /// Approach 1: the lowest loss at each compute, over training curves or finished runs.
    Envelope,
    /// Approach 2: the vertex of each isoFLOP budget.
    Isoflop,
    /// Approach 3: the frontier of L = E + A·N^−α + B·D^−β.
    Surface,
}

impl Approach {
    /// All three, in the order of the paper.
    pub const ALL: [Self; 3] = [Self::Envelope, Self::Isoflop, Self::Surface];

    /// Its number in the paper.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Envelope => 1,
            Self::Isoflop => 2,
            Self::Surface => 3,
        }
    }

    /// The approach of a number; `None` unless it is 1, 2 or 3.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|approach| approach.number() == number)
    }
}

/// N* and D* as powers of compute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptimalPowers {
    /// a in N* = G·C^a.
    pub params_exponent: Estimate,
    /// G, parameters at one FLOP: `params_exponent` and it trade off, so that it bounds nothing alone.
    pub params_coefficient: f64,
    /// b in D* = H·C^b.
    pub tokens_exponent: Estimate,
    /// H, tokens at one FLOP.
    pub tokens_coefficient: f64,
}

/// The best size and data at one budget that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptimumAt {
    /// The budget.
    pub flops: f64,
    /// N*.
    pub params: Estimate,
    /// D*.
    pub tokens: Estimate,
    /// D*/N*.
    pub tokens_per_param: Estimate,
    /// Approach 2 alone: by how much the plain parabola's N* differs from `params`, as a share of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parabola_bias: Option<f64>,
}

/// Why a budget gives no vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetRefusal {
    /// Fewer than four sizes near its lowest loss.
    TooFewSizes,
    /// The parabola opens downward: its vertex is a maximum.
    OpensDownward,
    /// The vertex lies outside the sizes tried.
    VertexNotInterior,
    /// Fewer than two sizes on one side of the vertex.
    TooFewOnOneSide,
    /// The shape fitted to all budgets has no lowest point here.
    NoLowestPoint,
}

impl BudgetRefusal {
    /// The reason as words in a table.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::TooFewSizes => "fewer than 4 sizes near its lowest loss",
            Self::OpensDownward => "its parabola opens downward",
            Self::VertexNotInterior => "its vertex is outside the sizes tried",
            Self::TooFewOnOneSide => "fewer than 2 sizes on one side of its vertex",
            Self::NoLowestPoint => "its shape has no lowest point",
        }
    }
}

/// One isoFLOP budget: what its runs say of the best size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetVertex {
    /// Geometric mean of its runs' compute.
    pub flops: f64,
    /// Runs of the budget.
    pub runs: u64,
    /// Runs near enough to the lowest loss to shape the vertex.
    pub near: u64,
    /// Vertex of the plain parabola in ln N.
    pub parabola_params: Option<f64>,
    /// N* with the parabola's bias corrected.
    pub params: Option<f64>,
    /// D* there.
    pub tokens: Option<f64>,
    /// Loss there.
    pub loss: Option<f64>,
    /// Why it is not used, where it is not.
    pub refused: Option<BudgetRefusal>,
}

/// The run that is lowest at one compute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvelopePoint {
    /// The run.
    pub run_id: String,
    /// Compute: of a curve, the geometric middle of the range over which it is lowest.
    pub flops: f64,
    /// N.
    pub params: f64,
    /// D there.
    pub tokens: f64,
    /// Loss there.
    pub loss: f64,
}

/// What one approach found in one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproachFit {
    /// Group of runs, where there is more than one.
    pub group: Option<String>,
    /// Which approach.
    pub approach: Approach,
    /// Why there is no answer, where there is none.
    pub refused: Option<String>,
    /// N* and D* as powers of compute.
    pub powers: Option<OptimalPowers>,
    /// Approach 2 alone: the same from plain parabolas, bias and all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parabola_powers: Option<OptimalPowers>,
    /// The best size and data at the budgets asked for.
    pub optima: Vec<OptimumAt>,
    /// Approach 2 alone: budget by budget, those refused among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetVertex>,
    /// Approach 1 alone: the envelope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub envelope: Vec<EnvelopePoint>,
    /// Runs, curves or budgets behind the answer.
    pub n: u64,
    /// Runs not used.
    pub excluded: Vec<Exclusion>,
    /// Doubts.
    pub diagnoses: Vec<Diagnosis>,
}

/// `fit --approach --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproachReport {
    /// [`APPROACHES_SCHEMA`].
    pub schema: String,
    /// One per group and approach.
    pub fits: Vec<ApproachFit>,
    /// Provenance.
    pub inputs: Inputs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_paper() {
        // Hoffmann et al., sections 3.1 to 3.3.
        assert_eq!(Approach::ALL.map(Approach::number), [1, 2, 3]);
        assert_eq!(Approach::of_number(2), Some(Approach::Isoflop));
        assert_eq!(Approach::of_number(4), None);
    }
}
