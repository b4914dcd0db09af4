//! How well parameters are known, and how well backtests knew what they knew.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of one law: profiles and correlations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterPanel {
    /// The law.
    pub law: String,
    /// Level of the intervals, 0.9 for 90%.
    pub level: f64,
    /// Root at which an interval of that level ends.
    pub root: f64,
    /// A profile per parameter.
    pub profiles: Vec<ParameterProfile>,
    /// Correlations of the estimates, each pair once; none where the information matrix is singular.
    pub correlations: Vec<Correlation>,
}

/// How the fit worsens as one parameter is held away from its estimate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterProfile {
    /// The parameter.
    pub symbol: String,
    /// Whether distances are of its logarithm.
    pub logarithm: bool,
    /// Points by rising value.
    pub points: Vec<ProfilePoint>,
}

/// One point of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilePoint {
    /// The parameter.
    pub value: f64,
    /// Its distance from the estimate in standard errors.
    pub errors: f64,
    /// Signed root of the scaled rise of the objective: equal to `errors` where the profile is a parabola.
    pub root: f64,
}

/// How the errors of two estimates go together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    /// One parameter.
    pub first: String,
    /// Another.
    pub second: String,
    /// Correlation, -1 to 1.
    pub value: f64,
}

/// Where outcomes fell in the distributions that backtests gave them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalibrationPanel {
    /// Cases by rising transform.
    pub cases: Vec<CalibrationCase>,
    /// Half-width of the band that a calibrated forecaster stays in.
    pub band: f64,
    /// Level of the band.
    pub level: f64,
}

/// One backtest case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalibrationCase {
    /// The run predicted.
    pub name: String,
    /// How far it was from the runs fitted.
    pub ratio: f64,
    /// Where a calibrated forecaster's case of this rank lies on average.
    pub expected: f64,
    /// Probability integral transform of the outcome.
    pub pit: f64,
}
