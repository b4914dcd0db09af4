//! L(N, D, U) = E + A·N′^−α + B·D′^−α: loss where data are seen more than once.

use super::optimum::Balance;
use super::projection::Projection;
use super::{
    Centre, Domain, LawForm, MAX_PARAMETERS, Needs, Parameter, Position, Response, Sample, Scale, Theta, amplitude,
    as_it_is, exponent, floor, moved, padded,
};
use crate::math;

/// A token seen again is worth less each time, and so is a parameter past what the distinct tokens can fill.
///
/// # Formula
///
/// L = E + A·N′^−α + B·D′^−α, with U distinct tokens of D (U ≤ D) and
/// - D′ = U + U·R_D·(1 − e^{−(D/U − 1)/R_D}): D/U − 1 is how often the data were repeated;
/// - N′ = U_N + U_N·R_N·(1 − e^{−(N/U_N − 1)/R_N}), where U_N = min(N, U·(A/B)^{1/α}) and U·(A/B)^{1/α} is the best size for U
///   tokens seen once.
///
/// E ≥ 0 (loss), A, B, α, R_D, R_N > 0; R_D is the number of repetitions after which their worth has fallen to 1/e. One
/// exponent serves size and data, as in the paper.
///
/// Internally θ = (ln A − α ln N₀, ln B − α ln D₀, E, α, ln R_D, ln R_N). U_N depends on no centre but the positions' own.
///
/// # Where it holds
///
/// Up to the number of epochs at which loss turns upward again: the law can only level off, never rise, and runs past that
/// turn pull R_D and R_N down. Where nothing is repeated and N ≤ U_N it is Chinchilla's law with α = β.
///
/// # Identifiability
///
/// Runs that repeat data, over several epochs; R_N needs runs with more parameters than their distinct tokens fill.
///
/// # Known values
///
/// Muennighoff et al.: α 0.3526596, A e^6.255414 (521), B e^7.3049974 (1488), E e^0.6254804 (1.87), R_D 15.387756,
/// R_N 5.309743, on C4; A, B, E and α from runs that saw each token once, R_D and R_N from those that did not.
///
/// # Reference
///
/// Muennighoff et al., 2023, *Scaling data-constrained language models*, arXiv:2305.16264, section 3 and appendix A.
pub struct DataConstrained;

/// Repetitions after which their worth falls to 1/e: 0.02 is nothing at the second epoch, and 1e6 is never.
const fn decay(symbol: &'static str) -> Parameter {
    Parameter { symbol, scale: Scale::Logarithmic, lower: -4.0, upper: 14.0, is_floor: false }
}

static PARAMETERS: [Parameter; 6] =
    [amplitude("A"), amplitude("B"), floor("E"), exponent("alpha"), decay("R_D"), decay("R_N")];

/// How far D/N must reach for N and D to be told apart.
const NEEDED_RATIO: f64 = 4.0;
/// Exponents and decays that fits start from: about the published ones, and a factor of three or so to either side.
const START_EXPONENTS: [f64; 3] = [0.2, 0.35, 0.6];
const START_DECAYS: [f64; 2] = [4.0, 30.0];

/// A function of θ with its derivatives.
#[derive(Clone, Copy, Default)]
struct Jet {
    value: f64,
    gradient: Theta,
    hessian: [Theta; MAX_PARAMETERS],
}

/// h(R, λ) = ln(1 + ρ(1 − e^{−R/ρ})), ρ = e^λ: what R repetitions add to a logarithm, with derivatives by R and λ.
struct Worth {
    value: f64,
    by_count: f64,
    by_decay: f64,
    by_count_twice: f64,
    by_decay_twice: f64,
    by_both: f64,
}

