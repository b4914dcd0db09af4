//! (L − E)/(L0 − L)^a = B·C^−c: a curve that knows where learning starts.

use super::projection::line;
use super::{
    Centre, Domain, LawForm, MAX_PARAMETERS, Needs, Parameter, Position, Response, Sample, Scale, Theta, amplitude,
    as_it_is, exponent, floor,
};
use crate::math;

/// Loss goes from the level of an untrained model to an irreducible one along an S, whose end is a power law.
///
/// # Formula
///
/// (L − E)/(L0 − L)^a = B·C^−c, with 0 ≤ E < L < L0 (losses), a in [0.02, 4], B > 0 (loss^{1−a} × FLOP^c), c > 0, and C in
/// FLOPs. Each C has one such L. a = 0 is the power law with a floor.
///
/// Internally θ = (b, c, a, E, ln L0), where s = (L − E)/(L0 − E) solves s/(1 − s)^a = exp(b − c ln(C/C₀)): found by
/// Halley's iteration on t = ln(s/(1 − s)): t + (a − 1) ln(1 + e^t) rises without an inflexion, and starts from its
/// asymptotes.
///
/// # Where it holds
///
/// On runs of one path of which the smallest have learnt little: there a power law with a floor bends the wrong way and
/// puts the floor too low.
///
/// # Identifiability
///
/// Seven points over a decade or more. L0 is told only by runs near it; far below it a and L0 trade off and the law is a
/// power law with a floor of its own. Where L0 was measured, `m4_pinned` holds it.
///
/// # Known values
///
/// A ladder of tiny models on source code: E 0.62, L0 3.38 (the unigram entropy), a 0.55, ln B 2.93, c 0.105.
///
/// # Reference
///
/// Alabdulmohsin, Neyshabur and Zhai, 2022, *Revisiting neural scaling laws in language and vision*, arXiv:2209.06640,
/// where it is M4.
pub struct M4;

/// A sharpness below 0.02 leaves L0 no say; above 4 (both chosen here) the upper bend is a step.
const SHARPNESS: Parameter = Parameter { symbol: "a", scale: Scale::Linear, lower: 0.02, upper: 4.0, is_floor: false };

static PARAMETERS: [Parameter; 5] = [amplitude("B"), exponent("c"), SHARPNESS, floor("E"), amplitude("L0")];

/// The parameters of a law of this shape that are not L0.
pub(super) static WITHOUT_START: [Parameter; 4] = [PARAMETERS[0], PARAMETERS[1], PARAMETERS[2], PARAMETERS[3]];

/// Steps at most: 2 to 4 suffice for any a, and the error after each is below the cube of the one before.
const MAX_STEPS: usize = 20;
/// A step below this leaves an error below its cube, which is rounding.
const CLOSE: f64 = 1e-5;
/// Tried: E as a share of the lowest loss, L0 as a multiple of the highest, and a.
const FLOORS: [f64; 3] = [0.0, 0.5, 0.9];
const CEILINGS: [f64; 4] = [1.05, 1.4, 2.2, 5.0];
const SHARPNESSES: [f64; 2] = [0.3, 1.0];

/// t = ln(s/(1 − s)) on the curve t + (a − 1) ln(1 + e^t) = z, with s and ln(1 + e^t) there.
struct Logit {
    share: f64,
    softplus: f64,
}

impl Logit {
    fn at(t: f64) -> Self {
        let fall = math::exp(-t.abs());
        let share = if t >= 0.0 { 1.0 } else { fall } / (1.0 + fall);
        Self { share, softplus: t.max(0.0) + math::ln_1p(fall) }
    }

    fn solve(z: f64, a: f64) -> Self {
        let mut t = if z < 0.0 { z } else { z / a };
        for _ in 0..MAX_STEPS {
            let here = Self::at(t);
            let slope = 1.0 + (a - 1.0) * here.share;
            let newton = (t + (a - 1.0) * here.softplus - z) / slope;
            let bend = (a - 1.0) * here.share * (1.0 - here.share) / slope;
            // Halley's correction, held to twice Newton's step.
            let step = newton / (1.0 - 0.5 * newton * bend).max(0.5);
            t -= step;
            if step.abs() <= CLOSE * (1.0 + t.abs()) {
                break;
            }
        }
        Self::at(t)
    }

