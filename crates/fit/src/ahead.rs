//! Fitting a law so that it can be carried to larger runs.
//!
//! A fit that is reported as such takes every run as it is ([`crate::fitted::fit_law`]). A forecast knows more: where it
//! looks ([`crate::emphasis`]) and what other families of runs were like ([`crate::prior`]). Both fade as the runs grow
//! many and near. Vertices and runs of a designated path are few and all on the frontier: they keep their weights.

use forescale_core::law::{Domain, LawName, Theta};
use forescale_core::observation::Observation;

use crate::cluster::{Dependence, clusters};
use crate::emphasis::emphasis;
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

/// Fits one law to one group: runs weigh by their emphasis, and exponents are expected to be near the published ones.
pub(crate) fn fit_ahead(law: LawName, observations: &[&Observation], options: &FitOptions) -> Result<Fitted, FitError> {
    let mut ready = Ready::of(law, observations, options)?;
    if law.form().domain() == Domain::SizeAndData {
        let weights = emphasis(&ready.points);
        ready.points.iter_mut().zip(weights).for_each(|(point, weight)| point.weight *= weight);
        ready.weighing = Weighing::ByEmphasis;
    }
    let refs: Vec<&Observation> = ready.points.iter().collect();
    let cost = Cost::of(options.objective);
    let mut problem = FitProblem::new(law.form(), &refs, cost).starting_at(options.start_level);
    let copies = ready.points.len() as f64 / clusters(ready.points.iter()).len() as f64;
    problem.prior = Some(Prior::new(problem.form, cost, FIRST_NOISE).against(copies));
    let starts = starts(&problem);
    let settled = search(&problem, &starts).and_then(|first| settle(&mut problem, first, &ready.points));
    let Some(found) = settled else {
        return Err(FitError::NoOptimum { law: law.to_string(), starts: starts.len() });
    };
    let sigma = weighted_sigma(&problem, &found.optimum.theta);
    let mut fitted = ready.fitted(problem, found, starts.len());
    fitted.dispersion.sigma = sigma;
    Ok(fitted)
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

/// How many points say what one would if none shared a cluster.
fn copies(problem: &FitProblem, theta: &Theta, points: &[Observation]) -> f64 {
    Dependence::of(problem, theta, points).map_or(1.0, |d| points.len() as f64 / d.effective)
}
