//! What a design says: which runs to buy next, and the interval they buy. The JSON contract of `design`, as types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cost::CostRange;
use crate::estimate::Interval;
use crate::outcome::{Diagnosis, Inputs};
use crate::quantity::LossUnit;

/// Form of `design --json`.
pub const DESIGN_SCHEMA: &str = "forescale.design/1.0";

/// The run that the forecast is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DesignTarget {
    /// Compute.
    pub flops: f64,
    /// Size, where it is given.
    pub params: Option<f64>,
    /// Data, where it is given.
    pub tokens: Option<f64>,
}

/// One kind of run to buy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DesignedRun {
    /// Name of the candidate.
    pub name: String,
    /// Size N.
    pub params: f64,
    /// Data D, tokens.
    pub tokens: f64,
    /// Compute of one.
    pub flops: f64,
    /// How many, with different seeds.
    pub seeds: u64,
    /// Whether it lies on the compute-optimal path of the runs so far.
    pub on_path: bool,
}

/// The forecast of the target from some set of runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DesignOutlook {
    /// Median loss.
    pub median: f64,
    /// Interval for one run: law, form and seed noise.
    pub interval: Interval,
    /// Interval for the law alone, which it takes for granted.
    pub mean_interval: Interval,
    /// Standard deviation of the law's log loss at the target, to first order and averaged over the laws.
    pub law_sd: f64,
    /// Scale of the error of the laws' form at the target, in log loss: Student's t with 4 degrees of freedom times this.
    pub form_scale: f64,
}

/// How far widths that were promised lay from those that came, as a root mean square, where that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WidthError {
    /// Relative error of the width of one run's interval.
    pub interval: f64,
    /// Relative error of the width of the law's interval.
    pub mean_interval: f64,
    /// On what it was measured, in words.
    pub source: String,
}

/// The usual plan at the same price.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NaiveLadder {
    /// Rungs, evenly spaced in log compute on the path.
    pub rungs: u64,
    /// Compute of the largest.
    pub max_flops: f64,
    /// Compute of all.
    pub flops: f64,
    /// Standard deviation of the law's log loss that it would leave.
    pub law_sd: f64,
    /// Scale of the form's error that it would leave.
    pub form_scale: f64,
}

/// `design --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// [`DESIGN_SCHEMA`].
    pub schema: String,
    /// What is to be forecast.
    pub target: DesignTarget,
    /// Metric.
    pub metric: String,
    /// Its unit.
    pub unit: LossUnit,
    /// Compute that may be spent.
    pub budget_flops: f64,
    /// Runs to buy, the largest first.
    pub runs: Vec<DesignedRun>,
    /// Compute of all of them.
    pub flops: f64,
    /// Share of it spent within a decade of the largest run, known or to buy.
    pub share_near_top: f64,
    /// From this compute on a run counts as near the top.
    pub near_top_flops: f64,
    /// The forecast now.
    pub before: DesignOutlook,
    /// The forecast to expect afterwards: median width over simulated outcomes of the runs.
    pub after: DesignOutlook,
    /// How sure the widths of `after` are; absent in designs made before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_width_error: Option<WidthError>,
    /// What a ladder on the path would buy with the same compute; absent where no path is known.
    pub ladder: Option<NaiveLadder>,
    /// Candidates looked at.
    pub candidates: u64,
    /// Outcomes simulated for `after`; 0 where no law of now could be fitted to any, and `after` is as `before`.
    pub draws: u64,
    /// Seed of the simulation.
    pub seed: u64,
    /// What the runs cost; absent where no hardware was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostRange>,
    /// The sweep.toml that holds them; absent where the source is no sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<String>,
    /// Doubts.
    pub diagnoses: Vec<Diagnosis>,
    /// Provenance.
    pub inputs: Inputs,
}
