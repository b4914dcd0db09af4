//! Refits of a law to data drawn anew.
//!
//! Every refit starts at the optimum and walks the objective's widths down again. A draw has a random stream of its own
//! under the seed given, so that the number of threads changes nothing. A draw that carries fewer distinct points than the
//! law has parameters is drawn again.

use forescale_core::law::Theta;
use forescale_core::math;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::fitted::Fitted;
use crate::problem::{FitProblem, Sample};
use crate::solve::solve_from;

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resampling {
    /// Points with replacement.
    Pairs,
    /// Clusters with replacement, each with all of its points.
    Cluster,
    /// The law's own losses with normal noise; its variance is drawn too, from s²ν/χ²(ν), so that a spread of refits is
    /// Student's rather than the normal of a variance that is known.
    Parametric,
}

/// Redraws of one draw that came out degenerate.
const REDRAWS: usize = 50;

/// Where the refits ended, in the order of the draws; a draw that stayed degenerate is left out.
pub(crate) fn refits(fitted: &Fitted, how: Resampling, draws: usize, seed: u64) -> Vec<Theta> {
    let one = |stream: usize| {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream as u64);
        let samples = (0..REDRAWS).map(|_| drawn(fitted, how, &mut generator));
        let samples = samples.into_iter().find(|samples| carries(&fitted.problem, samples))?;
        let problem = FitProblem { samples, ..fitted.problem.clone() };
        Some(solve_from(&problem, &fitted.optimum.theta, problem.cost.stages())?.theta)
    };
    let found: Vec<Option<Theta>> = (0..draws).into_par_iter().map(one).collect();
    found.into_iter().flatten().collect()
}

fn drawn(fitted: &Fitted, how: Resampling, generator: &mut ChaCha8Rng) -> Vec<Sample> {
    let samples = &fitted.problem.samples;
    match how {
        Resampling::Pairs => samples.iter().map(|_| samples[below(samples.len(), generator)]).collect(),
        Resampling::Cluster => {
            let alone: Vec<Vec<usize>> = (0..samples.len()).map(|i| vec![i]).collect();
            let clusters = fitted.dependence.as_ref().map_or(&alone, |dependence| &dependence.clusters);
            let pick = |_| clusters[below(clusters.len(), generator)].iter().map(|&i| samples[i]);
            (0..clusters.len()).flat_map(pick).collect()
        }
        Resampling::Parametric => with_noise(fitted, generator),
    }
}

/// The law's own losses with noise as even as the residuals, or falling with compute where the rungs' deviations do; points
/// of one cluster share the part of it that they were found to share.
fn with_noise(fitted: &Fitted, generator: &mut ChaCha8Rng) -> Vec<Sample> {
    let (problem, theta, nu) = (&fitted.problem, &fitted.optimum.theta, fitted.dispersion.degrees);
    let deviations = deviations(fitted);
    let scale = (nu / chi_square(nu, generator)).sqrt();
    let rho = fitted.dependence.as_ref().map_or(0.0, |dependence| dependence.rho);
    let mut shared = vec![0.0; problem.samples.len()];
    for cluster in fitted.dependence.iter().flat_map(|dependence| &dependence.clusters) {
        let error = normal(generator);
        cluster.iter().for_each(|&i| shared[i] = error);
    }
    let noisy = |((sample, shared), deviation): ((&Sample, &f64), &f64)| {
        let error = rho.sqrt() * shared + (1.0 - rho).sqrt() * normal(generator);
        let log_loss = problem.form.log_loss(theta, &sample.at) + scale * deviation * error;
        Sample { log_loss, ..*sample }
    };
    problem.samples.iter().zip(&shared).zip(&deviations).map(noisy).collect()
}

/// Standard deviation of each point's log loss. Weights in the objective are no word on it: they may say how much a run
/// counts for a forecast.
fn deviations(fitted: &Fitted) -> Vec<f64> {
    let Some(falloff) = &fitted.falloff else { return vec![fitted.dispersion.sigma; fitted.points.len()] };
    let weights: Vec<f64> = fitted.points.iter().map(|point| falloff.weight(point.flops)).collect();
    let residuals = fitted.problem.residuals(&fitted.optimum.theta);
    let squares: f64 = residuals.iter().map(|r| r * r).sum();
    let even: f64 = residuals.iter().zip(&weights).map(|(r, w)| r * r * w * w).sum();
    let scale = if squares > 0.0 { fitted.dispersion.sigma * (even / squares).sqrt() } else { 0.0 };
    weights.iter().map(|w| scale / w).collect()
}

/// Whether samples lie at as many different points as the law has parameters.
fn carries(problem: &FitProblem, samples: &[Sample]) -> bool {
    let mut distinct: Vec<&Sample> = Vec::new();
    for sample in samples {
        if distinct.iter().all(|known| known.at != sample.at) {
            distinct.push(sample);
        }
    }
    distinct.len() >= problem.count()
}

fn uniform(generator: &mut ChaCha8Rng) -> f64 {
    ((generator.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

fn below(count: usize, generator: &mut ChaCha8Rng) -> usize {
    ((uniform(generator) * count as f64) as usize).min(count - 1)
}

fn normal(generator: &mut ChaCha8Rng) -> f64 {
    math::normal_quantile(uniform(generator))
}

/// χ² with any number of degrees of freedom of at least one (Marsaglia and Tsang 2000, a method for gamma variables; the
/// shape is raised by one, as they do below one).
fn chi_square(degrees: f64, generator: &mut ChaCha8Rng) -> f64 {
    let shape = 0.5 * degrees;
    let d = shape + 1.0 - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(generator);
        let v = 1.0 + c * x;
        let v = v * v * v;
        if v > 0.0 && math::ln(uniform(generator)) < 0.5 * x * x + d - d * v + d * math::ln(v) {
            return 2.0 * d * v * math::pow(uniform(generator), 1.0 / shape);
        }
    }
}
