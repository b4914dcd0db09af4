//! How much each run counts when its law is to be carried to larger ones.
//!
//! A law is nowhere exact, and a fit spreads its misfit where the runs are: among the smallest and cheapest, and in corners
//! (a model that saw almost no data, data that a model cannot hold). Where it is wrong the residuals say so, and there a run
//! weighs less; where they do not, every run keeps its weight to the bit.
//!
//! # Formula
//!
//! w = (C/C_max)^p / (1 + (x/0.1)²)^q, x = ln L − ln of the least loss among runs of at most 1.5 C.
//!
//! A line through the logarithms of the residuals, ln |r| = a − k ln(C/C_max) + m ln(1 + (x/0.1)²), says how their
//! deviation goes; weights are inverse variances, p = 2k and q = 2m, each with one standard error taken off, and within
//! [0, ½] and [0, 1]. The residuals are of a fit with the fullest weights, then of one with those so found: a law bent to
//! please its corners would hide there what is asked.
//!
//! Used by forecasts alone: a fit that is reported as such keeps every run's own weight.

use forescale_core::law::Theta;
use forescale_core::math;
use forescale_core::observation::Observation;

use crate::experience::{COMPUTE_POWER, EXCESS};
use crate::linear::{Matrix, quadratic_inverse, solve};
use crate::path::BUDGET_FACTOR;

/// Residuals below this share of their scale are that large: a run that a law happens to meet says nothing of its misfit.
const LEAST_SHARE: f64 = 0.1;

/// How weights go with compute and with the excess over the frontier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Emphasis {
    /// p.
    pub(crate) power: f64,
    /// q.
    pub(crate) trust: f64,
}

impl Emphasis {
    /// The most that is ever asked.
    pub(crate) const FULL: Self = Self { power: COMPUTE_POWER, trust: 1.0 };

    /// What residuals about a fit ask for, where its scatter is `sigma`.
    pub(crate) fn asked(points: &[Observation], residuals: &[f64], sigma: f64) -> Self {
        let Some([compute, excess]) = slopes(points, residuals, LEAST_SHARE * sigma) else {
            return Self { power: 0.0, trust: 0.0 };
        };
        Self { power: (-2.0 * compute).clamp(0.0, COMPUTE_POWER), trust: (2.0 * excess).clamp(0.0, 1.0) }
    }

    /// The weight of each point, in their order; 1 on average.
    pub(crate) fn weights(self, points: &[Observation]) -> Vec<f64> {
        if self.power <= 0.0 && self.trust <= 0.0 {
            return vec![1.0; points.len()];
        }
        let weight = |[_, compute, excess]: [f64; 3]| math::exp(self.power * compute - self.trust * excess);
        let weights: Vec<f64> = rows(points).into_iter().map(weight).collect();
        let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
        weights.iter().map(|w| w / mean).collect()
    }
}

/// 1, ln(C/C_max) and ln(1 + (x/0.1)²) of each point.
fn rows(points: &[Observation]) -> Vec<[f64; 3]> {
    let largest = points.iter().map(|o| o.flops).fold(0.0, f64::max);
    let frontier = Frontier::of(points);
    let row = |o: &Observation| {
        let excess = (math::ln(o.loss) - frontier.log_loss(o.flops)) / EXCESS;
        [1.0, math::ln(o.flops / largest), math::ln_1p(excess * excess)]
    };
    points.iter().map(row).collect()
}

