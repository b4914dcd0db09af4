//! Is a recipe predictable? What three probes measure, and what they say of it.
//!
//! A forecast is only as good as the recipe that made its runs: where scales, rates or curves drift with size, the
//! small runs are not small versions of the large one. [`ProbeReport`] is the one document of all three probes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::outcome::Diagnosis;
use crate::run::Parametrization;

/// Form of `probe --json`.
pub const PROBE_SCHEMA: &str = "forescale.probe/1.0";

/// Scale of one activation after some steps of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// Optimiser steps done; 0 is the untrained model.
    pub step: u64,
    /// Where in the model: `embedding`, `block 0 attention`, `logits`.
    pub place: String,
    /// Mean of absolute values over a fixed batch.
    pub mean_abs: f64,
}

/// What a probe says of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeReport {
    /// [`PROBE_SCHEMA`].
    pub schema: String,
    /// Name of the sweep.
    pub sweep: String,
    /// The parametrisation that was probed.
    pub parametrization: Parametrization,
    /// The answer.
    pub verdict: ProbeVerdict,
    /// What was measured.
    pub finding: Finding,
    /// Doubts, and the reasons of a verdict that is not a pass.
    pub diagnoses: Vec<Diagnosis>,
}

/// The answer of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeVerdict {
    /// The recipe is predictable as far as this probe sees.
    Passes,
    /// It is not.
    Fails,
    /// What was measured does not tell.
    Undecided,
}

/// What one of the probes measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "probe", rename_all = "snake_case")]
pub enum Finding {
    /// Activation scale against width, and depth.
    Coord(CoordFinding),
    /// Best rate by width and horizon.
    Lr(RateFinding),
    /// Normalised loss curves of the rungs.
    Collapse(CollapseFinding),
}

/// What grows from model to model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Residual width.
    Width,
    /// Number of blocks.
    Depth,
}

/// Activation scales over the first steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoordFinding {
    /// Rate over the recipe's, large on purpose.
    pub rate_factor: f64,
    /// Steps trained.
    pub steps: u64,
    /// Largest absolute slope that passes.
    pub limit: f64,
    /// One check for each dimension that was varied.
    pub checks: Vec<ScaleCheck>,
}

/// Activation scales along one dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleCheck {
    /// What was varied.
    pub along: Dimension,
    /// Its values, rising.
    pub sizes: Vec<u32>,
    /// Places in the model, in the order of the forward pass.
    pub places: Vec<PlaceScale>,
}

/// How the scale at one place goes with size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceScale {
    /// Where in the model.
    pub place: String,
    /// Whether the slope after the last step is within the limit; `None` where it is not defined.
    pub passes: Option<bool>,
    /// Slope by step.
    pub slopes: Vec<StepSlope>,
    /// What was measured.
    pub points: Vec<ScalePoint>,
}

/// A slope after some steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepSlope {
    /// Optimiser steps done.
    pub step: u64,
    /// Slope of ln mean |x| against ln size; `None` where an activation is zero or not finite at one of the sizes.
    pub slope: Option<Estimate>,
}

/// One scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScalePoint {
    /// Optimiser steps done.
    pub step: u64,
    /// Width or depth.
    pub size: u32,
    /// Mean of absolute values, the geometric mean over seeds; `None` where it is zero or not finite.
    pub mean_abs: Option<f64>,
}

/// Best rates by width and horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateFinding {
    /// Best rates of all widths must lie within this factor of each other.
    pub allowed_factor: f64,
    /// One for each width and horizon, by horizon, then width.
    pub cells: Vec<RateCell>,
    /// Agreement of the widths by horizon.
    pub horizons: Vec<HorizonTransfer>,
    /// Agreement of all widths and horizons, each best rate over the one that the recipe gives there.
    pub overall: RateTransfer,
    /// How the best rate falls with data; `None` where fewer than two horizons of a width have a best rate.
    pub horizon_law: Option<HorizonLaw>,
}

/// Rates tried at one width and horizon. Rates are those at base width, as in the spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateCell {
    /// Width.
    pub width: u32,
    /// Horizon, D / N as asked for.
    pub tokens_per_param: f64,
    /// Training tokens D.
    pub tokens: f64,
    /// The rate that the recipe gives here.
    pub recipe_rate: f64,
    /// Every run.
    pub trials: Vec<RateTrial>,
    /// Best rate over the recipe's; `None` where the rates tried do not place it.
    pub best_factor: Option<Estimate>,
    /// Best rate.
    pub best_rate: Option<Estimate>,
    /// The parabola that gave it.
    pub parabola: Option<RateParabola>,
}

/// One run of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateTrial {
    /// Rate over the recipe's.
    pub factor: f64,
    /// Seed.
    pub seed: u64,
    /// Loss; `None` where the run diverged.
    pub loss: Option<f64>,
}

