//! L(C) = a·C^−b: a straight line in log–log, without a floor.

use super::projection::{EXPONENTS, Projection};
use super::sum::{Term, response_of_sum};
use super::{
    Centre, Coordinate, Domain, FallingTerm, FallingTerms, LawForm, Parameter, Position, Response, Sample, Theta,
    amplitude, as_it_is, exponent, moved, padded,
};
use crate::math;

/// Loss falls as a power of compute for ever; kept to show what leaving the floor out costs.
///
/// # Formula
///
/// L(C) = a·C^−b, with a > 0 (loss × FLOP^b), b > 0, and C in FLOPs.
///
/// Internally θ = (ln a − b ln C₀, b).
///
/// # Where it holds
///
/// Over a decade or two, far above the floor. Beyond that it undershoots: by 14.6% three decades out where the truth is a
/// law with a floor.
///
/// # Identifiability
///
/// Three points at two or more budgets.
///
/// # Known values
///
/// Kaplan et al.: b = 0.050 against compute used well, 0.057 raw (equation 1.3 and figure 1).
///
/// # Reference
///
/// Kaplan et al., 2020, *Scaling laws for neural language models*, arXiv:2001.08361.
pub struct LogLog;

static PARAMETERS: [Parameter; 2] = [amplitude("a"), exponent("b")];

static TERMS: [FallingTerm; 1] = [FallingTerm { amplitude: 0, exponent: 1, coordinate: Coordinate::LogFlops }];

impl LawForm for LogLog {
    fn name(&self) -> &'static str {
        "log_log"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["m1"]
    }

    fn formula(&self) -> &'static str {
        "L(C) = a·C^-b"
    }

    fn domain(&self) -> Domain {
        Domain::Compute
    }

    fn parameters(&self) -> &'static [Parameter] {
        &PARAMETERS
    }

    fn log_loss(&self, theta: &Theta, at: &Position) -> f64 {
        theta[0] - theta[1] * at.log_flops
    }

    fn response(&self, theta: &Theta, at: &Position) -> Response {
        response_of_sum(None, &[Term::at(theta, 0, 1, at.log_flops)])
    }

    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta {
        padded([math::ln(natural[0]) - natural[1] * centre.log_flops, natural[1]])
    }

    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
        if index == 0 { moved(theta, 0, 1, centre.log_flops) } else { as_it_is(theta, index) }
    }

    fn starts(&self, samples: &[Sample]) -> Vec<Theta> {
        let projection = Projection::onto(samples, false);
        let start = |b: f64| {
            let linear = projection.solve(|at| [math::exp(-b * at.log_flops)]);
            padded([linear.log_amplitudes[0], b])
        };
        EXPONENTS.map(start).to_vec()
    }

    fn falling_terms(&self) -> Option<FallingTerms> {
        Some(FallingTerms { floor: None, terms: &TERMS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousandfold_compute_at_kaplans_exponent_takes_off_29_percent() {
        // 1000^-0.050 = 0.70795.
        let theta = LogLog.internal(&padded([3.0, 0.05]), &Centre::ONE);
        let [small, large] = [1e18, 1e21].map(|flops| LogLog.log_loss(&theta, &Centre::ONE.position(1.0, 1.0, flops)));
        assert!((math::exp(large - small) - 0.707_945_784_384_137_9).abs() < 1e-13);
    }
}
