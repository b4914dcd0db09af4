//! Problems with one right answer: its probability is the model's own.
//!
//! # Formula
//!
//! log p = Σ_i log p(a_i | prompt, a_1 … a_{i−1}) over the answer's tokens, its end mark included. Greedy decoding gives the
//! answer exactly where each of its tokens is the most probable one after those before it.

use candle_core::Result;
use forescale_core::items::ItemEstimator;
use forescale_core::problem::Problem;

use super::{Court, Judged};
use crate::generate::{most_probable, read_part};
use crate::kernels::cross_entropy::window_losses;
use crate::kernels::view;
use crate::model::{Memory, New};

/// Judges problems in one pass, each over its own tokens and no padding.
pub(super) fn judge(court: Court<'_>, problems: &[&Problem]) -> Result<Vec<Judged>> {
    let sequences: Vec<Vec<u32>> = problems.iter().map(|problem| read_tokens(problem, court.context)).collect();
    let mut memories: Vec<Memory> = sequences.iter().map(|tokens| court.model.memory(tokens.len())).collect();
    let mut new: Vec<New<'_>> = memories
        .iter_mut()
        .zip(&sequences)
        .zip(problems)
        .map(|((memory, tokens), problem)| New { memory, tokens, asked: problem.answer.len() })
        .collect();
    let logits = court.model.advance(&mut new)?;
    let targets: Vec<u32> = problems.iter().flat_map(|problem| &problem.answer).copied().collect();
    let losses = window_losses(&logits, &targets, 1)?;
    let (_, vocabulary) = logits.dims2()?;
    let held = view(&logits);
    let rows = held.values()?.chunks_exact(vocabulary);
    let hits: Vec<bool> = rows.zip(&targets).map(|(row, target)| most_probable(row) == Some(*target)).collect();
    let mut first = 0;
    let of_problem = |problem: &&Problem| {
        let rows = first..first + problem.answer.len();
        first = rows.end;
        Judged {
            estimator: ItemEstimator::Exact,
            trials: 0,
            successes: 0,
            log_p: -losses[rows.clone()].iter().sum::<f64>(),
            variance: 0.0,
            greedy: Some(hits[rows].iter().all(|hit| *hit)),
        }
    };
    Ok(problems.iter().map(of_problem).collect())
}

/// What the model reads: the prompt, or as much of its end as the window allows, and the answer without its last token.
fn read_tokens(problem: &Problem, context: usize) -> Vec<u32> {
    let (_, before_last) = problem.answer.split_last().expect("checked to have a token");
    [read_part(&problem.prompt, problem.answer.len(), context), before_last].concat()
}
