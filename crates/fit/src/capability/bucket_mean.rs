//! The mean −log p of a bucket's problems in one run, with its censored problems.
//!
//! # Formula
//!
//! Where no problem is censored the mean is that of the estimates, which are exact or without bias. Where some are,
//! leaving them out would make the bucket look easy (by 0.87 nats at p = 0.005 and a hundred samples), and taking their
//! bounds for values too easy as well. Then every sampled problem of the bucket is read by its likelihood p^c (1 − p)^(n−c),
//! which holds for a fixed number of samples, for sampling until enough are right, and for sampling that ended before:
//! −log p is Gamma over problems, its mean and shape by maximum likelihood, and a problem counts the expectation of −log p
//! given its own samples. Weak expectations (ln mean ln 2 ± 1.5, ln shape 0 ± 1) keep a bucket without a single right answer
//! finite; it is a bound all the same.
//!
//! # Why not a Beta over p
//!
//! Beta(a, 1) is the Gamma of shape 1; other Betas have no thinner tail where p is small, however alike the problems are:
//! with ln p uniform over (−7, 0) and 200 samples a beta-binomial by the same method said 3.91 for 3.50, the Gamma 3.82.

use std::collections::BTreeMap;

use forescale_core::items::{ItemEstimator, ItemResult};
use forescale_core::math;

use crate::line_search::{Effort, minimum};

const LOG_MEAN: (f64, f64) = (-4.0, 3.5);
const LOG_SHAPE: (f64, f64) = (-2.0, 3.0);
const MEAN: (f64, f64) = (core::f64::consts::LN_2, 1.5);
const SHAPE_SD: f64 = 1.0;
const EFFORT: Effort = Effort { grid: 13, rounds: 16 };
/// Points of ln(−log p) that stand for the distribution.
const POINTS: u32 = 96;
/// −log p from a thousandth of a nat to sixty.
const LOG_RANGE: (f64, f64) = (-6.9, 4.1);

/// Mean −log p of one bucket in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BucketMean {
    /// Nats.
    pub(crate) value: f64,
    /// Variance by the estimators, given the problems, nats².
    pub(crate) variance: f64,
    pub(crate) problems: usize,
    pub(crate) censored: usize,
    /// At least half the problems are censored: `value` is the mean of bounds, and the truth lies at it or above.
    pub(crate) is_bound: bool,
}

/// The mean over a bucket; `None` of no problem.
pub(crate) fn bucket_mean(items: &[&ItemResult]) -> Option<BucketMean> {
    if items.is_empty() {
        return None;
    }
    let count = items.len() as f64;
    let censored = items.iter().filter(|item| item.estimator == ItemEstimator::Censored).count();
    let is_bound = 2 * censored >= items.len();
    let spread = (censored > 0 && !is_bound).then(|| spread(items));
    let (mut value, mut variance) = (0.0, 0.0);
    for item in items {
        let given = spread.as_ref().filter(|_| item.trials > 0).map(|spread| spread.given(item));
        let (mean, square) = given.unwrap_or((-item.log_p, item.variance));
        value += mean;
        variance += square;
    }
    Some(BucketMean {
        value: value / count,
        variance: variance / (count * count),
        problems: items.len(),
        censored,
        is_bound,
    })
}

/// The distribution of −log p over the problems of a bucket, as points with weights.
#[derive(Clone, Debug)]
struct Spread {
    /// −log p and weight.
    points: Vec<(f64, f64)>,
}

impl Spread {
    /// Gamma of a mean and shape, on points even in ln(−log p), weights adding up to 1.
    fn gamma(log_mean: f64, log_shape: f64) -> Self {
        let shape = math::exp(log_shape);
        let step = (LOG_RANGE.1 - LOG_RANGE.0) / f64::from(POINTS - 1);
        let point = |i: u32| {
            let log = LOG_RANGE.0 + step * f64::from(i);
            let scaled = shape * math::exp(log - log_mean);
            (math::exp(log), math::exp(shape * (log - log_mean) - scaled + shape))
        };
        let mut points: Vec<(f64, f64)> = (0..POINTS).map(point).collect();
        let total: f64 = points.iter().map(|point| point.1).sum();
        points.iter_mut().for_each(|point| point.1 /= total);
        Self { points }
    }

