//! The solver's own work by itself, for the program that times it; nothing here is promised to stay.

use forescale_core::law::LawName;
use forescale_core::observation::Observation;

use crate::bootstrap::{Resampling, refits};
use crate::fitted::fit_law;
use crate::grid::classic;
use crate::objective::Cost;
use crate::problem::FitProblem;
use crate::solve::{best_of, solve_all};
use crate::{FitError, FitOptions, Objective};

/// What became of the classic starts.
#[derive(Clone, Copy, Debug)]
pub struct GridOutcome {
    /// Starts followed.
    pub starts: usize,
    /// Starts that ended with a scaled gradient of at most 1e-10.
    pub polished: usize,
    /// Starts that ended within 1e-6 of the lowest objective.
    pub agreeing: usize,
    /// The lowest objective.
    pub value: f64,
}

/// Polishes each of the 4500 classic starts of the Chinchilla law; `None` of a table that none of them fits.
#[must_use]
pub fn classic_grid(runs: &[Observation], objective: Objective) -> Option<GridOutcome> {
    let all: Vec<&Observation> = runs.iter().collect();
    let problem = FitProblem::new(LawName::CHINCHILLA.form(), &all, Cost::of(objective));
    let found = solve_all(&problem, &classic(&problem)?);
    let value = best_of(&found)?.value;
    Some(GridOutcome {
        starts: found.len(),
        polished: found.iter().filter(|end| end.gradient_norm <= 1e-10).count(),
        agreeing: found.iter().filter(|end| end.value <= value * (1.0 + 1e-6)).count(),
        value,
    })
}

/// A point fit of the Chinchilla law and so many refits on resampled runs: the standard deviation of alpha over them.
///
/// # Errors
///
/// [`FitError`] for runs that do not carry the law.
pub fn bootstrap(runs: &[Observation], draws: usize, seed: u64) -> Result<f64, FitError> {
    let all: Vec<&Observation> = runs.iter().collect();
    let fitted = fit_law(LawName::CHINCHILLA, &all, &FitOptions::default())?;
    let alphas: Vec<f64> = refits(&fitted, Resampling::Pairs, draws, seed).iter().map(|theta| theta[3]).collect();
    let mean = alphas.iter().sum::<f64>() / alphas.len() as f64;
    let square: f64 = alphas.iter().map(|alpha| (alpha - mean) * (alpha - mean)).sum();
    Ok((square / (alphas.len() as f64 - 1.0)).sqrt())
}
