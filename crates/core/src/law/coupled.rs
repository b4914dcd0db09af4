//! L(N, D) = E + [(A·N^−α)^{1/κ} + (B·D^−β)^{1/κ}]^κ: size and data that hold each other up.

use super::join::{Join, joined};
use super::optimum::Balance;
use super::projection::Projection;
use super::sum::LogExcess;
use super::{
    Centre, Coordinate, Domain, FallingTerm, FallingTerms, JoinedTerms, LawForm, Needs, Parameter, Position, Response,
    Sample, Scale, Theta, amplitude, as_it_is, exponent, floor, moved, padded,
};
use crate::math;

/// Loss is a floor plus a joint term, in which a model too small and data too scarce do not simply add.
///
/// # Formula
///
/// L(N, D) = E + [(A·N^−α)^{1/κ} + (B·D^−β)^{1/κ}]^κ, with E ≥ 0 (loss), A, B > 0, α, β > 0, κ in [0.02, 1], N in
/// parameters and D in tokens. κ = 1 is Chinchilla; as κ goes to 0 the larger of the two terms decides alone.
///
/// Internally θ = (ln A − α ln N₀, ln B − β ln D₀, E, α, β, κ).
///
/// # Where it holds
///
/// Where what a model lacks is one list of things, each missed for want of size or for want of data: a learner of Zipf
/// facts follows it with κ near 0.15. On the compute-optimal path it is a power law with Chinchilla's exponents; κ shows
/// off the path and in E.
///
/// # Identifiability
///
/// Needs what Chinchilla needs and more: κ is told by how the loss turns between the side where N decides and the side
/// where D does, so D/N must span at least 4x within each of three budgets. Where only one side was run κ is free.
///
/// # Known values
///
/// On the exactly solvable Zipf learner, facts with p ∝ r^−1.35 and r^−1.5: α 0.35 and 0.50, β 0.26 and 0.33 (theory:
/// a − 1 and (a − 1)/a), κ near 0.15, E within 0.3%, where the sum of two terms errs by 1.5% and 0.7%. κ = 1 has
/// Chinchilla's published values; E = 0 with κ = β has Kaplan's.
///
/// # Reference
///
/// The joint form with E = 0 and κ = β: Kaplan et al., 2020, *Scaling laws for neural language models*, equation 1.5,
/// arXiv:2001.08361; with κ = 1: Hoffmann et al., 2022, *Training compute-optimal large language models*,
/// arXiv:2203.15556. The bridge between the two is this project's own.
pub struct Coupled;

/// Below 0.02 (chosen here) the turn is sharper than any two sizes tried apart can show.
static PARAMETERS: [Parameter; 6] = [
    amplitude("A"),
    amplitude("B"),
    floor("E"),
    exponent("alpha"),
    exponent("beta"),
    Parameter { symbol: "kappa", scale: Scale::Linear, lower: 0.02, upper: 1.0, is_floor: false },
];

static TERMS: [FallingTerm; 2] = [
    FallingTerm { amplitude: 0, exponent: 3, coordinate: Coordinate::LogParams },
    FallingTerm { amplitude: 1, exponent: 4, coordinate: Coordinate::LogTokens },
];

/// Exponents and κ tried: coarser than for two terms, because κ triples the grid.
const EXPONENTS: [f64; 4] = [0.15, 0.3, 0.5, 0.9];
const KAPPAS: [f64; 3] = [0.1, 0.35, 0.9];

/// ln u and ln v.
fn log_terms(theta: &Theta, at: &Position) -> [f64; 2] {
    [theta[0] - theta[3] * at.log_params, theta[1] - theta[4] * at.log_tokens]
}

fn excess(theta: &Theta, at: &Position) -> LogExcess {
    let ([p, q], (x, y)) = (log_terms(theta, at), (at.log_params, at.log_tokens));
    let join = Join::of(p, q, theta[5]);
    let [w, v] = join.shares;
    let gradient = padded([w, v, 0.0, -w * x, -v * y, join.by_kappa]);
    let mut excess = LogExcess { value: join.value, gradient, ..LogExcess::default() };
    excess.add_outer(&padded([1.0, -1.0, 0.0, -x, y, -join.contrast]), join.bend);
    excess
}