    /// Mean and variance of −log p of a problem, given its samples.
    fn given(&self, item: &ItemResult) -> (f64, f64) {
        let seen = likelihood(item.trials, item.successes);
        let moment = |of: &dyn Fn(f64) -> f64| -> f64 {
            self.points.iter().zip(&seen).map(|((value, weight), seen)| of(*value) * weight * seen).sum()
        };
        let total = moment(&|_| 1.0);
        let mean = moment(&|value| value) / total;
        (mean, moment(&|value| (value - mean) * (value - mean)) / total)
    }
}

/// p^c (1 − p)^(n−c) at each point, over its largest value.
fn likelihood(trials: u32, successes: u32) -> Vec<f64> {
    let (n, c) = (f64::from(trials), f64::from(successes));
    let step = (LOG_RANGE.1 - LOG_RANGE.0) / f64::from(POINTS - 1);
    let log = |i: u32| {
        let value = math::exp(LOG_RANGE.0 + step * f64::from(i));
        -c * value + (n - c) * math::ln(-math::exp_m1(-value))
    };
    let logs: Vec<f64> = (0..POINTS).map(log).collect();
    let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.iter().map(|log| math::exp(log - highest)).collect()
}

/// Mean and shape by maximum likelihood over the sampled problems.
fn spread(items: &[&ItemResult]) -> Spread {
    let mut counts: BTreeMap<(u32, u32), f64> = BTreeMap::new();
    for item in items.iter().filter(|item| item.trials > 0) {
        *counts.entry((item.trials, item.successes)).or_default() += 1.0;
    }
    let seen: Vec<(f64, Vec<f64>)> = counts.iter().map(|(&(n, c), times)| (*times, likelihood(n, c))).collect();
    let shape_of = |mean: f64| minimum(&|shape: f64| cost(&seen, mean, shape), LOG_SHAPE, EFFORT);
    let (mean, _) = minimum(&|mean: f64| shape_of(mean).1, LOG_MEAN, EFFORT);
    Spread::gamma(mean, shape_of(mean).0)
}

