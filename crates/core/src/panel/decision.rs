//! What a reader decides by, beside the forecast itself: cost, record at that distance, and the strongest doubt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cost::Cost;
use crate::outcome::{BacktestSummary, Diagnosis};

/// The parts of a decision that the forecast does not hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Target compute over the largest compute fitted.
    pub ratio: Option<f64>,
    /// How backtests did at the ratio nearest to the target's.
    pub backtest: Option<BacktestSummary>,
    /// The doubt that weighs most.
    pub doubt: Option<Diagnosis>,
    /// What the target's compute costs, a row a device, in the order of the hardware table.
    pub costs: Vec<Cost>,
}
