//! What a fit, a forecast, a backtest, a score and a check say: the JSON contract, as types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::{Answers, Reach};
use crate::capability::{CapabilityForecast, CapabilityScore};
use crate::estimate::{Estimate, Interval};
use crate::observation::{Exclusion, FlopsPerProduct};
use crate::predictive::Predictive;
use crate::quantity::LossUnit;
use crate::reduction::Reduction;

/// Form of `fit --json`.
pub const FIT_SCHEMA: &str = "forescale.fit/1.0";
/// Form of `forecast --json` and `forecast.json`.
pub const FORECAST_SCHEMA: &str = "forescale.forecast/1.0";
/// Form of `backtest --json`.
pub const BACKTEST_SCHEMA: &str = "forescale.backtest/1.0";
/// Form of a sealed registration.
pub const REGISTRATION_SCHEMA: &str = "forescale.registration/1.0";
/// Form of one that holds capabilities.
pub const REGISTRATION_OF_CAPABILITIES: &str = "forescale.registration/1.1";
/// Form of `score --json`.
pub const SCORE_SCHEMA: &str = "forescale.score/1.0";
/// Form of one that judges capabilities.
pub const SCORE_OF_CAPABILITIES: &str = "forescale.score/1.1";
/// Form of `check --json`.
pub const CHECK_SCHEMA: &str = "forescale.check/1.0";

/// How much a diagnosis weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Changes how far the number can be trusted.
    Warning,
    /// The number should not be used.
    Error,
}

/// Something that can be doubted: what was seen, why it matters, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    /// Stable name: `parameter_at_bound`.
    pub code: String,
    /// Weight.
    pub severity: Severity,
    /// What was seen and why it matters.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// The counting rules a fit used, as typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// What N counts.
    pub params: String,
    /// How C is counted.
    pub flops: String,
}

impl Rules {
    /// What `params` says where neither N nor D is told.
    pub const UNTOLD: &str = "untold";

    /// What N and C are, in words: a rule's name, or a table's own column.
    #[must_use]
    pub fn words(&self) -> String {
        if self.params == Self::UNTOLD {
            return format!("C is {}, N and D are not told", Self::word(&self.flops));
        }
        format!("N is {}, C is {}", Self::word(&self.params), Self::word(&self.flops))
    }

    /// One rule in words.
    #[must_use]
    pub fn word(rule: &str) -> &str {
        match rule {
            "column" => "the table's own column",
            Self::UNTOLD => "not told",
            _ => rule,
        }
    }
}

/// The objective of a fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveValue {
    /// `huber`, `lsq`, `lsq_loss`, `lad` or `asymmetric`.
    pub kind: String,
    /// Where Huber turns from square to straight; absent where there is no such point.
    pub delta: Option<f64>,
    /// Its value, summed over observations, at the optimum.
    pub value: f64,
}

/// The evidence that a fit is an optimum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Norm of the objective's gradient at the optimum, each component scaled by its parameter's curvature.
    pub gradient_norm: f64,
    /// Starts polished.
    pub starts: u32,
    /// Starts that ended within 1e-6 relative of the best objective.
    pub agreeing_starts: u32,
    /// Names of parameters that ended at a bound.
    pub at_bound: Vec<String>,
    /// Condition number of the scaled Gauss-Newton matrix.
    pub condition_number: Option<f64>,
    /// Largest relative difference of a parameter between fits of the objective's sum, its mean, and a million times its
    /// sum; absent in certificates made before it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invariance: Option<f64>,
    /// Where a quasi-Newton method with another parametrisation ended, relative to the optimum: its objective over ours,
    /// less one. Below zero it found a lower point; absent in certificates made before it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_check: Option<f64>,
}

/// A scaled gradient above this is not zero. Chosen here: a start is polished to 1e-10, and tables of a million rows lose
/// two digits to rounding.
const GRADIENT_LIMIT: f64 = 1e-8;
/// Parameters that differ by more than this between objectives that differ by a factor were not found.
const INVARIANCE_LIMIT: f64 = 1e-6;
/// A point lower than the optimum by more than this is a better one. Chosen here: far above rounding of a sum.
const CROSS_CHECK_LIMIT: f64 = 1e-9;

impl Certificate {
    /// The share of starts that ended at the optimum; zero of none.
    ///
    /// A start is one point of the grid, polished from there; starts that end at one place are not collapsed into one. A
    /// term whose share of the loss falls below 1e-6 in the first width is put back, at most twice per start. Of some thousand
    /// runs and more starts are followed on a part, and ends there that are alike share one polish on all; a fit from the
    /// classic starts says so.
    #[must_use]
    pub fn agreeing_share(&self) -> f64 {
        f64::from(self.agreeing_starts) / f64::from(self.starts.max(1))
    }