/// −ln of likelihood times expectations.
fn cost(seen: &[(f64, Vec<f64>)], log_mean: f64, log_shape: f64) -> f64 {
    let spread = Spread::gamma(log_mean, log_shape);
    let one = |(times, seen): &(f64, Vec<f64>)| {
        let total: f64 = spread.points.iter().zip(seen).map(|((_, weight), seen)| weight * seen).sum();
        -times * math::ln(total.max(1e-300))
    };
    let (mean, shape) = ((log_mean - MEAN.0) / MEAN.1, log_shape / SHAPE_SD);
    seen.iter().map(one).sum::<f64>() + 0.5 * (mean * mean + shape * shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use forescale_core::pass_rate::{add_half, censoring_bound, inverse_binomial};
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    fn item(estimator: ItemEstimator, trials: u32, successes: u32, log_p: f64, variance: f64) -> ItemResult {
        let (run_id, task, item, bucket_name) = ("r".into(), "t".into(), "i".into(), "b".into());
        ItemResult {
            run_id,
            task,
            item,
            bucket: 1,
            bucket_name,
            chance: 0.0,
            estimator,
            trials,
            successes,
            log_p,
            variance,
            greedy: None,
        }
    }

    fn sampled(p: f64, budget: u32, wanted: u32, generator: &mut ChaCha8Rng) -> ItemResult {
        let (mut trials, mut right) = (0, 0);
        while right < wanted && trials < budget {
            trials += 1;
            right += u32::from((generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 <= p);
        }
        if right == wanted {
            let found = inverse_binomial(trials, right).expect("right at last");
            item(ItemEstimator::InverseBinomial, trials, right, found.log_p, found.variance)
        } else {
            let bound = censoring_bound(trials, right).expect("sampled");
            item(ItemEstimator::Censored, trials, right, bound, 0.0)
        }
    }

    #[test]
    fn exact_probabilities_are_averaged_as_they_are() {
        let items = [-0.5, -1.5, -4.0].map(|log_p| item(ItemEstimator::Exact, 0, 0, log_p, 0.0));
        let found = bucket_mean(&items.iter().collect::<Vec<_>>()).expect("problems");
        assert!((found.value - 2.0).abs() < 1e-12 && found.variance < 1e-15 && found.censored == 0);
        assert_eq!(bucket_mean(&[]), None);
    }

    #[test]
    fn estimates_without_censoring_are_averaged_and_their_variances_added() {
        let half = add_half(100, 10).expect("sampled");
        let items = [
            item(ItemEstimator::AddHalf, 100, 10, half.log_p, half.variance),
            item(ItemEstimator::Exact, 0, 0, -1.0, 0.0),
        ];
        let found = bucket_mean(&items.iter().collect::<Vec<_>>()).expect("problems");
        assert!((found.value - 0.5 * (1.0 - half.log_p)).abs() < 1e-12);
        assert!((found.variance - 0.25 * half.variance).abs() < 1e-12);
    }

    #[test]
    fn censored_problems_are_counted_by_their_likelihood_not_dropped_nor_taken_for_their_bounds() {
        // −log p normal about 3.5 with a deviation of 1.3, at its quantiles. 200 samples at most, until 2 are right.
        let (found, dropped, bounds) = of_quantiles(|share| 3.5 + 1.3 * math::normal_quantile(share));
        assert!(found.censored > 40 && !found.is_bound, "{found:?}");
        assert!((found.value - 3.5).abs() < 0.15, "{found:?}");
        assert!(dropped < 3.2 && bounds < 3.4, "{dropped} {bounds}");
        // Uniform over (0, 7): no Gamma ends so suddenly, but what is left is less than half of what dropping does.
        let (found, dropped, _) = of_quantiles(|share| 7.0 * share);
        assert!((found.value - 3.5).abs() < 0.5 * (dropped - 3.5).abs(), "{found:?} {dropped}");
    }

    /// The mean of 400 problems at the quantiles of a distribution of −log p; without the censored; with their bounds.
    fn of_quantiles(quantile: impl Fn(f64) -> f64) -> (BucketMean, f64, f64) {
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let shares = (0..400).map(|i| (f64::from(i) + 0.5) / 400.0);
        let items: Vec<ItemResult> =
            shares.map(|share| sampled(math::exp(-quantile(share).max(0.0)), 200, 2, &mut generator)).collect();
        let mean = |items: &[&ItemResult]| items.iter().map(|i| -i.log_p).sum::<f64>() / items.len() as f64;
        let all: Vec<&ItemResult> = items.iter().collect();
        let solved: Vec<&ItemResult> = all.iter().copied().filter(|i| i.estimator != ItemEstimator::Censored).collect();
        (bucket_mean(&all).expect("problems"), mean(&solved), mean(&all))
    }

    #[test]
    fn a_bucket_that_is_hardly_ever_solved_is_a_bound() {
        let bound = censoring_bound(200, 0).expect("sampled");
        let items = vec![item(ItemEstimator::Censored, 200, 0, bound, 0.0); 8];
        let found = bucket_mean(&items.iter().collect::<Vec<_>>()).expect("problems");
        assert!(found.is_bound && (found.value - math::ln(200.0)).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn the_distribution_of_problems_is_the_one_they_were_drawn_from() {
        // −log p is Exp(1.5), a Gamma of shape 1: 60 samples each, c of them right.
        let mut generator = ChaCha8Rng::seed_from_u64(5);
        let mut uniform = || ((generator.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let items: Vec<ItemResult> = (0..600)
            .map(|_| {
                let p = math::exp(1.5 * math::ln(uniform()));
                let right = (0..60).filter(|_| uniform() < p).count();
                item(ItemEstimator::AddHalf, 60, u32::try_from(right).expect("at most 60"), 0.0, 0.0)
            })
            .collect();
        let found = spread(&items.iter().collect::<Vec<_>>());
        let moment = |of: &dyn Fn(f64) -> f64| found.points.iter().map(|(x, w)| w * of(*x)).sum::<f64>();
        let mean = moment(&|x| x);
        let deviation = moment(&|x| (x - mean) * (x - mean)).sqrt();
        // Standard errors over 600 problems: 0.06 of the mean, 0.12 of the deviation.
        assert!((mean - 1.5).abs() < 0.15 && (deviation - 1.5).abs() < 0.3, "{mean} {deviation}");
    }

    #[test]
    fn points_of_a_gamma_have_its_moments() {
        // Shape 2.5, mean 3: variance 9/2.5.
        let gamma = Spread::gamma(math::ln(3.0), math::ln(2.5));
        let mean: f64 = gamma.points.iter().map(|(x, w)| x * w).sum();
        let square: f64 = gamma.points.iter().map(|(x, w)| w * (x - mean) * (x - mean)).sum();
        assert!((mean - 3.0).abs() < 1e-6 && (square - 3.6).abs() < 1e-5, "{mean} {square}");
    }
}
