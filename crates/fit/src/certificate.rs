//! The evidence that a fit is an optimum, made with every fit and cheap beside it.
//!
//! Agreeing starts are counted by point of the grid, each polished from there with the one rule that a term whose share of
//! the loss falls below 1e-6 is put back, at most twice per start; ends that coincide are not collapsed.
//!
//! It does not trust the search that it vouches for: the objective is minimised again under other factors, and argmin's
//! own quasi-Newton method looks for a lower point in another parametrisation ([`crate::cross_check`]). Whether what was
//! found is a fault is for [`Certificate::faults`] to say; a fit with a fault carries it into every report as a doubt.

use forescale_core::law::{LawName, Theta};
use forescale_core::outcome::{Certificate, Diagnosis, Severity};

use crate::cross_check::cross_check;
use crate::fitted::Fitted;
use crate::linear::scaled_condition;
use crate::problem::{Evaluator, FitProblem};
use crate::solve::{free_coordinates, search};
use crate::start::starts;

/// A parameter whose unit moves log loss by less, in root mean square, is not seen by the data. Chosen here: noise is six
/// orders above it.
const UNSEEN: f64 = 1e-9;

/// The certificate of a fit.
pub(crate) fn certificate(fitted: &Fitted) -> Certificate {
    let (problem, theta) = (&fitted.problem, &fitted.optimum.theta);
    let evaluator = Evaluator::new(problem);
    let free = free_coordinates(problem, theta, &evaluator.system(theta, problem.cost));
    let symbols = problem.form.parameters();
    let start = lowest_start(&evaluator);
    Certificate {
        gradient_norm: fitted.optimum.gradient_norm,
        starts: fitted.starts as u32,
        agreeing_starts: fitted.agreeing as u32,
        at_bound: problem.at_bound(theta).into_iter().map(|i| symbols[i].symbol.to_owned()).collect(),
        condition_number: scaled_condition(&problem.information(theta), &free),
        invariance: start.and_then(|start| invariance(problem, &start)),
        cross_check: cross_check(&evaluator, &fitted.optimum, start),
    }
}

/// A law that misses its runs by less, in ln L, hits the digits that tables are written with: what is left is rounding, and
/// so is its gradient.
pub(crate) const EXACT: f64 = 1e-7;

/// The fit's faults as a doubt; `None` where the certificate is clean, or the law misses no run.
pub(crate) fn uncertified(law: LawName, certificate: &Certificate, residual_rms: f64) -> Option<Diagnosis> {
    let faults = certificate.faults();
    (!faults.is_empty() && residual_rms > EXACT).then(|| Diagnosis {
        code: "uncertified".to_owned(),
        severity: Severity::Warning,
        message: format!("`{law}` may not be at its optimum: {}", faults.join("; ")),
        hint: "use the law's other objectives as a check, or a law with fewer parameters".to_owned(),
    })
}

/// The projected start with the lowest objective.
fn lowest_start(evaluator: &Evaluator<'_>) -> Option<Theta> {
    let cost = evaluator.problem.cost;
    let valued = starts(evaluator.problem).into_iter().map(|start| (evaluator.system(&start, cost).value, start));
    valued.filter(|(value, _)| value.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, start)| start)
}

/// Largest relative difference of a parameter between fits of the sum, its mean and a million times it, from one start.
/// A parameter that moves no prediction there, such as the exponent of a term that is absent, has no value to differ.
fn invariance(problem: &FitProblem, start: &Theta) -> Option<f64> {
    let form = problem.form;
    let mean = 1.0 / problem.samples.len() as f64;
    let theta = scaled_fit(problem, start, 1.0)?;
    let (base, seen) = (form.natural(&theta, &problem.centre), seen(problem, &theta));
    let mut largest = 0.0_f64;
    for factor in [mean, 1e6] {
        let other = form.natural(&scaled_fit(problem, start, factor)?, &problem.centre);
        for &i in &seen {
            largest = largest.max((other[i] - base[i]).abs() / base[i].abs().max(1e-9));
        }
    }
    Some(largest)
}

