//! How long a run will take, from speeds measured once, and how much memory of a card, from its shape.

use forescale_core::count::FlopsCounts;
use forescale_core::problem::{Judge, Problem};
use forescale_core::run::RunConfig;

use crate::card::memory_bytes;
use crate::error::TrainError;
use crate::precision::Precision;
use crate::shard::shards;

/// GFLOP/s of one thread by width, batches of the ladder's rule, as `examples/throughput` prints them. Measured on one
/// core of an AMD EPYC 9004 (Zen 4, AVX-512) shared with other work, 23 November 2026; the fastest second of several.
const GFLOPS_BY_WIDTH: [(f64, f64); 7] =
    [(16.0, 35.0), (24.0, 38.0), (32.0, 44.0), (48.0, 54.0), (64.0, 60.0), (96.0, 67.0), (128.0, 72.0)];

/// How much slower a token is drawn than it is read in an evaluation: products of few rows, and attention one row at a
/// time. Measured with `examples/generation` (`benches/generation.md`), batches of 32.
const DRAWING: f64 = 3.5;

/// Seconds a run will take on a number of threads: training, evaluations and judging these problems, on the machine the
/// speeds were measured on.
///
/// Threads help as far as a batch has shards for them; an evaluation's forward pass costs a third of training per
/// token. Problems count where the config has them judged. How many answers will be drawn nobody knows before: half of
/// what is allowed, half as long as allowed.
#[must_use]
pub fn estimated_seconds(config: &RunConfig, problems: &[Problem], threads: usize) -> f64 {
    let evaluation = &config.evaluation;
    let on_the_way = if evaluation.curve_tokens == 0 { evaluation.tokens } else { evaluation.curve_tokens };
    let measured = evaluation.tokens + u64::from(evaluation.curve_points) * on_the_way.min(evaluation.tokens);
    let training = FlopsCounts::of(&config.shape, config.tokens()).exact;
    let evaluating = FlopsCounts::of(&config.shape, measured + judged_tokens(config, problems)).exact / 3.0;
    let flops_per_second = gflops(f64::from(config.shape.width)) * 1e9;
    (training / speedup(config, threads) + evaluating / threads.max(1) as f64) / flops_per_second
}

/// Tokens read, and drawn at the cost of so many read, to judge problems.
fn judged_tokens(config: &RunConfig, problems: &[Problem]) -> u64 {
    let Some(sampling) = config.evaluation.tasks else { return 0 };
    let of_problem = |problem: &Problem| {
        let read = problem.prompt.len().min(config.shape.context as usize) as f64;
        match problem.judge {
            Judge::Exact {} => read + problem.answer.len() as f64,
            Judge::StackProgram { max_tokens, .. } => {
                read + DRAWING * f64::from(sampling.budget) / 2.0 * f64::from(max_tokens) / 2.0
            }
        }
    };
    problems.iter().map(of_problem).sum::<f64>() as u64
}

/// Sequences over those of the busiest thread.
fn speedup(config: &RunConfig, threads: usize) -> f64 {
    let dealt = shards(config.sequences as usize);
    let rounds = dealt.chunks(threads.max(1));
    let longest: usize = rounds.map(|round| round.iter().map(ExactSizeIterator::len).max().unwrap_or(0)).sum();
    f64::from(config.sequences) / longest.max(1) as f64
}

/// Between measured widths by a straight line in the logarithm of width; beyond them, the nearest.
fn gflops(width: f64) -> f64 {
    let [first, .., last] = GFLOPS_BY_WIDTH;
    let between = GFLOPS_BY_WIDTH.windows(2).find(|pair| (pair[0].0..pair[1].0).contains(&width));
    match between {
        Some(pair) => {
            let share = libm::log(width / pair[0].0) / libm::log(pair[1].0 / pair[0].0);
            pair[0].1 + share * (pair[1].1 - pair[0].1)
        }
        None if width < first.0 => first.1 * width / first.0,
        None => last.1,
    }
}

/// Bytes of a card's memory that a run asks for, without what the driver and the library of matrix products keep.
///
/// Counted from the plan itself: weights, moments and gradients in f32, the weights once more in bf16 where products read
/// that, what the forward pass of one of the `accumulate` parts of a step keeps, and gradients of activations.
///
/// # Errors
///
/// [`TrainError`] where the run cannot be planned for a card at all: why.
pub fn counted_memory_bytes(config: &RunConfig, precision: Precision, accumulate: u32) -> Result<u64, TrainError> {
    memory_bytes(config, precision, accumulate)
}

