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

    /// Winkler's interval score, in the outcome's unit; the smaller the better.
    ///
    /// # Formula
    ///
    /// S = (u − l) + (2/α)(l − y)₊ + (2/α)(y − u)₊, α = 1 − level.
    ///
    /// # Remarks
    ///
    /// Proper for the pair of quantiles α/2 and 1 − α/2, so that neither a width without end nor none wins: coverage alone
    /// can be had by width alone, and is therefore never printed without it.
    ///
    /// # Reference
    ///
    /// Gneiting and Raftery, 2007, *Strictly proper scoring rules, prediction, and estimation*, equation 43.
    #[must_use]
    pub fn score(&self, outcome: f64) -> f64 {
        let missed = (self.lower - outcome).max(0.0) + (outcome - self.upper).max(0.0);
        (self.upper - self.lower) + 2.0 / (1.0 - self.level) * missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math;

    #[test]
    fn inside_it_is_the_width_and_outside_it_grows_with_the_miss() {
        // By hand, alpha = 0.1: a width of 2, and 20 times the miss of 0.5 on either side.
        let interval = Interval { level: 0.9, lower: 1.0, upper: 3.0 };
        for (outcome, score) in [(2.0, 2.0), (1.0, 2.0), (3.0, 2.0), (0.5, 12.0), (3.5, 12.0)] {
            assert!((interval.score(outcome) - score).abs() < 1e-12, "{outcome}");
        }
    }

    #[test]
    fn the_central_interval_of_a_normal_scores_its_closed_form_on_average() {
        // E S = 2 φ(z)/(α/2) with z = Φ⁻¹(0.95) = 1.6448536, φ(z) = 0.1031356: 4.1254251. Outcomes at 20,000 midpoints of
        // probability.
        let z = 1.644_853_627;
        let interval = Interval { level: 0.9, lower: -z, upper: z };
        let count = 20_000;
        let outcome = |i: i32| math::normal_quantile((f64::from(i) + 0.5) / f64::from(count));
        let mean = (0..count).map(|i| interval.score(outcome(i))).sum::<f64>() / f64::from(count);
        assert!((mean - 4.125_425).abs() < 1e-3, "{mean}");
    }
}
