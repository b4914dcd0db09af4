//! Sandwich variances: what a functional scatters by where the scatter of runs is not all alike.
//!
//! # Formula
//!
//! With A = Σ wᵢ E[ψ′ᵢ] ggᵀ and B = Σ wᵢ² E[ψᵢ²] ggᵀ, a functional with gradient h has the variance hᵀA⁻¹BA⁻¹h against a
//! curvature of 1/hᵀA⁻¹h; their product is its κ ([`crate::scale`]). The two expectations of run i are taken
//!
//! - from its own residual, with n/(n − p) for what the fit took of them, from 30 observations on: on Epoch AI's 240 points this is what
//!   the bootstrap sees and equal scatter does not. Fewer are too noisy and under-cover. One residual is one number: where
//!   the loud runs are those that draw the law to themselves, and the objective is near-absolute, it sees them as denser
//!   about zero than they are;
//! - from residuals of all runs at its own deviation, where that changes along a surface ([`crate::scatter`]), from 12
//!   observations on; residuals are over √(1 − h) with their leverage h;
//! - from the deviations that runs weigh by, where the table states them.
//!
//! The largest of these and equal scatter's counts. Points of one cluster sum ψ g before it is squared (Liang and Zeger
//! 1986), and the 30 are clusters.
//!
//! Measured: `benches/coverage.md`, parameters of a surface. Noise that falls from 2 to 0.2% over forty and eighty runs:
//! 80 to 87% of 90% intervals held by the first of these alone, 89 to 92% with the second (Huber, 1000 tables).

use forescale_core::law::Theta;

use crate::cluster::Dependence;
use crate::linear::{Matrix, add_outer, dot, inverse, solve};
use crate::problem::{FitProblem, Sample};
use crate::scale::{Dispersion, Kernel, Weighing, informative, mean_side};
use crate::scatter::Scatter;

/// Fewest observations whose own residuals are taken.
const LEAST_OWN: usize = 30;
/// Fewest observations that tell how scatter changes.
const LEAST_SCATTER: usize = 12;
/// Largest leverage that is put back.
const MOST_LEVERAGE: f64 = 0.9;

/// The two halves of the sandwich at an optimum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sandwich {
    bread: Matrix,
    filling: Matrix,
}

impl Sandwich {
    /// From residuals at θ; `None` of too few.
    pub(crate) fn of(
        problem: &FitProblem,
        theta: &Theta,
        dispersion: &Dispersion,
        dependence: Option<&Dependence>,
    ) -> Option<Self> {
        let residuals = problem.residuals(theta);
        let units = dependence.map_or(residuals.len(), |d| d.clusters.len());
        if units < LEAST_OWN || dispersion.kappa <= 0.0 {
            return None;
        }
        let kernel = Kernel::of(&informative(problem, &residuals), dispersion.sigma);
        let small_sample = residuals.len() as f64 / dispersion.degrees;
        let (mut bread, mut filling) = (Matrix::default(), Matrix::default());
        for (sample, &residual) in problem.samples.iter().zip(&residuals) {
            let gradient = problem.form.response(theta, &sample.at).gradient;
            let slope = sample.weight * problem.cost.slope(residual);
            let bend = sample.weight * mean_side(problem) * kernel.inside(problem.cost.delta(), residual);
            add_outer(&mut bread, &gradient, bend);
            if dependence.is_none() {
                add_outer(&mut filling, &gradient, small_sample * slope * slope);
            }
        }
        if let Some(dependence) = dependence {
            filling = clustered_filling(problem, theta, dependence);
        }
        Some(Self { bread, filling })
    }

    /// Of runs whose scatter changes along the table, with that; `None` where it does not.
    pub(crate) fn of_scatter(problem: &FitProblem, theta: &Theta, dispersion: &Dispersion) -> Option<(Self, Scatter)> {
        let residuals = problem.residuals(theta);
        if problem.is_path_law() || residuals.len() < LEAST_SCATTER || dispersion.kappa <= 0.0 {
            return None;
        }
        let scatter = Scatter::of(problem, &freed_of_leverage(problem, theta, &residuals)?)?;
        let (mut bread, mut filling) = (Matrix::default(), Matrix::default());
        for (sample, &deviation) in problem.samples.iter().zip(&scatter.deviations) {
            let gradient = problem.form.response(theta, &sample.at).gradient;
            let expected = scatter.expected(deviation);
            add_outer(&mut bread, &gradient, sample.weight * expected.bend);
            add_outer(&mut filling, &gradient, sample.weight * sample.weight * expected.slope_square);
        }
        Some((Self { bread, filling }, scatter))
    }

