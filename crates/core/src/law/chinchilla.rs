//! L(N, D) = E + A·N^−α + B·D^−β: loss against size and data.

use super::optimum::Balance;
use super::projection::{EXPONENTS, Projection};
use super::sum::{Term, response_of_sum};
use super::{
    Centre, Coordinate, Domain, FallingTerm, FallingTerms, LawForm, Parameter, Position, Response, Sample, Theta,
    amplitude, as_it_is, exponent, floor, moved, padded,
};
use crate::math;

/// Loss is a floor, plus what a finite model misses, plus what finite data misses.
///
/// # Formula
///
/// L(N, D) = E + A·N^−α + B·D^−β, with E ≥ 0 (loss), A, B > 0, α, β > 0, N in parameters and D in tokens.
///
/// Internally θ = (ln A − α ln N₀, ln B − β ln D₀, E, α, β).
///
/// # Where it holds
///
/// On finished runs of one recipe that see each token once, at any ratio D/N within the range fitted.
///
/// # Identifiability
///
/// On a path of constant D/N only three of the five parameters can be told; D/N must span at least 4x within each of two
/// budgets. Uncentred, ln B and β correlate at 0.9997.
///
/// # Known values
///
/// Hoffmann et al., section D.3: E 1.69, A 406.4, B 410.7, α 0.34, β 0.28. Besiroglu et al., table 1, on 240 points read
/// off figure 4: E 1.8172, A 482.01, B 2085.43, α 0.3478, β 0.3658.
///
/// # Reference
///
/// Hoffmann et al., 2022, *Training compute-optimal large language models*, arXiv:2203.15556; Besiroglu et al., 2024,
/// *Chinchilla scaling: a replication attempt*, arXiv:2404.10102.
pub struct Chinchilla;

static PARAMETERS: [Parameter; 5] = [amplitude("A"), amplitude("B"), floor("E"), exponent("alpha"), exponent("beta")];

impl Chinchilla {
    /// The exponent γ = αβ/(α+β) with which loss falls to the floor along the frontier.
    #[must_use]
    pub fn frontier_exponent(natural: &Theta) -> f64 {
        natural[3] * natural[4] / (natural[3] + natural[4])
    }
}

static TERMS: [FallingTerm; 2] = [
    FallingTerm { amplitude: 0, exponent: 3, coordinate: Coordinate::LogParams },
    FallingTerm { amplitude: 1, exponent: 4, coordinate: Coordinate::LogTokens },
];

impl LawForm for Chinchilla {
    fn name(&self) -> &'static str {
        "chinchilla"
    }

    fn formula(&self) -> &'static str {
        "L(N, D) = E + A·N^-alpha + B·D^-beta"
    }

    fn domain(&self) -> Domain {
        Domain::SizeAndData
    }

    fn parameters(&self) -> &'static [Parameter] {
        &PARAMETERS
    }

    fn log_loss(&self, theta: &Theta, at: &Position) -> f64 {
        let [a, b, e, alpha, beta, _] = *theta;
        math::ln(e + math::exp(a - alpha * at.log_params) + math::exp(b - beta * at.log_tokens))
    }

    fn response(&self, theta: &Theta, at: &Position) -> Response {
        let terms = [Term::at(theta, 0, 3, at.log_params), Term::at(theta, 1, 4, at.log_tokens)];
        response_of_sum(Some((theta[2], 2)), &terms)
    }

    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta {
        let [a, b, e, alpha, beta, _] = *natural;
        padded([math::ln(a) - alpha * centre.log_params, math::ln(b) - beta * centre.log_tokens, e, alpha, beta])
    }

    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
        match index {
            0 => moved(theta, 0, 3, centre.log_params),
            1 => moved(theta, 1, 4, centre.log_tokens),
            _ => as_it_is(theta, index),
        }
    }

    fn starts(&self, samples: &[Sample]) -> Vec<Theta> {
        let projection = Projection::onto(samples, true);
        let start = |alpha: f64, beta: f64| {
            let linear = projection.solve(|at| [-alpha * at.log_params, -beta * at.log_tokens].map(math::exp));
            let [a, b] = linear.log_amplitudes;
            padded([a, b, linear.floor, alpha, beta])
        };
        EXPONENTS.iter().flat_map(|&alpha| EXPONENTS.map(|beta| start(alpha, beta))).collect()
    }

    fn log_optimal_params(&self, theta: &Theta, centre: &Centre, log_product: f64) -> Option<(f64, Theta)> {
        let [a, b, _, alpha, beta, _] = *theta;
        let balance = Balance { log_amplitudes: [a, b], exponents: [alpha, beta], kappa: 1.0 };
        let (value, [by_a, by_b, by_alpha, by_beta, ..]) = balance.log_params(centre, log_product);
        Some((value, padded([by_a, by_b, 0.0, by_alpha, by_beta])))
    }

    fn falling_terms(&self) -> Option<FallingTerms> {
        Some(FallingTerms { floor: Some(2), terms: &TERMS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOPHER_FLOPS: f64 = 5.76e23;

    fn tokens_per_parameter(natural: Theta) -> f64 {
        let best = Chinchilla.optimum(&natural, GOPHER_FLOPS, 6.0).expect("an optimum");
        best.tokens / best.params
    }

    #[test]
    fn optimal_tokens_per_parameter_are_those_published() {
        // At Gopher's 5.76e23 FLOPs: Hoffmann et al. unrounded (their TeX source), rounded (section D.3), and Besiroglu et
        // al., table 1; ratios worked out in arXiv:2404.10102 and confirmed independently to the digits given.
        let unrounded =
            padded([math::exp(6.007_340_4), math::exp(6.017_918_6), math::exp(0.526_722_8), 0.339_170_84, 0.284_908_3]);
        let rounded = padded([406.4, 410.7, 1.69, 0.34, 0.28]);
        let epoch = padded([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
        assert!((tokens_per_parameter(unrounded) - 58.9).abs() < 0.05);
        assert!((tokens_per_parameter(rounded) - 92.6).abs() < 0.05);
        assert!((tokens_per_parameter(epoch) - 18.4).abs() < 0.05);
    }

    #[test]
    fn the_optimum_of_the_huber_fit_is_the_one_computed_elsewhere() {
        // The Huber optimum of Epoch AI's 240 points by damped Gauss-Newton in SciPy; N* 7.3190e10, D* 1.3116e12,
        // L* 1.973912, frontier exponent 0.178483.
        let natural = padded([477.825_909, 2_143.417_245, 1.817_218_10, 0.347_310_50, 0.367_172_43]);
        let best = Chinchilla.optimum(&natural, GOPHER_FLOPS, 6.0).expect("an optimum");
        assert!((best.params / 7.3190e10 - 1.0).abs() < 1e-4, "{}", best.params);
        assert!((best.tokens / 1.3116e12 - 1.0).abs() < 1e-4, "{}", best.tokens);
        assert!((best.loss - 1.973_912).abs() < 5e-7, "{}", best.loss);
        assert!((Chinchilla::frontier_exponent(&natural) - 0.178_483).abs() < 5e-7);
    }
}