/// Slopes of ln |r| by compute and by excess, each a standard error nearer to zero than the least squares say.
fn slopes(points: &[Observation], residuals: &[f64], least: f64) -> Option<[f64; 2]> {
    let (mut matrix, mut vector) = (Matrix::default(), Theta::default());
    let (rows, free) = (rows(points), [0, 1, 2]);
    let sizes: Vec<f64> = residuals.iter().map(|r| math::ln(r.abs().max(least).max(f64::MIN_POSITIVE))).collect();
    for (row, size) in rows.iter().zip(&sizes) {
        for i in free {
            vector[i] += row[i] * size;
            free.iter().for_each(|&j| matrix[i][j] += row[i] * row[j]);
        }
    }
    let line = solve(&matrix, &vector, &free)?;
    let said = |row: &[f64; 3]| row.iter().zip(line).map(|(x, b)| x * b).sum::<f64>();
    let squares: f64 = rows.iter().zip(&sizes).map(|(row, size)| (size - said(row)) * (size - said(row))).sum();
    let variance = squares / rows.len().saturating_sub(3).max(1) as f64;
    let mut kept = [0.0; 2];
    for (slot, i) in kept.iter_mut().zip([1, 2]) {
        let mut unit = Theta::default();
        unit[i] = 1.0;
        let error = (variance * quadratic_inverse(&matrix, &unit, &free)?).sqrt();
        *slot = (line[i].abs() - error).max(0.0).copysign(line[i]);
    }
    kept.iter().all(|slope| slope.is_finite()).then_some(kept)
}

/// The least log loss up to each compute.
struct Frontier(Vec<(f64, f64)>);

impl Frontier {
    fn of(points: &[Observation]) -> Self {
        let mut steps: Vec<(f64, f64)> = points.iter().map(|o| (o.flops, math::ln(o.loss))).collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut least = f64::INFINITY;
        for step in &mut steps {
            least = least.min(step.1);
            step.1 = least;
        }
        Self(steps)
    }

    fn log_loss(&self, flops: f64) -> f64 {
        let above = self.0.partition_point(|step| step.0 <= BUDGET_FACTOR * flops);
        self.0[above - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    fn grid() -> Vec<Observation> {
        published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.01, 3)
    }

    #[test]
    fn a_run_off_the_frontier_by_a_tenth_has_half_the_weight_of_one_on_it() {
        let at = |i, loss| published::run(i, 1e8, 1e9, 6e17, loss);
        let weights = Emphasis::FULL.weights(&[at(0, 3.0), at(1, 3.0 * math::exp(0.1))]);
        assert!((weights[1] / weights[0] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn full_weights_go_as_the_square_root_of_compute_and_average_one() {
        let runs = [published::run(0, 1e7, 2e8, 1e16, 4.0), published::run(1, 1e8, 2e9, 1e18, 3.0)];
        let weights = Emphasis::FULL.weights(&runs);
        assert!((weights[0] / weights[1] - 0.1).abs() < 1e-12);
        assert!((weights.iter().sum::<f64>() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_order_of_runs_is_the_order_of_weights() {
        let mut runs = grid();
        let forth = Emphasis::FULL.weights(&runs);
        runs.reverse();
        let back = Emphasis::FULL.weights(&runs);
        assert!(forth.iter().zip(back.iter().rev()).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn residuals_that_fall_with_compute_ask_for_twice_their_power() {
        // |r| = (C/C_max)^-0.2 exactly: k = 0.2 with no error, p = 0.4, q = 0.
        let runs = grid();
        let largest = runs.iter().map(|o| o.flops).fold(0.0, f64::max);
        let residuals: Vec<f64> = runs.iter().map(|o| 0.01 * math::pow(o.flops / largest, -0.2)).collect();
        let asked = Emphasis::asked(&runs, &residuals, 0.01);
        assert!((asked.power - 0.4).abs() < 1e-6 && asked.trust < 1e-6, "{asked:?}");
    }

    #[test]
    fn even_residuals_mostly_ask_for_nothing() {
        // A slope is above its own standard error by chance one time in six on either side: p above zero in about a sixth
        // of draws, and near its bound in hardly any.
        let (runs, mut generator) = (grid(), ChaCha8Rng::seed_from_u64(6));
        let mut above = 0;
        for _ in 0..200 {
            let residuals: Vec<f64> = runs.iter().map(|_| 0.01 * published::normal(&mut generator)).collect();
            above += u32::from(Emphasis::asked(&runs, &residuals, 0.01).power > 0.0);
        }
        assert!((15..=55).contains(&above), "{above} of 200");
    }

    #[test]
    fn nothing_asked_leaves_weights_to_the_bit() {
        assert!(Emphasis { power: 0.0, trust: 0.0 }.weights(&grid()).iter().all(|w| w.to_bits() == 1.0_f64.to_bits()));
    }
}
