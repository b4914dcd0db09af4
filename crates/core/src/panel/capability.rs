//! What a report shows of capabilities: per task and bucket what was seen, forecast, and reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BandPoint;
use crate::capability::{CapabilityScore, TaskForecast};

/// Capabilities at the target, task by task: the plots of GPT-4's report, figures 2 and 3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CapabilityPanel {
    /// Compute of the run that is forecast.
    pub target_flops: f64,
    /// Compute of the largest run that the forecasts saw.
    pub seen_flops: f64,
    /// Level of the bands and of the scores' intervals.
    pub level: f64,
    /// Digest of the registration that the forecasts were sealed in, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_sha256: Option<String>,
    /// One per task and bucket, in order of task and difficulty.
    pub courses: Vec<CapabilityCourse>,
}

/// One task's bucket over compute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CapabilityCourse {
    /// What was seen of it, and what was forecast or why not.
    pub forecast: TaskForecast,
    /// The forecast along compute, from the largest run seen to the target; empty behind a shut gate.
    pub curve: Vec<BandPoint>,
    /// What the target reached, once it was trained: mean −log p or accuracy.
    pub reached: Option<f64>,
    /// What came of the forecast, where there was one and the target was trained.
    pub score: Option<CapabilityScore>,
}