/// The same as a number to pack runs by: the largest one where the run cannot be planned for a card.
#[must_use]
pub fn device_memory_bytes(config: &RunConfig, precision: Precision, accumulate: u32) -> u64 {
    memory_bytes(config, precision, accumulate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use forescale_core::count::ModelShape;
    use forescale_core::run::{EvaluationConfig, TaskEvaluation};

    use super::*;
    use crate::fixture::{config, problem};

    #[test]
    fn speeds_pass_through_the_measured_points_and_stay_between_them() {
        for (width, speed) in GFLOPS_BY_WIDTH {
            assert!((gflops(width) - speed).abs() < 1e-9, "{width}");
        }
        assert!((35.0..38.0).contains(&gflops(20.0)));
        assert!((gflops(8.0) - 17.5).abs() < 1e-9 && (gflops(4096.0) - 72.0).abs() < 1e-9);
    }

    #[test]
    fn threads_help_as_far_as_there_are_shards() {
        // Nine sequences are four shards of 2, 2, 2, 3: on two threads 2 + 3 one after the other; on four, 3.
        assert!((speedup(&config(), 1) - 1.0).abs() < 1e-12);
        assert!((speedup(&config(), 2) - 9.0 / 5.0).abs() < 1e-12);
        assert!((speedup(&config(), 4) - 3.0).abs() < 1e-12);
        assert!((speedup(&config(), 64) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn twice_the_steps_take_twice_the_training() {
        let seconds = |steps| estimated_seconds(&RunConfig { steps, ..config() }, &[], 1);
        let (one, two, three) = (seconds(1000), seconds(2000), seconds(3000));
        assert!(((three - two) / (two - one) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_evaluation_on_the_way_costs_the_tokens_it_measures() {
        // Three of them on 100 tokens of 400 instead of on all: 900 tokens less, at a third of training each.
        let of = |curve_tokens| {
            let evaluation = EvaluationConfig { curve_tokens, ..config().evaluation };
            estimated_seconds(&RunConfig { evaluation, ..config() }, &[], 1)
        };
        let training = |steps| {
            let evaluation = EvaluationConfig { curve_points: 0, ..config().evaluation };
            estimated_seconds(&RunConfig { steps, evaluation, ..config() }, &[], 1)
        };
        let step = training(2) - training(1);
        assert!(((of(0) - of(100)) / step - 900.0 / 3.0 / 180.0).abs() < 1e-9);
        assert!((of(0) - of(4_000)).abs() < 1e-15);
    }

    #[test]
    fn half_the_sequences_at_once_take_less_memory_and_a_narrower_operand_less_per_token() {
        let of = |precision, accumulate| device_memory_bytes(&config(), precision, accumulate);
        assert!(of(Precision::F32, 3) < of(Precision::F32, 1));
        assert_eq!(of(Precision::F32, 1), of(Precision::Tf32, 1));
        assert!(of(Precision::Bf16, 1) < of(Precision::F32, 1));
        let shapeless = RunConfig { shape: ModelShape { heads: 3, ..config().shape }, ..config() };
        assert_eq!(device_memory_bytes(&shapeless, Precision::F32, 1), u64::MAX);
    }

    #[test]
    fn judging_costs_the_tokens_that_are_read_and_drawn() {
        let seconds = |problems: &[Problem], tasks| {
            let evaluation = EvaluationConfig { tasks, ..config().evaluation };
            estimated_seconds(&RunConfig { evaluation, ..config() }, problems, 1)
        };
        let tasks = Some(TaskEvaluation { successes: 2, budget: 40 });
        let exact: Vec<Problem> = (0..90).map(|item| problem(&item.to_string(), &[1; 7], &[2; 3])).collect();
        // 90 problems of ten tokens are a training step of 180 tokens five times over, at a third of its cost.
        let step = estimated_seconds(&RunConfig { steps: 2, ..config() }, &[], 1)
            - estimated_seconds(&RunConfig { steps: 1, ..config() }, &[], 1);
        let judging = seconds(&exact, tasks) - seconds(&[], tasks);
        assert!((judging / step - 900.0 / 3.0 / 180.0).abs() < 1e-9, "{}", judging / step);
        assert!((seconds(&exact, None) - seconds(&[], None)).abs() < 1e-15);
        // Half of 40 answers, half of 8 tokens long.
        let judge = Judge::StackProgram { tests: Vec::new(), max_tokens: 8, end: 0 };
        let drawn = [Problem { judge, ..problem("program", &[1; 7], &[2]) }];
        let judging = seconds(&drawn, tasks) - seconds(&[], tasks);
        assert!((judging / step - (7.0 + DRAWING * 80.0) / 3.0 / 180.0).abs() < 1e-9, "{}", judging / step);
    }
}
