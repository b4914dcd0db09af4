//! Fitting a law so that it can be carried to larger runs.
//!
//! A fit that is reported as such takes every run as it is ([`crate::fitted::fit_law`]). A forecast knows more: where a law
//! misses ([`crate::emphasis`]) and what other families of runs were like ([`crate::prior`]). Both fade where the law holds
//! and the runs are many. Vertices and runs of a designated path are few and all on the frontier: they keep their weights.

use forescale_core::law::{Domain, LawName, Theta};
use forescale_core::observation::Observation;

use crate::cluster::{Dependence, clusters};
use crate::emphasis::Emphasis;
use crate::experience::FIRST_NOISE;
use crate::fitted::{Fitted, Ready};
use crate::objective::Cost;
use crate::prior::{Prior, robust_sigma, weighted_sigma};
use crate::problem::FitProblem;
use crate::scale::Weighing;
use crate::solve::{Found, search, solve_from};
use crate::start::starts;
use crate::{FitError, FitOptions};

/// Rounds in which the noise that a prior is weighed against is found; after the third it moves by under a tenth.
const NOISE_ROUNDS: usize = 3;
/// Rounds in which residuals say how runs should weigh.
const EMPHASIS_ROUNDS: usize = 2;
/// Residuals below this in the mean are of runs without noise, whose law needs no expectation.
const NOISELESS: f64 = 1e-9;

/// Fits one law to one group: runs weigh by their emphasis, and exponents are expected to be near the published ones.
pub(crate) fn fit_ahead(law: LawName, observations: &[&Observation], options: &FitOptions) -> Result<Fitted, FitError> {
    let mut ready = Ready::of(law, observations, options)?;
    let refs: Vec<&Observation> = ready.points.iter().collect();
    let cost = Cost::of(options.objective);
    let mut problem = FitProblem::new(law.form(), &refs, cost).starting_at(options.start_level);
    let own: Vec<f64> = ready.points.iter().map(|point| point.weight).collect();
    let emphasised = law.form().domain() == Domain::SizeAndData;
    if emphasised {
        reweigh(&mut problem, &own, &Emphasis::FULL.weights(&ready.points));
    }
    let copies = ready.points.len() as f64 / clusters(ready.points.iter()).len() as f64;
    problem.prior = Some(Prior::new(problem.form, cost, FIRST_NOISE).against(copies));
    let starts = starts(&problem);
    let mut found = search(&problem, &starts).and_then(|first| settle(&mut problem, first, &ready.points));
    for _ in 0..if emphasised { EMPHASIS_ROUNDS } else { 0 } {
        let Some(last) = found else { break };
        let asked = asked(&problem, &last.optimum.theta, &ready.points);
        reweigh(&mut problem, &own, &asked.weights(&ready.points));
        found = settle(&mut problem, last, &ready.points);
    }
    let Some(found) = found.map(|found| exact(&mut problem, found)) else {
        return Err(FitError::NoOptimum { law: law.to_string(), starts: starts.len() });
    };
    ready.points.iter_mut().zip(&problem.samples).for_each(|(point, sample)| point.weight = sample.weight);
    ready.weighing = if emphasised { Weighing::ByEmphasis } else { ready.weighing };
    let sigma = weighted_sigma(&problem, &found.optimum.theta);
    let uneven = problem.samples.iter().zip(&own).any(|(sample, own)| sample.weight.to_bits() != own.to_bits());
    let mut fitted = ready.fitted(problem, found, starts.len());
    if uneven {
        fitted.dispersion.sigma = sigma;
    }
    Ok(fitted)
}

fn reweigh(problem: &mut FitProblem, own: &[f64], weights: &[f64]) {
    let both = own.iter().zip(weights);
    problem.samples.iter_mut().zip(both).for_each(|(sample, (own, weight))| sample.weight = own * weight);
}

fn asked(problem: &FitProblem, theta: &Theta, points: &[Observation]) -> Emphasis {
    Emphasis::asked(points, &problem.residuals(theta), robust_sigma(problem, theta, copies(problem, theta, points)))
}

/// The optimum with the prior weighed against the residuals' own scatter.
fn settle(problem: &mut FitProblem, first: Found, points: &[Observation]) -> Option<Found> {
    let mut best = first.optimum;
    for _ in 0..NOISE_ROUNDS {
        let copies = copies(problem, &best.theta, points);
        let sigma = robust_sigma(problem, &best.theta, copies);
        problem.prior = Some(Prior::new(problem.form, problem.cost, sigma).against(copies));
        best = solve_from(problem, &best.theta, problem.cost.stages())?;
    }
    Some(Found { optimum: best, ..first })
}

/// The optimum without a prior where the runs then lie on the law itself, as computed tables do; else what was found.
fn exact(problem: &mut FitProblem, found: Found) -> Found {
    let prior = problem.prior.take();
    let bare = solve_from(problem, &found.optimum.theta, problem.cost.stages());
    match bare.filter(|bare| weighted_sigma(problem, &bare.theta) < NOISELESS) {
        Some(optimum) => Found { optimum, ..found },
        None => {
            problem.prior = prior;
            found
        }
    }
}

/// How many points say what one would if none shared a cluster.
fn copies(problem: &FitProblem, theta: &Theta, points: &[Observation]) -> f64 {
    Dependence::of(problem, theta, points).map_or(1.0, |d| points.len() as f64 / d.effective)
}
