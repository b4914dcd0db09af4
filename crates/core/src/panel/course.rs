//! What happened in the runs: loss on the way, and how far replicates lie apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::Role;

/// Loss on the way of runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LossCurves {
    /// Curves by rising compute.
    pub curves: Vec<LossCurve>,
    /// Curves left out, for room.
    pub left_out: u64,
}

/// Loss on the way of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LossCurve {
    /// Readable name.
    pub name: String,
    /// What it was for.
    pub role: Option<Role>,
    /// Size under the report's rule.
    pub params: f64,
    /// Points by rising compute.
    pub points: Vec<CoursePoint>,
}

/// Loss after some compute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoursePoint {
    /// Compute so far, FLOPs.
    pub flops: f64,
    /// Loss.
    pub loss: f64,
}

/// Runs that differ in their seed alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeedRung {
    /// Size; `None` in a table that tells compute alone.
    pub params: Option<f64>,
    /// Data, likewise.
    pub tokens: Option<f64>,
    /// Compute, FLOPs.
    pub flops: f64,
    /// Mean loss.
    pub mean: f64,
    /// Standard deviation over seeds as the fit takes it, relative to the mean.
    pub relative_sd: Option<f64>,
    /// The runs.
    pub runs: Vec<SeedRun>,
}

/// One seed of a rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeedRun {
    /// Readable name.
    pub name: String,
    /// Loss over the rung's mean, less one.
    pub deviation: f64,
}
