//! L(C) = a + b·C^−c0·[1 + (C/d1)^{1/f1}]^{−c1·f1}: two power laws with a smooth break.

use super::projection::Projection;
use super::sum::LogExcess;
use super::{
    Centre, Domain, LawForm, Needs, Parameter, Position, Response, Sample, Scale, Theta, amplitude, as_it_is, floor,
    moved,
};
use crate::math;

/// A power law whose exponent changes once, upwards or downwards: it shows that a curve breaks or turns, and where.
///
/// # Formula
///
/// L(C) = a + b·C^−c0·[1 + (C/d1)^{1/f1}]^{−c1·f1}, with a ≥ 0 (loss), b, d1 > 0 (d1 in FLOPs), c0 in [−2, 4], c1 in
/// [−4, 4], f1 in [0.05, 3], and C in FLOPs. Far below d1 the exponent is c0, far above it c0 + c1; where one is below zero
/// the loss rises there. f1 is the width of the change in ln C.
///
/// Internally θ = (ln b − c0 ln C₀, a, c0, c1, ln(d1/C₀), f1).
///
/// # Where it holds
///
/// As a diagnosis: of a break in the recipe, and of losses that turn round. Never as the default for extrapolation: it
/// bends wherever the data ask it to, and what it says past the data is what its last two points say. A turn beyond the data
/// cannot be seen by any fit.
///
/// # Identifiability
///
/// Eight points over two decades or more, with some on each side of the break. Without a break (c1 = 0) d1 and f1 mean
/// nothing.
///
/// # Known values
///
/// With one break it needs six numbers where the power law with a floor needs three; its authors fit up to three breaks.
///
/// # Reference
///
/// Caballero, Gupta, Rish and Krueger, 2023, *Broken neural scaling laws*, equation 1 with n = 1, arXiv:2210.14891.
pub struct Bnsl;

const fn within(symbol: &'static str, lower: f64, upper: f64) -> Parameter {
    Parameter { symbol, scale: Scale::Linear, lower, upper, is_floor: false }
}

/// Bounds chosen here: exponents as those of other laws and their negatives; a break sharper than 0.05 is a corner, one
/// wider than 3 (12 in ln C from end to end) a curve that other laws draw with less; it may lie 12 decades off.
static PARAMETERS: [Parameter; 6] = [
    amplitude("b"),
    floor("a"),
    within("c0", -2.0, 4.0),
    within("c1", -4.0, 4.0),
    Parameter { symbol: "d1", scale: Scale::Logarithmic, lower: -28.0, upper: 28.0, is_floor: false },
    within("f1", 0.05, 3.0),
];

/// Tried: the exponent before the break, its change, the place of the break within the data, and its width.
const EXPONENTS: [f64; 3] = [0.02, 0.12, 0.4];
const CHANGES: [f64; 3] = [-0.4, 0.1, 0.5];
const PLACES: [f64; 4] = [0.15, 0.4, 0.65, 0.9];
const WIDTHS: [f64; 2] = [0.2, 1.0];

/// ln of the falling part.
fn excess(theta: &Theta, at: &Position) -> LogExcess {
    let ([b, _, c0, c1, d, f], x) = (*theta, at.log_flops);
    let (v, sp, s) = bend(x, d, f);
    let (curve, q) = (sp - v * s, s * (1.0 - s));
    let gradient = [1.0, 0.0, -x, -f * sp, c1 * s, -c1 * curve];
    let mut excess = LogExcess { value: b - c0 * x - c1 * f * sp, gradient, ..LogExcess::default() };
    excess.set(3, 4, s);
    excess.set(3, 5, -curve);
    excess.set(4, 4, -c1 * q / f);
    excess.set(4, 5, -c1 * q * v / f);
    excess.set(5, 5, -c1 * q * v * v / f);
    excess
}

/// v = (x − d)/f, ln(1 + e^v) and its slope.
fn bend(x: f64, d: f64, f: f64) -> (f64, f64, f64) {
    let v = (x - d) / f;
    let fall = math::exp(-v.abs());
    (v, v.max(0.0) + math::ln_1p(fall), if v >= 0.0 { 1.0 } else { fall } / (1.0 + fall))
}

