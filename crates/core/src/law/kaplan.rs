//! L(N, D) = [(Nc/N)^{αN/αD} + Dc/D]^{αD}: size and data without a floor.

use super::join::{Join, joined};
use super::optimum::Balance;
use super::projection::Projection;
use super::sum::LogExcess;
use super::{
    Centre, Domain, LawForm, Parameter, Position, Response, Sample, Theta, amplitude, as_it_is, exponent, padded,
};
use crate::math;

/// The first law of size and data, which falls for ever; kept to compare with, not to extrapolate by.
///
/// # Formula
///
/// L(N, D) = [(Nc/N)^{αN/αD} + Dc/D]^{αD}, with αN, αD > 0, N in parameters without embeddings and Nc in the same, D and
/// Dc in tokens. With unlimited data it is (Nc/N)^αN, with an unlimited model (Dc/D)^αD: the coupled law with E = 0 and
/// κ = αD.
///
/// Internally θ = (αN ln(Nc/N₀), αD ln(Dc/D₀), αN, αD): the logarithms of the two terms at the centre.
///
/// # Where it holds
///
/// Where the loss is far above its floor, over the two or three decades of one table. It has no floor, so that it
/// undershoots far out; its sizes leave the embedding out, which by itself makes the optimal size grow too fast.
///
/// # Identifiability
///
/// D/N must span at least 4x within each of two budgets. Nc and Dc are extrapolations to a loss of one nat and correlate
/// with their exponents almost wholly; the loss they give does not suffer.
///
/// # Known values
///
/// Equation 1.5 and table 2: αN 0.076, αD 0.103, Nc 6.4e13, Dc 1.8e13; for each quantity alone (equations 1.1 and 1.2)
/// αN 0.076 with Nc 8.8e13, αD 0.095 with Dc 5.4e13.
///
/// # Reference
///
/// Kaplan et al., 2020, *Scaling laws for neural language models*, arXiv:2001.08361.
pub struct Kaplan;

static PARAMETERS: [Parameter; 4] = [amplitude("Nc"), amplitude("Dc"), exponent("alphaN"), exponent("alphaD")];

/// Exponents tried: without a floor they come out smaller than any other law's.
const EXPONENTS: [f64; 5] = [0.03, 0.07, 0.15, 0.3, 0.6];

/// ln of the two terms.
fn log_terms(theta: &Theta, at: &Position) -> [f64; 2] {
    [theta[0] - theta[2] * at.log_params, theta[1] - theta[3] * at.log_tokens]
}

/// ln Nc, or ln Dc, which is a term over its exponent, moved back from the centre.
fn critical(theta: &Theta, index: usize, centre: f64) -> (f64, Theta) {
    let (term, exponent) = (theta[index], theta[index + 2]);
    let mut gradient = Theta::default();
    gradient[index] = 1.0 / exponent;
    gradient[index + 2] = -term / (exponent * exponent);
    (term / exponent + centre, gradient)
}

