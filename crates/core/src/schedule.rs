//! Loss curves under their learning-rate schedules, and what the multi-power law says of them.
//!
//! A curve is data ([`LossCurve`]); [`ScheduleReport`] is the document of `fit --law multi_power`. The law itself is
//! [`crate::law::multi_power`]'s, fitting is another room's. Curves are predicted whole, so that a run is held out as a whole:
//! points of one curve are far from independent, and leaving some of them out would prove nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::law::multi_power::Schedule;
use crate::outcome::{Diagnosis, Inputs, ObjectiveValue};
use crate::quantity::LossUnit;

/// Form of `fit --law multi_power --json`.
pub const SCHEDULE_SCHEMA: &str = "forescale.schedule/1.0";

/// Loss at one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StepLoss {
    /// Optimiser step.
    pub step: f64,
    /// Loss.
    pub loss: f64,
}

/// One run's losses and the schedule it was trained under.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LossCurve {
    /// The run.
    pub run_id: String,
    /// Its schedule, warmup included.
    pub schedule: Schedule,
    /// Losses after the warmup; none for a schedule that nobody has trained.
    pub points: Vec<StepLoss>,
}

/// Curves of one model, batch and data: what one fit may see.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurveGroup {
    /// Its name, where there is more than one.
    pub group: Option<String>,
    /// The curves, by name.
    pub curves: Vec<LossCurve>,
}

/// What a curve was to a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CurveUse {
    /// The law was fitted to it.
    Fitted,
    /// It was kept from the fit and is predicted.
    HeldOut,
    /// It has a schedule and no losses, and is predicted.
    Untrained,
}

impl CurveUse {
    /// The words for a table.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Fitted => "fitted",
            Self::HeldOut => "held out",
            Self::Untrained => "untrained",
        }
    }
}

/// How a curve with losses is met.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurveFit {
    /// 1 − Σ(predicted − observed)²/Σ(observed − mean)², over all its losses after the warmup; `None` where they are all
    /// the same.
    pub r_squared: Option<f64>,
    /// Mean |predicted − observed|/observed.
    pub mean_relative_error: f64,
    /// Largest |predicted − observed|/observed.
    pub worst_relative_error: f64,
    /// Observed loss at its last step with one.
    pub last_loss: f64,
}

/// One curve: what it was to the fit, how it is met, and where it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurveOutcome {
    /// The run.
    pub run_id: String,
    /// What it was to the fit.
    pub used: CurveUse,
    /// Losses after the warmup.
    pub points: u64,
    /// Its last step: of its losses, or of its schedule where it has none.
    pub last_step: f64,
    /// The law's loss there; without ends, because the fit gives none.
    pub last_predicted: Estimate,
    /// How it is met, where it has losses.
    pub fit: Option<CurveFit>,
}

/// The law fitted to the curves of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FittedSchedules {
    /// The group of curves, where there is more than one.
    pub group: Option<String>,
    /// `multi_power`.
    pub law: String,
    /// Points the objective was summed over: curves are thinned.
    pub points: u64,
    /// Parameters by symbol; without ends, because points of one curve are not independent and few curves say how far
    /// another would lie.
    pub parameters: BTreeMap<String, Estimate>,
    /// Objective.
    pub objective: ObjectiveValue,
    /// Starts polished.
    pub starts: u32,
    /// Of them, those that reached the best objective.
    pub agreeing_starts: u32,
    /// Mean R² of the curves fitted.
    pub fitted_r_squared: Option<f64>,
    /// Mean R² of the curves held out: the figure that says what the law is worth.
    pub held_out_r_squared: Option<f64>,
    /// Curve by curve.
    pub curves: Vec<CurveOutcome>,
    /// Doubts.
    pub diagnoses: Vec<Diagnosis>,
}

/// `fit --law multi_power --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleReport {
    /// [`SCHEDULE_SCHEMA`].
    pub schema: String,
    /// What the curves are of.
    pub metric: String,
    /// Its unit.
    pub unit: LossUnit,
    /// One per group.
    pub fits: Vec<FittedSchedules>,
    /// Provenance.
    pub inputs: Inputs,
}