    /// What speaks against the optimum, one sentence each: empty where the certificate is clean. Not a number counts
    /// against it. Parameters at a bound and a bad condition are properties of the data, not of the search.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let within = |value: f64, limit: f64| value.abs() <= limit;
        if !within(self.gradient_norm, GRADIENT_LIMIT) {
            faults.push(format!(
                "the scaled gradient is {:.1e}; at most {GRADIENT_LIMIT:.0e} is zero",
                self.gradient_norm
            ));
        }
        if self.starts > 1 && self.agreeing_starts < 2 {
            faults.push(format!(
                "{} of {} starts ended at the optimum; at least 2 must",
                self.agreeing_starts, self.starts
            ));
        }
        if let Some(moved) = self.invariance.filter(|&moved| !within(moved, INVARIANCE_LIMIT)) {
            faults.push(format!(
                "a parameter moves by {moved:.1e} between the sum and the mean; at most {INVARIANCE_LIMIT:.0e} is rounding"
            ));
        }
        if let Some(lower) = self.cross_check.filter(|&excess| excess.is_nan() || excess < -CROSS_CHECK_LIMIT) {
            faults.push(format!("another method ended {:.1e} below the optimum", -lower));
        }
        faults
    }
}

/// A law with its parameters found, its doubts and its proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FittedLaw {
    /// The group of runs, where there is more than one.
    pub group: Option<String>,
    /// `power_law` (aC^-b + c), `log_log`, `chinchilla`, …
    pub law: String,
    /// Conventions.
    pub rule: Rules,
    /// How intervals were found: `profile`, `pairs`, `cluster` or `parametric`; absent in fits made before there was a
    /// choice, whose intervals are profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Observations used.
    pub n: u64,
    /// Where the observations are vertices, each standing for a budget: the runs they were looked for in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertices_of: Option<u64>,
    /// Runs not used.
    pub excluded: Vec<Exclusion>,
    /// Parameters by symbol.
    pub parameters: BTreeMap<String, Estimate>,
    /// Objective.
    pub objective: ObjectiveValue,
    /// Proof of the optimum.
    pub certificate: Certificate,
    /// Root mean square of the residuals of log loss.
    pub residual_rms: f64,
    /// Doubts.
    pub diagnoses: Vec<Diagnosis>,
}

/// What an answer was computed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// SHA-256 over the observations.
    pub digest: String,
}

/// `fit --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FitReport {
    /// [`FIT_SCHEMA`].
    pub schema: String,
    /// One per group and law.
    pub fits: Vec<FittedLaw>,
    /// Runs that differ in tuning alone and were folded into one; empty without `--best-of`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reductions: Vec<Reduction>,
    /// Provenance.
    pub inputs: Inputs,
}

/// Whether there is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForecastStatus {
    /// There is.
    Forecast,
    /// There is none, and `reason` says why.
    Refused,
}

/// One law's word on a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LawPrediction {
    /// Law.
    pub law: String,
    /// Its weight in the ensemble; weights sum to one.
    pub weight: f64,
    /// What it predicts, with its own mean interval.
    pub prediction: Estimate,
}

/// Compute-optimal size and data at a target's budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Optimum {
    /// The law that it is read from, as it is fitted to be carried to the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub law: Option<String>,
    /// N*, its interval with the error of form.
    pub params: Estimate,
    /// D*, its interval with the error of form.
    pub tokens: Estimate,
    /// What a parameter and token cost in the runs; absent in forecasts made before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flops_per_product: Option<FlopsPerProduct>,
}

/// The forecast of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForecastTarget {
    /// Whether there is a number.
    pub status: ForecastStatus,
    /// Why there is none.
    pub reason: Option<String>,
    /// Compute.
    pub flops: f64,
    /// Size, where it is given.
    pub params: Option<f64>,
    /// Data, where it is given.
    pub tokens: Option<f64>,
    /// Distinct tokens, where they are given: fewer than `tokens` where the run repeats its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_tokens: Option<f64>,
    /// Metric.
    pub metric: String,
    /// Its unit.
    pub unit: LossUnit,
    /// Median of the predictive distribution.
    pub median: Option<f64>,
    /// Predictive distribution for one run: law, form and seed noise.
    pub predictive: Option<Predictive>,
    /// Predictive intervals for one run.
    pub intervals: Vec<Interval>,
    /// Intervals of the mean over runs by the laws' plain fits: they take the laws for granted and hold where those are true.
    pub mean_intervals: Vec<Interval>,
    /// log10 of target compute over the largest compute fitted.
    pub decades_beyond_data: f64,
    /// Law by law.
    pub laws: Vec<LawPrediction>,
    /// Compute-optimal N and D, where an (N, D) law was fitted.
    pub optimum: Option<Optimum>,
}

/// A backtest's prediction of one known run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BacktestCase {
    /// Group.
    pub group: Option<String>,
    /// The run predicted.
    pub target_run_id: String,
    /// Target compute over the cut.
    pub ratio: f64,
    /// `run` or `frontier`.
    pub mode: String,
    /// Law, or `ensemble`.
    pub law: String,
    /// Largest compute the fit could see.
    pub cut_flops: f64,
    /// Compute of the target.
    pub target_flops: f64,
    /// Prediction.
    pub predicted: f64,
    /// What it was.
    pub actual: f64,
    /// predicted / actual − 1.
    pub relative_error: f64,
    /// Predictive intervals.
    pub intervals: Vec<Interval>,
    /// Continuous ranked probability score, in the metric's unit.
    pub crps: f64,
    /// Probability integral transform of the outcome.
    pub pit: f64,
    /// Observations fitted.
    pub n_fit: u64,
}