    /// Of least squares whose weights are one over the deviations, up to a factor that the residuals tell; `None` for other
    /// weights and objectives.
    pub(crate) fn of_deviations(
        problem: &FitProblem,
        theta: &Theta,
        dispersion: &Dispersion,
        dependence: Option<&Dependence>,
        weighing: Weighing,
    ) -> Option<Self> {
        if weighing != Weighing::ByDeviation || problem.cost.delta().is_finite() || dispersion.kappa <= 0.0 {
            return None;
        }
        let residuals = problem.residuals(theta);
        let alone = residuals.len().saturating_sub(problem.count()).max(1) as f64;
        let scaled = problem.samples.iter().zip(&residuals).map(|(s, r)| (s.weight * r) * (s.weight * r));
        let square = scaled.sum::<f64>() / dependence.map_or(alone, |d| d.residual_degrees);
        let bend = problem.cost.bend(0.0);
        let (mut bread, mut filling) = (Matrix::default(), Matrix::default());
        for sample in &problem.samples {
            let gradient = problem.form.response(theta, &sample.at).gradient;
            add_outer(&mut bread, &gradient, sample.weight * bend);
            add_outer(&mut filling, &gradient, bend * bend * square);
        }
        Some(Self { bread, filling })
    }

    /// (κ, variance) of a functional with this gradient, over the free coordinates.
    pub(crate) fn scale_of(&self, gradient: &Theta, free: &[usize]) -> Option<(f64, f64)> {
        let x = solve(&self.bread, gradient, free)?;
        let mut variance = 0.0;
        for &i in free {
            for &j in free {
                variance += x[i] * self.filling[i][j] * x[j];
            }
        }
        let inverse_curvature = dot(gradient, &x);
        (variance > 0.0 && inverse_curvature > 0.0).then(|| (variance / inverse_curvature, variance))
    }
}

/// Residuals over √(1 − h), h a run's leverage under equal scatter: a run that draws the law to itself looks quieter than it
/// is (HC2 of MacKinnon and White 1985, for which dividing by n − p is the mean over all runs).
fn freed_of_leverage(problem: &FitProblem, theta: &Theta, residuals: &[f64]) -> Option<Vec<f64>> {
    let on_bound = problem.at_bound(theta);
    let free: Vec<usize> = (0..problem.count()).filter(|i| !on_bound.contains(i)).collect();
    let gradient = |sample: &Sample| problem.form.response(theta, &sample.at).gradient;
    let mut gram = Matrix::default();
    problem.samples.iter().for_each(|sample| add_outer(&mut gram, &gradient(sample), sample.weight));
    let inverse = inverse(&gram, &free)?;
    let freed = |(sample, residual): (&Sample, &f64)| {
        let own = gradient(sample);
        let leverage = sample.weight * free.iter().map(|&i| own[i] * dot(&inverse[i], &own)).sum::<f64>();
        residual / (1.0 - leverage.clamp(0.0, MOST_LEVERAGE)).sqrt()
    };
    Some(problem.samples.iter().zip(residuals).map(freed).collect())
}

/// Σ over clusters of (Σψg)(Σψg)ᵀ, with the factor G/(G − p) for few clusters: what points alone have with n.
fn clustered_filling(problem: &FitProblem, theta: &Theta, dependence: &Dependence) -> Matrix {
    let clusters = dependence.clusters.len() as f64;
    let few = clusters / (clusters - problem.count() as f64).max(1.0);
    let mut filling = Matrix::default();
    for cluster in &dependence.clusters {
        let mut score = Theta::default();
        for sample in cluster.iter().map(|&i| &problem.samples[i]) {
            let response = problem.form.response(theta, &sample.at);
            let slope = sample.weight * problem.cost.slope(response.log_loss - sample.log_loss);
            score.iter_mut().zip(response.gradient).for_each(|(total, g)| *total += slope * g);
        }
        add_outer(&mut filling, &score, few);
    }
    filling
}
