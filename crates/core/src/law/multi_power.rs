//! L(t) under a learning-rate schedule: the multi-power law of a whole loss curve.
//!
//! It is no [`super::LawForm`]: it takes a schedule and a step where those take a size and a budget, and has one parameter
//! more than they may. It owns the schedule ([`Schedule`]) and the evaluation; fitting lives elsewhere.
//!
//! The sums of the paper run over optimiser steps. Here they are integrals over a schedule that is straight between its
//! knots, which differ by half a step of the peak rate, and changes of the rate are gathered into at most a few hundred, so
//! that a curve of 1e5 steps costs no more than one of 1e3.

use serde::Serialize;

use crate::math;

/// Loss falls as a power of the learning rate summed up, and further where the rate itself falls.
///
/// # Formula
///
/// L(t) = L₀ + A·S(t)^−α − B·Σ_k (η_{k−1} − η_k)·G(η_k^−γ·S_k(t)), G(x) = 1 − (Cx + 1)^−β, with η_k the learning rate at step
/// k, S(t) its sum up to step t, warmup included (the paper's S₁ + S_W), and S_k(t) its sum from k to t. L₀, A, B in loss
/// (A and B per power of summed rate and per rate), α, β, γ, C > 0.
///
/// The sum takes rises as negative falls, the warmup among them: without it L₀ would be B times the peak rate too high.
///
/// # Where it holds
///
/// After the warmup, for one model, batch and data, over schedules that do not rise again; constant, stepped, cosine and
/// warmup–stable–decay alike. It says nothing of another peak rate or size.
///
/// # Identifiability
///
/// Two schedules at least, one with a fall of the rate and steps after it; C, β and γ trade off against each other until
/// falls of several depths have been seen.
///
/// # Known values
///
/// The authors' repository: 25M parameters L₀ 3.040, A 0.525, α 0.508, B 363.8, C 2.066, β 0.583, γ 0.641; 100M 2.651, 0.601,
/// 0.453, 437.9, 2.132, 0.598, 0.655; 400M 2.375, 0.654, 0.429, 523.4, 2.025, 0.594, 0.635.
///
/// # Reference
///
/// Luo et al., 2025, *A multi-power law for loss curve prediction across learning rate schedules*, arXiv:2503.12811.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiPower {
    /// L₀, loss.
    pub floor: f64,
    /// A.
    pub amplitude: f64,
    /// α.
    pub alpha: f64,
    /// B, loss per learning rate.
    pub drop: f64,
    /// C.
    pub speed: f64,
    /// β.
    pub beta: f64,
    /// γ.
    pub gamma: f64,
}

/// Its name as typed.
pub const NAME: &str = "multi_power";

/// Columns of a table of curves, in words.
pub const COLUMNS: &str = "`run_id`, `step`, `lr` (the learning rate) and `loss`";

/// Parameters of the law.
pub const PARAMETERS: usize = 7;

/// The learning rate at one step; straight lines lead from knot to knot, and two knots at one step are a jump.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Knot {
    /// Optimiser step.
    pub step: f64,
    /// Learning rate there.
    pub rate: f64,
}

/// A learning-rate schedule from its first knot on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schedule {
    knots: Vec<Knot>,
    /// Summed rate up to each knot.
    #[serde(skip)]
    sums: Vec<f64>,
}

/// A schedule that is none.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum ScheduleError {
    /// Fewer than two knots.
    #[error(
        "the schedule has {found} knots; it needs at least 2\n\nhint: give the first and the last step with their rates"
    )]
    TooFewKnots {
        /// Knots given.
        found: usize,
    },
    /// A step or rate that is no number, a negative rate, or a step before the last.
    #[error(
        "knot {index} of the schedule is at step {step} with rate {rate}; steps must not fall, and rates must be finite and not below 0\n\nhint: sort the knots by step"
    )]
    BadKnot {
        /// Which.
        index: usize,
        /// Its step.
        step: f64,
        /// Its rate.
        rate: f64,
    },
    /// The rate is zero throughout.
    #[error("the schedule's rate is 0 throughout; it must be above 0 somewhere\n\nhint: give the peak rate, as 3e-4")]
    NoRate,
}

/// A fall of the rate (a rise where `fall` is negative), gathered at one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// η before less η after.
    pub fall: f64,
    /// ln η of the change: after a jump, in the middle of a ramp.
    pub log_rate: f64,
    /// Summed rate at which it happens.
    pub sum: f64,
}