/// Backtest cases of one ratio, summed up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BacktestSummary {
    /// Ratio.
    pub ratio: f64,
    /// Median of |relative error|.
    pub median_abs_relative_error: f64,
    /// Mean of |relative error|.
    pub mean_abs_relative_error: f64,
    /// Share of cases inside their 90% interval.
    pub coverage_90: f64,
    /// Mean width of 90% intervals, relative to the outcome; absent in reports made before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_width_90: Option<f64>,
    /// Mean interval score at 90%, relative to the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_interval_score_90: Option<f64>,
    /// Mean CRPS.
    pub crps: f64,
    /// Cases.
    pub n: u64,
}

/// `backtest --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BacktestReport {
    /// [`BACKTEST_SCHEMA`].
    pub schema: String,
    /// Cases.
    pub cases: Vec<BacktestCase>,
    /// By ratio.
    pub summary: Vec<BacktestSummary>,
    /// Why nothing forecast from these runs counts, however the cases came out: what a forecast of them is refused for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnoses: Vec<Diagnosis>,
}

/// `forecast --json` and `out/forecast.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forecast {
    /// [`FORECAST_SCHEMA`].
    pub schema: String,
    /// One per target asked.
    pub targets: Vec<ForecastTarget>,
    /// The budget that reaches a level, where that was asked: the first target is the run at that budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    /// What else was asked at the first target: the optimum under caps, rate and batch, cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// How the same laws did on runs already known; absent where there are too few.
    pub backtest: Option<BacktestReport>,
    /// Doubts.
    pub diagnoses: Vec<Diagnosis>,
    /// Provenance.
    pub inputs: Inputs,
}

/// A forecast sealed before its target was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// [`REGISTRATION_SCHEMA`], or [`REGISTRATION_OF_CAPABILITIES`].
    pub schema: String,
    /// Name of the sweep.
    pub sweep: String,
    /// When, RFC 3339; informative, never evidence.
    pub created_at: String,
    /// Version of Forescale.
    pub version: String,
    /// Numerics version of the training crate.
    pub numerics_version: u32,
    /// The target's run id, where it is a planned run of ours.
    pub target_run_id: Option<String>,
    /// Digest of the target's config, or of its description for a foreign target.
    pub target_config_digest: String,
    /// Evaluation set the outcome will be measured on, where it is known.
    pub eval_set_digest: Option<String>,
    /// Conventions.
    pub rule: Rules,
    /// Laws fitted.
    pub fits: Vec<FittedLaw>,
    /// The forecast.
    pub forecast: ForecastTarget,
    /// What the target will be able to do, bucket by bucket, where its corpus has problems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<CapabilityForecast>,
    /// Runs the forecast was made from.
    pub observation_run_ids: Vec<String>,
    /// Digest of the observations.
    pub inputs: Inputs,
    /// Whether any metric of the target was seen: always `false`, or it would not be a registration.
    pub used_partial_results: bool,
    /// SHA-256 of all of the above as canonical JSON.
    pub sha256: String,
}

/// How it is known that the forecast came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderProof {
    /// The target's log names the registration's digest in its first line.
    Digest,
    /// Commit ancestry shows it.
    Ancestry,
    /// Nothing shows it.
    NotProven,
}

/// `score --json`: a registration held against what happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// [`SCORE_SCHEMA`], or [`SCORE_OF_CAPABILITIES`].
    pub schema: String,
    /// Digest of the registration.
    pub registration_sha256: String,
    /// Median predicted.
    pub predicted: f64,
    /// What happened.
    pub actual: f64,
    /// predicted / actual − 1.
    pub relative_error: f64,
    /// The interval it is judged by.
    pub interval: Interval,
    /// Whether the outcome lay inside.
    pub inside: bool,
    /// Continuous ranked probability score.
    pub crps: f64,
    /// Probability integral transform.
    pub pit: f64,
    /// How it is known that the forecast came first.
    pub order: OrderProof,
    /// The words for `order`.
    pub order_detail: String,
    /// How the sealed forecasts of capabilities came out; a bucket without a forecast is not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capability: Vec<CapabilityScore>,
}

/// One number held against its baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckItem {
    /// What: `target.median`, `power_law.E`.
    pub name: String,
    /// In the baseline.
    pub baseline: f64,
    /// Now.
    pub current: f64,
    /// Allowed difference, absolute.
    pub tolerance: f64,
    /// Why that much is allowed.
    pub tolerance_reason: String,
    /// Whether it held.
    pub held: bool,
}

/// `check --json`: did a prediction move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// [`CHECK_SCHEMA`].
    pub schema: String,
    /// The baseline folder.
    pub baseline: String,
    /// Whether everything held.
    pub held: bool,
    /// Number by number.
    pub items: Vec<CheckItem>,
    /// Changes that no tolerance covers (a law gone, a digest changed), in words.
    pub problems: Vec<String>,
}
