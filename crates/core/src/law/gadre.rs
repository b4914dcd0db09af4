//! L(C, M) = E + (a·M^η + b·M^−η)·C^−η: loss against compute and tokens per parameter.

use super::optimum::Balance;
use super::projection::{EXPONENTS, Projection};
use super::{
    Centre, Domain, LawForm, MAX_PARAMETERS, Needs, Parameter, Position, Response, Sample, Theta, amplitude, as_it_is,
    exponent, floor, padded,
};
use crate::math;

/// Over-training moves a whole line of loss against compute up, and leaves its slope alone.
///
/// # Formula
///
/// L(C, M) = E + (a·M^η + b·M^−η)·C^−η, with M = D/N (tokens per parameter), C = 6ND (FLOPs, by that rule whatever rule
/// counted the runs), E ≥ 0 (loss), a, b > 0 and η > 0. It is Chinchilla's law with α = β = 2η: a·6^−η·N^−2η is what a finite
/// model misses, b·6^−η·D^−2η what finite data miss.
///
/// Internally θ = (ln a − η ln 6 − 2η ln N₀, ln b − η ln 6 − 2η ln D₀, E, η).
///
/// # Where it holds
///
/// On finished runs of one recipe that see each token once, from a few tokens per parameter to many hundred, where size and
/// data fall off alike. Where they do not, the tie is paid for in E.
///
/// # Identifiability
///
/// Five runs, if one of them has another ratio than the rest: D/N must span 4x somewhere, and not within one budget, because
/// one exponent serves both terms.
///
/// # Known values
///
/// The paper writes L = a′·N^p + b′·6^(p/2)·(MN)^p + E, so that η = −p/2, a = a′·6^η and b = b′. Five runs of C4: a′ 113.693,
/// b′ 189.516, p −0.242472, E 1.508261; of RedPajama: 166.211, 366.687, −0.272851, 1.836648.
///
/// # Reference
///
/// Gadre et al., 2024, *Language models scale reliably with over-training and on downstream tasks*, arXiv:2403.08540.
pub struct Gadre;

static PARAMETERS: [Parameter; 4] = [amplitude("a"), amplitude("b"), floor("E"), exponent("eta")];

/// FLOPs per parameter and token, by the paper's rule.
const FLOPS_PER_PRODUCT: f64 = 6.0;

/// How far D/N must reach for N and D to be told apart.
const NEEDED_RATIO: f64 = 4.0;

/// θ[index] and η moved back from the centre: ln amplitude = θ + η (ln 6 + 2 ln centre).
fn published_amplitude(theta: &Theta, index: usize, log_centre: f64) -> (f64, Theta) {
    super::moved(theta, index, 3, math::ln(FLOPS_PER_PRODUCT) + 2.0 * log_centre)
}