/// Changes a schedule's total variation is cut into (chosen here: twice as many move no loss by 1e-4).
const PIECES: f64 = 128.0;
/// A rate counts as at least this share of the peak, so that a fall to zero has a logarithm.
const LEAST_RATE: f64 = 1e-6;

impl Schedule {
    /// A schedule through knots.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] for fewer than two knots, falling steps, rates that are no rates, or none above zero.
    pub fn new(knots: Vec<Knot>) -> Result<Self, ScheduleError> {
        if knots.len() < 2 {
            return Err(ScheduleError::TooFewKnots { found: knots.len() });
        }
        let mut last = f64::NEG_INFINITY;
        for (index, &Knot { step, rate }) in knots.iter().enumerate() {
            if !(step.is_finite() && step >= last && rate.is_finite() && rate >= 0.0) {
                return Err(ScheduleError::BadKnot { index, step, rate });
            }
            last = step;
        }
        if knots.iter().all(|knot| knot.rate <= 0.0) {
            return Err(ScheduleError::NoRate);
        }
        let mut sums = vec![0.0];
        for pair in knots.windows(2) {
            let area = 0.5 * (pair[0].rate + pair[1].rate) * (pair[1].step - pair[0].step);
            sums.push(sums[sums.len() - 1] + area);
        }
        Ok(Self { knots, sums })
    }

    /// The rate summed up to a step; the last rate goes on past the last knot.
    #[must_use]
    pub fn summed(&self, step: f64) -> f64 {
        let last = self.knots.len() - 1;
        let after = self.knots.partition_point(|knot| knot.step <= step);
        if after == 0 {
            return 0.0;
        }
        let (knot, sum) = (self.knots[after - 1], self.sums[after - 1]);
        let since = step - knot.step;
        if after > last {
            return sum + knot.rate * since;
        }
        let next = self.knots[after];
        let slope = (next.rate - knot.rate) / (next.step - knot.step);
        sum + since * (knot.rate + 0.5 * slope * since)
    }

    /// The last step it was given for.
    #[must_use]
    pub fn end(&self) -> f64 {
        self.knots.last().map_or(0.0, |knot| knot.step)
    }

    /// Highest rate.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.knots.iter().map(|knot| knot.rate).fold(0.0, f64::max)
    }

    /// The changes of the rate, steep ramps cut up and shallow ones gathered.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let varied: f64 = self.knots.windows(2).map(|pair| (pair[0].rate - pair[1].rate).abs()).sum();
        let mut gathering =
            Gathering { unit: varied / PIECES, least: LEAST_RATE * self.peak(), open: None, done: Vec::new() };
        for (pair, sums) in self.knots.windows(2).zip(self.sums.windows(2)) {
            if pair[0].rate.to_bits() != pair[1].rate.to_bits() {
                gathering.add(pair, [sums[0], sums[1]]);
            }
        }
        gathering.close();
        gathering.done
    }
}

/// Changes as they are gathered.
struct Gathering {
    unit: f64,
    least: f64,
    /// Rates and summed rates at both ends of a ramp not yet steep enough to stand alone.
    open: Option<[(f64, f64); 2]>,
    done: Vec<Change>,
}

impl Gathering {
    fn add(&mut self, pair: &[Knot], sums: [f64; 2]) {
        let [from, to] = [(pair[0].rate, sums[0]), (pair[1].rate, sums[1])];
        if pair[0].step.to_bits() == pair[1].step.to_bits() {
            self.close();
            self.push(from.0 - to.0, to.0, to.1);
            return;
        }
        let joins = |open: &[(f64, f64); 2]| {
            open[1].1.to_bits() == from.1.to_bits() && (open[0].0 > open[1].0) == (from.0 > to.0)
        };
        match &mut self.open {
            Some(open) if joins(open) => open[1] = to,
            _ => {
                self.close();
                self.open = Some([from, to]);
            }
        }
        if self.open.is_some_and(|open| (open[0].0 - open[1].0).abs() >= self.unit) {
            self.close();
        }
    }

    /// Cuts what is open into pieces as near to the unit as can be: what was gathered exceeds it by a little, and is one.
    fn close(&mut self) {
        let Some([from, to]) = self.open.take() else { return };
        let pieces = ((from.0 - to.0).abs() / self.unit).round().max(1.0) as usize;
        let fall = (from.0 - to.0) / pieces as f64;
        for piece in 0..pieces {
            let share = (piece as f64 + 0.5) / pieces as f64;
            let rate = from.0 + share * (to.0 - from.0);
            // Of a straight ramp the summed rate grows with the mean of the first rate and this one.
            let mean = 0.5 * (from.0 + rate) / (0.5 * (from.0 + to.0)).max(f64::MIN_POSITIVE);
            self.push(fall, rate, from.1 + share * mean * (to.1 - from.1));
        }
    }

