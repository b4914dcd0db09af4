//! The watch over the training loss: when a run counts as diverged, and how often its loss spiked.
//!
//! It sees the training loss of every step and nothing else; its state travels in the checkpoint, so that a resumed run
//! judges as one that was never interrupted.

use serde::{Deserialize, Serialize};

/// Steps over which the training loss is smoothed. Chosen here: a few times the scatter of one small batch.
const SMOOTHING_STEPS: f64 = 50.0;
/// Nats above its best at which the smoothed loss counts as lost. Chosen here: no working run of the ladder does this.
const LOST_NATS: f64 = 1.0;
/// Steps in a row it may be lost before the run is given up; a spike that heals is left alone.
const LOST_STEPS: u64 = 200;
/// Standard deviations above the running mean at which a loss is part of a spike. Chosen here: far outside the scatter
/// of batches.
const SPIKE_DEVIATIONS: f64 = 6.0;
/// Nats above the running mean that a spike has at least, however quiet the run.
const SPIKE_NATS: f64 = 0.5;
/// Steps in a row that make a spike: a single strange batch raises one step's loss, damaged weights raise the next, too.
const SPIKE_STEPS: u64 = 2;

/// What is remembered of the losses so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossWatch {
    steps: u64,
    smoothed: Option<f64>,
    best: Option<f64>,
    steps_above: u64,
    usual: Option<Usual>,
    steps_spiking: u64,
    /// Spikes so far.
    pub(crate) spikes: u64,
}

/// Exponential mean and variance of the loss outside spikes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Usual {
    mean: f64,
    variance: f64,
}

impl LossWatch {
    /// Takes in a step's training loss; says why, if the run has diverged. `warm` is whether warmup is over.
    ///
    /// Diverged is a loss that is not a number, or an exponential mean (50 steps) that stays more than 1 nat above its
    /// own best for 200 steps in a row.
    ///
    /// A spike is counted after warmup when two losses in a row lie more than six running standard deviations, and
    /// more than half a nat, above the running mean; it lasts until a loss lies below that again.
    pub(crate) fn take_in(&mut self, loss: f64, warm: bool) -> Option<String> {
        if !loss.is_finite() {
            return Some(format!("the training loss is {loss}"));
        }
        self.steps += 1;
        self.count_spikes(loss, warm);
        let smoothed = self.smoothed.map_or(loss, |before| before + (loss - before) / SMOOTHING_STEPS);
        let best = self.best.map_or(smoothed, |best| best.min(smoothed));
        self.steps_above = if smoothed > best + LOST_NATS { self.steps_above + 1 } else { 0 };
        (self.smoothed, self.best) = (Some(smoothed), Some(best));
        (self.steps_above >= LOST_STEPS).then(|| {
            format!("the smoothed training loss is {smoothed:.3}, {LOST_STEPS} steps in a row {LOST_NATS} nat or more above its best of {best:.3}")
        })
    }

    fn count_spikes(&mut self, loss: f64, warm: bool) {
        let usual = self.usual.unwrap_or(Usual { mean: loss, variance: 0.0 });
        let bound = usual.spike_bound();
        let counts = warm && self.steps as f64 > SMOOTHING_STEPS;
        self.steps_spiking = if counts && loss > bound { self.steps_spiking + 1 } else { 0 };
        self.spikes += u64::from(self.steps_spiking == SPIKE_STEPS);
        self.usual = Some(usual.with(loss));
    }
}

impl Usual {
    fn spike_bound(self) -> f64 {
        self.mean + (SPIKE_DEVIATIONS * libm::sqrt(self.variance)).max(SPIKE_NATS)
    }

    /// # Formula
    ///
    /// With a = 1/50 and δ = x − mean: mean ← mean + aδ, variance ← (1 − a)(variance + aδ²) (West 1979). Of a loss above
    /// the bound only the part below it moves the mean, and nothing the variance, so that one spike does not hide the
    /// next, and a lasting rise becomes the usual in time.
    fn with(self, loss: f64) -> Self {
        let share = 1.0 / SMOOTHING_STEPS;
        let bound = self.spike_bound();
        let deviation = loss.min(bound) - self.mean;
        let mean = self.mean + share * deviation;
        if loss > bound {
            return Self { mean, ..self };
        }
        Self { mean, variance: (1.0 - share) * (self.variance + share * deviation * deviation) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses around 2 with a scatter of 0.1 either way: the standard deviation is 0.1, the bound 0.6 above the mean.
    fn settled() -> LossWatch {
        let mut watch = LossWatch::default();
        for step in 0..500 {
            assert_eq!(watch.take_in(if step % 2 == 0 { 1.9 } else { 2.1 }, true), None);
        }
        watch
    }

    fn spikes_after(losses: &[f64]) -> u64 {
        let mut watch = settled();
        for loss in losses {
            watch.take_in(*loss, true);
        }
        watch.spikes
    }

    #[test]
    fn a_loss_that_is_not_a_number_ends_the_run_at_once() {
        assert!(LossWatch::default().take_in(f64::NAN, true).is_some());
        assert!(LossWatch::default().take_in(f64::INFINITY, true).is_some());
    }

    #[test]
    fn a_spike_that_heals_is_left_alone_and_a_lasting_rise_is_not() {
        let mut watch = LossWatch::default();
        let mut feed = |loss: f64, steps: usize| (0..steps).find_map(|_| watch.take_in(loss, true));
        assert_eq!(feed(2.0, 500), None);
        assert_eq!(feed(8.0, 100), None);
        assert_eq!(feed(2.0, 500), None);
        let reason = feed(5.5, 400).expect("lost for hundreds of steps");
        assert!(reason.contains("above its best of 2.0"), "{reason}");
    }

    #[test]
    fn each_spike_is_counted_once_however_long_it_lasts() {
        assert_eq!(spikes_after(&[]), 0);
        assert_eq!(spikes_after(&[3.0, 3.0]), 1);
        assert_eq!(spikes_after(&[3.0, 4.0, 5.0, 2.0, 2.0, 3.5, 3.5, 2.0]), 2);
    }

    #[test]
    fn a_single_strange_batch_is_no_spike() {
        assert_eq!(spikes_after(&[9.0, 2.0, 2.0, 9.0, 2.0]), 0);
    }

    #[test]
    fn the_bound_is_six_deviations_and_half_a_nat() {
        assert_eq!(spikes_after(&[2.55, 2.55]), 0);
        assert_eq!(spikes_after(&[2.75, 2.75]), 1);
        // Without scatter, half a nat.
        let mut quiet = LossWatch::default();
        for loss in [2.0; 200].into_iter().chain([2.4, 2.4, 2.0, 2.6, 2.6]) {
            quiet.take_in(loss, true);
        }
        assert_eq!(quiet.spikes, 1);
    }

    #[test]
    fn nothing_is_counted_during_warmup_or_before_the_mean_has_settled() {
        let mut watch = settled();
        (0..5).for_each(|_| assert_eq!(watch.take_in(5.0, false), None));
        assert_eq!(watch.spikes, 0);
        let mut young = LossWatch::default();
        for loss in [2.0, 2.0, 5.0, 5.0] {
            young.take_in(loss, true);
        }
        assert_eq!(young.spikes, 0);
    }
}
