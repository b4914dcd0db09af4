//! One law fitted to two recipes, and the distribution of what lies between them.

use forescale_core::law::LawName;
use forescale_core::math;

use crate::ensemble::atom_levels;
use crate::fitted::Fitted;
use crate::form_error::{Calibration, t4_cdf};
use crate::frontier::frontier;

/// Level that profiles are traced to: past the outermost atom.
const TRACED_LEVEL: f64 = 0.99;
/// How far the budget of B may lie from that of A, as a logarithm. Chosen here: a multiplier past a million is none.
const REACH: f64 = 6.0 * core::f64::consts::LN_10;
/// Halvings of a bracket of twice [`REACH`], to 1e-12.
const EXACT_HALVINGS: usize = 45;
/// Halvings of a stride, to a thousandth of it: far below what an end is known to.
const HALVINGS: usize = 10;
/// First stride from the estimate, as a logarithm: 2% of compute.
const FIRST_STRIDE: f64 = 0.02;
/// Below this a blur is none: rounding in ln L.
const SHARP: f64 = 1e-12;

/// A law fitted to one recipe, read along its frontier.
pub(super) struct Curve {
    fitted: Fitted,
    /// Student's quantiles at the atoms' levels.
    roots: Vec<f64>,
}

impl Curve {
    fn new(fitted: Fitted) -> Self {
        // The quantiles are symmetric about zero, and the middle one is zero.
        let levels = atom_levels();
        let half: Vec<f64> = levels[..levels.len() / 2].iter().map(|&p| fitted.dispersion.quantile(p)).collect();
        let upper = half.iter().rev().map(|root| -root);
        let roots = half.iter().copied().chain([0.0]).chain(upper).collect();
        Self { fitted, roots }
    }

    /// The law's name.
    pub(super) fn law(&self) -> String {
        self.fitted.law.to_string()
    }

    /// ln L of a budget.
    pub(super) fn log_loss(&self, flops: f64) -> f64 {
        frontier(&self.fitted, flops).at(&self.fitted.problem, &self.fitted.optimum.theta).0
    }

    /// Points of equal probability that stand for the distribution of ln L at a budget.
    fn atoms(&self, flops: f64) -> Vec<f64> {
        let profile = self.fitted.profile(frontier(&self.fitted, flops), TRACED_LEVEL);
        self.roots.iter().map(|&root| profile.value(root)).collect()
    }
}

/// One law under both recipes.
pub(super) struct Pair {
    pub(super) weight: f64,
    pub(super) a: Curve,
    pub(super) b: Curve,
}

impl Pair {
    /// The compute multiplier by this law alone.
    pub(super) fn multiplier(&self, flops: f64) -> Option<f64> {
        let target = self.a.log_loss(flops);
        equal(flops, |flops_b| self.b.log_loss(flops_b) - target)
    }
}

/// A/B in compute where a function of ln C_B that falls through zero is zero; `None` where it does not within reach.
fn equal(flops: f64, difference: impl Fn(f64) -> f64) -> Option<f64> {
    let at = |log_multiplier: f64| difference(flops * math::exp(-log_multiplier));
    let (mut low, mut high) = (-REACH, REACH);
    if at(low) > 0.0 || at(high) < 0.0 {
        return None;
    }
    for _ in 0..EXACT_HALVINGS {
        let middle = 0.5 * (low + high);
        if at(middle) < 0.0 { low = middle } else { high = middle }
    }
    Some(math::exp(0.5 * (low + high)))
}

/// All pairs, with what else blurs their difference.
pub(super) struct Pairs {
    pairs: Vec<Pair>,
    /// Largest compute of either recipe.
    pub(super) max_a: f64,
    pub(super) max_b: f64,
    /// Standard deviation, in log loss, that differing evaluation sets add.
    evaluation_noise: f64,
}

impl Pairs {
    /// Laws that both recipes carry, equally weighted; a law without a floor only where there is no other.
    pub(super) fn new(a: Vec<Fitted>, b: Vec<Fitted>, evaluation_noise: f64) -> Option<Self> {
        let max = |laws: &[Fitted]| laws.iter().map(Fitted::max_flops).fold(0.0, f64::max);
        let (max_a, max_b) = (max(&a), max(&b));
        let mut others = b;
        let mut pairs: Vec<Pair> = Vec::new();
        for law in a {
            if let Some(at) = others.iter().position(|other| other.law == law.law) {
                pairs.push(Pair { weight: 1.0, a: Curve::new(law), b: Curve::new(others.swap_remove(at)) });
            }
        }
        if pairs.iter().any(|pair| pair.a.fitted.law != LawName::LOG_LOG) {
            pairs.retain(|pair| pair.a.fitted.law != LawName::LOG_LOG);
        }
        let weight = 1.0 / pairs.len() as f64;
        pairs.iter_mut().for_each(|pair| pair.weight = weight);
        (!pairs.is_empty()).then_some(Self { pairs, max_a, max_b, evaluation_noise })
    }

