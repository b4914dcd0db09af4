//! Where two curves meet, and between which budgets they may.

use forescale_core::comparison::{ComputeRange, Crossing};
use forescale_core::estimate::Estimate;
use forescale_core::math;

use super::pair::Pairs;

/// Budgets tried per decade. Chosen here: two power laws with floors that cross twice do so decades apart.
const PER_DECADE: f64 = 8.0;
/// Halvings of one step: to 1e-12 for the crossing, 1e-4 for the ends of its interval.
const EXACT_HALVINGS: usize = 40;
const HALVINGS: usize = 12;
/// A difference below this, in log loss, is rounding: identical recipes cross nowhere.
const SAME: f64 = 1e-9;

/// What was seen of where the curves meet.
pub(super) struct Meeting {
    /// All crossings of the medians between two budgets.
    pub(super) crossings: Vec<Crossing>,
    /// The budgets.
    pub(super) searched: ComputeRange,
    /// Whether one recipe is known to be better at either of them.
    pub(super) is_told_at_an_end: bool,
}

impl Meeting {
    /// Looks for crossings between two budgets.
    pub(super) fn of(pairs: &Pairs, searched: ComputeRange, level: f64) -> Self {
        let ends = [searched.least, searched.most].map(math::ln);
        let is_told_at_an_end = ends.iter().any(|&end| is_told(pairs, end, level));
        Self { crossings: crossings(pairs, searched, level), searched, is_told_at_an_end }
    }

    /// The crossings that the runs tell: on either side one recipe is known to be better, and no other crossing lies between.
    pub(super) fn told(&self) -> impl Iterator<Item = &Crossing> {
        self.crossings.iter().filter(|crossing| {
            let (Some(lower), Some(upper)) = (crossing.flops.lower, crossing.flops.upper) else { return false };
            let inside = |other: &&Crossing| (lower..=upper).contains(&other.flops.estimate);
            self.crossings.iter().filter(inside).count() == 1
        })
    }
}

/// All crossings between two budgets.
fn crossings(pairs: &Pairs, searched: ComputeRange, level: f64) -> Vec<Crossing> {
    let (low, high) = (math::ln(searched.least), math::ln(searched.most));
    let steps = ((high - low) / core::f64::consts::LN_10 * PER_DECADE).ceil().max(1.0) as usize;
    let grid: Vec<f64> = (0..=steps).map(|i| low + (high - low) * i as f64 / steps as f64).collect();
    let difference: Vec<f64> = grid.iter().map(|&at| median(pairs, at)).collect();
    let crosses = |i: &usize| {
        let (before, after) = (difference[*i], difference[i + 1]);
        before.abs().max(after.abs()) > SAME && (before > 0.0) != (after > 0.0)
    };
    let walk = Walk { pairs, grid: &grid, level };
    (0..steps).filter(crosses).map(|i| walk.crossing(i, difference[i] > 0.0)).collect()
}

/// ln L_B − ln L_A at a budget, as likely exceeded as not.
fn median(pairs: &Pairs, log_flops: f64) -> f64 {
    let flops = math::exp(log_flops);
    pairs.difference(flops, flops).median()
}

/// The grid that crossings and their ends are sought on.
struct Walk<'a> {
    pairs: &'a Pairs,
    grid: &'a [f64],
    level: f64,
}

impl Walk<'_> {
    /// The crossing within a step.
    fn crossing(&self, step: usize, b_better_above: bool) -> Crossing {
        let (mut low, mut high) = (self.grid[step], self.grid[step + 1]);
        for _ in 0..EXACT_HALVINGS {
            let middle = 0.5 * (low + high);
            let is_before = (median(self.pairs, middle) > 0.0) == b_better_above;
            if is_before { low = middle } else { high = middle }
        }
        let at = 0.5 * (low + high);
        let flops = Estimate {
            estimate: math::exp(at),
            standard_error: None,
            lower: self.end(at, self.grid[..=step].iter().rev()),
            upper: self.end(at, self.grid[step + 1..].iter()),
            level: self.level,
        };
        Crossing { flops, b_better_above }
    }

    /// The first budget on the way at which one recipe is known to be better; `None` where there is none.
    fn end<'a>(&self, from: f64, way: impl Iterator<Item = &'a f64>) -> Option<f64> {
        let mut known_not = from;
        for &at in way {
            if !self.is_told(at) {
                known_not = at;
                continue;
            }
            let (mut inside, mut outside) = (known_not, at);
            for _ in 0..HALVINGS {
                let middle = 0.5 * (inside + outside);
                if self.is_told(middle) { outside = middle } else { inside = middle }
            }
            return Some(math::exp(0.5 * (inside + outside)));
        }
        None
    }

    fn is_told(&self, log_flops: f64) -> bool {
        is_told(self.pairs, log_flops, self.level)
    }
}

/// Whether a budget tells the recipes apart at the level.
fn is_told(pairs: &Pairs, log_flops: f64, level: f64) -> bool {
    let flops = math::exp(log_flops);
    let probability = pairs.difference(flops, flops).probability(0.0);
    (2.0 * probability - 1.0).abs() > level
}
