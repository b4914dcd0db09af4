//! How far the objective may rise before a parameter value is ruled out.
//!
//! **Which likelihood.** The objective is not a log-likelihood of the noise: Huber at 1e-3 on residuals of half a percent
//! is nearly least absolute deviations, and an F ratio on it would over-cover. For any such objective Σρ(r), twice the
//! rise over the best is asymptotically κ·χ² with one degree of freedom per parameter held, κ = E[ψ²]/E[ψ′] (the
//! likelihood-ratio-type test of M-estimators; Ronchetti 1982; Heritier and Ronchetti 1994). For least squares κ is twice
//! the residual variance and this is the F profile; for least absolute deviations κ = 1/(2 f(0)), f the density of
//! residuals at zero. E[ψ′] is estimated by smoothing the residuals with a normal kernel, which serves both limits and
//! what lies between; quantiles are Student's with n − p degrees of freedom.
//!
//! Scatter that differs between runs is allowed for by [`crate::sandwich`].
//!
//! **Bounded slopes.** Σψ²/(n − p) stands for E[ψ²] where ψ has no bound. Where it has one, p points that the fit passes
//! through or near add to the sum what dividing by n − p already put back: for least absolute deviations of eight points
//! and three parameters κ came out a fifth too large, and 95% of 90% intervals held. E[ψ²] is never above ψ's own bound.
//!
//! **Weights.** Where runs weigh by the inverse of a deviation ([`crate::falloff`]), ψ under least squares has the variance
//! s²/w², so that B is not in proportion to A: the sandwich of that model takes the place of κ. Under near-absolute
//! deviations E[ψ′] goes as the density at zero, that is as w, and the two are in proportion; E[wψ′] is then the mean over
//! runs of w times the density of residuals of equal scatter. Weights that say how much a run counts for a forecast, and
//! nothing of its noise ([`crate::emphasis`]), are left as they are: B = E[ψ²] Σ w² ggᵀ alone over-covers beside the
//! expectations that such a fit also has (97% of 90% intervals, 91% without; 400 ladders of eight rungs, 1000x).
//!
//! Points of one cluster are not independent: [`crate::cluster`] says what n − p, the variance and κ become.

use forescale_core::math;

use crate::cluster::Dependence;
use crate::problem::{FitProblem, Sample};

/// What the weights of runs stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weighing {
    /// What the table says.
    Own,
    /// The inverse of the deviation of a run's noise.
    ByDeviation,
    /// How much a run counts for a forecast, whatever its noise.
    ByEmphasis,
}

/// The scale of a fit's residuals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dispersion {
    /// κ: the rise of the objective that one standard error costs, doubled.
    pub(crate) kappa: f64,
    /// κ/E[ψ′]: the variance that one unit of information leaves.
    pub(crate) variance: f64,
    /// n − p, at least 1; of clustered points n is their effective number.
    pub(crate) degrees: f64,
    /// Standard deviation of one run's log loss about the law.
    pub(crate) sigma: f64,
}

/// Residuals below this (chosen here: rounding in ln L) are a fit without noise.
const NOISELESS: f64 = 1e-11;

impl Dispersion {
    /// The dispersion about a fit with p parameters.
    ///
    pub(crate) fn of(
        problem: &FitProblem,
        residuals: &[f64],
        dependence: Option<&Dependence>,
        weighing: Weighing,
    ) -> Self {
        let count = problem.count();
        let independent = residuals.len().saturating_sub(count).max(1) as f64;
        let degrees = dependence.map_or(independent, |d| (d.effective - count as f64).max(1.0));
        let divisor = dependence.map_or(independent, |d| d.residual_degrees);
        let squares: f64 = residuals.iter().map(|r| r * r).sum();
        let sigma = (squares / divisor).sqrt();
        if sigma < NOISELESS {
            return Self { kappa: 0.0, variance: 0.0, degrees, sigma: 0.0 };
        }
        let slope_square = |(r, w): (&f64, f64)| (w * problem.cost.slope(*r)) * (w * problem.cost.slope(*r));
        let weights = || problem.samples.iter().map(|s| s.weight);
        let mean_square = residuals.iter().zip(weights()).map(slope_square).sum::<f64>() / divisor;
        let mean_square = mean_square.min(largest_mean_square(problem, residuals));
        let mean_weight = weights().sum::<f64>() / residuals.len() as f64;
        let apart = mean_weight * smoothed_bend(problem, residuals, sigma);
        let bend = if weighing == Weighing::ByDeviation && problem.cost.delta().is_finite() {
            // Weights are one over deviations that a few seeds tell: were they exact, w·r would be of equal scatter; did
            // they tell nothing, w and r would be independent. Halfway: by simulation of pairs of seeds (2000 tables,
            // benches/coverage.md) either alone holds 84 to 87% and 92 to 96% where 90% should.
            0.5 * (weighted_bend(problem, residuals) + apart)
        } else {
            apart
        };
        let kappa = mean_square / bend;
        Self { kappa, variance: kappa * mean_weight / bend, degrees, sigma }
    }