impl LawForm for Bnsl {
    fn name(&self) -> &'static str {
        "bnsl"
    }

    fn formula(&self) -> &'static str {
        "L(C) = a + b·C^-c0·[1 + (C/d1)^(1/f1)]^(-c1·f1)"
    }

    fn domain(&self) -> Domain {
        Domain::Compute
    }

    fn parameters(&self) -> &'static [Parameter] {
        &PARAMETERS
    }

    fn needs(&self) -> Needs {
        Needs { observations: 8, decades: 2.0, ..Needs::of(Domain::Compute, PARAMETERS.len()) }
    }

    fn extrapolates(&self) -> bool {
        false
    }

    fn log_loss(&self, theta: &Theta, at: &Position) -> f64 {
        let ([b, a, c0, c1, d, f], x) = (*theta, at.log_flops);
        math::ln(a + math::exp(b - c0 * x - c1 * f * bend(x, d, f).1))
    }

    fn response(&self, theta: &Theta, at: &Position) -> Response {
        excess(theta, at).above(Some((theta[1], 1)))
    }

    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta) {
        match index {
            0 => moved(theta, 0, 2, centre.log_flops),
            4 => {
                let (place, gradient) = as_it_is(theta, 4);
                (place + centre.log_flops, gradient)
            }
            _ => as_it_is(theta, index),
        }
    }

    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta {
        let [b, a, c0, c1, d1, f1] = *natural;
        [math::ln(b) - c0 * centre.log_flops, a, c0, c1, math::ln(d1) - centre.log_flops, f1]
    }

    fn starts(&self, samples: &[Sample]) -> Vec<Theta> {
        let projection = Projection::onto(samples, true);
        let flops = samples.iter().map(|sample| sample.at.log_flops);
        let (low, high) = flops.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let mut starts = Vec::new();
        for d in PLACES.map(|share| low + share * (high - low)) {
            for (c0, c1) in EXPONENTS.into_iter().flat_map(|c0| CHANGES.map(|c1| (c0, c1))) {
                starts.extend(WIDTHS.map(|f| {
                    let linear = projection.solve(|at| [math::exp(excess(&[0.0, 0.0, c0, c1, d, f], at).value)]);
                    [linear.log_amplitudes[0], linear.floor, c0, c1, d, f]
                }));
            }
        }
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::padded;
    use crate::law::power_law::PowerLaw;

    fn at(log_flops: f64) -> Position {
        Position { log_flops, ..Position::default() }
    }

    #[test]
    fn a_case_worked_by_hand() {
        // a = 1, b = 12, c0 = 0.5, c1 = 1, d1 = 3, f1 = 1 at C = 9: 12/3 / (1 + 3) + 1 = 2.
        let theta = Bnsl.internal(&[12.0, 1.0, 0.5, 1.0, 3.0, 1.0], &Centre::ONE);
        assert!((math::exp(Bnsl.log_loss(&theta, &at(math::ln(9.0)))) - 2.0).abs() < 1e-13);
    }

    #[test]
    fn c1_of_0_is_the_power_law() {
        for x in [-9.0, 0.0, 2.0, 14.0] {
            let (broken, plain) = ([0.3, 1.2, 0.2, 0.0, 1.0, 0.4], padded([0.3, 0.2, 1.2]));
            assert!((Bnsl.log_loss(&broken, &at(x)) - PowerLaw.log_loss(&plain, &at(x))).abs() < 1e-14);
        }
    }

    #[test]
    fn the_exponents_on_either_side_are_c0_and_c0_plus_c1() {
        let theta = [0.3, 0.0, 0.2, -0.5, 1.0, 0.4];
        let slope = |x: f64| Bnsl.log_loss(&theta, &at(x + 1.0)) - Bnsl.log_loss(&theta, &at(x));
        assert!((slope(-40.0) + 0.2).abs() < 1e-12);
        assert!((slope(40.0) - 0.3).abs() < 1e-12, "past the break the loss rises");
    }
}