impl LawForm for Gadre {
    fn name(&self) -> &'static str {
        "gadre"
    }

    fn formula(&self) -> &'static str {
        "L(C, M) = E + (a·M^eta + b·M^-eta)·C^-eta, M = D/N"
    }

    fn domain(&self) -> Domain {
        Domain::SizeAndData
    }

    fn parameters(&self) -> &'static [Parameter] {
        &PARAMETERS
    }

    fn log_loss(&self, theta: &Theta, at: &Position) -> f64 {
        let [a, b, e, eta, ..] = *theta;
        math::ln(e + math::exp(a - 2.0 * eta * at.log_params) + math::exp(b - 2.0 * eta * at.log_tokens))
    }

    fn response(&self, theta: &Theta, at: &Position) -> Response {
        let [a, b, e, eta, ..] = *theta;
        let [x, y] = [2.0 * at.log_params, 2.0 * at.log_tokens];
        let [size, data] = [math::exp(a - eta * x), math::exp(b - eta * y)];
        let loss = e + size + data;
        let [size, data] = [size / loss, data / loss];
        let gradient = padded([size, data, 1.0 / loss, -x * size - y * data]);
        let mut hessian = [Theta::default(); MAX_PARAMETERS];
        hessian[0] = padded([size, 0.0, 0.0, -x * size]);
        hessian[1] = padded([0.0, data, 0.0, -y * data]);
        hessian[3] = padded([-x * size, -y * data, 0.0, x * x * size + y * y * data]);
        for (row, gi) in hessian.iter_mut().zip(gradient) {
            row.iter_mut().zip(gradient).for_each(|(entry, gj)| *entry -= gi * gj);
        }
        Response { log_loss: math::ln(loss), gradient, hessian }
    }

    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta {
        let [a, b, e, eta, ..] = *natural;
        let at_centre = |amplitude: f64, log_centre: f64| {
            math::ln(amplitude) - eta * (math::ln(FLOPS_PER_PRODUCT) + 2.0 * log_centre)
        };
        padded([at_centre(a, centre.log_params), at_centre(b, centre.log_tokens), e, eta])
    }

    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
        match index {
            0 => published_amplitude(theta, 0, centre.log_params),
            1 => published_amplitude(theta, 1, centre.log_tokens),
            _ => as_it_is(theta, index),
        }
    }

    fn starts(&self, samples: &[Sample]) -> Vec<Theta> {
        let projection = Projection::onto(samples, true);
        let start = |slope: f64| {
            let linear = projection.solve(|at| [-slope * at.log_params, -slope * at.log_tokens].map(math::exp));
            let [a, b] = linear.log_amplitudes;
            padded([a, b, linear.floor, 0.5 * slope])
        };
        EXPONENTS.iter().map(|&slope| start(slope)).collect()
    }

    fn log_optimal_params(&self, theta: &Theta, centre: &Centre, log_product: f64) -> Option<(f64, Theta)> {
        let [a, b, _, eta, ..] = *theta;
        let balance = Balance { log_amplitudes: [a, b], exponents: [2.0 * eta; 2], kappa: 1.0 };
        let (value, [by_a, by_b, by_alpha, by_beta, ..]) = balance.log_params(centre, log_product);
        Some((value, padded([by_a, by_b, 0.0, 2.0 * (by_alpha + by_beta)])))
    }

    fn needs(&self) -> Needs {
        let own = Needs::of(self.domain(), PARAMETERS.len());
        Needs { spread_budgets: 0, ratio_spread: NEEDED_RATIO, ..own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::chinchilla::Chinchilla;

    /// θ of the paper's own coefficients a′, b′, p, E.
    fn as_written(coefficients: [f64; 4]) -> Theta {
        let [a, b, p, e] = coefficients;
        let eta = -0.5 * p;
        Gadre.internal(&padded([a * math::pow(6.0, eta), b, e, eta]), &Centre::ONE)
    }

    #[test]
    fn the_papers_own_form_gives_the_same_loss() {
        // a' N^p + b' 6^(p/2) (M N)^p + E at N = 1.4e9, M = 20, RedPajama's coefficients.
        let (a, b, p, e) = (166.211, 366.687, -0.272_851, 1.836_648);
        let n = 1.4e9;
        let written = a * math::pow(n, p) + b * math::pow(6.0, 0.5 * p) * math::pow(20.0 * n, p) + e;
        let at = Centre::ONE.position(n, 20.0 * n, 120.0 * n * n);
        let ours = math::exp(Gadre.log_loss(&as_written([a, b, p, e]), &at));
        assert!((ours / written - 1.0).abs() < 1e-13, "{ours} {written}");
    }

    #[test]
    fn it_is_chinchilla_with_equal_exponents() {
        let theta = as_written([113.693, 189.516, -0.242_472, 1.508_261]);
        let natural = padded([113.693, 189.516 * math::pow(6.0, -0.121_236), 1.508_261, 0.242_472, 0.242_472]);
        let chinchilla = Chinchilla.internal(&natural, &Centre::ONE);
        for (n, d) in [(1e7, 1e9), (1e9, 1e10), (7e9, 1.4e11)] {
            let at = Centre::ONE.position(n, d, 6.0 * n * d);
            let [ours, theirs] = [Gadre.log_loss(&theta, &at), Chinchilla.log_loss(&chinchilla, &at)];
            assert!((ours - theirs).abs() < 1e-13, "{n} {d}");
        }
    }

    #[test]
    fn amplitudes_are_reported_in_loss_times_flops() {
        // L = 1 + (2 M^0.1 + 3 M^-0.1) C^-0.1 at N = 2, D = 8: M = 4, C = 96.
        let theta = Gadre.internal(&padded([2.0, 3.0, 1.0, 0.1]), &Centre::ONE);
        let by_hand = 1.0 + (2.0 * math::pow(4.0, 0.1) + 3.0 * math::pow(4.0, -0.1)) * math::pow(96.0, -0.1);
        let ours = math::exp(Gadre.log_loss(&theta, &Centre::ONE.position(2.0, 8.0, 96.0)));
        assert!((ours - by_hand).abs() < 1e-13);
        assert_eq!(PARAMETERS[0].symbol, "a");
    }
}