    fn push(&mut self, fall: f64, rate: f64, sum: f64) {
        self.done.push(Change { fall, log_rate: math::ln(rate.max(self.least)), sum });
    }
}

impl MultiPower {
    /// The law in one line.
    pub const FORMULA: &str = "L(t) = L0 + A·S^-alpha − B·Σ Δη·(1 − (1 + C·η^-gamma·S_k)^-beta)";

    /// Its parameters by symbol.
    #[must_use]
    pub fn parameters(&self) -> [(&'static str, f64); PARAMETERS] {
        [
            ("L0", self.floor),
            ("A", self.amplitude),
            ("alpha", self.alpha),
            ("B", self.drop),
            ("C", self.speed),
            ("beta", self.beta),
            ("gamma", self.gamma),
        ]
    }

    /// The loss where the rate has summed up to `sum`, after these changes.
    #[must_use]
    pub fn loss(&self, sum: f64, changes: &[Change]) -> f64 {
        let gained = |change: &Change| change.fall * self.share(sum - change.sum, change.log_rate);
        let before = changes.iter().filter(|change| change.sum < sum);
        self.floor + self.amplitude * math::pow(sum, -self.alpha) - self.drop * before.map(gained).sum::<f64>()
    }

    /// G(η^−γ·S).
    fn share(&self, since: f64, log_rate: f64) -> f64 {
        let x = self.speed * math::exp(-self.gamma * log_rate) * since;
        -math::exp_m1(-self.beta * math::ln_1p(x))
    }

    /// The loss at steps of a schedule.
    #[must_use]
    pub fn curve(&self, schedule: &Schedule, steps: &[f64]) -> Vec<f64> {
        let changes = schedule.changes();
        steps.iter().map(|&step| self.loss(schedule.summed(step), &changes)).collect()
    }

    /// The loss with its derivatives by (L₀, ln A, α, ln B, ln C, ln β, ln γ).
    #[must_use]
    pub fn gradient(&self, sum: f64, changes: &[Change]) -> (f64, [f64; PARAMETERS]) {
        let falling = self.amplitude * math::pow(sum, -self.alpha);
        let [mut gained, mut by_speed, mut by_beta, mut by_gamma] = [0.0; 4];
        for change in changes.iter().filter(|change| change.sum < sum) {
            let x = self.speed * math::exp(-self.gamma * change.log_rate) * (sum - change.sum);
            let log = math::ln_1p(x);
            let left = math::exp(-self.beta * log);
            let slope = change.fall * self.beta * left * x / (1.0 + x);
            gained += change.fall * (1.0 - left);
            by_speed += slope;
            by_gamma -= slope * change.log_rate;
            by_beta += change.fall * left * log;
        }
        let drop = self.drop;
        let gradient = [
            1.0,
            falling,
            -falling * math::ln(sum),
            -drop * gained,
            -drop * by_speed,
            -drop * by_beta * self.beta,
            -drop * by_gamma * self.gamma,
        ];
        (self.floor + falling - drop * gained, gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: MultiPower =
        MultiPower { floor: 2.0, amplitude: 0.5, alpha: 0.5, drop: 400.0, speed: 2.0, beta: 0.6, gamma: 0.65 };

    fn schedule(knots: &[(f64, f64)]) -> Schedule {
        Schedule::new(knots.iter().map(|&(step, rate)| Knot { step, rate }).collect()).expect("a schedule")
    }

    #[test]
    fn the_integral_is_the_sum_over_steps() {
        // The paper's own sums, step by step, over a warmup of 200 steps, 800 flat and a cosine fall to a tenth.
        let peak = 3e-4;
        let rate = |step: usize| -> f64 {
            let t = step as f64;
            match step {
                0..=200 => peak * t / 200.0,
                201..=1000 => peak,
                _ => 0.55 * peak + 0.45 * peak * math::cos(core::f64::consts::PI * (t - 1000.0) / 1000.0),
            }
        };
        let knots: Vec<Knot> = (0..=2000).step_by(10).map(|s| Knot { step: s as f64, rate: rate(s) }).collect();
        let schedule = Schedule::new(knots).expect("a schedule");
        let until = |step: usize| (1..=step).map(rate).sum::<f64>();
        for step in [900, 1500, 2000] {
            let mut gained = 0.0;
            for k in 1..=step {
                let since: f64 = (k..=step).map(rate).sum();
                let x = LAW.speed * math::pow(rate(k), -LAW.gamma) * since;
                gained += (rate(k - 1) - rate(k)) * (1.0 - math::pow(1.0 + x, -LAW.beta));
            }
            let summed = LAW.floor + LAW.amplitude * math::pow(until(step), -LAW.alpha) - LAW.drop * gained;
            let ours = LAW.curve(&schedule, &[step as f64])[0];
            assert!((ours - summed).abs() < 1e-3, "{step}: {ours} {summed}");
        }
    }

    #[test]
    fn a_constant_rate_leaves_a_power_of_the_summed_rate() {
        let flat = schedule(&[(0.0, 1e-3), (1000.0, 1e-3)]);
        assert!(flat.changes().is_empty());
        // 0.5 / sqrt(0.25) = 1; past the last knot the rate goes on.
        assert!((LAW.curve(&flat, &[250.0])[0] - 3.0).abs() < 1e-12);
        assert!((flat.summed(4000.0) - 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_jump_is_one_change_at_its_step_with_the_rate_after_it() {
        let stepped = schedule(&[(0.0, 1e-3), (1000.0, 1e-3), (1000.0, 1e-4), (2000.0, 1e-4)]);
        let changes = stepped.changes();
        assert_eq!(changes.len(), 1);
        assert!((changes[0].fall - 9e-4).abs() < 1e-18 && (changes[0].sum - 1.0).abs() < 1e-12);
        assert!((changes[0].log_rate - math::ln(1e-4)).abs() < 1e-12);
    }

    #[test]
    fn a_schedule_of_many_knots_has_few_changes_that_add_up() {
        let knots: Vec<(f64, f64)> = (0..=100_000)
            .map(|i| (f64::from(i), 1e-3 * (1.0 + math::cos(core::f64::consts::PI * f64::from(i) / 1e5))))
            .collect();
        let changes = schedule(&knots).changes();
        assert!(changes.len() <= 140, "{}", changes.len());
        assert!((changes.iter().map(|c| c.fall).sum::<f64>() - 2e-3).abs() < 1e-12);
    }

    #[test]
    fn a_fall_to_zero_has_a_finite_loss() {
        let ends = schedule(&[(0.0, 1e-3), (1000.0, 0.0)]);
        assert!(LAW.curve(&ends, &[1000.0, 2000.0]).iter().all(|loss| loss.is_finite()));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let knot = |step, rate| Knot { step, rate };
        assert_eq!(Schedule::new(vec![knot(0.0, 1.0)]), Err(ScheduleError::TooFewKnots { found: 1 }));
        let falling = Schedule::new(vec![knot(5.0, 1.0), knot(4.0, 1.0)]);
        assert_eq!(falling, Err(ScheduleError::BadKnot { index: 1, step: 4.0, rate: 1.0 }));
        assert!(Schedule::new(vec![knot(0.0, f64::NAN), knot(4.0, 1.0)]).is_err());
        assert_eq!(Schedule::new(vec![knot(0.0, 0.0), knot(4.0, 0.0)]), Err(ScheduleError::NoRate));
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let stepped = schedule(&[(0.0, 0.0), (200.0, 1e-3), (1000.0, 1e-3), (1000.0, 3e-4), (2000.0, 3e-5)]);
        let changes = stepped.changes();
        let sum = stepped.summed(1700.0);
        let (value, gradient) = LAW.gradient(sum, &changes);
        assert!((value - LAW.loss(sum, &changes)).abs() < 1e-13);
        let moved = |index: usize, by: f64| {
            let mut law = LAW;
            let factor = math::exp(by);
            match index {
                0 => law.floor += by,
                1 => law.amplitude *= factor,
                2 => law.alpha += by,
                3 => law.drop *= factor,
                4 => law.speed *= factor,
                5 => law.beta *= factor,
                _ => law.gamma *= factor,
            }
            law.loss(sum, &changes)
        };
        for (index, slope) in gradient.iter().enumerate() {
            let difference = (moved(index, 1e-6) - moved(index, -1e-6)) / 2e-6;
            assert!((difference - slope).abs() < 1e-7, "{index}: {difference} {slope}");
        }
    }
}
