//! Model-form error: how wrong a law is apt to be outside its data, whatever its own interval says.
//!
//! On synthetic data every interval method covers 0 to 1% when the truth departs from the law a decade past the data; the
//! width that is missing can only come from how extrapolations have fared before. [`crate::experience`] holds that
//! experience in numbers; this file says how it is used, and how a sweep's own backtests correct it.

use crate::experience::{FORM_ERROR, Growth, INSIDE, PRIOR_CASES, TOTAL_ERROR};

/// Median of |t| for Student's t with 4 degrees of freedom: the quantile at 0.75.
pub(crate) const MEDIAN_OF_T: f64 = 0.740_697_084_112_875_3;
/// The factor on the experience that a sweep's own backtests ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Calibration {
    /// 1 without backtests of its own.
    pub(crate) factor: f64,
    /// The experience that it is a factor on.
    pub(crate) form: Growth,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { factor: 1.0, form: FORM_ERROR }
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
        Self { factor: ((PRIOR_CASES + total) / (PRIOR_CASES + errors.len() as f64)).max(0.5), ..Self::default() }
    }

    /// The same where laws of compute alone speak: what a law of size and data would hold itself is left to this term.
    pub(crate) fn along_a_path(self) -> Self {
        Self { form: TOTAL_ERROR, ..self }
    }

    /// Scale of the form term in log loss: Student's t with 4 degrees of freedom times this.
    pub(crate) fn scale(self, decades_beyond: f64) -> f64 {
        self.factor * INSIDE.max(self.form.after(decades_beyond)) / MEDIAN_OF_T
    }
}

/// Median |relative error| to expect so many decades past the data, from whatever cause.
pub(crate) fn expected_error(decades_beyond: f64) -> f64 {
    INSIDE.max(TOTAL_ERROR.after(decades_beyond))
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
    use forescale_core::math;

    #[test]
    fn the_closed_form_agrees_with_the_incomplete_beta_function() {
        for t in [-4.0, -1.0, -0.2, 0.0, 0.7, 2.131_846_786, 9.0] {
            assert!((t4_cdf(t) - math::student_t_cdf(t, 4.0)).abs() < 1e-12, "{t}");
        }
        assert!((t4_cdf(MEDIAN_OF_T) - 0.75).abs() < 1e-12);
    }

    #[test]
    fn backtests_as_expected_leave_the_width_and_worse_ones_widen_it() {
        let as_expected: Vec<(f64, f64)> = (0..8).map(|_| (1.0, 1.35 * 0.012)).collect();
        assert!((Calibration::from_errors(&as_expected).factor - 1.0).abs() < 1e-12);
        assert!((Calibration::from_errors(&[]).factor - 1.0).abs() < 1e-12);
        let worse: Vec<(f64, f64)> = (0..8).map(|_| (1.0, 3.0 * 1.35 * 0.012)).collect();
        assert!((Calibration::from_errors(&worse).factor - 2.0).abs() < 1e-12);
    }
}
