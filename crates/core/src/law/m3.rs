//! L(C) = β·(C^−1 + γ)^c: a power law that levels off because compute seems to.

use super::projection::{EXPONENTS, Projection};
use super::sum::LogExcess;
use super::{
    Centre, Domain, LawForm, Parameter, Position, Response, Sample, Scale, Theta, amplitude, as_it_is, exponent, moved,
    padded,
};
use crate::math;

/// Loss falls as a power of compute until, near C = 1/γ, more compute stops counting.
///
/// # Formula
///
/// L(C) = β·(C^−1 + γ)^c, with β > 0 (loss × FLOP^c), c > 0, γ ≥ 0 (per FLOP), and C in FLOPs. Its irreducible loss is
/// β·γ^c; γ = 0 is the straight line in log–log.
///
/// Internally θ = (ln β − c ln C₀, c, γC₀).
///
/// # Where it holds
///
/// Where the power law with a floor holds; it comes to its floor sooner and more sharply, like C^−1 at the end whatever c
/// is. As second opinion on a floor, not as first.
///
/// # Identifiability
///
/// Four points over a decade or more. While γ·C stays far below 1 the floor is a guess; it is a product of three
/// parameters, and none of them is the floor.
///
/// # Known values
///
/// None that carry over: the authors publish curves and no coefficients.
///
/// # Reference
///
/// Alabdulmohsin, Neyshabur and Zhai, 2022, *Revisiting neural scaling laws in language and vision*, arXiv:2209.06640,
/// where it is M3 with no further floor, after Bansal et al., 2022, *Data scaling laws in NMT*, arXiv:2202.01994.
pub struct M3;

/// γC₀ above e^20 (chosen here) would put the bend nine decades below the runs.
static PARAMETERS: [Parameter; 3] = [
    amplitude("beta"),
    exponent("c"),
    Parameter { symbol: "gamma", scale: Scale::Linear, lower: 0.0, upper: 4.85e8, is_floor: false },
];

/// γC₀ tried: the bend a decade beyond the middle of the runs, there, and a decade before.
const BENDS: [f64; 4] = [0.0, 0.1, 1.0, 10.0];

fn log_compute(theta: &Theta, at: &Position) -> f64 {
    math::ln(math::exp(-at.log_flops) + theta[2])
}

impl LawForm for M3 {
    fn name(&self) -> &'static str {
        "m3"
    }

    fn formula(&self) -> &'static str {
        "L(C) = beta·(1/C + gamma)^c"
    }

    fn domain(&self) -> Domain {
        Domain::Compute
    }

    fn parameters(&self) -> &'static [Parameter] {
        &PARAMETERS
    }

    /// Its floor is no parameter of its own, and yet it has one.
    fn extrapolates(&self) -> bool {
        true
    }

    fn log_loss(&self, theta: &Theta, at: &Position) -> f64 {
        theta[0] + theta[1] * log_compute(theta, at)
    }

    fn response(&self, theta: &Theta, at: &Position) -> Response {
        let (c, log) = (theta[1], log_compute(theta, at));
        let slope = math::exp(-log);
        let gradient = padded([1.0, log, c * slope]);
        let mut excess = LogExcess { value: theta[0] + c * log, gradient, ..LogExcess::default() };
        excess.set(1, 2, slope);
        excess.set(2, 2, -c * slope * slope);
        excess.above(None)
    }

    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
        match index {
            0 => moved(theta, 0, 1, centre.log_flops),
            1 => as_it_is(theta, 1),
            _ => {
                let per_flop = math::exp(-centre.log_flops);
                (theta[2] * per_flop, padded([0.0, 0.0, per_flop]))
            }
        }
    }

    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta {
        let [beta, c, gamma, ..] = *natural;
        padded([math::ln(beta) - c * centre.log_flops, c, gamma * math::exp(centre.log_flops)])
    }

    fn starts(&self, samples: &[Sample]) -> Vec<Theta> {
        let projection = Projection::onto(samples, false);
        let start = |c: f64, gamma: f64| {
            let linear = projection.solve(|at| [math::exp(c * log_compute(&padded([0.0, 0.0, gamma]), at))]);
            padded([linear.log_amplitudes[0], c, gamma])
        };
        EXPONENTS.iter().flat_map(|&c| BENDS.map(|gamma| start(c, gamma))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::log_log::LogLog;

    #[test]
    fn a_case_worked_by_hand() {
        // beta = 8, gamma = 1/16, c = 0.5 at C = 16/3: (3/16 + 1/16)^0.5 = 0.5, so L = 4.
        let theta = M3.internal(&padded([8.0, 0.5, 0.0625]), &Centre::ONE);
        let at = Centre::ONE.position(1.0, 1.0, 16.0 / 3.0);
        assert!((math::exp(M3.log_loss(&theta, &at)) - 4.0).abs() < 1e-13);
    }

    #[test]
    fn gamma_of_0_is_the_power_law_without_a_floor() {
        for x in [-8.0, 0.0, 3.0, 12.0] {
            let at = Position { log_flops: x, ..Position::default() };
            assert!(
                (M3.log_loss(&padded([0.4, 0.13, 0.0]), &at) - LogLog.log_loss(&padded([0.4, 0.13]), &at)).abs()
                    < 1e-14
            );
        }
    }

    #[test]
    fn its_floor_is_beta_times_gamma_to_the_c() {
        let theta = padded([0.4, 0.5, 0.25]);
        let far = Position { log_flops: 60.0, ..Position::default() };
        assert!((M3.log_loss(&theta, &far) - (0.4 + 0.5 * math::ln(0.25))).abs() < 1e-13);
    }
}