    /// ∂s/∂z, ∂s/∂a, ∂²s/∂z², ∂²s/∂z∂a, ∂²s/∂a²: by differentiating the equation that t solves.
    fn derivatives(&self, a: f64) -> [f64; 5] {
        let s = self.share;
        let q = s * (1.0 - s);
        let (slope, bend) = (1.0 + (a - 1.0) * s, (a - 1.0) * q);
        let [by_z, by_a] = [1.0 / slope, -self.softplus / slope];
        let zz = -bend * by_z * by_z / slope;
        let za = -(s + bend * by_a) * by_z / slope;
        let aa = -(2.0 * s + bend * by_a) * by_a / slope;
        let turn = q * (1.0 - 2.0 * s);
        let second = |t: f64, product: f64| q * t + turn * product;
        [q * by_z, q * by_a, second(zz, by_z * by_z), second(za, by_z * by_a), second(aa, by_a * by_a)]
    }
}

/// ln L, NaN where E is not below L0: no loss, and no step that a solver takes.
pub(super) fn log_loss(theta: &Theta, at: &Position) -> f64 {
    let [b, c, a, e, log_start, _] = *theta;
    let start = math::exp(log_start);
    if e < start { math::ln(e + (start - e) * Logit::solve(b - c * at.log_flops, a).share) } else { f64::NAN }
}

/// ln L with its derivatives by all five coordinates: L = E + (L0 − E)·s(z, a) with z = b − cx.
pub(super) fn response(theta: &Theta, at: &Position) -> Response {
    let ([b, c, a, e, log_start, _], x) = (*theta, at.log_flops);
    let start = math::exp(log_start);
    let span = if e < start { start - e } else { f64::NAN };
    let logit = Logit::solve(b - c * x, a);
    let (s, [z, sharp, zz, za, aa]) = (logit.share, logit.derivatives(a));
    let loss = e + span * s;
    let gradient = [span * z, -span * x * z, span * sharp, 1.0 - s, start * s, 0.0];
    let mut bend = [
        [span * zz, -span * x * zz, span * za, -z, start * z, 0.0],
        [0.0, span * x * x * zz, -span * x * za, x * z, -start * x * z, 0.0],
        [0.0, 0.0, span * aa, -sharp, start * sharp, 0.0],
        [0.0; MAX_PARAMETERS],
        [0.0, 0.0, 0.0, 0.0, start * s, 0.0],
        [0.0; MAX_PARAMETERS],
    ];
    for i in 0..MAX_PARAMETERS {
        for j in 0..=i {
            let entry = bend[j][i] / loss - gradient[i] * gradient[j] / (loss * loss);
            (bend[i][j], bend[j][i]) = (entry, entry);
        }
    }
    Response { log_loss: math::ln(loss), gradient: gradient.map(|slope| slope / loss), hessian: bend }
}

/// A parameter as published: ln B = b + c ln C₀ + (1 − a) ln(L0 − E).
pub(super) fn published(index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
    if index > 0 {
        return as_it_is(theta, index);
    }
    let [b, c, a, e, log_start, _] = *theta;
    let start = math::exp(log_start);
    let (span, log_span) = (start - e, math::ln(start - e));
    let gradient = [1.0, centre.log_flops, -log_span, -(1.0 - a) / span, (1.0 - a) * start / span, 0.0];
    (b + c * centre.log_flops + (1.0 - a) * log_span, gradient)
}

/// θ from parameters as published, L0 among them.
pub(super) fn internal(natural: &Theta, centre: &Centre) -> Theta {
    let [amplitude, c, a, e, start, _] = *natural;
    let b = math::ln(amplitude) - c * centre.log_flops - (1.0 - a) * math::ln(start - e);
    [b, c, a, e, math::ln(start), 0.0]
}

/// Starts for given upper levels: for fixed E, L0 and a the formula is a straight line in ln C.
pub(super) fn starts(samples: &[Sample], levels: &[f64]) -> Vec<Theta> {
    let lowest = samples.iter().map(|sample| math::exp(sample.log_loss)).fold(f64::INFINITY, f64::min);
    let mut starts = Vec::new();
    for &start in levels {
        for e in FLOORS.map(|share| share * lowest) {
            starts.extend(SHARPNESSES.map(|a| straightened(samples, e, start, a)));
        }
    }
    starts
}

fn straightened(samples: &[Sample], e: f64, start: f64, a: f64) -> Theta {
    let side = |sample: &Sample| {
        let share = ((math::exp(sample.log_loss) - e) / (start - e)).clamp(1e-6, 1.0 - 1e-6);
        math::ln(share) - a * math::ln(1.0 - share)
    };
    let (b, slope) = line(samples, |sample| (sample.at.log_flops, side(sample)));
    [b, (-slope).clamp(PARAMETERS[1].lower, PARAMETERS[1].upper), a, e, math::ln(start), 0.0]
}