/// Loss near its minimum: minimum + curvature · (log₂ factor − vertex)².
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateParabola {
    /// log₂ of the best factor.
    pub vertex: f64,
    /// Loss there.
    pub minimum: f64,
    /// Loss per squared doubling of the rate.
    pub curvature: f64,
    /// log₂ of the lowest factor it was fitted to.
    pub lowest: f64,
    /// log₂ of the highest factor it was fitted to.
    pub highest: f64,
}

/// Whether widths agree at one horizon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HorizonTransfer {
    /// Horizon, D / N.
    pub tokens_per_param: f64,
    /// Largest best factor over the smallest; `None` where a width has none.
    pub spread: Option<f64>,
    /// The spread is at least this, by the widths whose best rate lies beyond the rates tried as well.
    pub spread_at_least: Option<f64>,
    /// Whether they lie within the allowed factor; `None` where that cannot be told.
    pub passes: Option<bool>,
}

/// Whether one factor over the recipe's rate is best at every width and horizon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateTransfer {
    /// Largest best factor over the smallest; `None` where a cell has none.
    pub spread: Option<f64>,
    /// The spread is at least this, by the cells whose best rate lies beyond the rates tried as well.
    pub spread_at_least: Option<f64>,
    /// Whether they lie within the allowed factor; `None` where that cannot be told, and with a single horizon.
    pub passes: Option<bool>,
}

/// Best rate ∝ D^−exponent, with one exponent for all widths: what goes under `[training]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HorizonLaw {
    /// `horizon_exponent`.
    pub horizon_exponent: Estimate,
    /// `base_tokens`: the geometric mean of the data of all cells with a best rate.
    pub base_tokens: f64,
    /// `learning_rate`: the best rate there, the geometric mean over widths.
    pub learning_rate: f64,
    /// `embedding_learning_rate`: as many times `learning_rate` as in the recipe, for both were raised by one factor.
    pub embedding_learning_rate: f64,
    /// Largest over smallest best rate of the widths with the horizon taken out: the spread that this exponent leaves.
    pub spread_left: f64,
}

/// Normalised loss curves of the rungs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CollapseFinding {
    /// Irreducible loss Ê of the evaluation set.
    pub floor: Estimate,
    /// Where it comes from.
    pub floor_source: FloorSource,
    /// What was added to it, as curves may be measured on a part of the set: loss at the end on that part less loss on
    /// the whole, the mean over rungs.
    pub part_shift: f64,
    /// Curves are compared from this share of the run to its end.
    pub from: f64,
    /// Standard deviation of the log of a normalised curve over seeds; `None` where no rung has two.
    pub seed_noise: Option<f64>,
    /// Least limit, whatever the seed noise.
    pub tolerance: f64,
    /// Rungs, the smallest first.
    pub rungs: Vec<CollapseRung>,
}

/// Where an irreducible loss comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FloorSource {
    /// The corpus knows its entropy rate.
    Exact,
    /// The power law of the path.
    Fitted,
}

/// One rung's curve against the others'.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CollapseRung {
    /// Readable name: `d32`.
    pub name: String,
    /// Width.
    pub width: u32,
    /// Runs averaged.
    pub seeds: u32,
    /// (L(t) − Ê) / (L(T) − Ê) by share of the run, the mean over seeds.
    pub points: Vec<CollapsePoint>,
    /// Root mean square of the log ratio to the mean curve of the other rungs.
    pub deviation: f64,
    /// Largest deviation that passes.
    pub limit: f64,
    /// Whether it does.
    pub passes: bool,
}

/// One point of a normalised curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CollapsePoint {
    /// t / T.
    pub share: f64,
    /// Normalised loss.
    pub value: f64,
}

impl ProbeReport {
    /// The probe's name as typed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.finding {
            Finding::Coord(_) => "coord",
            Finding::Lr(_) => "lr",
            Finding::Collapse(_) => "collapse",
        }
    }
}

impl Dimension {
    /// The word for a sentence.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Width => "width",
            Self::Depth => "depth",
        }
    }
}

impl Parametrization {
    /// The parametrisation's name as typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mup => "mup",
            Self::Standard => "standard",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_back_and_an_unknown_key_is_refused() {
        let report = ProbeReport {
            schema: PROBE_SCHEMA.to_owned(),
            sweep: "tiny".to_owned(),
            parametrization: Parametrization::Mup,
            verdict: ProbeVerdict::Passes,
            finding: Finding::Coord(CoordFinding { rate_factor: 4.0, steps: 5, limit: 0.1, checks: Vec::new() }),
            diagnoses: Vec::new(),
        };
        let text = serde_json::to_string(&report).expect("JSON");
        assert!(text.contains("\"probe\":\"coord\""), "{text}");
        assert_eq!(serde_json::from_str::<ProbeReport>(&text).expect("reads back"), report);
        let strange = text.replace("\"limit\":0.1", "\"limit\":0.1,\"limits\":0.1");
        assert!(serde_json::from_str::<ProbeReport>(&strange).is_err());
    }
}
