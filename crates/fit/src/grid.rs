//! The classic grid of starts: every combination, each polished from where it stands.
//!
//! Projected starts ([`crate::start`]) solve for floor and amplitudes and are near an optimum already. This grid knows
//! nothing of the data and is what published fits were started from; it is here to be compared with, and for whoever
//! doubts that the projected starts saw every basin. Points whose exponent lies on the bound of no exponent at all start
//! on that bound.
//!
//! # What a share of agreeing starts means
//!
//! A start is one of the 4500 points of the classic grid, polished from there; collapsing duplicates does not count. A term
//! whose share of the loss falls below 1e-6 in the first width is put back, at most twice per start ([`crate::solve`]):
//! from large exponents the first steps take a term out of the loss altogether, and where it went no gradient can tell.
//!
//! # Reference
//!
//! Hoffmann et al., 2022, *Training compute-optimal large language models*, arXiv:2203.15556, section D.3: alpha, beta in
//! {0, 0.5, …, 2}, e = ln E in {−1, −0.5, …, 1}, a = ln A, b = ln B in {0, 5, …, 25}.

use forescale_core::law::{FallingTerms, Theta};
use forescale_core::math;

use crate::problem::FitProblem;

const EXPONENTS: [f64; 5] = [0.0, 0.5, 1.0, 1.5, 2.0];
const LOG_FLOORS: [f64; 5] = [-1.0, -0.5, 0.0, 0.5, 1.0];
const LOG_AMPLITUDES: [f64; 6] = [0.0, 5.0, 10.0, 15.0, 20.0, 25.0];

/// The grid for a law that is a sum of falling terms: 4500 points for two terms and a floor; `None` for other laws.
pub(crate) fn classic(problem: &FitProblem) -> Option<Vec<Theta>> {
    let FallingTerms { floor, terms } = problem.form.falling_terms()?;
    let mut natural = vec![Theta::default()];
    for term in terms {
        natural = crossed(&natural, term.exponent, &EXPONENTS);
    }
    if let Some(index) = floor {
        natural = crossed(&natural, index, &LOG_FLOORS.map(math::exp));
    }
    for term in terms {
        natural = crossed(&natural, term.amplitude, &LOG_AMPLITUDES.map(math::exp));
    }
    Some(natural.iter().map(|point| problem.form.internal(point, &problem.centre)).collect())
}

/// Every point with every value of one more coordinate.
fn crossed(points: &[Theta], index: usize, values: &[f64]) -> Vec<Theta> {
    let with = |point: &Theta, value: f64| {
        let mut point = *point;
        point[index] = value;
        point
    };
    points.iter().flat_map(|point| values.iter().map(move |&value| with(point, value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Cost;
    use crate::{LawName, Objective, published};
    use forescale_core::observation::Observation;

    fn problem(law: LawName) -> FitProblem {
        let runs = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
        let all: Vec<&Observation> = runs.iter().collect();
        FitProblem::new(law.form(), &all, Cost::of(Objective::LeastSquares))
    }

    #[test]
    fn two_terms_and_a_floor_have_hoffmanns_4500_points() {
        // Section D.3: 5 × 5 × 5 × 6 × 6 points; the last has alpha 2, beta 2, e 1, a 25, b 25.
        let problem = problem(LawName::CHINCHILLA);
        let starts = classic(&problem).expect("a sum of falling terms");
        assert_eq!(starts.len(), 4500);
        let last = problem.form.natural(&starts[4499], &problem.centre);
        let expected = [math::exp(25.0), math::exp(25.0), math::exp(1.0), 2.0, 2.0];
        for (value, expected) in last.iter().zip(expected) {
            assert!((value / expected - 1.0).abs() < 1e-12, "{last:?}");
        }
    }

    #[test]
    fn one_term_has_the_same_values_once() {
        assert_eq!(classic(&problem(LawName::POWER_LAW)).expect("a sum").len(), 5 * 5 * 6);
        assert_eq!(classic(&problem(LawName::LOG_LOG)).expect("a sum").len(), 5 * 6);
    }
}
