//! An estimate never goes without its interval.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Point estimate.
    pub estimate: f64,
    /// Standard error, where the information matrix gives one.
    pub standard_error: Option<f64>,
    /// Lower end; `None` when the data set no lower bound.
    pub lower: Option<f64>,
    /// Upper end; `None` when the data set no upper bound.
    pub upper: Option<f64>,
    /// Level of the interval, 0.9 for 90%.
    pub level: f64,
}

/// A two-sided interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Level, 0.9 for 90%.
    pub level: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

impl Interval {
    /// Whether a value lies inside, ends included.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.lower..=self.upper).contains(&value)
    }
}
