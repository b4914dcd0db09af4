//! How many runs a card takes at once, found out by measuring.
//!
//! A small model leaves a card idle between the launches of its kernels, and a second one fills the gap; a large one does
//! not. Which it is depends on card, driver and model, so that it is measured: few at first, then more while what all of
//! them do together grows by [`MARGIN`], in leaps while it grows nearly in proportion, and back to the last number that was
//! worth it when it does not. Nothing here knows a clock, a card or a process: speeds come from the runs' logs, about one a
//! second, and the same speeds in the same order give the same decisions.
//!
//! Runs of unlike size are compared by what becomes of each kind: where k runs became k', and the runs of each kind now go
//! at r times their speed, all of them together do r·k'/k of what they did.

use std::collections::BTreeMap;

use forescale_core::run::{RunConfig, RunId};

/// Growth of what all runs do together that makes more runs worth their memory. Chosen here: above the scatter of medians
/// over a few seconds, below what a card that is half idle gives.
pub(super) const MARGIN: f64 = 0.05;
/// Growth, as a share of the growth in runs, at which the next leap doubles the runs. Chosen here.
const NEARLY_IN_PROPORTION: f64 = 0.6;
/// Arithmetic of a step below which a card of today is bound by launches: a millisecond of a hundred launches, at 200
/// TFLOP/s. Chosen here; only where measuring begins depends on it.
const FLOPS_OF_LAUNCHES: f64 = 2e11;
/// Runs that measuring begins with, where launches bound them: they share a card well, and a family is done sooner.
const FIRST_SMALL: usize = 4;
/// Readings for each run that a number of runs is judged by.
const READINGS: usize = 2;
/// A kind of run whose step is so much smaller than those measured makes a card that had its number ask again.
const SMALLER: f64 = 0.5;

/// What makes two runs alike in speed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kind {
    name: String,
    flops_per_token: f64,
    flops_per_step: f64,
}

impl Kind {
    pub(super) fn of(config: &RunConfig) -> Self {
        let shape = &config.shape;
        let name = format!("{:?} {:?} x {}", config.family, shape, config.sequences);
        let flops_per_token = config.flops().exact / config.tokens().max(1) as f64;
        Self { name, flops_per_token, flops_per_step: flops_per_token * config.batch_tokens() as f64 }
    }
}

/// A run that is on the card.
#[derive(Clone, Debug)]
struct Running {
    kind: Kind,
    /// The newest reading, by which a new one is told from it.
    newest: Option<(u64, f64)>,
    /// Readings still to be passed over: they span the time before the last change.
    passing: u32,
}

/// What was read while a number of runs was on the card.
#[derive(Clone, Debug, Default)]
struct Plateau {
    runs: usize,
    /// Tokens per second by kind.
    speeds: BTreeMap<String, Vec<f64>>,
    /// FLOP/s, of all kinds.
    flops_per_second: Vec<f64>,
    /// Largest step among the runs that were read.
    largest_step: f64,
    /// Runs that ended meanwhile.
    ended: usize,
}

/// The number of runs of one card, and how it was found.
#[derive(Clone, Debug)]
pub(super) struct Packing {
    running: BTreeMap<RunId, Running>,
    /// Runs the card may have now.
    limit: usize,
    /// Runs that the next attempt adds; 0 when the number is found.
    leap: usize,
    /// The number that was worth it so far, as it was measured.
    best: Option<Plateau>,
    now: Plateau,
    /// Whether no run has been on the card yet.
    untouched: bool,
}

impl Packing {
    pub(super) fn new() -> Self {
        Self { running: BTreeMap::new(), limit: 1, leap: 1, best: None, now: Plateau::of(1), untouched: true }
    }

    /// Whether one more run may start, as far as speed goes.
    pub(super) fn has_room(&self) -> bool {
        self.running.len() < self.limit
    }

    /// A run has started.
    pub(super) fn started(&mut self, id: &RunId, kind: Kind) {
        if self.leap == 0 && self.best.as_ref().is_some_and(|best| kind.flops_per_step < SMALLER * best.largest_step) {
            self.ask_again();
        }
        if self.untouched {
            let first = if kind.flops_per_step < FLOPS_OF_LAUNCHES { FIRST_SMALL } else { 1 };
            (self.untouched, self.leap) = (false, first);
            self.set_limit(first);
        }
        self.running.insert(id.clone(), Running { kind, newest: None, passing: 1 });
    }

