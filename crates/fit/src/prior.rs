//! What is expected of a law's exponents, as a penalty beside the objective.
//!
//! A handful of small runs does not fix five parameters, and what it leaves open a forecast is made of. Families of runs
//! differ far less in their exponents than such a fit does, so that the published ones ([`crate::experience`]) are the
//! better guess until the runs themselves say otherwise.
//!
//! # Formula
//!
//! Σ w ρ(r) + ½ κ Σ_j ((ln θ_j − ln m_j)/s_j)². κ is what one standard error costs under the objective (see
//! [`crate::scale`]), of normal residuals with deviation σ: E[ψ²]/E[ψ′]. So the penalty is what a prior density is beside a
//! likelihood, and vanishes against many runs or small residuals.
//!
//! σ is 1.4826 times the weighted median |r| with p parameters lost, and not below 0.03%. It starts at 1%, so that few runs
//! fitted exactly do not talk themselves into certainty, and is found in three rounds.

use forescale_core::law::{LawForm, MAX_PARAMETERS, Theta};
use forescale_core::math;

use crate::experience::{Expectation, LEAST_NOISE, expectation};
use crate::objective::Cost;
use crate::problem::{FitProblem, System};

/// Expected logarithms of some coordinates, and how stiffly they are held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prior {
    expected: [Option<Expectation>; MAX_PARAMETERS],
    kappa: f64,
}

impl Prior {
    /// Of a law under an objective whose residuals have this deviation.
    pub(crate) fn new(form: &dyn LawForm, cost: Cost, sigma: f64) -> Self {
        let mut expected = [None; MAX_PARAMETERS];
        for (index, slot) in expected.iter_mut().enumerate().take(form.parameters().len()) {
            *slot = expectation(form, index);
        }
        Self { expected, kappa: kappa_of_normal(cost, sigma) }
    }

    /// The same against a table in which so many points say what one would: copies are no further evidence.
    pub(crate) fn against(self, copies: f64) -> Self {
        Self { kappa: self.kappa * copies, ..self }
    }

    /// The penalty at θ.
    #[cfg(test)]
    pub(crate) fn value(&self, theta: &Theta) -> f64 {
        self.pulls(theta).map(|(_, pull)| 0.5 * self.kappa * pull.away * pull.away).sum()
    }

    /// Adds the penalty and its derivatives; the lower triangle, as samples do.
    pub(crate) fn add_to(&self, system: &mut System, theta: &Theta) {
        for (i, pull) in self.pulls(theta) {
            let per = pull.slope * pull.slope;
            system.value += 0.5 * self.kappa * pull.away * pull.away;
            system.gradient[i] += self.kappa * pull.away * pull.slope;
            system.majorizer[i] += self.kappa * per;
            system.newton[i][i] += self.kappa * (per - pull.away * pull.slope / theta[i]);
        }
    }

    /// κ (∂ pull)² of each coordinate with an expectation: the penalty's part of a Gauss–Newton matrix.
    pub(crate) fn curvatures<'a>(&'a self, theta: &'a Theta) -> impl Iterator<Item = (usize, f64)> + 'a {
        self.pulls(theta).map(|(i, pull)| (i, self.kappa * pull.slope * pull.slope))
    }

    fn pulls<'a>(&'a self, theta: &'a Theta) -> impl Iterator<Item = (usize, Pull)> + 'a {
        let pull = |i: usize, e: Expectation| {
            let away = (math::ln(theta[i]) - math::ln(e.median)) / e.log_sd;
            Pull { away, slope: 1.0 / (theta[i] * e.log_sd) }
        };
        self.expected.iter().enumerate().filter_map(move |(i, e)| e.map(|e| (i, pull(i, e))))
    }
}

/// How far a coordinate is from what was expected, in standard deviations, and by how much that moves with it.
struct Pull {
    away: f64,
    slope: f64,
}

