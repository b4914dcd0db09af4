//! Functions of a law's parameters that an interval is wanted for.

use forescale_core::law::{Position, Scale, Theta};

use crate::allocation::{Allocation, Wanted};
use crate::problem::FitProblem;

/// A function of θ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Functional {
    /// A parameter as published: its logarithm where it is an amplitude.
    Parameter(usize),
    /// ln L at a position.
    Prediction(Position),
    /// ln N* of a law that has an optimum, at a logarithm of C/k.
    LogOptimalParams(f64),
    /// ln L on such a law's frontier, at a logarithm of C/k.
    FrontierLoss(f64),
    /// The logarithm of a quantity of the best split under caps.
    Allocated(Allocation, Wanted),
}

impl Functional {
    /// Value and gradient at θ.
    pub(crate) fn at(self, problem: &FitProblem, theta: &Theta) -> (f64, Theta) {
        match self {
            Self::Parameter(index) => problem.form.published(index, theta, &problem.centre),
            Self::Prediction(at) => {
                let response = problem.form.response(theta, &at);
                (response.log_loss, response.gradient)
            }
            Self::LogOptimalParams(log_product) => log_optimal_params(problem, theta, log_product),
            Self::FrontierLoss(log_product) => frontier_loss(problem, theta, log_product),
            Self::Allocated(allocation, wanted) => allocation.at(wanted, problem, theta),
        }
    }

    /// What a step of one in θ is to the functional whose gradient this is: 1, but for a parameter told in units in which θ's
    /// own coordinate is tiny or huge, as M3's γ per FLOP.
    pub(crate) fn unit(self, problem: &FitProblem, gradient: &Theta) -> f64 {
        let largest = gradient.iter().fold(0.0_f64, |largest, slope| largest.max(slope.abs()));
        let has_unit = matches!(self, Self::Parameter(_)) && !self.is_logarithm(problem) && largest > 0.0;
        if has_unit { largest } else { 1.0 }
    }

    /// Whether the functional is a logarithm of what a reader wants.
    pub(crate) fn is_logarithm(self, problem: &FitProblem) -> bool {
        match self {
            Self::Parameter(index) => problem.form.parameters()[index].scale == Scale::Logarithmic,
            _ => true,
        }
    }
}

/// NaN for a law without an optimum: a profile of it has no extent.
fn log_optimal_params(problem: &FitProblem, theta: &Theta, log_product: f64) -> (f64, Theta) {
    problem.form.log_optimal_params(theta, &problem.centre, log_product).unwrap_or((f64::NAN, Theta::default()))
}

/// By the envelope theorem the optimum's own movement does not change the loss to first order.
fn frontier_loss(problem: &FitProblem, theta: &Theta, log_product: f64) -> (f64, Theta) {
    let (log_params, _) = log_optimal_params(problem, theta, log_product);
    let at = Position {
        log_params: log_params - problem.centre.log_params,
        log_tokens: log_product - log_params - problem.centre.log_tokens,
        log_start: problem.centre.log_start,
        ..Position::default()
    };
    let response = problem.form.response(theta, &at);
    (response.log_loss, response.gradient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Cost;
    use forescale_core::law::{Centre, LawName, padded};

    #[test]
    fn gradients_agree_with_finite_differences() {
        let centre = Centre { log_params: 20.0, log_tokens: 23.0, log_flops: 45.0, log_start: None };
        let at = Position { log_params: 2.0, log_tokens: 3.0, log_flops: 5.0, ..Position::default() };
        let all = [
            Functional::Parameter(0),
            Functional::Prediction(at),
            Functional::LogOptimalParams(50.0),
            Functional::FrontierLoss(50.0),
        ];
        let laws = [
            (LawName::CHINCHILLA, padded([-0.5, -0.3, 1.8, 0.34, 0.37])),
            (LawName::COUPLED, [-0.5, -0.3, 1.8, 0.34, 0.37, 0.4]),
            (LawName::KAPLAN, padded([0.5, 0.3, 0.08, 0.1])),
        ];
        for (law, theta) in laws {
            let (form, cost) = (law.form(), Cost::of(crate::Objective::LeastSquares));
            let problem = FitProblem { form, centre, samples: Vec::new(), cost, tether: None, prior: None };
            for functional in all {
                let (_, gradient) = functional.at(&problem, &theta);
                for i in 0..form.parameters().len() {
                    let [up, down] = [1e-6, -1e-6].map(|step| {
                        let mut moved = theta;
                        moved[i] += step;
                        functional.at(&problem, &moved).0
                    });
                    let scale = 1.0 + gradient[i].abs();
                    assert!(((up - down) / 2e-6 - gradient[i]).abs() < 1e-6 * scale, "{law} {functional:?} {i}");
                }
            }
        }
    }

    #[test]
    fn a_law_of_compute_has_no_optimal_size() {
        let (form, cost) = (LawName::POWER_LAW.form(), Cost::of(crate::Objective::LeastSquares));
        let problem = FitProblem { form, centre: Centre::ONE, samples: Vec::new(), cost, tether: None, prior: None };
        assert!(Functional::LogOptimalParams(50.0).at(&problem, &padded([0.1, 0.2, 1.0])).0.is_nan());
    }
}
