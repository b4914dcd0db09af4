//! Model-form error: how wrong a law is apt to be outside its data, whatever its own interval says.
//!
//! On synthetic data every interval method covers 0 to 1% when the truth departs from the law a decade past the data; the
//! width that is missing can only come from how extrapolations have fared before. [`crate::experience`] holds that
//! experience in numbers; this file says how it is used, and how a sweep's own backtests correct it.

use forescale_core::estimate::Estimate;
use forescale_core::math;

use crate::experience::{FORM_ERROR, Growth, INSIDE, PRIOR_CASES, SIZE_ERROR, SIZE_INSIDE, TOTAL_ERROR};

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

/// Median |ln error| of form of a budget's best size so many decades past the data.
pub(crate) fn expected_size_error(decades_beyond: f64) -> f64 {
    SIZE_INSIDE.max(SIZE_ERROR.after(decades_beyond))
}

/// A best size, or its data, with the error of form beside the law's own: Student's t with 4 degrees of freedom in the
/// logarithm. The two are taken as independent, so that half widths and deviations of the logarithm add as squares; an end that
/// the law does not have stays away.
pub(crate) fn with_size_error(of: Estimate, decades_beyond: f64) -> Estimate {
    let scale = expected_size_error(decades_beyond) / MEDIAN_OF_T;
    let form = scale * math::student_t_quantile(0.5 * (1.0 + of.level), 4.0);
    let joined = |end: f64, sign: f64| {
        let own = math::ln(end / of.estimate);
        of.estimate * math::exp(sign * (own * own + form * form).sqrt())
    };
    // The variance of Student's t is ν/(ν − 2).
    let deviation = |own: f64| (own * own + 2.0 * (of.estimate * scale) * (of.estimate * scale)).sqrt();
    Estimate {
        standard_error: of.standard_error.map(deviation),
        lower: of.lower.map(|end| joined(end, -1.0)),
        upper: of.upper.map(|end| joined(end, 1.0)),
        ..of
    }
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
    fn a_size_is_widened_by_what_published_sizes_missed_by() {
        // A decade out the scale is 0.2 over 0.7407, Student's t at 0.95 with 4 degrees 2.1318: 0.5757 beside ln 1.5.
        let own =
            Estimate { estimate: 3e9, standard_error: Some(6e8), lower: Some(2e9), upper: Some(4.5e9), level: 0.9 };
        let widened = with_size_error(own, 1.0);
        let half = (0.5757_f64 * 0.5757 + 0.405_465 * 0.405_465).sqrt();
        for (end, sign) in [(widened.lower, -1.0), (widened.upper, 1.0)] {
            assert!((math::ln(end.expect("an end") / 3e9) - sign * half).abs() < 1e-3, "{widened:?}");
        }
        assert!((widened.standard_error.expect("one") / 3e9 - 0.4312).abs() < 1e-3, "{widened:?}");
        let open = with_size_error(Estimate { upper: None, standard_error: None, ..own }, 1.0);
        assert!(open.upper.is_none() && open.standard_error.is_none() && open.lower == widened.lower);
    }

    #[test]
    fn within_the_data_a_size_has_the_error_of_a_vertex_and_further_out_more() {
        let errors = [-3.0, 0.0, 0.1, 1.0, 3.0].map(expected_size_error);
        assert!(
            errors.iter().zip([0.04, 0.04, 0.04, 0.2, 0.6]).all(|(has, due)| (has - due).abs() < 1e-12),
            "{errors:?}"
        );
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
