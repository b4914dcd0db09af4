//! How much each run counts when its law is to be carried to larger ones.
//!
//! A law is nowhere exact, and a fit spreads its misfit where the runs are: among the smallest and cheapest. Two things
//! are known of every forecast: that it looks upwards in compute, and that nobody trains the target far worse than its
//! budget allows. So a run weighs
//!
//! w = (C/C_max)^½ / (1 + (x/0.1)²), x = ln L − ln of the least loss among runs of at most 1.5 C,
//!
//! which leaves runs near the frontier alone and takes corners (a model that saw almost no data, data that a model cannot
//! hold) out of the fit gradually. Used by forecasts alone: a fit that is reported as such keeps every run's own weight.

use forescale_core::math;
use forescale_core::observation::Observation;

use crate::experience::{COMPUTE_POWER, EXCESS};
use crate::path::BUDGET_FACTOR;

/// The weight of each point, in their order; 1 on average.
pub(crate) fn emphasis(points: &[Observation]) -> Vec<f64> {
    let largest = points.iter().map(|o| o.flops).fold(0.0, f64::max);
    let frontier = Frontier::of(points);
    let weight = |o: &Observation| {
        let excess = (math::ln(o.loss) - frontier.log_loss(o.flops)) / EXCESS;
        math::pow(o.flops / largest, COMPUTE_POWER) / (1.0 + excess * excess)
    };
    let weights: Vec<f64> = points.iter().map(weight).collect();
    let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
    weights.iter().map(|w| w / mean).collect()
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

    #[test]
    fn a_run_off_the_frontier_by_a_tenth_has_half_the_weight_of_one_on_it() {
        let at = |i, loss| published::run(i, 1e8, 1e9, 6e17, loss);
        let weights = emphasis(&[at(0, 3.0), at(1, 3.0 * math::exp(0.1))]);
        assert!((weights[1] / weights[0] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn weights_go_as_the_square_root_of_compute_and_average_one() {
        let runs = [published::run(0, 1e7, 2e8, 1e16, 4.0), published::run(1, 1e8, 2e9, 1e18, 3.0)];
        let weights = emphasis(&runs);
        assert!((weights[0] / weights[1] - 0.1).abs() < 1e-12);
        assert!((weights.iter().sum::<f64>() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_order_of_runs_is_the_order_of_weights() {
        let mut runs = published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.01, 3);
        let forth = emphasis(&runs);
        runs.reverse();
        let back = emphasis(&runs);
        assert!(forth.iter().zip(back.iter().rev()).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
