//! Which runs to buy: greedily, then by exchange.
//!
//! Each step buys the run by which V falls most per FLOP^p, for p of 1, 1/2 and 0 in turn: per FLOP alone fills up with
//! small runs, per run alone with large ones, and which is best depends on how much there is to spend. Then runs are
//! exchanged one for one as long as V falls, and what is left over is spent. The best of all these ways is kept.
//!
//! **Guard.** At least 30% of the spend lies within a decade of the largest run, known or bought: V trusts the laws, and a
//! law that breaks does so at the top. Its share is bought first. A run larger than all known ones may cost at most half
//! of the budget: the error of form alone would have everything spent on one run, and one run has no repeat.

use super::value::Value;

/// Share of the spend near the top.
pub(super) const NEAR_SHARE: f64 = 0.3;
/// Share of the budget that one run above the largest known may cost. Chosen here.
const LARGEST_SHARE: f64 = 0.5;
/// Powers of a run's cost that a fall of V is held against.
const COST_POWERS: [f64; 3] = [1.0, 0.5, 0.0];
/// Largest runs that are tried as the cap, above the largest known.
const CAPS: usize = 4;
/// Passes of exchange; a pass without gain ends it earlier.
const PASSES: usize = 8;
/// A fall of V by less than this share of it is none.
const GAIN: f64 = 1e-6;

/// What may be bought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) budget: f64,
    pub(super) most_seeds: usize,
    pub(super) most_runs: usize,
}

/// The best purchase from a value with nothing bought.
pub(super) fn choose(start: &Value, flops: &[f64], limits: Limits) -> Value {
    let mut best = start.clone();
    for cap in caps(start.top(), flops, limits.budget) {
        for power in COST_POWERS {
            let is_near = |f: &f64| *f >= 0.1 * cap && *f <= limits.budget && *f <= cap * (1.0 + 1e-9);
            let chooser = Chooser { flops, limits, cap, power, must_guard: flops.iter().any(is_near) };
            let bought = chooser.buy(start.clone());
            let is_first = best.spent().0 <= 0.0;
            let (holds, held) = (is_guarded(&bought), is_guarded(&best) && !is_first);
            if is_first || (holds && !held) || (holds == held && bought.total() < best.total()) {
                best = bought;
            }
        }
    }
    best
}

/// The largest known run, and the largest affordable candidates above it.
fn caps(known: f64, flops: &[f64], budget: f64) -> Vec<f64> {
    let mut above: Vec<f64> = flops.iter().copied().filter(|f| *f > known && *f <= LARGEST_SHARE * budget).collect();
    above.sort_by(|a, b| b.total_cmp(a));
    above.dedup_by(|a, b| *a > *b / 1.1);
    above.truncate(CAPS);
    above.push(known);
    above
}

/// Whether enough of the spend is near the top.
pub(super) fn is_guarded(value: &Value) -> bool {
    let (all, near) = value.spent();
    near >= NEAR_SHARE * all * (1.0 - 1e-9)
}

struct Chooser<'a> {
    flops: &'a [f64],
    limits: Limits,
    cap: f64,
    power: f64,
    /// Whether any run near the top is to be had at all.
    must_guard: bool,
}

impl Chooser<'_> {
    fn buy(&self, mut value: Value) -> Value {
        let near = 0.1 * self.cap;
        while value.spent().1 < NEAR_SHARE * self.limits.budget && self.step(&mut value, near) {}
        while self.step(&mut value, 0.0) {}
        for _ in 0..PASSES {
            let exchanged = self.exchange(&mut value);
            let mut added = false;
            while self.step(&mut value, 0.0) {
                added = true;
            }
            if !exchanged && !added {
                break;
            }
        }
        value
    }

    fn allows(&self, value: &Value) -> bool {
        !self.must_guard || is_guarded(value)
    }

    /// Buys the best run of at least so much compute; false where there is none.
    fn step(&self, value: &mut Value, least: f64) -> bool {
        if value.counts.iter().sum::<usize>() >= self.limits.most_runs {
            return false;
        }
        let rest = self.limits.budget - value.spent().0;
        let (drops, needed) = (value.drops(), if least > 0.0 { 0.0 } else { GAIN * value.total() });
        let merit = |i: usize| drops[i] / forescale_core::math::pow(self.flops[i], self.power);
        let open = (0..self.flops.len())
            .filter(|&i| self.is_open(value, i, rest) && self.flops[i] >= least && drops[i] > needed);
        let mut ranked: Vec<usize> = open.collect();
        ranked.sort_by(|&a, &b| merit(b).total_cmp(&merit(a)));
        for index in ranked {
            value.change(index, 1);
            if least > 0.0 || self.allows(value) {
                return true;
            }
            value.change(index, -1);
        }
        false
    }

    fn is_open(&self, value: &Value, index: usize, rest: f64) -> bool {
        let is_affordable = self.flops[index] <= rest * (1.0 + 1e-12);
        is_affordable && self.flops[index] <= self.cap * (1.0 + 1e-9) && value.counts[index] < self.limits.most_seeds
    }

    /// One pass: each run bought is given back for the best that its price and the rest buy.
    fn exchange(&self, value: &mut Value) -> bool {
        let mut gained = false;
        for given in 0..self.flops.len() {
            if value.counts[given] == 0 {
                continue;
            }
            let before = value.total();
            value.change(given, -1);
            let taken = self.replacement(value, given, before);
            gained |= taken.is_some();
            value.change(taken.unwrap_or(given), 1);
        }
        gained
    }

    /// The best run in place of another, where it leaves a smaller V and the guard in place.
    fn replacement(&self, value: &mut Value, given: usize, before: f64) -> Option<usize> {
        let rest = self.limits.budget - value.spent().0;
        let (now, drops) = (value.total(), value.drops());
        let better = |&i: &usize| i != given && now - drops[i] < before * (1.0 - GAIN) && self.is_open(value, i, rest);
        let mut ranked: Vec<usize> = (0..self.flops.len()).filter(better).collect();
        ranked.sort_by(|&a, &b| drops[b].total_cmp(&drops[a]));
        ranked.into_iter().find(|&index| {
            value.change(index, 1);
            let holds = self.allows(value);
            value.change(index, -1);
            holds
        })
    }
}
