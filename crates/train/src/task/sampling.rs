//! Inverse binomial sampling: answers are drawn until enough are right, or the budget is spent.
//!
//! Which estimate a problem gets follows from what was drawn. `successes` right answers within the budget give an
//! estimate of log p without bias. A budget that ends before that gives add-half where at least three answers were right,
//! and where fewer were, the bound that the samples set, as censored: it is never dropped.

use std::ops::Range;

use candle_core::Result;
use forescale_core::items::ItemEstimator;
use forescale_core::pass_rate::{add_half, censoring_bound, inverse_binomial, is_resolved};
use forescale_core::run::TaskEvaluation;

use super::Judged;

/// Answers drawn at once, at first and at most: few where most are right, more where many are needed. What lies after the
/// last right answer that was waited for is not looked at.
const ROUND: (u32, u32) = (8, 64);

/// Draws answers by their numbers, from 0, until enough are right. `draw` says of each whether it is right; `None` where
/// the model's logits are not numbers, which ends it.
pub(super) fn judge(
    sampling: TaskEvaluation,
    mut draw: impl FnMut(Range<u32>) -> Result<Option<Vec<bool>>>,
) -> Result<Judged> {
    let TaskEvaluation { successes: wanted, budget } = sampling;
    let (mut trials, mut successes, mut round) = (0, 0, ROUND.0);
    while trials < budget && successes < wanted {
        let Some(drawn) = draw(trials..(trials + round).min(budget))? else {
            return Ok(judged(ItemEstimator::Censored, (trials, successes), (f64::NAN, 0.0)));
        };
        for right in drawn {
            trials += 1;
            successes += u32::from(right);
            if successes == wanted {
                break;
            }
        }
        round = (2 * round).min(ROUND.1);
    }
    Ok(estimate(wanted, trials, successes))
}

fn estimate(wanted: u32, trials: u32, successes: u32) -> Judged {
    let counts = (trials, successes);
    if successes == wanted
        && let Some(pass) = inverse_binomial(trials, successes)
    {
        return judged(ItemEstimator::InverseBinomial, counts, (pass.log_p, pass.variance));
    }
    match add_half(trials, successes).filter(|_| is_resolved(successes)) {
        Some(pass) => judged(ItemEstimator::AddHalf, counts, (pass.log_p, pass.variance)),
        None => judged(ItemEstimator::Censored, counts, (censoring_bound(trials, successes).unwrap_or(0.0), 0.0)),
    }
}

fn judged(estimator: ItemEstimator, counts: (u32, u32), (log_p, variance): (f64, f64)) -> Judged {
    Judged { estimator, trials: counts.0, successes: counts.1, log_p, variance, greedy: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::{stream, unit};

    /// Judges one problem of known p; each answer is right by a stream of its own.
    fn sampled(sampling: TaskEvaluation, problem: u32, p: f64) -> Judged {
        let right = |number: u32| unit(&mut stream(u64::from(number), &format!("problem {problem}"))) < p;
        judge(sampling, |numbers| Ok(Some(numbers.map(right).collect()))).expect("no model to fail")
    }

    #[test]
    fn enough_right_answers_have_no_bias_in_log_p() {
        // 2000 problems until 4 are right: a standard error of √(ψ′(4)/2000) = 0.012 at most. The ratio of counts would
        // be off by ln 4 − ψ(4) = 0.13.
        let sampling = TaskEvaluation { successes: 4, budget: 100_000 };
        for p in [0.9, 0.3, 0.03] {
            let all: Vec<Judged> = (0..2_000).map(|problem| sampled(sampling, problem, p)).collect();
            assert!(all.iter().all(|one| one.estimator == ItemEstimator::InverseBinomial && one.successes == 4));
            let mean = all.iter().map(|one| one.log_p).sum::<f64>() / 2_000.0;
            assert!((mean - p.ln()).abs() < 0.04, "{p}: {mean} for {}", p.ln());
            let squares = all.iter().map(|one| (one.log_p - p.ln()).powi(2)).sum::<f64>() / 2_000.0;
            let told = all.iter().map(|one| one.variance).sum::<f64>() / 2_000.0;
            assert!((squares / told - 1.0).abs() < 0.15, "{p}: {squares} told as {told}");
        }
    }

    #[test]
    fn a_round_does_not_change_where_sampling_ends() {
        // The third right answer is the 12th drawn: inside the second round, whose rest is not counted.
        let right = [1, 10, 11, 12, 13];
        let judged = judge(TaskEvaluation { successes: 3, budget: 100 }, |numbers| {
            Ok(Some(numbers.map(|number| right.contains(&number)).collect()))
        });
        let judged = judged.expect("no model to fail");
        assert_eq!((judged.trials, judged.successes), (12, 3));
        // ψ(12) − ψ(3) = 1/3 + 1/4 + … + 1/11.
        let sum: f64 = (3..12).map(|n| 1.0 / f64::from(n)).sum();
        assert!((judged.log_p + sum).abs() < 1e-12);
    }

    #[test]
    fn a_spent_budget_is_add_half_with_three_right_and_censored_with_fewer() {
        let spent = |right: u32| {
            let drawn = |numbers: Range<u32>| Ok(Some(numbers.map(|number| number < right).collect()));
            judge(TaskEvaluation { successes: 4, budget: 50 }, drawn).expect("no model to fail")
        };
        let three = spent(3);
        assert_eq!((three.estimator, three.trials, three.successes), (ItemEstimator::AddHalf, 50, 3));
        assert!((three.log_p - (3.5f64 / 51.0).ln()).abs() < 1e-12);
        for right in [0, 1, 2] {
            let few = spent(right);
            assert_eq!((few.estimator, few.trials, few.successes), (ItemEstimator::Censored, 50, right));
            assert!((few.log_p - (f64::from(right + 1) / 50.0).ln()).abs() < 1e-12);
        }
    }

    #[test]
    fn logits_that_are_not_numbers_end_it() {
        let judged = judge(TaskEvaluation { successes: 1, budget: 9 }, |_| Ok(None)).expect("an answer");
        assert!(judged.log_p.is_nan());
    }
}
