//! Weights of runs where seed noise falls with compute.
//!
//! # Formula
//!
//! Rungs that carry `seed_sd` give a line ln(sd/L) = const − k ln C, each rung with the variance that ln s has on its
//! degrees of freedom. A rung without degrees carries a rule's value and is no point of the line. A run then weighs (C/C_max)^k in the objective: Σ w ρ(r), 1 for the largest run.
//!
//! # Where it holds
//!
//! Only where at least four rungs carry a deviation of their own and the line falls by more than its own standard error; k is at most
//! one half. Otherwise, and in every table without `seed_sd`, each run keeps its own weight to the bit.
//!
//! # Why the deviation, from a line
//!
//! Weights are the inverse of the deviation, not of its square: the default Huber at 1e-3 is nearly least absolute
//! deviations, for which that is the efficient weight (Koenker, Quantile Regression, 2005, 5.3.1), and it is the milder
//! one where the line is wrong. A rung's own deviation comes from two or three seeds and is no weight at all.
//!
//! Measured (200 ladders of 8 rungs over three decades, two or three seeds a rung, forecast at 30x, 90% nominal):
//!
//! | noise, from the smallest rung | objective | weights | error, rms | mean intervals that hold |
//! |---|---|---|---|---|
//! | 1% · C^(−1/3) | Huber | 1 | 0.63% | 89% |
//! | | | this rule | 0.43% | 92% |
//! | | least squares | 1 | 0.81% | 94% |
//! | | | this rule | 0.51% | 85% |
//! | 0.3%, constant | Huber | 1 | 0.62% | 86.5% |
//! | | | this rule | 0.62% | 85% |
//!
//! On other draws of the first row weights of inverse squares from the line erred by 0.50%, where this rule erred by 0.40%;
//! inverse squares of each rung's own deviation by 0.68% with 85% of intervals holding, 63% under least squares. Where the
//! truth is two power laws, errors fell from 3.1 to 2.3%: small rungs mislead by form as well as by noise.

use core::fmt;

use forescale_core::math;
use forescale_core::observation::Observation;

use crate::noise::{SeedNoise, stated_rungs};

/// Fewest rungs with a deviation that a line is drawn through.
const LEAST_RUNGS: usize = 4;
/// Largest power. Chosen here: noise that averages over tokens falls no faster than their square root.
const STEEPEST: f64 = 0.5;

/// How noise falls with compute, and so how a run weighs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Falloff {
    /// k: the deviation goes as C^−k.
    pub(crate) power: f64,
    /// Where the weight is 1.
    pub(crate) max_flops: f64,
    /// Where it is smallest.
    pub(crate) min_flops: f64,
}

impl Falloff {
    /// Of a group of runs; `None` where they do not tell.
    pub(crate) fn of(runs: &[&Observation]) -> Option<Self> {
        let rungs = stated_rungs(runs);
        if rungs.len() < LEAST_RUNGS {
            return None;
        }
        let (slope, error) = slope(&rungs)?;
        let flops = || runs.iter().map(|o| o.flops);
        let max_flops = flops().fold(0.0, f64::max);
        let min_flops = flops().fold(f64::INFINITY, f64::min);
        (slope < -error).then(|| Self { power: (-slope).min(STEEPEST), max_flops, min_flops })
    }

    /// Weight of a run, at most 1.
    pub(crate) fn weight(&self, flops: f64) -> f64 {
        math::pow(flops / self.max_flops, self.power).min(1.0)
    }
}

impl fmt::Display for Falloff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed noise falls as C^-{0:.3}, so that runs weigh (C/{1:.3e})^{0:.3} in the objective: from {2:.2} to 1",
            self.power,
            self.max_flops,
            self.weight(self.min_flops)
        )
    }
}

/// Weighted least squares of ln s on ln C: slope and standard error, `None` on one budget.
fn slope(rungs: &[(f64, SeedNoise)]) -> Option<(f64, f64)> {
    let points: Vec<[f64; 3]> =
        rungs.iter().map(|(flops, noise)| [math::ln(*flops), log_deviation(noise), precision(noise)]).collect();
    let total: f64 = points.iter().map(|p| p[2]).sum();
    let mean = |axis: usize| points.iter().map(|p| p[2] * p[axis]).sum::<f64>() / total;
    let (x, y) = (mean(0), mean(1));
    let xx: f64 = points.iter().map(|p| p[2] * (p[0] - x) * (p[0] - x)).sum();
    let xy: f64 = points.iter().map(|p| p[2] * (p[0] - x) * (p[1] - y)).sum();
    (xx > 1e-9).then(|| (xy / xx, 1.0 / xx.sqrt()))
}

