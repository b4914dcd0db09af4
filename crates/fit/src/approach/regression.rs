//! A straight line through logarithms, with intervals: N* or D* as a power of compute.

use forescale_core::estimate::Estimate;
use forescale_core::math;

/// y = `middle` + `slope`·(x − `centre`) by least squares, x and y logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Power {
    slope: f64,
    middle: f64,
    centre: f64,
    spread: f64,
    points: f64,
    sigma: f64,
}

/// Fewest points of a line with an interval.
pub(crate) const NEEDED_POINTS: usize = 3;

impl Power {
    /// The line through (ln C, ln y); `None` of fewer than three points or one compute.
    pub(crate) fn through(points: &[(f64, f64)]) -> Option<Self> {
        if points.len() < NEEDED_POINTS {
            return None;
        }
        let n = points.len() as f64;
        let centre = points.iter().map(|p| p.0).sum::<f64>() / n;
        let middle = points.iter().map(|p| p.1).sum::<f64>() / n;
        let spread: f64 = points.iter().map(|p| (p.0 - centre) * (p.0 - centre)).sum();
        if spread <= 0.0 {
            return None;
        }
        let slope = points.iter().map(|p| (p.0 - centre) * (p.1 - middle)).sum::<f64>() / spread;
        let residual = |p: &(f64, f64)| p.1 - middle - slope * (p.0 - centre);
        let squares: f64 = points.iter().map(|p| residual(p) * residual(p)).sum();
        Some(Self { slope, middle, centre, spread, points: n, sigma: (squares / (n - 2.0)).sqrt() })
    }

    /// The same line where no point is known to better than this standard deviation, however near to the line all lie.
    pub(crate) fn no_closer_than(self, sigma: f64) -> Self {
        Self { sigma: self.sigma.max(sigma), ..self }
    }

    /// The exponent, with Student's interval at n − 2 degrees of freedom.
    pub(crate) fn exponent(&self, level: f64) -> Estimate {
        self.around(self.slope, self.sigma / self.spread.sqrt(), level)
    }

    /// The factor at one FLOP.
    pub(crate) fn coefficient(&self) -> f64 {
        math::exp(self.middle - self.slope * self.centre)
    }

    /// ln y at a compute.
    pub(crate) fn log_at(&self, flops: f64) -> f64 {
        self.middle + self.slope * (math::ln(flops) - self.centre)
    }

    /// y at a compute, with the interval of the line there.
    pub(crate) fn at(&self, flops: f64, level: f64) -> Estimate {
        let away = math::ln(flops) - self.centre;
        let error = self.sigma * (1.0 / self.points + away * away / self.spread).sqrt();
        exponential(&self.around(self.log_at(flops), error, level))
    }

    fn around(&self, estimate: f64, error: f64, level: f64) -> Estimate {
        let reach = math::student_t_quantile(0.5 + 0.5 * level, self.points - 2.0) * error;
        bounded(estimate, error, reach, level)
    }
}

/// An estimate with an interval that reaches as far on both sides.
pub(crate) fn bounded(estimate: f64, error: f64, reach: f64, level: f64) -> Estimate {
    let (lower, upper) = (Some(estimate - reach), Some(estimate + reach));
    Estimate { estimate, standard_error: Some(error), lower, upper, level }
}

/// The exponential of an estimate; an end that no number holds is none.
pub(crate) fn exponential(log: &Estimate) -> Estimate {
    let estimate = math::exp(log.estimate);
    let end = |end: Option<f64>| end.map(math::exp).filter(|end| end.is_finite() && *end > 0.0);
    Estimate {
        estimate,
        standard_error: log.standard_error.map(|error| error * estimate).filter(|error| error.is_finite()),
        lower: end(log.lower),
        upper: end(log.upper),
        level: log.level,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_or_one_compute_carry_no_line() {
        assert_eq!(Power::through(&[(1.0, 2.0), (2.0, 3.0)]), None);
        assert_eq!(Power::through(&[(1.0, 2.0), (1.0, 3.0), (1.0, 4.0)]), None);
    }

    #[test]
    fn slope_and_error_are_those_worked_by_hand() {
        // y = 1, 2, 2 at x = 0, 1, 2: slope 1/2, residuals -1/6, 1/3, -1/6, sigma^2 = 1/6, error of the slope sqrt(1/12);
        // t(0.95; 1) = 6.313751515 (Abramowitz and Stegun, table 26.10).
        let power = Power::through(&[(0.0, 1.0), (1.0, 2.0), (2.0, 2.0)]).expect("a line");
        let exponent = power.exponent(0.9);
        assert!((exponent.estimate - 0.5).abs() < 1e-15);
        let error = (1.0_f64 / 12.0).sqrt();
        assert!((exponent.standard_error.expect("an error") - error).abs() < 1e-15);
        assert!((exponent.upper.expect("an end") - 0.5 - 6.313_751_514_675 * error).abs() < 1e-9);
        // At x = 3 the line is 5/3 + 1/2 + 1/2 and its error sqrt(1/6 (1/3 + 4/2)).
        let there = power.at(math::exp(3.0), 0.9);
        assert!((math::ln(there.estimate) - 5.0 / 3.0 - 1.0).abs() < 1e-14);
        let error = (7.0_f64 / 18.0).sqrt() * there.estimate;
        assert!((there.standard_error.expect("an error") / error - 1.0).abs() < 1e-12);
    }
}
