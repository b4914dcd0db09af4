//! A predictive distribution as quantiles.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::estimate::Interval;

/// Quantiles of a predictive distribution at rising levels: 199 of them, 0.005 to 0.995.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predictive {
    /// Levels, rising, inside (0, 1).
    pub levels: Vec<f64>,
    /// Values, not falling.
    pub values: Vec<f64>,
}

impl Predictive {
    /// The 199 levels 0.005, 0.010, …, 0.995.
    #[must_use]
    pub fn standard_levels() -> Vec<f64> {
        (1..200).map(|i| f64::from(i) / 200.0).collect()
    }

    /// The quantile at a level, linear between stored levels and constant outside them.
    ///
    /// # Panics
    ///
    /// If the distribution is empty.
    #[must_use]
    pub fn quantile(&self, level: f64) -> f64 {
        interpolate(&self.levels, &self.values, level)
    }

    /// The probability integral transform of an outcome: uniform over many forecasts that are as sure as they should be.
    ///
    /// # Remarks
    ///
    /// Past the outermost levels it is the outermost level: the 0.5% below and above are not told apart.
    ///
    /// # Panics
    ///
    /// If the distribution is empty.
    #[must_use]
    pub fn pit(&self, outcome: f64) -> f64 {
        self.probability(outcome)
    }

    /// Probability of a value at most `value`, linear between stored values and constant outside them.
    ///
    /// # Panics
    ///
    /// If the distribution is empty.
    #[must_use]
    pub fn probability(&self, value: f64) -> f64 {
        interpolate(&self.values, &self.levels, value)
    }

    /// The central interval of a level.
    #[must_use]
    pub fn interval(&self, level: f64) -> Interval {
        let tail = (1.0 - level) / 2.0;
        Interval { level, lower: self.quantile(tail), upper: self.quantile(1.0 - tail) }
    }

    /// The median.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

fn interpolate(xs: &[f64], ys: &[f64], x: f64) -> f64 {
    let (first, last) = (ys[0], ys[ys.len() - 1]);
    let above = xs.partition_point(|&known| known < x);
    if above == 0 {
        return first;
    }
    if above == xs.len() {
        return last;
    }
    let (x0, x1) = (xs[above - 1], xs[above]);
    let share = if x1 > x0 { (x - x0) / (x1 - x0) } else { 1.0 };
    ys[above - 1] + share * (ys[above] - ys[above - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform() -> Predictive {
        let levels = Predictive::standard_levels();
        Predictive { values: levels.clone(), levels }
    }

    #[test]
    fn a_uniform_distribution_is_its_own_quantile_function() {
        let interval = uniform().interval(0.9);
        assert!((interval.lower - 0.05).abs() < 1e-12 && (interval.upper - 0.95).abs() < 1e-12);
        assert!((uniform().probability(0.3) - 0.3).abs() < 1e-12);
    }

    #[test]
    fn the_transform_of_a_normal_outcome_is_its_distribution_function() {
        // Abramowitz and Stegun, table 26.1: Φ(1) = 0.8413447.
        let levels = Predictive::standard_levels();
        let values = levels.iter().map(|&p| crate::math::normal_quantile(p)).collect();
        let normal = Predictive { levels, values };
        assert!((normal.pit(1.0) - 0.841_344_7).abs() < 1e-4 && (normal.pit(0.0) - 0.5).abs() < 1e-12);
        assert!((normal.pit(9.0) - 0.995).abs() < 1e-15 && (normal.pit(-9.0) - 0.005).abs() < 1e-15);
    }

    #[test]
    fn outside_its_levels_it_is_constant() {
        assert!((uniform().quantile(0.0) - 0.005).abs() < 1e-15);
        assert!((uniform().probability(2.0) - 0.995).abs() < 1e-15);
    }
}