    /// A run has ended.
    pub(super) fn ended(&mut self, id: &RunId) {
        if self.running.remove(id).is_none() {
            return;
        }
        self.now.ended += 1;
        if self.now.ended >= 2 * self.limit && self.leap > 0 {
            // Twice as many runs came and went as there is room for, and no judgement was reached: starting takes their
            // time, and a card does not tire of that.
            self.leap = self.limit;
            self.grow(Plateau { runs: self.limit, ..Plateau::default() });
        } else {
            self.leap_when_back();
        }
    }

    /// The newest line of a run's log; the same line again is no new reading.
    pub(super) fn heard(&mut self, id: &RunId, step: u64, tokens_per_second: f64) {
        let (runs, cold) = (self.running.len(), self.cold());
        let Some(run) = self.running.get_mut(id) else { return };
        if run.newest == Some((step, tokens_per_second)) {
            return;
        }
        run.newest = Some((step, tokens_per_second));
        if run.passing > 0 {
            run.passing -= 1;
            return;
        }
        // While many are still starting, the others have the card to themselves.
        if runs == self.limit && 4 * cold <= runs && tokens_per_second > 0.0 {
            self.now.read(&run.kind, tokens_per_second);
            self.judge();
        }
    }

    /// Whether a run's own work can be told on the card: it has been heard since it started.
    pub(super) fn is_cold(&self, id: &RunId) -> bool {
        self.running.get(id).is_some_and(|run| run.newest.is_none())
    }

    fn cold(&self) -> usize {
        self.running.values().filter(|run| run.newest.is_none()).count()
    }

    fn judge(&mut self) {
        if self.leap == 0 || self.now.flops_per_second.len() < READINGS * self.limit {
            return;
        }
        let now = std::mem::replace(&mut self.now, Plateau::of(self.limit));
        match &self.best {
            None => self.grow(now),
            Some(best) => {
                let (gain, ideal) = (now.over(best), now.runs as f64 / best.runs as f64);
                if gain < 1.0 + MARGIN {
                    self.fall_back();
                } else {
                    let proportional = gain - 1.0 >= NEARLY_IN_PROPORTION * (ideal - 1.0);
                    self.leap = if proportional { now.runs } else { (now.runs / 4).max(1).min(self.leap) };
                    self.grow(now);
                }
            }
        }
    }

    fn grow(&mut self, measured: Plateau) {
        let next = measured.runs + self.leap;
        self.best = (!measured.flops_per_second.is_empty()).then_some(measured);
        self.set_limit(next);
    }

    /// More runs were not worth it: back to what was, and then half the leap.
    fn fall_back(&mut self) {
        self.leap /= 2;
        let runs = self.best.as_ref().map_or(1, |best| best.runs);
        self.set_limit(runs);
        self.leap_when_back();
    }

    /// Adds the halved leap once the runs that were too many have ended.
    fn leap_when_back(&mut self) {
        let Some(best) = &self.best else { return };
        if self.leap > 0 && self.limit == best.runs && self.running.len() <= best.runs {
            self.set_limit(best.runs + self.leap);
        }
    }

    /// Another kind of run may fit the card in another number.
    fn ask_again(&mut self) {
        self.best = None;
        self.leap = (self.limit / 2).max(1);
        self.set_limit(self.limit);
    }

    fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.now = Plateau::of(limit);
        // The next reading of each spans the time before this.
        self.running.values_mut().for_each(|run| run.passing = 1);
    }
}

impl Plateau {
    fn of(runs: usize) -> Self {
        Self { runs, ..Self::default() }
    }

    fn read(&mut self, kind: &Kind, tokens_per_second: f64) {
        self.speeds.entry(kind.name.clone()).or_default().push(tokens_per_second);
        self.flops_per_second.push(tokens_per_second * kind.flops_per_token);
        self.largest_step = self.largest_step.max(kind.flops_per_step);
    }

    /// What all runs do together, over what they did before.
    fn over(&self, before: &Self) -> f64 {
        let common = |(kind, speeds): (&String, &Vec<f64>)| Some(median(speeds) / median(before.speeds.get(kind)?));
        let ratios: Vec<f64> = self.speeds.iter().filter_map(common).collect();
        let slowed = if ratios.is_empty() {
            median(&self.flops_per_second) / median(&before.flops_per_second)
        } else {
            ratios.iter().sum::<f64>() / ratios.len() as f64
        };
        slowed * self.runs as f64 / before.runs as f64
    }
}

/// The middle reading: an evaluation slows one or two of them, and tells nothing of the card.
fn median(readings: &[f64]) -> f64 {
    let mut sorted = readings.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests;
