//! Problems whose answer is a program: several are right, so answers are drawn from the model and run.

use std::ops::Range;

use candle_core::Result;
use forescale_core::problem::{Problem, StackTest};
use forescale_core::stack_machine::passes;

use super::{Court, Judged, sampling};
use crate::generate::{Choice, Limit, Start, continue_all, read_part};

/// A problem and what its judge says.
pub(super) struct Asked<'a> {
    pub(super) problem: &'a Problem,
    pub(super) tests: &'a [StackTest],
    pub(super) max_tokens: usize,
    pub(super) end: u32,
}

/// Draws programs until enough pass their tests, and says whether the most probable one does.
pub(super) fn judge(court: Court<'_>, asked: &Asked<'_>) -> Result<Judged> {
    let limit = Limit { tokens: asked.max_tokens, end: Some(asked.end) };
    let prompt = read_part(&asked.problem.prompt, asked.max_tokens, court.context);
    let start = Start::read(court.model, &[prompt], asked.max_tokens)?.pop().expect("one for one prompt");
    let draw = |numbers: Range<u32>| -> Result<Option<Vec<bool>>> {
        let starts = numbers.map(|number| (start.clone(), choice(court, asked.problem, number))).collect();
        let answers = continue_all(court.model, starts, limit)?;
        Ok(answers.iter().map(|answer| Some(is_right(answer.as_deref()?, asked))).collect())
    };
    let judged = sampling::judge(court.sampling, draw)?;
    let greedy = continue_all(court.model, vec![(start.clone(), Choice::Greedy)], limit)?.pop().flatten();
    Ok(Judged { greedy: greedy.map(|answer| is_right(&answer, asked)), ..judged })
}

/// The stream of one answer: another one for each run, problem and number.
fn choice(court: Court<'_>, problem: &Problem, number: u32) -> Choice {
    Choice::sample(court.seed, &format!("{} {} {} answer {number}", court.digest, problem.task, problem.item))
}

/// Whether an answer ends and passes; one that was cut short, or is not of bytes, does not.
pub(super) fn is_right(answer: &[u32], asked: &Asked<'_>) -> bool {
    let Some((end, program)) = answer.split_last() else { return false };
    let bytes: Option<Vec<u8>> = program.iter().map(|token| u8::try_from(*token).ok()).collect();
    *end == asked.end && bytes.is_some_and(|program| passes(&program, asked.tests))
}
