//! The distribution of what lies between two recipes, law by law.
//!
//! # Formula
//!
//! At the signed root r the difference lies at δ(r) = b(0) − a(0) ± √((b(r) − b(0))² + (a(−r) − a(0))²), a and b the profiles of
//! ln L under either recipe, the sign that of r. Where both are straight this is r standard errors of the difference; where
//! they are not, each end keeps its own lopsidedness (Zou and Donner 2008, square-and-add limits). Roots are Student's with
//! Welch's (1947) degrees of freedom, ν = (s_a² + s_b²)²/(s_a⁴/ν_a + s_b⁴/ν_b): either fit guesses its own noise from few
//! residuals, and it is unlikely that both guess too low. A difference of two of Student's t, one per fit, is what a
//! fiducial argument asks for (Behrens and Fisher) and covers more than it says.
//!
//! Over laws the distributions are mixed, and blurred by one Student's t with 4 degrees of freedom for what else differs.

use forescale_core::math;

use crate::ensemble::atom_levels;
use crate::form_error::t4_cdf;
use crate::profile::Profile;

/// Below this a blur, or a spread, is none: rounding in ln L.
const SHARP: f64 = 1e-12;
/// Halvings that find a root or a quantile: to 1e-12 of the bracket.
const HALVINGS: usize = 40;
/// No root lies outside: with one degree of freedom the tail beyond holds 0.03%, with five 1e-16.
const LAST_ROOT: f64 = 1e3;

/// One law's curve of a recipe at a budget.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) profile: Profile,
    pub(super) degrees: f64,
}

impl Reading {
    /// Half the distance between the values at a root of one on either side.
    fn deviation(&self) -> f64 {
        0.5 * (self.profile.value(1.0) - self.profile.value(-1.0))
    }

    /// How far the value at a root lies from the best.
    fn away(&self, root: f64) -> f64 {
        self.profile.value(root) - self.profile.centre
    }
}

/// One law's difference of two readings.
#[derive(Clone, Debug)]
pub(super) struct Part {
    weight: f64,
    a: Reading,
    b: Reading,
    degrees: f64,
}

impl Part {
    pub(super) fn new(weight: f64, a: Reading, b: Reading) -> Self {
        let [of_a, of_b] = [&a, &b].map(|reading| reading.deviation() * reading.deviation());
        let spread = of_a * of_a / a.degrees + of_b * of_b / b.degrees;
        let welch = (of_a + of_b) * (of_a + of_b) / spread;
        let degrees = if welch.is_finite() { welch } else { a.degrees.min(b.degrees) };
        Self { weight, a, b, degrees }
    }

    /// The difference at a signed root.
    fn at(&self, root: f64) -> f64 {
        let [a, b] = [self.a.away(-root), self.b.away(root)];
        self.b.profile.centre - self.a.profile.centre + root.signum() * (a * a + b * b).sqrt()
    }

    /// Probability of a difference at most this; half of what lies on it where there is no spread.
    fn below(&self, value: f64) -> f64 {
        let (first, last) = (self.at(-LAST_ROOT), self.at(LAST_ROOT));
        if last - first <= SHARP {
            return step(value - self.at(0.0));
        }
        if value <= first || value >= last {
            return if value <= first { 0.0 } else { 1.0 };
        }
        let root = halved((-LAST_ROOT, LAST_ROOT), |root| self.at(root) < value);
        math::student_t_cdf(root, self.degrees)
    }

    /// Points of equal probability that stand for the distribution.
    fn atoms(&self) -> Vec<f64> {
        atom_levels().into_iter().map(|p| self.at(math::student_t_quantile(p, self.degrees))).collect()
    }
}

/// All or nothing, and half at zero.
fn step(distance: f64) -> f64 {
    if distance.abs() <= SHARP { 0.5 } else { f64::from(u8::from(distance > 0.0)) }
}