impl Worth {
    fn of(count: f64, log_decay: f64) -> Self {
        let rho = math::exp(log_decay);
        let z = count / rho;
        let left = math::exp(-z);
        let total = 1.0 - rho * math::exp_m1(-z);
        // −(e^{−z} − 1) − z e^{−z}, the worth's own slope by λ over ρ.
        let slope = rho * (-math::exp_m1(-z) - z * left) / total;
        let by_count = left / total;
        Self {
            value: math::ln(total),
            by_count,
            by_decay: slope,
            by_count_twice: -by_count / rho - by_count * by_count,
            by_decay_twice: rho * (-math::exp_m1(-z) - z * left - z * z * left) / total - slope * slope,
            by_both: z * by_count - by_count * slope,
        }
    }
}

/// ln U_N where it is smaller than N: the best size for the distinct tokens.
fn filled(theta: &Theta, at: &Position) -> f64 {
    at.log_tokens - at.log_repeats + (theta[0] - theta[1]) / theta[3]
}

/// ln N′.
fn log_effective_params(theta: &Theta, at: &Position) -> f64 {
    let filled = filled(theta, at);
    if at.log_params <= filled {
        return at.log_params;
    }
    filled + Worth::of(math::exp_m1(at.log_params - filled), theta[5]).value
}

/// ln D′.
fn log_effective_tokens(theta: &Theta, at: &Position) -> f64 {
    at.log_tokens - at.log_repeats + Worth::of(math::exp_m1(at.log_repeats), theta[4]).value
}

/// ln N′ with derivatives.
fn params_jet(theta: &Theta, at: &Position) -> Jet {
    let filled = filled(theta, at);
    if at.log_params <= filled {
        return Jet { value: at.log_params, ..Jet::default() };
    }
    let ratio = math::exp(at.log_params - filled);
    let worth = Worth::of(ratio - 1.0, theta[5]);
    let by_filled = 1.0 - worth.by_count * ratio;
    let by_filled_twice = worth.by_count_twice * ratio * ratio + worth.by_count * ratio;
    let by_both = -worth.by_both * ratio;
    let (alpha, difference) = (theta[3], theta[0] - theta[1]);
    let first = padded([1.0 / alpha, -1.0 / alpha, 0.0, -difference / (alpha * alpha)]);
    let mut jet = Jet { value: filled + worth.value, ..Jet::default() };
    for i in 0..4 {
        jet.gradient[i] = by_filled * first[i];
        for j in 0..4 {
            jet.hessian[i][j] = by_filled_twice * first[i] * first[j];
        }
        (jet.hessian[i][5], jet.hessian[5][i]) = (by_both * first[i], by_both * first[i]);
    }
    let bend = by_filled / (alpha * alpha);
    for (i, sign) in [(0, -1.0), (1, 1.0)] {
        jet.hessian[i][3] += sign * bend;
        jet.hessian[3][i] += sign * bend;
    }
    jet.hessian[3][3] += 2.0 * bend * difference / alpha;
    (jet.gradient[5], jet.hessian[5][5]) = (worth.by_decay, worth.by_decay_twice);
    jet
}

/// ln D′ with derivatives.
fn tokens_jet(theta: &Theta, at: &Position) -> Jet {
    let worth = Worth::of(math::exp_m1(at.log_repeats), theta[4]);
    let mut jet = Jet { value: at.log_tokens - at.log_repeats + worth.value, ..Jet::default() };
    (jet.gradient[4], jet.hessian[4][4]) = (worth.by_decay, worth.by_decay_twice);
    jet
}

