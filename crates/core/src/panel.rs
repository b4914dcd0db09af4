//! What a report shows, computed: the report room draws this and works nothing out.

mod capability;
mod course;
mod decision;
mod evidence;
mod shape;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use capability::{CapabilityCourse, CapabilityPanel};
pub use course::{CoursePoint, LossCurve, LossCurves, SeedRun, SeedRung};
pub use decision::Decision;
pub use evidence::{CalibrationCase, CalibrationPanel, Correlation, ParameterPanel, ParameterProfile, ProfilePoint};
pub use shape::{Contour, FrontierPoint, Isoflop, ShapePanel, SizeAndData, SizedLoss};

use crate::approach::ApproachFit;
use crate::checklist::Checklist;
use crate::outcome::{BacktestReport, Diagnosis, FittedLaw, ForecastTarget, Score};
use crate::quantity::LossUnit;
use crate::record::RunStatus;
use crate::run::Role;

/// Version of the panels' form.
pub const REPORT_SCHEMA: &str = "forescale.report/1.1";

/// Everything a report shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportData {
    /// [`REPORT_SCHEMA`].
    pub schema: String,
    /// Name of the sweep.
    pub sweep: String,
    /// What the model was trained on, in words.
    pub corpus: String,
    /// Unit of all losses.
    pub unit: LossUnit,
    /// The forecast, first of all; absent when none was asked for.
    pub forecast: Option<ForecastTarget>,
    /// What a reader decides by beside the forecast.
    #[serde(default)]
    pub decision: Decision,
    /// The held-out target, where there is one.
    pub target: Option<TargetPanel>,
    /// How the forecast was judged.
    pub score: Option<Score>,
    /// Loss against compute.
    pub compute: ComputePanel,
    /// Residuals of the fits.
    pub residuals: Vec<ResidualPoint>,
    /// Fitted laws.
    pub laws: Vec<FittedLaw>,
    /// How the parameters of each law are known.
    #[serde(default)]
    pub parameters: Vec<ParameterPanel>,
    /// How a budget is best split, by each approach that the runs carry or are too few for.
    #[serde(default)]
    pub approaches: Vec<ApproachFit>,
    /// The same, drawn; absent without a law of size and data.
    #[serde(default)]
    pub shape: Option<ShapePanel>,
    /// Every run, used or not.
    pub runs: Vec<RunRow>,
    /// Loss on the way.
    #[serde(default)]
    pub curves: LossCurves,
    /// Rungs of several seeds.
    #[serde(default)]
    pub seeds: Vec<SeedRung>,
    /// Capabilities, where the runs were asked the problems of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<CapabilityPanel>,
    /// What a reader of the fit should ask, answered.
    #[serde(default)]
    pub checklist: Option<Checklist>,
    /// Doubts, heaviest first.
    pub diagnoses: Vec<Diagnosis>,
    /// How the same laws did on runs already known.
    pub backtest: Option<BacktestReport>,
    /// How sure backtests were, against what happened; absent without a backtest.
    #[serde(default)]
    pub calibration: Option<CalibrationPanel>,
    /// True irreducible loss, where the corpus has a known entropy rate.
    pub true_floor: Option<f64>,
    /// Where it all came from.
    pub provenance: Provenance,
}

/// The held-out target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetPanel {
    /// Run.
    pub run_id: String,
    /// Readable name.
    pub name: String,
    /// Size under the report's rule.
    pub params: f64,
    /// Data.
    pub tokens: f64,
    /// Compute.
    pub flops: f64,
    /// Loss, once trained.
    pub actual: Option<f64>,
    /// Target compute over the largest compute fitted.
    pub ratio: f64,
    /// Digest of the registration.
    pub registration_sha256: Option<String>,
    /// When it was registered, RFC 3339.
    pub registered_at: Option<String>,
}

/// The plot that GPT-4's report made famous: loss against compute, target at 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComputePanel {
    /// Compute that is 1 on the axis: the target's, or the largest run's where there is no target.
    pub unit_flops: f64,
    /// Runs.
    pub points: Vec<ComputePoint>,
    /// The forecast along the path, from the smallest run to beyond the target.
    pub curve: Vec<BandPoint>,
    /// Level of the band.
    pub level: f64,
    /// Irreducible loss, where the drawn law has one.
    pub floor: Option<f64>,
}

/// One run in the plot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComputePoint {
    /// Readable name.
    pub name: String,
    /// What it was for; `None` in a foreign table.
    pub role: Option<Role>,
    /// Compute, FLOPs.
    pub flops: f64,
    /// Loss.
    pub loss: f64,
    /// Whether the drawn law was fitted to it.
    pub used: bool,
}

/// The forecast at one compute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandPoint {
    /// Compute, FLOPs.
    pub flops: f64,
    /// Median.
    pub median: f64,
    /// Lower end of the predictive band.
    pub lower: f64,
    /// Upper end of the predictive band.
    pub upper: f64,
}

/// How far one run lies from one law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResidualPoint {
    /// Law.
    pub law: String,
    /// Readable name of the run.
    pub name: String,
    /// Compute, FLOPs.
    pub flops: f64,
    /// ln(actual) − ln(predicted).
    pub residual: f64,
}

/// One line of the table of runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRow {
    /// Run.
    pub run_id: String,
    /// Readable name.
    pub name: String,
    /// What it was for.
    pub role: Option<Role>,
    /// Size under the report's rule; `None` in a table that tells compute alone.
    pub params: Option<f64>,
    /// Data, likewise.
    pub tokens: Option<f64>,
    /// Compute.
    pub flops: f64,
    /// Seed.
    pub seed: Option<u64>,
    /// How it ended; `None` in a foreign table.
    pub status: Option<RunStatus>,
    /// Loss, where it has one.
    pub loss: Option<f64>,
    /// Standard error of the loss on its evaluation set.
    pub loss_se: Option<f64>,
    /// Wall time, seconds.
    pub wall_seconds: Option<f64>,
    /// Why it is in no fit, or in not all of them, in words.
    pub excluded: Option<String>,
}

/// A fact about where a number came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// What.
    pub name: String,
    /// The fact.
    pub value: String,
}

/// Where a report came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Digests, versions, rules, hardware, wall time.
    pub facts: Vec<Fact>,
    /// Commands that make it again, in order.
    pub commands: Vec<String>,
}