    /// The pairs.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter()
    }

    /// Both losses at a budget: geometric means over the laws.
    pub(super) fn losses(&self, flops: f64) -> (f64, f64) {
        let mean = |of: fn(&Pair) -> &Curve| {
            math::exp(self.pairs.iter().map(|pair| pair.weight * of(pair).log_loss(flops)).sum())
        };
        (mean(|pair| &pair.a), mean(|pair| &pair.b))
    }

    /// ln L_B − ln L_A at one budget, mean over the laws.
    pub(super) fn mean_difference(&self, flops: f64) -> f64 {
        self.apart(flops, flops)
    }

    fn apart(&self, flops_a: f64, flops_b: f64) -> f64 {
        self.pairs.iter().map(|pair| pair.weight * (pair.b.log_loss(flops_b) - pair.a.log_loss(flops_a))).sum()
    }

    /// The compute multiplier at a budget of A.
    pub(super) fn multiplier(&self, flops: f64) -> Option<f64> {
        equal(flops, |flops_b| self.apart(flops, flops_b))
    }

    /// The end of an interval for the multiplier: on the way up or down from the estimate, the first multiplier whose
    /// probability of not being exceeded is this. `None` where there is none within a factor of a million.
    ///
    /// The way goes outwards because far from all data the error of form swamps every difference: there both ends of the
    /// scale look alike again, and a search from outside would end in what nobody knows.
    pub(super) fn multiplier_end(&self, flops: f64, probability: f64) -> Option<f64> {
        let of_a: Vec<Vec<f64>> = self.pairs.iter().map(|pair| pair.a.atoms(flops)).collect();
        // P(m ≤ m₀) = P(ln L_B(C/m₀) − ln L_A(C) ≥ 0).
        let below = |log_multiplier: f64| {
            let flops_b = flops * math::exp(-log_multiplier);
            1.0 - self.difference_from(&of_a, flops, flops_b).probability(0.0)
        };
        let is_upper = probability > 0.5;
        let sign = if is_upper { 1.0 } else { -1.0 };
        let passed = |at: f64| (below(at) - probability) * sign >= 0.0;
        let mut inside = match self.multiplier(flops) {
            Some(multiplier) => math::ln(multiplier),
            None if is_upper => -REACH,
            None => return None,
        };
        let (mut stride, mut outside) = (FIRST_STRIDE, inside + sign * FIRST_STRIDE);
        while !passed(outside) {
            inside = outside;
            stride *= 1.5;
            outside += sign * stride;
            if outside.abs() > REACH {
                return None;
            }
        }
        for _ in 0..HALVINGS {
            let middle = 0.5 * (inside + outside);
            if passed(middle) { outside = middle } else { inside = middle }
        }
        Some(math::exp(0.5 * (inside + outside)))
    }

    /// The distribution of ln L_B(C_B) − ln L_A(C_A).
    pub(super) fn difference(&self, flops_a: f64, flops_b: f64) -> Difference {
        let of_a: Vec<Vec<f64>> = self.pairs.iter().map(|pair| pair.a.atoms(flops_a)).collect();
        self.difference_from(&of_a, flops_a, flops_b)
    }

    fn difference_from(&self, of_a: &[Vec<f64>], flops_a: f64, flops_b: f64) -> Difference {
        let [form_a, form_b] = [flops_a / self.max_a, flops_b / self.max_b].map(form_square);
        let scale = (form_a + form_b + self.evaluation_noise * self.evaluation_noise).sqrt();
        let part = |(pair, a): (&Pair, &Vec<f64>)| Part { weight: pair.weight, a: a.clone(), b: pair.b.atoms(flops_b) };
        Difference { parts: self.pairs.iter().zip(of_a).map(part).collect(), scale }
    }
}

/// Squared scale of the error of form at this multiple of the largest compute, in excess of that inside the data.
fn form_square(multiple: f64) -> f64 {
    let scale = |decades| Calibration::default().scale(decades);
    let [beyond, inside] = [math::log10(multiple), 0.0].map(scale);
    (beyond * beyond - inside * inside).max(0.0)
}

struct Part {
    weight: f64,
    a: Vec<f64>,
    b: Vec<f64>,
}

/// A distribution: every atom of B less every atom of A, mixed over laws and blurred.
pub(super) struct Difference {
    parts: Vec<Part>,
    scale: f64,
}

impl Difference {
    /// Probability of a difference at most this; half of what lies on it.
    pub(super) fn probability(&self, at: f64) -> f64 {
        let of = |part: &Part| {
            let apart = part.b.iter().flat_map(|b| part.a.iter().map(move |a| b - a));
            part.weight * apart.map(|d| self.below(at - d)).sum::<f64>() / (part.a.len() * part.b.len()) as f64
        };
        self.parts.iter().map(of).sum()
    }

    fn below(&self, distance: f64) -> f64 {
        if self.scale > SHARP {
            t4_cdf(distance / self.scale)
        } else if distance.abs() <= SHARP {
            0.5
        } else {
            f64::from(u8::from(distance > 0.0))
        }
    }

    /// The quantile of a probability.
    pub(super) fn quantile(&self, probability: f64) -> f64 {
        let ends = self.parts.iter().flat_map(|part| part.b.iter().flat_map(|b| part.a.iter().map(move |a| b - a)));
        let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), d| (l.min(d), h.max(d)));
        let (mut low, mut high) = (low - 30.0 * self.scale - SHARP, high + 30.0 * self.scale + SHARP);
        while high - low > 1e-4 * self.scale.max(1e-6 * (high - low)).max(SHARP) {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            if self.probability(middle) < probability { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }
}
