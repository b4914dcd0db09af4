//! The learning rate as a share of its peak, by step.

use forescale_core::run::{OptimizerConfig, RunConfig, ScheduleKind};

/// A schedule over a known number of steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) kind: ScheduleKind,
    pub(crate) steps: u64,
    pub(crate) warmup_steps: u64,
    /// Steps of the cooldown of warmup-stable-decay; with 0 the rate stays at its peak to the end.
    pub(crate) decay_steps: u64,
}

impl Schedule {
    /// The schedule of a run.
    pub(crate) fn of(config: &RunConfig) -> Self {
        let OptimizerConfig { schedule: kind, warmup_steps, decay_steps, .. } = config.optimizer;
        Self { kind, steps: config.steps, warmup_steps, decay_steps }
    }

    /// The rate of a step, counted from 0, as a share of the peak; 0 past the last step.
    ///
    /// # Formula
    ///
    /// With w warmup steps of n, step s: (s + 1)/w while s < w; then with x = (s − w)/(n − w) ∈ \[0, 1):
    /// linear 1 − x; cosine (1 + cos πx)/2; warmup-stable-decay 1, and 1 − √((s − c)/k) from c = n − k for a cooldown of
    /// k steps. Hägele et al. (arXiv:2405.18392) find 10 to 20 % of the steps enough for it, and 1 − √ no worse than
    /// linear; the steps before c do not know n, so that runs which differ in length alone share them.
    pub(crate) fn share(&self, step: u64) -> f64 {
        let (s, n, w) = (step as f64, self.steps as f64, self.warmup_steps as f64);
        if step >= self.steps {
            return 0.0;
        }
        if step < self.warmup_steps {
            return (s + 1.0) / w;
        }
        let x = (s - w) / (n - w);
        match self.kind {
            ScheduleKind::Linear => 1.0 - x,
            ScheduleKind::Cosine => 0.5 * (1.0 + libm::cos(core::f64::consts::PI * x)),
            ScheduleKind::WarmupStableDecay => 1.0 - libm::sqrt(self.decayed(step)),
        }
    }

    /// Share of the cooldown that lies before a step.
    fn decayed(&self, step: u64) -> f64 {
        let start = self.steps.saturating_sub(self.decay_steps);
        if step < start { 0.0 } else { (step - start) as f64 / self.decay_steps as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(kind: ScheduleKind, step: u64) -> f64 {
        Schedule { kind, steps: 110, warmup_steps: 10, decay_steps: 20 }.share(step)
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn every_kind_warms_up_to_the_peak_and_ends_at_zero() {
        for kind in [ScheduleKind::Linear, ScheduleKind::Cosine, ScheduleKind::WarmupStableDecay] {
            close(at(kind, 0), 0.1);
            close(at(kind, 9), 1.0);
            close(at(kind, 10), 1.0);
            close(at(kind, 110), 0.0);
        }
    }

    #[test]
    fn the_middle_is_as_worked_by_hand() {
        // Half way between warmup (10) and end (110), step 60: linear 1/2; cosine (1 + cos(π/2))/2; stable 1.
        close(at(ScheduleKind::Linear, 60), 0.5);
        close(at(ScheduleKind::Cosine, 60), 0.5);
        close(at(ScheduleKind::WarmupStableDecay, 60), 1.0);
        // The cooldown starts at 110 − 20 = 90; a quarter of it later: 1 − √(1/4); one step before the end: 1 − √(19/20).
        close(at(ScheduleKind::WarmupStableDecay, 89), 1.0);
        close(at(ScheduleKind::WarmupStableDecay, 90), 1.0);
        close(at(ScheduleKind::WarmupStableDecay, 95), 0.5);
        close(at(ScheduleKind::WarmupStableDecay, 109), 0.025_320_565_519_103_61);
    }

    #[test]
    fn without_a_cooldown_warmup_stable_decay_stays_at_its_peak() {
        let constant = Schedule { kind: ScheduleKind::WarmupStableDecay, steps: 40, warmup_steps: 2, decay_steps: 0 };
        assert!((2..40).all(|step| constant.share(step).to_bits() == 1.0_f64.to_bits()));
    }

    #[test]
    fn the_steps_before_a_cooldown_do_not_know_how_long_the_run_is() {
        let of = |steps| Schedule { kind: ScheduleKind::WarmupStableDecay, steps, warmup_steps: 7, decay_steps: 20 };
        assert!((0..80).all(|step| of(100).share(step).to_bits() == of(1000).share(step).to_bits()));
    }

    #[test]
    fn a_run_without_warmup_starts_at_the_peak() {
        close(Schedule { kind: ScheduleKind::Linear, steps: 4, warmup_steps: 0, decay_steps: 0 }.share(0), 1.0);
    }

    #[test]
    fn a_run_that_is_all_warmup_never_divides_by_zero() {
        for kind in [ScheduleKind::Linear, ScheduleKind::Cosine, ScheduleKind::WarmupStableDecay] {
            let schedule = Schedule { kind, steps: 5, warmup_steps: 5, decay_steps: 0 };
            assert!((0..=5).all(|step| schedule.share(step).is_finite()));
        }
    }
}
