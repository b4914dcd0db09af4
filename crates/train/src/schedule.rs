//! The learning rate as a share of its peak, by step.

use forescale_core::run::ScheduleKind;

/// Share of the steps over which warmup-stable-decay decays. Source: Hägele et al., arXiv:2405.18392, who find 10 to
/// 20 % enough and 1 − √ no worse than linear.
const DECAY_SHARE: f64 = 0.2;

/// A schedule over a known number of steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) kind: ScheduleKind,
    pub(crate) steps: u64,
    pub(crate) warmup_steps: u64,
}

impl Schedule {
    /// The rate of a step, counted from 0, as a share of the peak; 0 past the last step.
    ///
    /// # Formula
    ///
    /// With w warmup steps of n, step s: (s + 1)/w while s < w; then with x = (s − w)/(n − w) ∈ \[0, 1):
    /// linear 1 − x; cosine (1 + cos πx)/2; warmup-stable-decay 1, and 1 − √((s − c)/(n − c)) from c = n − n/5.
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
            ScheduleKind::WarmupStableDecay => self.stable_then_decay(s),
        }
    }

    fn stable_then_decay(&self, s: f64) -> f64 {
        let n = self.steps as f64;
        let decay_start = (n * (1.0 - DECAY_SHARE)).max(self.warmup_steps as f64);
        if s < decay_start { 1.0 } else { 1.0 - libm::sqrt((s - decay_start) / (n - decay_start)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(kind: ScheduleKind, step: u64) -> f64 {
        Schedule { kind, steps: 110, warmup_steps: 10 }.share(step)
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
        // The decay starts at 110·0.8 = 88; a quarter of its 22 steps later: 1 − √(1/4).
        close(Schedule { kind: ScheduleKind::WarmupStableDecay, steps: 100, warmup_steps: 0 }.share(85), 0.5);
    }

    #[test]
    fn a_run_without_warmup_starts_at_the_peak() {
        close(Schedule { kind: ScheduleKind::Linear, steps: 4, warmup_steps: 0 }.share(0), 1.0);
    }

    #[test]
    fn a_run_that_is_all_warmup_never_divides_by_zero() {
        for kind in [ScheduleKind::Linear, ScheduleKind::Cosine, ScheduleKind::WarmupStableDecay] {
            let schedule = Schedule { kind, steps: 5, warmup_steps: 5 };
            assert!((0..=5).all(|step| schedule.share(step).is_finite()));
        }
    }
}