    /// Student's quantile at a probability.
    pub(crate) fn quantile(&self, probability: f64) -> f64 {
        math::student_t_quantile(probability, self.degrees)
    }
}

/// Mean of the squares that the slopes cannot exceed; infinite where they have no bound.
fn largest_mean_square(problem: &FitProblem, residuals: &[f64]) -> f64 {
    if !problem.cost.delta().is_finite() {
        return f64::INFINITY;
    }
    let bound = |(sample, residual): (&Sample, &f64)| {
        let slope = sample.weight * problem.cost.slope(f64::MAX.copysign(*residual));
        slope * slope
    };
    problem.samples.iter().zip(residuals).map(bound).sum::<f64>() / residuals.len() as f64
}

/// A normal kernel that turns single residuals into E[ψ′].
///
/// Smoothing by h makes a normal density of deviation σ one of √(σ² + h²), which holds less within ±δ; the ratio of the two
/// is put back: √(1 + h²/σ²) where δ is small, 1 where it is large.
pub(crate) struct Kernel {
    width: f64,
    scale: f64,
}

/// An L1 fit passes through p points exactly; those say nothing of the density and are left out.
pub(crate) fn informative(problem: &FitProblem, residuals: &[f64]) -> Vec<f64> {
    let mut sizes: Vec<f64> = residuals.iter().map(|r| r.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.split_off(problem.count().min(sizes.len() - 1))
}

impl Kernel {
    pub(crate) fn of(sizes: &[f64], sigma: f64) -> Self {
        let robust = math::median(sizes).map_or(sigma, |middle| 1.4826 * middle);
        let scale = sigma.min(robust).max(1e-3 * sigma);
        let width = 0.9 * scale * math::pow(sizes.len() as f64, -0.2);
        Self { width, scale }
    }

    /// Share of this residual's smoothed mass that lies where ρ is square.
    pub(crate) fn inside(&self, delta: f64, residual: f64) -> f64 {
        if !delta.is_finite() {
            return 1.0;
        }
        let mass =
            math::normal_cdf((delta - residual) / self.width) - math::normal_cdf((-delta - residual) / self.width);
        self.restored(delta) * mass
    }

    fn restored(&self, delta: f64) -> f64 {
        let smoothed = (self.scale * self.scale + self.width * self.width).sqrt();
        // Below this the two masses are straight lines in δ, and differences of distribution functions are rounding.
        if delta < 1e-3 * self.scale {
            return smoothed / self.scale;
        }
        let within = |deviation: f64| 2.0 * math::normal_cdf(delta / deviation) - 1.0;
        within(self.scale) / within(smoothed)
    }
}

/// ρ″ where ρ is square, the mean of both sides.
pub(crate) fn mean_side(problem: &FitProblem) -> f64 {
    0.5 * (problem.cost.bend(f64::MIN_POSITIVE) + problem.cost.bend(-f64::MIN_POSITIVE))
}

/// E[ψ′] over all residuals.
fn smoothed_bend(problem: &FitProblem, residuals: &[f64], sigma: f64) -> f64 {
    let sizes = informative(problem, residuals);
    let kernel = Kernel::of(&sizes, sigma);
    let total: f64 = sizes.iter().map(|size| kernel.inside(problem.cost.delta(), *size)).sum();
    mean_side(problem) * (total / sizes.len() as f64).min(1.0)
}

/// Mean of w E[ψ′] where w·r are of equal scatter: the width of run i's square part is δwᵢ on that scale. The mean of the
/// products is not the product of the means: the quietest runs weigh most and are densest at zero.
fn weighted_bend(problem: &FitProblem, residuals: &[f64]) -> f64 {
    let weights = || problem.samples.iter().map(|s| s.weight);
    let scaled: Vec<f64> = residuals.iter().zip(weights()).map(|(r, w)| w * r).collect();
    let sigma = (scaled.iter().map(|u| u * u).sum::<f64>() / scaled.len() as f64).sqrt();
    let sizes = informative(problem, &scaled);
    let kernel = Kernel::of(&sizes, sigma);
    let inside = |weight: f64| {
        let mass: f64 = sizes.iter().map(|size| kernel.inside(problem.cost.delta() * weight, *size)).sum();
        weight * (mass / sizes.len() as f64).min(1.0)
    };
    mean_side(problem) * weights().map(inside).sum::<f64>() / scaled.len() as f64
}
