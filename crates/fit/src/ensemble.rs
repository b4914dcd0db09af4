//! One predictive distribution from several laws: a mixture, widened by seed noise and model form.
//!
//! Each law's own uncertainty comes from the profile of its prediction: the signed root of the scaled rise is read as
//! Student's t. The mixture of the laws is then blurred, in log loss, by one Student's t with 4 degrees of freedom whose
//! squared scale is the sum of those of seed noise and model form.

use forescale_core::estimate::Interval;
use forescale_core::math;
use forescale_core::predictive::Predictive;

use crate::FitError;
use crate::form_error::t4_cdf;
use crate::profile::Profile;

/// Points that stand for one law's distribution, at equal probability.
const ATOMS: usize = 49;

/// Largest log loss either way that a distribution holds: beyond it the loss is no number. A profile that never ends is
/// cut here.
pub(crate) const LARGEST: f64 = 600.0;
/// Halvings that find a quantile: more than a number has bits, so that rounding ends no search in a loop.
const HALVINGS: usize = 100;

/// The widest central interval: 1/98 of a law's atoms lies beyond either end of them.
const WIDEST_LEVEL: f64 = 0.98;

/// Refuses a level whose ends no forecast knows.
pub(crate) fn validate_level(level: f64) -> Result<(), FitError> {
    if level <= WIDEST_LEVEL {
        return Ok(());
    }
    let allowed = "at most 0.98, beyond which nobody knows how far the tails of a forecast reach";
    Err(FitError::BadOption { option: "--level", value: level, allowed })
}

/// One law's distribution of log loss at a target.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) weight: f64,
    atoms: Vec<f64>,
}

impl Member {
    /// From a law's profile and the roots at [`atom_levels`], moved by `shift`.
    pub(crate) fn new(weight: f64, profile: &Profile, roots: &[f64], shift: f64) -> Self {
        let atom = |&root: &f64| (profile.value(root) + shift).clamp(-LARGEST, LARGEST);
        Self { weight, atoms: roots.iter().map(atom).collect() }
    }

    /// From points of equal probability.
    pub(crate) fn of_atoms(weight: f64, atoms: Vec<f64>) -> Self {
        Self { weight, atoms }
    }

    /// The same kept between two log losses.
    pub(crate) fn within(mut self, (low, high): (f64, f64)) -> Self {
        self.atoms.iter_mut().for_each(|atom| *atom = atom.clamp(low, high));
        self
    }
}

/// The probabilities that atoms stand for.
pub(crate) fn atom_levels() -> Vec<f64> {
    (0..ATOMS).map(|i| (i as f64 + 0.5) / ATOMS as f64).collect()
}

/// The predictive distribution of loss: members blurred by `scale` in log loss.
pub(crate) fn blend(members: &[Member], scale: f64) -> Predictive {
    let mut predictive = blend_linear(members, scale);
    predictive.values.iter_mut().for_each(|value| *value = math::exp(value.clamp(-LARGEST, LARGEST)));
    predictive
}

/// The same where members are in the unit of the answer itself: no logarithm is undone.
pub(crate) fn blend_linear(members: &[Member], scale: f64) -> Predictive {
    let levels = Predictive::standard_levels();
    let scale = scale.max(1e-9);
    let (low, high) = members
        .iter()
        .flat_map(|m| &m.atoms)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &a| (l.min(a), h.max(a)));
    let mut from = low - 12.0 * scale;
    let mut values = Vec::with_capacity(levels.len());
    for &level in &levels {
        from = invert(members, scale, level, (from, high + 12.0 * scale));
        values.push(from);
    }
    Predictive { levels, values }
}

fn cdf(members: &[Member], scale: f64, log_loss: f64) -> f64 {
    let one = |member: &Member| {
        let inside: f64 = member.atoms.iter().map(|atom| t4_cdf((log_loss - atom) / scale)).sum();
        member.weight * inside / member.atoms.len() as f64
    };
    members.iter().map(one).sum()
}

fn invert(members: &[Member], scale: f64, level: f64, (mut low, mut high): (f64, f64)) -> f64 {
    for _ in 0..HALVINGS {
        if high - low <= 1e-4 * scale {
            break;
        }
        let middle = 0.5 * (low + high);
        if cdf(members, scale, middle) < level { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Central interval of the laws alone, without seed noise and form.
pub(crate) fn mean_interval(members: &[Member], level: f64) -> Interval {
    let mut atoms: Vec<(f64, f64)> = members
        .iter()
        .flat_map(|m| m.atoms.iter().map(|&atom| (atom, m.weight / m.atoms.len() as f64)))
        .filter(|atom| atom.1 > 0.0)
        .collect();
    atoms.sort_by(|a, b| a.0.total_cmp(&b.0));
    let at = |level: f64| math::exp(weighted_quantile(&atoms, level));
    let tail = 0.5 * (1.0 - level);
    Interval { level, lower: at(tail), upper: at(1.0 - tail) }
}

/// Quantile of weighted points, linear between the middles of their weights.
fn weighted_quantile(atoms: &[(f64, f64)], level: f64) -> f64 {
    let mut before = 0.0;
    let mut last: Option<(f64, f64)> = None;
    for &(value, weight) in atoms {
        let middle = before + 0.5 * weight;
        if middle >= level {
            return last.map_or(value, |(v, m)| v + (value - v) * (level - m) / (middle - m));
        }
        before += weight;
        last = Some((value, middle));
    }
    last.map_or(0.0, |(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(weight: f64, at: f64) -> Member {
        Member { weight, atoms: vec![at] }
    }

    #[test]
    fn one_certain_law_leaves_a_student_t_of_the_blur() {
        // t(0.95; 4) = 2.131846786 (Abramowitz and Stegun, table 26.10).
        let predictive = blend(&[point(1.0, 1.0)], 0.02);
        let interval = predictive.interval(0.9);
        assert!((math::ln(interval.upper) - (1.0 + 0.02 * 2.131_846_786)).abs() < 1e-5);
        assert!((math::ln(interval.lower) - (1.0 - 0.02 * 2.131_846_786)).abs() < 1e-5);
        assert!((math::ln(predictive.median()) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn two_laws_apart_make_an_interval_that_holds_both() {
        let predictive = blend(&[point(0.5, 0.9), point(0.5, 1.1)], 0.01);
        let interval = predictive.interval(0.9);
        assert!(interval.contains(math::exp(0.9)) && interval.contains(math::exp(1.1)));
    }

    #[test]
    fn quantiles_never_fall() {
        let predictive = blend(&[point(0.5, 0.9), point(0.5, 1.1)], 0.001);
        assert!(predictive.values.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
