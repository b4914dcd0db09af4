//! L(C) = a·C^−b + c: loss against compute, with a floor.

use super::projection::{EXPONENTS, Projection};
use super::sum::{Term, response_of_sum};
use super::{
    Centre, Coordinate, Domain, FallingTerm, FallingTerms, LawForm, Parameter, Position, Response, Sample, Theta,
    amplitude, as_it_is, exponent, floor, moved, padded,
};
use crate::math;

/// Loss falls as a power of compute towards an irreducible floor, along one path of similarly trained runs.
///
/// # Formula
///
/// L(C) = a·C^−b + c, with a > 0 (loss × FLOP^b), b > 0, c ≥ 0 (loss), and C in FLOPs.
///
/// Internally θ = (ln a − b ln C₀, b, c).
///
/// # Where it holds
///
/// On runs trained alike, each near the best size for its compute, far enough from the first steps of learning: before
/// that the curve is S-shaped and the fitted floor is too low.
///
/// # Identifiability
///
/// Four points at least, over a decade or more; b and c trade off against each other until the curve visibly bends.
///
/// # Known values
///
/// Chinchilla's own frontier is this law with b = αβ/(α+β): 0.178483 for the Huber optimum of Epoch AI's 240 points.
///
/// # Reference
///
/// Henighan et al., 2020, *Scaling laws for autoregressive generative modeling*, arXiv:2010.14701; OpenAI, 2023, *GPT-4
/// technical report*, section 3.1, arXiv:2303.08774.
pub struct PowerLaw;

static PARAMETERS: [Parameter; 3] = [amplitude("a"), exponent("b"), floor("c")];

static TERMS: [FallingTerm; 1] = [FallingTerm { amplitude: 0, exponent: 1, coordinate: Coordinate::LogFlops }];

impl LawForm for PowerLaw {
    fn name(&self) -> &'static str {
        "power_law"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["m2"]
    }

    fn formula(&self) -> &'static str {
        "L(C) = a·C^-b + c"
    }

    fn domain(&self) -> Domain {
        Domain::Compute
    }

    fn parameters(&self) -> &'static [Parameter] {
        &PARAMETERS
    }

    fn log_loss(&self, theta: &Theta, at: &Position) -> f64 {
        math::ln(theta[2] + math::exp(theta[0] - theta[1] * at.log_flops))
    }

    fn response(&self, theta: &Theta, at: &Position) -> Response {
        response_of_sum(Some((theta[2], 2)), &[Term::at(theta, 0, 1, at.log_flops)])
    }

    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta {
        padded([math::ln(natural[0]) - natural[1] * centre.log_flops, natural[1], natural[2]])
    }

    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
        if index == 0 { moved(theta, 0, 1, centre.log_flops) } else { as_it_is(theta, index) }
    }

    fn starts(&self, samples: &[Sample]) -> Vec<Theta> {
        let projection = Projection::onto(samples, true);
        let start = |b: f64| {
            let linear = projection.solve(|at| [math::exp(-b * at.log_flops)]);
            padded([linear.log_amplitudes[0], b, linear.floor])
        };
        EXPONENTS.map(start).to_vec()
    }

    fn falling_terms(&self) -> Option<FallingTerms> {
        Some(FallingTerms { floor: Some(2), terms: &TERMS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_worked_by_hand() {
        // a = 2, b = 0.5, c = 1 at C = 16: 2 / 4 + 1 = 1.5.
        let theta = PowerLaw.internal(&padded([2.0, 0.5, 1.0]), &Centre::ONE);
        let at = Centre::ONE.position(1.0, 1.0, 16.0);
        assert!((math::exp(PowerLaw.log_loss(&theta, &at)) - 1.5).abs() < 1e-14);
    }

    #[test]
    fn the_centre_does_not_change_the_law() {
        let natural = padded([2571.0, 0.0482, 1.69]);
        let far = Centre { log_flops: 49.0, ..Centre::ONE };
        let [here, there] = [Centre::ONE, far]
            .map(|centre| PowerLaw.log_loss(&PowerLaw.internal(&natural, &centre), &centre.position(1.0, 1.0, 1e21)));
        assert!((here - there).abs() < 1e-14);
    }
}
