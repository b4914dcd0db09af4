//! How far the objective may rise before a parameter value is ruled out.
//!
//! **Which likelihood.** The objective is not a log-likelihood of the noise: Huber at 1e-3 on residuals of half a percent
//! is nearly least absolute deviations, and an F ratio on it would over-cover. For any such objective Σρ(r), twice the
//! rise over the best is asymptotically κ·χ² with one degree of freedom per parameter held, κ = E[ψ²]/E[ψ′] (the
//! likelihood-ratio-type test of M-estimators; Ronchetti 1982; Heritier and Ronchetti 1994). For least squares κ is twice
//! the residual variance and this is the F profile; for least absolute deviations κ = 1/(2 f(0)), f the density of
//! residuals at zero. E[ψ′] is estimated by smoothing the residuals with a normal kernel, which serves both limits and
//! what lies between; quantiles are Student's with n − p degrees of freedom.

use forescale_core::math;

use crate::problem::FitProblem;

/// The scale of a fit's residuals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dispersion {
    /// κ: the rise of the objective that one standard error costs, doubled.
    pub(crate) kappa: f64,
    /// κ/E[ψ′]: the variance that one unit of information leaves.
    pub(crate) variance: f64,
    /// n − p, at least 1.
    pub(crate) degrees: f64,
    /// Standard deviation of one run's log loss about the law.
    pub(crate) sigma: f64,
}

/// Residuals below this (chosen here: rounding in ln L) are a fit without noise.
const NOISELESS: f64 = 1e-11;

impl Dispersion {
    /// The dispersion about a fit with p parameters.
    pub(crate) fn of(problem: &FitProblem, residuals: &[f64]) -> Self {
        let count = problem.count();
        let degrees = residuals.len().saturating_sub(count).max(1) as f64;
        let squares: f64 = residuals.iter().map(|r| r * r).sum();
        let sigma = (squares / degrees).sqrt();
        if sigma < NOISELESS {
            return Self { kappa: 0.0, variance: 0.0, degrees, sigma: 0.0 };
        }
        let slope_square = |(r, w): (&f64, f64)| (w * problem.cost.slope(*r)) * (w * problem.cost.slope(*r));
        let weights = || problem.samples.iter().map(|s| s.weight);
        let mean_square = residuals.iter().zip(weights()).map(slope_square).sum::<f64>() / degrees;
        let mean_weight = weights().sum::<f64>() / residuals.len() as f64;
        let bend = mean_weight * smoothed_bend(problem, residuals, sigma);
        let kappa = mean_square / bend;
        Self { kappa, variance: kappa * mean_weight / bend, degrees, sigma }
    }

    /// Student's quantile at a probability.
    pub(crate) fn quantile(&self, probability: f64) -> f64 {
        math::student_t_quantile(probability, self.degrees)
    }
}

/// E[ψ′] from residuals smoothed by a normal kernel.
///
/// An L1 fit passes through p points exactly; those say nothing of the density and are left out. Smoothing by h flattens
/// a normal density at its centre by 1/√(1 + h²/σ²), which is put back.
fn smoothed_bend(problem: &FitProblem, residuals: &[f64], sigma: f64) -> f64 {
    let cost = problem.cost;
    let mean_side = 0.5 * (cost.bend(f64::MIN_POSITIVE) + cost.bend(-f64::MIN_POSITIVE));
    if !cost.delta().is_finite() {
        return mean_side;
    }
    let mut sizes: Vec<f64> = residuals.iter().map(|r| r.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let informative = &sizes[problem.count().min(sizes.len() - 1)..];
    let robust = math::median(informative).map_or(sigma, |middle| 1.4826 * middle);
    let scale = sigma.min(robust).max(1e-3 * sigma);
    let width = 0.9 * scale * math::pow(informative.len() as f64, -0.2);
    let restored = (1.0 + (width / scale) * (width / scale)).sqrt();
    let inside = |size: &f64| {
        math::normal_cdf((cost.delta() - size) / width) - math::normal_cdf((-cost.delta() - size) / width)
    };
    let share = restored * informative.iter().map(inside).sum::<f64>() / informative.len() as f64;
    mean_side * share.min(1.0)
}