/// exp(θ[amplitude] − αx) with derivatives.
fn term(theta: &Theta, amplitude: usize, x: &Jet) -> Jet {
    let alpha = theta[3];
    let mut log = Jet { value: theta[amplitude] - alpha * x.value, ..Jet::default() };
    for i in 0..MAX_PARAMETERS {
        log.gradient[i] = -alpha * x.gradient[i];
        for j in 0..MAX_PARAMETERS {
            log.hessian[i][j] = -alpha * x.hessian[i][j];
        }
    }
    log.gradient[amplitude] += 1.0;
    log.gradient[3] -= x.value;
    for i in 0..MAX_PARAMETERS {
        log.hessian[i][3] -= x.gradient[i];
        log.hessian[3][i] -= x.gradient[i];
    }
    let value = math::exp(log.value);
    let mut jet = Jet { value, ..Jet::default() };
    for i in 0..MAX_PARAMETERS {
        jet.gradient[i] = value * log.gradient[i];
        for j in 0..MAX_PARAMETERS {
            jet.hessian[i][j] = value * (log.hessian[i][j] + log.gradient[i] * log.gradient[j]);
        }
    }
    jet
}

impl LawForm for DataConstrained {
    fn name(&self) -> &'static str {
        "data_constrained"
    }

    fn formula(&self) -> &'static str {
        "L(N, D, U) = E + A·N'^-alpha + B·D'^-alpha"
    }

    fn domain(&self) -> Domain {
        Domain::SizeAndData
    }

    fn parameters(&self) -> &'static [Parameter] {
        &PARAMETERS
    }

    fn log_loss(&self, theta: &Theta, at: &Position) -> f64 {
        let [a, b, e, alpha, ..] = *theta;
        let size = math::exp(a - alpha * log_effective_params(theta, at));
        let data = math::exp(b - alpha * log_effective_tokens(theta, at));
        math::ln(e + size + data)
    }

    fn response(&self, theta: &Theta, at: &Position) -> Response {
        let size = term(theta, 0, &params_jet(theta, at));
        let data = term(theta, 1, &tokens_jet(theta, at));
        let loss = theta[2] + size.value + data.value;
        let mut response = Response { log_loss: math::ln(loss), ..Response::default() };
        for i in 0..MAX_PARAMETERS {
            let floor = if i == 2 { 1.0 } else { 0.0 };
            response.gradient[i] = (floor + size.gradient[i] + data.gradient[i]) / loss;
        }
        for i in 0..MAX_PARAMETERS {
            for j in 0..MAX_PARAMETERS {
                let bend = (size.hessian[i][j] + data.hessian[i][j]) / loss;
                response.hessian[i][j] = bend - response.gradient[i] * response.gradient[j];
            }
        }
        response
    }

    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta {
        let [a, b, e, alpha, tokens, params] = *natural;
        let [a, b, tokens, params] = [a, b, tokens, params].map(math::ln);
        [a - alpha * centre.log_params, b - alpha * centre.log_tokens, e, alpha, tokens, params]
    }

    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
        match index {
            0 => moved(theta, 0, 3, centre.log_params),
            1 => moved(theta, 1, 3, centre.log_tokens),
            _ => as_it_is(theta, index),
        }
    }

    fn starts(&self, samples: &[Sample]) -> Vec<Theta> {
        let projection = Projection::onto(samples, true);
        let start = |alpha: f64, tokens: f64, params: f64| {
            let decays = padded([0.0, 0.0, 0.0, alpha, math::ln(tokens), math::ln(params)]);
            let linear = projection
                .solve(|at| [-alpha * at.log_params, -alpha * log_effective_tokens(&decays, at)].map(math::exp));
            let [a, b] = linear.log_amplitudes;
            [a, b, linear.floor, alpha, decays[4], decays[5]]
        };
        let decays = || START_DECAYS.iter().flat_map(|&tokens| START_DECAYS.map(|params| (tokens, params)));
        let pairs = START_EXPONENTS.iter().flat_map(|&alpha| decays().map(move |(d, n)| (alpha, d, n)));
        pairs.map(|(alpha, tokens, params)| start(alpha, tokens, params)).collect()
    }

    /// Of data that are never repeated: there the best size is U_N itself.
    fn log_optimal_params(&self, theta: &Theta, centre: &Centre, log_product: f64) -> Option<(f64, Theta)> {
        let [a, b, _, alpha, ..] = *theta;
        let balance = Balance { log_amplitudes: [a, b], exponents: [alpha; 2], kappa: 1.0 };
        let (value, [by_a, by_b, by_alpha, by_beta, ..]) = balance.log_params(centre, log_product);
        Some((value, padded([by_a, by_b, 0.0, by_alpha + by_beta])))
    }

    fn needs(&self) -> Needs {
        let own = Needs::of(self.domain(), PARAMETERS.len());
        Needs { spread_budgets: 0, ratio_spread: NEEDED_RATIO, repeats: true, ..own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::chinchilla::Chinchilla;

    fn published() -> Theta {
        let [a, b, e] = [6.255_414, 7.304_997_4, 0.625_480_4].map(math::exp);
        DataConstrained.internal(&[a, b, e, 0.352_659_6, 15.387_756, 5.309_743], &Centre::ONE)
    }

    #[test]
    fn without_repetition_it_is_chinchilla_with_equal_exponents() {
        let [a, b, e] = [6.255_414, 7.304_997_4, 0.625_480_4].map(math::exp);
        let chinchilla = Chinchilla.internal(&padded([a, b, e, 0.352_659_6, 0.352_659_6]), &Centre::ONE);
        // The best size for U tokens is 0.051 U, so that these sizes are all filled.
        for (n, d) in [(1e7, 1e9), (1e8, 1e10), (5e8, 1e10)] {
            let at = Centre::ONE.position(n, d, 6.0 * n * d);
            let [ours, theirs] = [DataConstrained.log_loss(&published(), &at), Chinchilla.log_loss(&chinchilla, &at)];
            assert!((ours - theirs).abs() < 1e-13, "{n} {d}");
        }
        // A model that its tokens cannot fill loses nothing where excess parameters never lose their worth.
        let mut patient = published();
        patient[5] = 14.0;
        let at = Centre::ONE.position(3e9, 1e10, 1.8e20);
        let [ours, theirs] = [DataConstrained.log_loss(&patient, &at), Chinchilla.log_loss(&chinchilla, &at)];
        assert!((ours - theirs).abs() < 1e-6, "{ours} {theirs}");
    }

    #[test]
    fn a_case_worked_by_hand() {
        // U = 1e9, D = 4e9, N = 2e8; U_N = 1e9 (521/1488)^(1/0.353) = 5.1e7 or so, both terms discounted.
        let theta = published();
        let alpha = theta[3];
        let unit = 1e9 * math::exp((theta[0] - theta[1]) / alpha);
        let d = 1e9 + 1e9 * 15.387_756 * (1.0 - math::exp(-3.0 / 15.387_756));
        let n = unit + unit * 5.309_743 * (1.0 - math::exp(-(2e8 / unit - 1.0) / 5.309_743));
        let by_hand =
            theta[2] + math::exp(theta[0]) * math::pow(n, -alpha) + math::exp(theta[1]) * math::pow(d, -alpha);
        let at = Centre::ONE.position(2e8, 4e9, 4.8e18).repeated(4e9, Some(1e9));
        assert!((math::exp(DataConstrained.log_loss(&theta, &at)) - by_hand).abs() < 1e-12);
        assert!((unit / 5.1e7 - 1.0).abs() < 0.01, "{unit}");
    }

    #[test]
    fn four_epochs_are_worth_nearly_as_much_as_fresh_data_and_forty_are_not() {
        // Muennighoff et al., abstract: up to four epochs change the loss negligibly; D' = 3.73 U of 4 U, 15.2 U of 40 U.
        let worth = |epochs: f64| {
            let at = Centre::ONE.position(1e7, epochs * 1e9, 1.0).repeated(epochs * 1e9, Some(1e9));
            math::exp(log_effective_tokens(&published(), &at)) / 1e9
        };
        assert!((worth(4.0) - 3.725).abs() < 0.005, "{}", worth(4.0));
        assert!((worth(40.0) - 15.17).abs() < 0.05, "{}", worth(40.0));
    }
}
