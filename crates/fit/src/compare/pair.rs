//! One law fitted to two recipes, and what lies between them.

use forescale_core::math;

use super::difference::{Difference, Part, Reading};
use crate::fitted::Fitted;
use crate::forecaster::is_special_case;
use crate::form_error::Calibration;
use crate::frontier::frontier;

/// Level that profiles are traced to: past the ends of the usual intervals; straight beyond.
const TRACED_LEVEL: f64 = 0.99;
/// How far the budget of B may lie from that of A, as a logarithm. Chosen here: a multiplier past a million is none.
const REACH: f64 = 6.0 * core::f64::consts::LN_10;
/// Halvings of a bracket of twice [`REACH`], to 1e-12.
const EXACT_HALVINGS: usize = 45;
/// Halvings of a stride, to a thousandth of it: far below what an end is known to.
const HALVINGS: usize = 10;
/// First stride from the estimate, as a logarithm: 2% of compute.
const FIRST_STRIDE: f64 = 0.02;

/// A law fitted to one recipe, read along its frontier.
pub(super) struct Curve {
    fitted: Fitted,
}

impl Curve {
    /// The law's name.
    pub(super) fn law(&self) -> String {
        self.fitted.law.to_string()
    }

    /// ln L of a budget.
    pub(super) fn log_loss(&self, flops: f64) -> f64 {
        frontier(&self.fitted, flops).at(&self.fitted.problem, &self.fitted.optimum.theta).0
    }

    /// ln L of a budget with its profile.
    fn reading(&self, flops: f64) -> Reading {
        let profile = self.fitted.profile(frontier(&self.fitted, flops), TRACED_LEVEL);
        Reading { profile, degrees: self.fitted.dispersion.degrees }
    }
}

/// One law under both recipes.
pub(super) struct Pair {
    pub(super) weight: f64,
    pub(super) a: Curve,
    pub(super) b: Curve,
}

impl Pair {
    /// Whether both fits satisfy something.
    fn both(&self, holds: impl Fn(&Fitted) -> bool) -> bool {
        holds(&self.a.fitted) && holds(&self.b.fitted)
    }

    /// What a forecast asks of a law before it listens to it, the first thing first: that its word counts beyond data, that
    /// it is drawn through runs or many vertices, and that it is no special case of another.
    fn rank(&self, others: &[Self]) -> [bool; 3] {
        let law = self.a.fitted.law;
        [
            self.both(|fitted| fitted.law.form().extrapolates()),
            self.both(|fitted| !fitted.is_of_few_vertices()),
            !others.iter().any(|other| is_special_case(law, other.a.fitted.law)),
        ]
    }

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

/// What both recipes' budgets for one loss come to, A's over B's; `None` where none within a factor of a million does.
pub(super) struct Multiplier {
    pub(super) median: Option<f64>,
    pub(super) lower: Option<f64>,
    pub(super) upper: Option<f64>,
}

/// All pairs, with what else blurs their difference.
pub(super) struct Pairs {
    /// Those that count.
    pairs: Vec<Pair>,
    /// Those without weight.
    silent: Vec<Pair>,
    /// Largest compute of either recipe.
    pub(super) max_a: f64,
    pub(super) max_b: f64,
    /// Standard deviation, in log loss, that differing evaluation sets add.
    evaluation_noise: f64,
    /// What errors of form past the runs are expected to be.
    calibration: Calibration,
}

impl Pairs {
    /// Laws that both recipes carry: those count, and equally, that a forecast would listen to before the others.
    pub(super) fn new(a: Vec<Fitted>, b: Vec<Fitted>, evaluation_noise: f64) -> Option<Self> {
        let max = |laws: &[Fitted]| laws.iter().map(Fitted::max_flops).fold(0.0, f64::max);
        let (max_a, max_b) = (max(&a), max(&b));
        let mut others = b;
        let mut all: Vec<Pair> = Vec::new();
        for law in a {
            if let Some(at) = others.iter().position(|other| other.law == law.law) {
                all.push(Pair { weight: 0.0, a: Curve { fitted: law }, b: Curve { fitted: others.swap_remove(at) } });
            }
        }
        let ranks: Vec<[bool; 3]> = all.iter().map(|pair| pair.rank(&all)).collect();
        let best = ranks.iter().max().copied()?;
        let (mut pairs, mut silent) = (Vec::new(), Vec::new());
        all.into_iter()
            .zip(ranks)
            .for_each(|(pair, rank)| if rank == best { &mut pairs } else { &mut silent }.push(pair));
        let weight = 1.0 / pairs.len() as f64;
        pairs.iter_mut().for_each(|pair| pair.weight = weight);
        let calibration = calibration(&pairs);
        Some(Self { pairs, silent, max_a, max_b, evaluation_noise, calibration })
    }