/// θ where every weight is so many times itself.
fn scaled_fit(problem: &FitProblem, start: &Theta, factor: f64) -> Option<Theta> {
    let mut scaled = problem.clone();
    scaled.samples.iter_mut().for_each(|sample| sample.weight *= factor);
    Some(search(&scaled, &[*start])?.optimum.theta)
}

/// The published parameters whose every coordinate of θ moves predictions: an amplitude is carried from the centre by its
/// exponent, so that it is seen where both are.
fn seen(problem: &FitProblem, theta: &Theta) -> Vec<usize> {
    let evaluator = Evaluator::new(problem);
    let moves = evaluator.system(theta, problem.cost).sensitivity.map(|square| (square / evaluator.weight).sqrt());
    let all = 0..problem.count();
    let is_seen = |index: &usize| {
        let (_, gradient) = problem.form.published(*index, theta, &problem.centre);
        all.clone().all(|i| gradient[i] == 0.0 || moves[i] > UNSEEN)
    };
    all.clone().filter(is_seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fitted::fit_law;
    use crate::{FitOptions, published};
    use forescale_core::observation::Observation;

    fn fitted() -> Fitted {
        let runs = published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.005, 7);
        let all: Vec<&Observation> = runs.iter().collect();
        fit_law(LawName::CHINCHILLA, &all, &FitOptions::default()).expect("fits")
    }

    #[test]
    fn an_optimum_has_a_clean_certificate() {
        let certificate = certificate(&fitted());
        assert_eq!(certificate.faults(), Vec::<String>::new(), "{certificate:?}");
        assert!(certificate.invariance.is_some_and(|moved| moved < 1e-8), "{certificate:?}");
        assert!(certificate.cross_check.is_some_and(|excess| excess.abs() < 1e-3), "{certificate:?}");
    }

    #[test]
    fn the_exponent_of_a_term_that_is_absent_is_no_fault() {
        // L = 1.7 + 410.7 D^-0.28, chosen here: size is worth nothing, and how its term would fall has no value.
        let plain = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
        let of_data = |o: &Observation| 1.7 + 410.7 * forescale_core::math::pow(o.tokens, -0.28);
        let runs: Vec<Observation> = plain.iter().map(|o| Observation { loss: of_data(o), ..o.clone() }).collect();
        for noise in [0.0, 0.003] {
            let runs = published::with_noise(&runs, noise, 5);
            let all: Vec<&Observation> = runs.iter().collect();
            let certificate = certificate(&fit_law(LawName::CHINCHILLA, &all, &FitOptions::default()).expect("fits"));
            let moved = certificate.invariance.expect("fits of the sum and the mean");
            assert!(moved < 1e-4, "{noise}: {certificate:?}");
        }
    }

    #[test]
    fn a_point_beside_the_optimum_has_none() {
        let mut fitted = fitted();
        fitted.optimum.theta[3] += 0.01;
        let evaluator = Evaluator::new(&fitted.problem);
        let system = evaluator.system(&fitted.optimum.theta, fitted.problem.cost);
        fitted.optimum.value = system.value;
        fitted.optimum.gradient_norm = crate::solve::scaled_gradient(&fitted.problem, &fitted.optimum.theta, &system);
        let certificate = certificate(&fitted);
        let faults = certificate.faults().join("; ");
        assert!(faults.contains("the scaled gradient is") && faults.contains("below the optimum"), "{certificate:?}");
        let doubt = uncertified(LawName::CHINCHILLA, &certificate, 0.01).expect("a doubt");
        assert!(doubt.message.starts_with("`chinchilla` may not be at its optimum: "), "{}", doubt.message);
    }

    #[test]
    fn a_start_that_nothing_else_reaches_is_a_fault() {
        let lonely = Certificate { agreeing_starts: 1, ..certificate(&fitted()) };
        assert!(lonely.faults()[0].starts_with("1 of 36 starts ended at the optimum"), "{:?}", lonely.faults());
    }
}