/// ln s with its bias taken out: E ln s² = ln σ² + ψ(d/2) − ln(d/2), ψ by its asymptotic series to two terms, which is
/// within 0.07 at one degree of freedom (Abramowitz and Stegun 6.3.18).
fn log_deviation(noise: &SeedNoise) -> f64 {
    let half = 0.5 * noise.degrees;
    math::ln(noise.sigma) + 0.5 * (0.5 / half + 1.0 / (12.0 * half * half))
}

/// One over the variance of ln s: a quarter of ψ′(d/2), by 1/x + 1/2x² (Abramowitz and Stegun 6.4.12).
fn precision(noise: &SeedNoise) -> f64 {
    let half = 0.5 * noise.degrees;
    4.0 / (1.0 / half + 0.5 / (half * half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FitOptions, ForecastOptions, LawName, Target, fit, forecast, published};
    use forescale_core::run::Role;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    fn curve(flops: f64) -> f64 {
        1.7 + 1.8 * math::pow(flops / 1e18, -0.15)
    }

    /// Rungs over three decades with one run each, whose stated deviation goes as C^−power.
    fn stated(rungs: usize, power: f64) -> Vec<Observation> {
        let run = |i: usize| {
            let flops = 1e18 * math::pow(10.0, 3.0 * i as f64 / (rungs - 1) as f64);
            let (size, loss) = ((flops / 120.0).sqrt(), curve(flops));
            let seed_sd = Some(0.01 * math::pow(flops / 1e18, -power) * loss);
            Observation { role: Some(Role::Path), seed_sd, ..published::run(i, size, 20.0 * size, flops, loss) }
        };
        (0..rungs).map(run).collect()
    }

    fn falloff(runs: &[Observation]) -> Option<Falloff> {
        Falloff::of(&runs.iter().collect::<Vec<_>>())
    }

    #[test]
    fn deviations_on_a_line_give_its_power() {
        let found = falloff(&stated(8, 0.45)).expect("a line");
        assert!((found.power - 0.45).abs() < 1e-9, "{found:?}");
        // Three decades below the largest: 1000^−0.45.
        assert!((found.weight(1e18) - math::pow(1000.0, -0.45)).abs() < 1e-9);
        assert!((found.weight(1e21) - 1.0).abs() < 1e-9 && found.weight(1e25) <= 1.0);
    }

    #[test]
    fn a_power_is_at_most_one_half() {
        assert!((falloff(&stated(8, 0.9)).expect("a line").power - 0.5).abs() < 1e-12);
    }

    #[test]
    fn noise_that_rises_stays_or_is_hardly_known_weighs_nothing() {
        assert_eq!(falloff(&stated(8, -0.4)), None);
        assert_eq!(falloff(&stated(8, 0.0)), None);
        assert_eq!(falloff(&stated(3, 0.4)), None);
        let mut none = stated(8, 0.4);
        none.iter_mut().for_each(|run| run.seed_sd = None);
        assert_eq!(falloff(&none), None);
        let mut one_budget = stated(8, 0.4);
        one_budget.iter_mut().for_each(|run| run.flops = 1e18);
        assert_eq!(falloff(&one_budget), None);
    }

    #[test]
    fn a_rules_values_are_no_points_of_the_line() {
        let with = |measured: usize| {
            let mut runs = stated(8, 0.45);
            runs.iter_mut().for_each(|run| run.seed_degrees = Some(2.0));
            for run in &mut runs[measured..] {
                (run.seed_sd, run.seed_degrees) = (Some(0.5 * run.loss), Some(0.0));
            }
            falloff(&runs)
        };
        assert_eq!([with(0), with(3)], [None, None]);
        assert!((with(4).expect("four rungs").power - 0.45).abs() < 1e-9);
    }

    #[test]
    fn rungs_weigh_by_the_degrees_they_tell() {
        // ln C = 0, 1, 2, 3 and ln s = −0.4 ln C, 0.3 higher at the last, less the bias that is added back: 0.2916667 on
        // two degrees and 0.1354167 on the last's four. Precisions 8/3 and 6.4: mean 1.888889, Σ p (x − x̄)² = 19.555556,
        // so that the slope is −0.4 + 0.3·6.4·1.111111/19.555556 = −0.2909091.
        let (mut runs, bias) = (stated(4, 0.0), [0.291_666_666_7, 0.291_666_666_7, 0.291_666_666_7, 0.135_416_666_7]);
        for (i, run) in runs.iter_mut().enumerate() {
            let last = i == 3;
            let log_deviation = -0.4 * i as f64 + if last { 0.3 } else { 0.0 } - bias[i] - 6.0;
            run.flops = 1e18 * math::exp(i as f64);
            run.seed_sd = Some(run.loss * math::exp(log_deviation));
            run.seed_degrees = Some(if last { 4.0 } else { 2.0 });
        }
        let found = falloff(&runs).expect("a line");
        assert!((found.power - 0.290_909_1).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn logarithms_of_deviations_lose_their_bias() {
        // E ln s² − ln σ² is ψ(1/2) + ln 2 = −1.2704 on one degree and ψ(1) = −0.5772 on two.
        let corrected = |degrees: f64| 2.0 * log_deviation(&SeedNoise { sigma: 1.0, degrees });
        assert!((corrected(1.0) - 1.2704).abs() < 0.07 && (corrected(2.0) - 0.5772).abs() < 0.01);
        // The variances of ln s² are π²/2 and π²/6.
        let variance = |degrees: f64| 4.0 / precision(&SeedNoise { sigma: 1.0, degrees });
        assert!((variance(2.0) - 1.645).abs() < 0.15 && (variance(1.0) - 4.93).abs() < 1.0);
    }

    /// Two seeds a rung with noise of 1% at the bottom that falls as C^(−1/3), with and without the deviations' word.
    fn noisy(generator: &mut ChaCha8Rng) -> [Vec<Observation>; 2] {
        let mut runs = Vec::new();
        for rung in stated(8, 1.0 / 3.0) {
            let noise = rung.seed_sd.map_or(0.0, |sd| sd / rung.loss);
            let losses = [0, 1].map(|_| rung.loss * math::exp(noise * published::normal(generator)));
            let sd = (losses[0] - losses[1]).abs() / 2.0_f64.sqrt();
            for loss in losses {
                let run_id = format!("run{}", runs.len());
                runs.push(Observation { cluster: run_id.clone(), run_id, loss, seed_sd: Some(sd), ..rung.clone() });
            }
        }
        let unstated = runs.iter().map(|run| Observation { seed_sd: None, ..run.clone() }).collect();
        [runs, unstated]
    }

    #[test]
    fn weights_make_forecasts_from_noisy_small_rungs_err_less() {
        let mut generator = ChaCha8Rng::seed_from_u64(22);
        let fit = FitOptions { laws: vec![LawName::POWER_LAW], ..FitOptions::default() };
        let options = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
        let target = Target::of_budget(3e22);
        let (mut squares, mut inside) = ([0.0, 0.0], 0);
        for _ in 0..100 {
            for (square, runs) in squares.iter_mut().zip(noisy(&mut generator)) {
                let answer = forecast(&runs, &[target], &options).expect("fits");
                let error = math::ln(answer.targets[0].median.expect("a forecast") / curve(3e22));
                *square += error * error;
                inside +=
                    u32::from(runs[0].seed_sd.is_some() && answer.targets[0].mean_intervals[0].contains(curve(3e22)));
            }
        }
        assert!(squares[0] < 0.7 * squares[1], "{squares:?}");
        assert!((84..=97).contains(&inside), "{inside}");
    }

    #[test]
    fn a_weighted_fit_says_so_and_keeps_its_certificate() {
        let [runs, unstated] = noisy(&mut ChaCha8Rng::seed_from_u64(1));
        let report = |runs: &[Observation]| fit(runs, &[], &FitOptions::default()).expect("fits").fits[0].clone();
        let (weighted, plain) = (report(&runs), report(&unstated));
        let note = weighted.diagnoses.iter().find(|d| d.code == "seed_weights").expect("a note");
        assert!(note.message.starts_with("`power_law`: seed noise falls as C^-0."), "{}", note.message);
        assert!(weighted.certificate.gradient_norm < 1e-8 && weighted.certificate.agreeing_starts > 1);
        assert!(plain.diagnoses.iter().all(|d| d.code != "seed_weights"));
    }
}