/// κ = E[ψ²]/E[ψ′] of normal residuals, in closed form.
fn kappa_of_normal(cost: Cost, sigma: f64) -> f64 {
    let sides = [f64::MIN_POSITIVE, -f64::MIN_POSITIVE].map(|r| cost.bend(r));
    let (mean, square) = (0.5 * (sides[0] + sides[1]), 0.5 * (sides[0] * sides[0] + sides[1] * sides[1]));
    let ends = cost.delta() / sigma;
    if ends.is_nan() || ends >= 30.0 {
        return sigma * sigma * square / mean;
    }
    let inside = 2.0 * math::normal_cdf(ends) - 1.0;
    let density = math::exp(-0.5 * ends * ends) / (2.0 * core::f64::consts::PI).sqrt();
    let squares = sigma * sigma * (inside - 2.0 * ends * density) + cost.delta() * cost.delta() * (1.0 - inside);
    squares * square / (inside * mean)
}

/// The deviation of one run's log loss about a fit, where so many points say what one would.
pub(crate) fn robust_sigma(problem: &FitProblem, theta: &Theta, copies: f64) -> f64 {
    let mut sizes: Vec<(f64, f64)> =
        problem.residuals(theta).iter().zip(&problem.samples).map(|(r, s)| (r.abs(), s.weight)).collect();
    sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (total, squares) = sizes.iter().fold((0.0, 0.0), |(t, s), (_, w)| (t + w, s + w * w));
    let mut below = 0.0;
    let median = sizes.iter().find(|(_, weight)| {
        below += weight;
        below >= 0.5 * total
    });
    let effective = total * total / squares / copies;
    let lost = effective / (effective - problem.count() as f64).max(1.0);
    (1.4826 * median.map_or(0.0, |m| m.0) * lost.sqrt()).max(LEAST_NOISE)
}

/// Standard deviation of residuals by weight: what a run as near to the target as the weights ask scatters by.
pub(crate) fn weighted_sigma(problem: &FitProblem, theta: &Theta) -> f64 {
    let add = |(t, q, s): (f64, f64, f64), (r, w): (f64, f64)| (t + w, q + w * w, s + w * r * r);
    let weights = problem.samples.iter().map(|sample| sample.weight);
    let (total, squares, sum) = problem.residuals(theta).into_iter().zip(weights).fold((0.0, 0.0, 0.0), add);
    let effective = total * total / squares;
    (sum / total * effective / (effective - problem.count() as f64).max(1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Objective;
    use forescale_core::law::{LawName, padded};

    #[test]
    fn the_penalty_of_least_squares_is_that_of_a_normal_prior() {
        // Objective sum r^2 with sigma 0.01 is 2 sigma^2 times a log-likelihood, so that one standard deviation from what
        // is expected costs half of 2 sigma^2.
        let prior = Prior::new(LawName::CHINCHILLA.form(), Cost::of(Objective::LeastSquares), 0.01);
        let theta = padded([0.0, 0.0, 1.0, 0.35 * math::exp(0.125), 0.35]);
        assert!((prior.value(&theta) - 1e-4).abs() < 1e-12);
    }

    #[test]
    fn kappa_of_a_narrow_huber_is_that_of_least_absolute_deviations() {
        // Least absolute deviations: kappa = 1/(2 f(0)) = sigma sqrt(2 pi)/2; Huber of width delta is delta times it.
        let kappa = kappa_of_normal(Cost::of(Objective::Huber { delta: 1e-6 }), 0.01);
        assert!((kappa / (1e-6 * 0.01 * (core::f64::consts::PI / 2.0).sqrt()) - 1.0).abs() < 1e-3, "{kappa:e}");
    }

    #[test]
    fn derivatives_of_the_penalty_agree_with_finite_differences() {
        let prior = Prior::new(LawName::CHINCHILLA.form(), Cost::of(Objective::LeastSquares), 0.01);
        let theta = padded([0.0, 0.0, 1.0, 0.2, 0.6]);
        let mut system = System::default();
        prior.add_to(&mut system, &theta);
        for i in 3..5 {
            let [up, down] = [1e-6, -1e-6].map(|step| {
                let mut moved = theta;
                moved[i] += step;
                let mut there = System::default();
                prior.add_to(&mut there, &moved);
                (prior.value(&moved), there.gradient[i])
            });
            assert!(((up.0 - down.0) / 2e-6 - system.gradient[i]).abs() < 1e-8);
            assert!(((up.1 - down.1) / 2e-6 - system.newton[i][i]).abs() < 1e-6);
        }
    }
}