/// Where a condition that holds at the low end and not at the high one stops holding.
fn halved((mut low, mut high): (f64, f64), holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if holds(middle) { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// A distribution: the parts' mixture, blurred.
pub(super) struct Difference {
    parts: Vec<Part>,
    /// The parts' atoms, where there is a blur to be laid over them.
    atoms: Vec<Vec<f64>>,
    scale: f64,
}

impl Difference {
    pub(super) fn new(parts: Vec<Part>, scale: f64) -> Self {
        let atoms = if scale > SHARP { parts.iter().map(Part::atoms).collect() } else { Vec::new() };
        Self { parts, atoms, scale }
    }

    /// Probability of a difference at most this; half of what lies on it.
    pub(super) fn probability(&self, value: f64) -> f64 {
        if self.scale <= SHARP {
            return self.parts.iter().map(|part| part.weight * part.below(value)).sum();
        }
        let blurred = |(part, atoms): (&Part, &Vec<f64>)| {
            let inside: f64 = atoms.iter().map(|atom| t4_cdf((value - atom) / self.scale)).sum();
            part.weight * inside / atoms.len() as f64
        };
        self.parts.iter().zip(&self.atoms).map(blurred).sum()
    }

    /// What is as likely exceeded as not: of one law alone exactly where its profiles are least.
    pub(super) fn median(&self) -> f64 {
        match &self.parts[..] {
            [part] if self.scale <= SHARP => part.at(0.0),
            _ => self.quantile(0.5),
        }
    }

    /// The quantile of a probability.
    pub(super) fn quantile(&self, probability: f64) -> f64 {
        let ends = self.parts.iter().map(|part| {
            let root = math::student_t_quantile(0.5 * probability.min(1.0 - probability), part.degrees);
            (part.at(root), part.at(-root))
        });
        let (low, high) =
            ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), (low, high)| (l.min(low), h.max(high)));
        let reach = 30.0 * self.scale + SHARP;
        halved((low - reach, high + reach), |value| self.probability(value) < probability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A straight profile.
    fn reading(centre: f64, deviation: f64, degrees: f64) -> Reading {
        let knots = [-4.0, 0.0, 4.0].map(|root| (root, centre + deviation * root));
        Reading { profile: Profile::of_knots(centre, Some(deviation), &knots), degrees }
    }

    #[test]
    fn a_difference_of_straight_profiles_is_students_t_with_welchs_degrees() {
        // s² = 0.03² + 0.04² = 0.05²; ν = 0.05⁴ / (0.03⁴/5 + 0.04⁴/9) = 14.015.
        let part = Part::new(1.0, reading(0.7, 0.03, 5.0), reading(0.8, 0.04, 9.0));
        assert!((part.degrees - 6.25e-6 / (8.1e-7 / 5.0 + 2.56e-6 / 9.0)).abs() < 1e-9, "{}", part.degrees);
        let difference = Difference::new(vec![part.clone()], 0.0);
        // Near its middle Student's distribution is known to half of a number's digits: the beta function is near 1 there.
        for probability in [0.005, 0.05, 0.5, 0.95] {
            let by_hand = 0.1 + 0.05 * math::student_t_quantile(probability, part.degrees);
            assert!((difference.quantile(probability) - by_hand).abs() < 1e-8, "{probability}");
            assert!((difference.probability(by_hand) - probability).abs() < 1e-7, "{probability}");
        }
    }

    #[test]
    fn each_end_keeps_the_lopsidedness_of_its_own_profiles() {
        let knots = [(-4.0, 0.6), (0.0, 1.0), (4.0, 1.2)];
        let lopsided = Reading { profile: Profile::of_knots(1.0, Some(0.1), &knots), degrees: 5.0 };
        let part = Part::new(1.0, reading(0.0, 0.0, 5.0), lopsided);
        assert!((part.at(2.0) - 1.1).abs() < 1e-12 && (part.at(-2.0) - 0.8).abs() < 1e-12);
    }

    #[test]
    fn two_curves_without_noise_differ_by_one_number() {
        let exact = |centre: f64| Reading { profile: Profile::of_knots(centre, None, &[(0.0, centre)]), degrees: 5.0 };
        let difference = Difference::new(vec![Part::new(1.0, exact(0.5), exact(0.6))], 0.0);
        assert!((difference.quantile(0.05) - 0.1).abs() < 1e-9 && (difference.quantile(0.95) - 0.1).abs() < 1e-9);
        let found: Vec<f64> = [0.05, 0.1, 0.15].map(|value| difference.probability(value)).to_vec();
        assert!(
            found.iter().zip([0.0, 0.5, 1.0]).all(|(found, expected)| (found - expected).abs() < 1e-12),
            "{found:?}"
        );
    }
}