    /// Both fits of each law that counts.
    pub(super) fn counted(&self) -> impl Iterator<Item = [&Fitted; 2]> {
        self.pairs.iter().map(|pair| [&pair.a.fitted, &pair.b.fitted])
    }

    /// The pairs, those that count first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().chain(&self.silent)
    }

    /// Both losses at a budget: geometric means over the laws, moved half each to lie as far apart as the difference says.
    pub(super) fn losses(&self, flops: f64, log_difference: f64) -> (f64, f64) {
        let mean = |of: fn(&Pair) -> &Curve| -> f64 {
            self.pairs.iter().map(|pair| pair.weight * of(pair).log_loss(flops)).sum()
        };
        let middle = 0.5 * (mean(|pair| &pair.a) + mean(|pair| &pair.b));
        (math::exp(middle - 0.5 * log_difference), math::exp(middle + 0.5 * log_difference))
    }

    /// The compute multiplier at a budget of A, with its interval: as likely exceeded as not, so that it lies on the side of 1
    /// on which most of the distribution lies.
    pub(super) fn multiplier(&self, flops: f64, level: f64) -> Multiplier {
        let of_a = self.readings(flops);
        let median = match &self.pairs[..] {
            // Of one law within the runs that is where its two losses are equal, to more digits than its profiles have.
            [pair] if self.blur(flops, flops) <= 0.0 => pair.multiplier(flops),
            _ => equal(flops, |flops_b| 0.5 - self.difference_from(&of_a, flops, flops_b).probability(0.0)),
        };
        let tail = 0.5 * (1.0 - level);
        let [lower, upper] =
            [tail, 1.0 - tail].map(|probability| self.multiplier_end(&of_a, flops, median, probability));
        Multiplier { median, lower, upper }
    }

    fn readings(&self, flops: f64) -> Vec<Reading> {
        self.pairs.iter().map(|pair| pair.a.reading(flops)).collect()
    }

    /// The end of an interval for the multiplier: on the way up or down from the estimate, the first multiplier whose
    /// probability of not being exceeded is this. `None` where there is none within a factor of a million.
    ///
    /// The way goes outwards because far from all data the error of form swamps every difference: there both ends of the
    /// scale look alike again, and a search from outside would end in what nobody knows.
    fn multiplier_end(&self, of_a: &[Reading], flops: f64, median: Option<f64>, probability: f64) -> Option<f64> {
        // P(m ≤ m₀) = P(ln L_B(C/m₀) − ln L_A(C) ≥ 0).
        let below = |log_multiplier: f64| {
            let flops_b = flops * math::exp(-log_multiplier);
            1.0 - self.difference_from(of_a, flops, flops_b).probability(0.0)
        };
        let is_upper = probability > 0.5;
        let sign = if is_upper { 1.0 } else { -1.0 };
        let passed = |at: f64| (below(at) - probability) * sign >= 0.0;
        let mut inside = match median {
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
        self.difference_from(&self.readings(flops_a), flops_a, flops_b)
    }

    fn difference_from(&self, of_a: &[Reading], flops_a: f64, flops_b: f64) -> Difference {
        let part = |(pair, a): (&Pair, &Reading)| Part::new(pair.weight, a.clone(), pair.b.reading(flops_b));
        Difference::new(self.pairs.iter().zip(of_a).map(part).collect(), self.blur(flops_a, flops_b))
    }

    /// Scale of what blurs a difference beyond the laws' own uncertainty.
    fn blur(&self, flops_a: f64, flops_b: f64) -> f64 {
        let [form_a, form_b] = [flops_a / self.max_a, flops_b / self.max_b].map(|multiple| self.form_square(multiple));
        (form_a + form_b + self.evaluation_noise * self.evaluation_noise).sqrt()
    }

    /// Squared scale of the error of form at this multiple of the largest compute, in excess of that inside the data.
    fn form_square(&self, multiple: f64) -> f64 {
        let [beyond, inside] = [math::log10(multiple), 0.0].map(|decades| self.calibration.scale(decades));
        (beyond * beyond - inside * inside).max(0.0)
    }
}

/// As a forecast has it: what laws of compute alone get wrong is left to this term as a whole.
fn calibration(pairs: &[Pair]) -> Calibration {
    let is_surface = |pair: &Pair| {
        let law = &pair.a.fitted;
        !law.problem.is_path_law() && law.law.form().extrapolates()
    };
    let default = Calibration::default();
    if pairs.iter().any(is_surface) { default } else { default.along_a_path() }
}
