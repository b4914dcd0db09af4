//! Model-form error: how wrong a law is apt to be outside its data, whatever its own interval says.
//!
//! On synthetic data every interval method covers 0 to 1% when the truth departs from the law a decade past the data; the
//! width that is missing can only come from how extrapolations have fared before. This file holds that experience, and
//! how a sweep's own backtests correct it.

use forescale_core::math;

/// Median |relative error| one decade past the data, and the power of decades with which it grows.
///
/// **Provenance.** The default ensemble backtested on published tables, mean |error| by table, median by family, median
/// over families: 1.17% and 3.05% run by run and 1.42% and 2.57% along the frontier at 10x and 100x; geometric means 1.29%
/// and 2.80%. At 1000x (12%) a handful of runs is left, whose own profiles are wide: no part of this curve.
const MEDIAN_ERROR_AT_ONE_DECADE: f64 = 0.0125;
const GROWTH: f64 = 1.15;
/// Median error within the data (chosen here: a fifth of the seed noise usual below 100M parameters).
const MEDIAN_ERROR_INSIDE: f64 = 0.002;
/// Median of |t| for Student's t with 4 degrees of freedom: the quantile at 0.75.
pub(crate) const MEDIAN_OF_T: f64 = 0.740_697_084_112_875_3;
/// How many backtest cases the experience above counts as.
const PRIOR_CASES: f64 = 8.0;

/// The factor on the experience that a sweep's own backtests ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Calibration {
    /// 1 without backtests of its own.
    pub(crate) factor: f64,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { factor: 1.0 }
    }
}

impl Calibration {
    /// From backtest errors, as (decades past the cut, |ln predicted − ln actual|), one per independent cut.
    ///
    /// The factor is the mean of 1, counted [`PRIOR_CASES`] times, and each case's error over what was expected, where no
    /// case counts for more than 6: one broken forecast should widen the next, not end all of them.
    pub(crate) fn from_errors(errors: &[(f64, f64)]) -> Self {
        let ratios = errors.iter().map(|(decades, error)| (error / expected_error(*decades)).min(6.0));
        // A heavy-tailed error is 1.35 times its median on average.
        let total: f64 = ratios.map(|ratio| ratio / 1.35).sum();
        Self { factor: ((PRIOR_CASES + total) / (PRIOR_CASES + errors.len() as f64)).max(0.5) }
    }

    /// Scale of the form term in log loss: Student's t with 4 degrees of freedom times this.
    pub(crate) fn scale(self, decades_beyond: f64) -> f64 {
        self.factor * expected_error(decades_beyond) / MEDIAN_OF_T
    }
}

/// Median |relative error| to expect so many decades past the data.
pub(crate) fn expected_error(decades_beyond: f64) -> f64 {
    let beyond = decades_beyond.max(0.0);
    MEDIAN_ERROR_INSIDE.max(MEDIAN_ERROR_AT_ONE_DECADE * math::pow(beyond, GROWTH))
}

/// Distribution function of Student's t with 4 degrees of freedom, in closed form.
pub(crate) fn t4_cdf(t: f64) -> f64 {
    let square = t * t / (t * t + 4.0);
    0.5 + 0.375 * t / (1.0 + 0.25 * t * t).sqrt() * (1.0 - square / 3.0)
}

/// Density of Student's t with 4 degrees of freedom.
pub(crate) fn t4_density(t: f64) -> f64 {
    let base = 1.0 + 0.25 * t * t;
    0.375 / (base * base * base.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_form_agrees_with_the_incomplete_beta_function() {
        for t in [-4.0, -1.0, -0.2, 0.0, 0.7, 2.131_846_786, 9.0] {
            assert!((t4_cdf(t) - math::student_t_cdf(t, 4.0)).abs() < 1e-12, "{t}");
        }
        assert!((t4_cdf(MEDIAN_OF_T) - 0.75).abs() < 1e-12);
    }

    #[test]
    fn the_experience_follows_the_published_backtests() {
        for (decades, published) in [(1.0, 0.0129), (2.0, 0.0280)] {
            assert!((expected_error(decades) / published - 1.0).abs() < 0.2, "{decades}");
        }
    }

    #[test]
    fn backtests_as_expected_leave_the_width_and_worse_ones_widen_it() {
        let as_expected: Vec<(f64, f64)> = (0..8).map(|_| (1.0, 1.35 * 0.0125)).collect();
        assert!((Calibration::from_errors(&as_expected).factor - 1.0).abs() < 1e-12);
        assert!((Calibration::from_errors(&[]).factor - 1.0).abs() < 1e-12);
        let worse: Vec<(f64, f64)> = (0..8).map(|_| (1.0, 3.0 * 1.35 * 0.0125)).collect();
        assert!((Calibration::from_errors(&worse).factor - 2.0).abs() < 1e-12);
    }
}