impl LawForm for M4 {
    fn name(&self) -> &'static str {
        "m4"
    }

    fn formula(&self) -> &'static str {
        "(L - E)/(L0 - L)^a = B·C^-c"
    }

    fn domain(&self) -> Domain {
        Domain::Compute
    }

    fn parameters(&self) -> &'static [Parameter] {
        &PARAMETERS
    }

    fn needs(&self) -> Needs {
        Needs { observations: 7, decades: 1.0, ..Needs::of(Domain::Compute, PARAMETERS.len()) }
    }

    fn log_loss(&self, theta: &Theta, at: &Position) -> f64 {
        log_loss(theta, at)
    }

    fn response(&self, theta: &Theta, at: &Position) -> Response {
        response(theta, at)
    }

    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
        published(index, theta, centre)
    }

    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta {
        internal(natural, centre)
    }

    fn starts(&self, samples: &[Sample]) -> Vec<Theta> {
        let highest = samples.iter().map(|sample| math::exp(sample.log_loss)).fold(0.0, f64::max);
        starts(samples, &CEILINGS.map(|factor| factor * highest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::power_law::PowerLaw;
    use crate::law::{Domain, padded};

    fn at(log_flops: f64) -> Position {
        Position { log_flops, ..Position::default() }
    }

    #[test]
    fn a_case_worked_by_hand() {
        // E = 1, L0 = 3, a = 1 is a logistic curve: (L - 1)/(3 - L) = 4 C^-0.5 is 1 at C = 16, so L = 2 halfway.
        let theta = M4.internal(&[4.0, 0.5, 1.0, 1.0, 3.0, 0.0], &Centre::ONE);
        assert!((math::exp(M4.log_loss(&theta, &at(math::ln(16.0)))) - 2.0).abs() < 1e-14);
        // And 4/5 of the way at C = 1, where the right-hand side is 4.
        assert!((math::exp(M4.log_loss(&theta, &at(0.0))) - 2.6).abs() < 1e-14);
    }

    #[test]
    fn every_solution_satisfies_the_published_formula() {
        for a in [0.02, 0.3, 0.55, 1.0, 2.2, 4.0] {
            for x in [-30.0, -8.0, -0.1, 0.0, 0.4, 6.0, 25.0] {
                let natural = [1.7, 0.3, a, 0.62, 3.38, 0.0];
                let loss = math::exp(M4.log_loss(&M4.internal(&natural, &Centre::ONE), &at(x)));
                assert!((0.62..=3.38).contains(&loss), "{a} {x} {loss}");
                // Next to either level the difference in the formula has no digits left.
                if (0.63..3.37).contains(&loss) {
                    let side = math::ln(loss - 0.62) - a * math::ln(3.38 - loss) - math::ln(1.7) + 0.3 * x;
                    assert!(side.abs() < 1e-11, "{a} {x} {side:e}");
                }
            }
        }
    }

    #[test]
    fn a_of_0_is_the_power_law_with_a_floor() {
        // s = exp(z) while z < 0, so that L = E + (L0 - E) exp(b) C^-c.
        let theta = [-0.4, 0.2, 0.0, 1.1, math::ln(4.0), 0.0];
        for x in [-1.0, 0.0, 4.0, 20.0] {
            let power = padded([math::ln(4.0 - 1.1) - 0.4, 0.2, 1.1]);
            assert!((M4.log_loss(&theta, &at(x)) - PowerLaw.log_loss(&power, &at(x))).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn its_end_is_a_power_law_and_its_beginning_the_start_level() {
        let theta = M4.internal(&[1.7, 0.3, 0.55, 0.62, 3.38, 0.0], &Centre::ONE);
        let excess = |x: f64| math::exp(M4.log_loss(&theta, &at(x))) - 0.62;
        assert!((math::ln(excess(40.0) / excess(50.0)) / 10.0 - 0.3).abs() < 1e-5);
        assert!((excess(-200.0) - (3.38 - 0.62)).abs() < 1e-12);
    }

    #[test]
    fn a_floor_above_the_start_level_is_no_loss() {
        assert!(M4.log_loss(&[0.0, 0.2, 0.5, 3.0, 1.0, 0.0], &at(0.0)).is_nan());
        assert!(M4.response(&[0.0, 0.2, 0.5, 3.0, 1.0, 0.0], &at(0.0)).log_loss.is_nan());
    }

    #[test]
    fn its_needs_are_more_than_one_observation_per_parameter() {
        assert_eq!(M4.domain(), Domain::Compute);
        assert!(M4.needs().observations > PARAMETERS.len() + 1);
    }
}