impl LawForm for Kaplan {
    fn name(&self) -> &'static str {
        "kaplan"
    }

    fn formula(&self) -> &'static str {
        "L(N, D) = [(Nc/N)^(alphaN/alphaD) + Dc/D]^alphaD"
    }

    fn domain(&self) -> Domain {
        Domain::SizeAndData
    }

    fn parameters(&self) -> &'static [Parameter] {
        &PARAMETERS
    }

    fn log_loss(&self, theta: &Theta, at: &Position) -> f64 {
        let [p, q] = log_terms(theta, at);
        joined(p, q, theta[3])
    }

    fn response(&self, theta: &Theta, at: &Position) -> Response {
        let ([p, q], (x, y)) = (log_terms(theta, at), (at.log_params, at.log_tokens));
        let join = Join::of(p, q, theta[3]);
        let [w, v] = join.shares;
        // αD is the exponent of the data's term and κ at once.
        let gradient = padded([w, v, -w * x, join.by_kappa - v * y]);
        let mut excess = LogExcess { value: join.value, gradient, ..LogExcess::default() };
        excess.add_outer(&padded([1.0, -1.0, -x, y - join.contrast]), join.bend);
        excess.above(None)
    }

    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
        match index {
            0 => critical(theta, 0, centre.log_params),
            1 => critical(theta, 1, centre.log_tokens),
            _ => as_it_is(theta, index),
        }
    }

    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta {
        let [nc, dc, alpha_n, alpha_d, ..] = *natural;
        let [n, d] = [math::ln(nc) - centre.log_params, math::ln(dc) - centre.log_tokens];
        padded([alpha_n * n, alpha_d * d, alpha_n, alpha_d])
    }

    fn starts(&self, samples: &[Sample]) -> Vec<Theta> {
        let projection = Projection::onto(samples, false);
        let start = |alpha: f64, beta: f64| {
            let linear = projection.solve(|at| [-alpha * at.log_params, -beta * at.log_tokens].map(math::exp));
            let [p, q] = linear.log_amplitudes.map(|log| log + (1.0 - beta) * core::f64::consts::LN_2);
            padded([p, q, alpha, beta])
        };
        EXPONENTS.iter().flat_map(|&alpha| EXPONENTS.map(|beta| start(alpha, beta))).collect()
    }

    fn log_optimal_params(&self, theta: &Theta, centre: &Centre, log_product: f64) -> Option<(f64, Theta)> {
        let [a, b, alpha, beta, ..] = *theta;
        let balance = Balance { log_amplitudes: [a, b], exponents: [alpha, beta], kappa: beta };
        let (value, [by_a, by_b, by_alpha, by_beta, by_kappa, _]) = balance.log_params(centre, log_product);
        Some((value, padded([by_a, by_b, by_alpha, by_beta + by_kappa])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::coupled::Coupled;

    /// Kaplan et al., table 2.
    const PUBLISHED: Theta = [6.4e13, 1.8e13, 0.076, 0.103, 0.0, 0.0];

    fn loss(params: f64, tokens: f64) -> f64 {
        let theta = Kaplan.internal(&PUBLISHED, &Centre::ONE);
        math::exp(Kaplan.log_loss(&theta, &Centre::ONE.position(params, tokens, 1.0)))
    }

    #[test]
    fn it_is_the_coupled_law_without_floor_at_kappa_beta() {
        let [p, q, alpha, beta, ..] = Kaplan.internal(&PUBLISHED, &Centre::ONE);
        for (params, tokens) in [(1e6, 1e8), (1e9, 2e10), (1e11, 3e9)] {
            let at = Centre::ONE.position(params, tokens, 1.0);
            let joint = Coupled.log_loss(&[p, q, 0.0, alpha, beta, beta], &at);
            assert!((math::ln(loss(params, tokens)) - joint).abs() < 1e-13);
        }
    }

    #[test]
    fn its_limits_are_the_published_laws_of_one_quantity() {
        // Equations 1.1 and 1.2 in table 2's constants: (6.4e13 / 1e9)^0.076 and (1.8e13 / 1e10)^0.103.
        assert!((loss(1e9, 1e40) / math::pow(6.4e4, 0.076) - 1.0).abs() < 1e-12);
        assert!((loss(1e60, 1e10) / math::pow(1.8e3, 0.103) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn data_must_grow_with_size_to_the_power_0_74_to_keep_the_penalty() {
        // Section 4.2: N^0.74 / D decides, because alphaN / alphaD = 0.076 / 0.103 = 0.738.
        let penalty = |n: f64, d: f64| loss(n, d) / loss(n, 1e60);
        let ratio = 0.076 / 0.103;
        let [small, large] = [(1e7, 1e9), (1e9, 1e9 * math::pow(100.0, ratio))].map(|(n, d)| penalty(n, d));
        assert!((small - large).abs() < 1e-12);
        assert!((ratio - 0.74).abs() < 0.005);
    }
}