impl LawForm for Coupled {
    fn name(&self) -> &'static str {
        "coupled"
    }

    fn formula(&self) -> &'static str {
        "L(N, D) = E + [(A·N^-alpha)^(1/kappa) + (B·D^-beta)^(1/kappa)]^kappa"
    }

    fn domain(&self) -> Domain {
        Domain::SizeAndData
    }

    fn parameters(&self) -> &'static [Parameter] {
        &PARAMETERS
    }

    fn needs(&self) -> Needs {
        Needs { observations: 9, spread_budgets: 3, ..Needs::of(Domain::SizeAndData, PARAMETERS.len()) }
    }

    fn log_loss(&self, theta: &Theta, at: &Position) -> f64 {
        let [p, q] = log_terms(theta, at);
        math::ln(theta[2] + math::exp(joined(p, q, theta[5])))
    }

    fn response(&self, theta: &Theta, at: &Position) -> Response {
        excess(theta, at).above(Some((theta[2], 2)))
    }

    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
        match index {
            0 => moved(theta, 0, 3, centre.log_params),
            1 => moved(theta, 1, 4, centre.log_tokens),
            _ => as_it_is(theta, index),
        }
    }

    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta {
        let [a, b, e, alpha, beta, kappa] = *natural;
        let [a, b] = [math::ln(a) - alpha * centre.log_params, math::ln(b) - beta * centre.log_tokens];
        [a, b, e, alpha, beta, kappa]
    }

    /// The amplitudes are those of a plain sum. Where its terms are equal a joint term of the same height has amplitudes
    /// 2^{1 − κ} times as large.
    fn starts(&self, samples: &[Sample]) -> Vec<Theta> {
        let projection = Projection::onto(samples, true);
        let start = |alpha: f64, beta: f64| {
            let linear = projection.solve(|at| [-alpha * at.log_params, -beta * at.log_tokens].map(math::exp));
            KAPPAS.map(|kappa| {
                let [a, b] = linear.log_amplitudes.map(|log| log + (1.0 - kappa) * core::f64::consts::LN_2);
                [a, b, linear.floor, alpha, beta, kappa]
            })
        };
        EXPONENTS.iter().flat_map(|&alpha| EXPONENTS.into_iter().flat_map(move |beta| start(alpha, beta))).collect()
    }

    fn log_optimal_params(&self, theta: &Theta, centre: &Centre, log_product: f64) -> Option<(f64, Theta)> {
        let [a, b, _, alpha, beta, kappa] = *theta;
        let balance = Balance { log_amplitudes: [a, b], exponents: [alpha, beta], kappa };
        let (value, [by_a, by_b, by_alpha, by_beta, by_kappa, _]) = balance.log_params(centre, log_product);
        Some((value, [by_a, by_b, 0.0, by_alpha, by_beta, by_kappa]))
    }

    fn joined_terms(&self) -> Option<JoinedTerms> {
        Some(JoinedTerms { parts: FallingTerms { floor: Some(2), terms: &TERMS }, kappa: 5 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::chinchilla::Chinchilla;

    const THETA: Theta = [-0.3, -0.9, 1.7, 0.34, 0.28, 1.0];

    fn places() -> Vec<Position> {
        let values = [-6.0, -1.0, 0.0, 2.5, 9.0];
        let at = |x: f64, y: f64| Position { log_params: x, log_tokens: y, ..Position::default() };
        values.iter().flat_map(|&x| values.map(|y| at(x, y))).collect()
    }

    #[test]
    fn kappa_of_1_is_chinchilla() {
        for at in places() {
            let (joint, sum) = (Coupled.response(&THETA, &at), Chinchilla.response(&THETA, &at));
            assert!((joint.log_loss - sum.log_loss).abs() < 1e-14);
            for i in 0..5 {
                assert!((joint.gradient[i] - sum.gradient[i]).abs() < 1e-13, "{i}");
                for j in 0..5 {
                    assert!((joint.hessian[i][j] - sum.hessian[i][j]).abs() < 1e-12, "{i} {j}");
                }
            }
        }
    }

    #[test]
    fn as_kappa_goes_to_0_the_larger_term_decides() {
        // (u^(1/k) + v^(1/k))^k lies between max(u, v) and 2^k max(u, v).
        for kappa in [0.02, 1e-4, 1e-8] {
            let theta = [-0.3, -0.9, 1.7, 0.34, 0.28, kappa];
            for at in places() {
                let [p, q] = log_terms(&theta, &at);
                let excess = math::exp(Coupled.log_loss(&theta, &at)) - 1.7;
                let ratio = excess / math::exp(p.max(q));
                assert!((1.0 - 1e-9..=math::pow(2.0, kappa) + 1e-9).contains(&ratio), "{kappa} {ratio}");
                let response = Coupled.response(&theta, &at);
                assert!(response.gradient.iter().chain(response.hessian.as_flattened()).all(|v| v.is_finite()));
            }
        }
    }

    #[test]
    fn equal_terms_join_to_2_to_the_kappa_times_one_of_them() {
        // By hand: u = v = 1 at the centre gives [1 + 1]^0.5 = sqrt(2), over a floor of 1.
        let at = Position::default();
        let loss = math::exp(Coupled.log_loss(&[0.0, 0.0, 1.0, 0.3, 0.3, 0.5], &at));
        assert!((loss - 1.0 - core::f64::consts::SQRT_2).abs() < 1e-14);
    }

    #[test]
    fn the_frontier_falls_with_chinchillas_exponent_whatever_kappa_is() {
        // gamma = alpha beta / (alpha + beta) = 0.34 * 0.28 / 0.62 = 0.153548..., and N* grows as C^(beta / (alpha + beta)).
        for kappa in [0.1, 0.5, 1.0] {
            let natural = [406.4, 410.7, 1.69, 0.34, 0.28, kappa];
            let [small, large] = [1e20, 1e22].map(|c| Coupled.optimum(&natural, c, 6.0).expect("an optimum"));
            let gamma = math::ln((small.loss - 1.69) / (large.loss - 1.69)) / math::ln(100.0);
            assert!((gamma - 0.153_548_387_096_774_2).abs() < 1e-10, "{gamma}");
            let growth = math::ln(large.params / small.params) / math::ln(100.0);
            assert!((growth - 0.28 / 0.62).abs() < 1e-12, "{growth}");
        }
    }
}
