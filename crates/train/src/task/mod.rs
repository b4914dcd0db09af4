//! How a trained model answers the held-out problems of its corpus.
//!
//! A judge is one file and one line in [`judge_piece`]: [`exact`] reads the probability of the one right answer from the
//! model; [`stack_program`] draws answers and runs them. What is drawn follows from the config's digest and the
//! problem alone, so that a run that was interrupted is judged as one that was not, on any number of threads.

mod exact;
mod metric;
mod sampling;
mod stack_program;

use forescale_core::corpus::CorpusManifest;
use forescale_core::items::{ItemEstimator, ItemResult};
use forescale_core::problem::{Judge, Problem};
use forescale_core::record::Metric;
use forescale_core::run::{RunConfig, TaskEvaluation};

use crate::data::TokenFile;
use crate::error::TrainError;
use crate::model::{LanguageModel, Model};
use crate::problems::{ProblemFile, none_to_judge};
use crate::shard::Workers;

/// Tokens of exact problems computed in one piece; fixed, so that results do not depend on threads. Chosen here, as for
/// evaluations: the activations of so many tokens stay in a core's cache.
const PIECE_TOKENS: usize = 512;

/// What a judge says of one problem.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    pub(crate) estimator: ItemEstimator,
    pub(crate) trials: u32,
    pub(crate) successes: u32,
    /// Nats; not a number where the model's logits are not.
    pub(crate) log_p: f64,
    pub(crate) variance: f64,
    pub(crate) greedy: Option<bool>,
}

/// What judging needs to know of a run.
#[derive(Clone, Copy)]
struct Court<'a> {
    model: &'a dyn LanguageModel,
    /// Tokens of the model's window.
    context: usize,
    sampling: TaskEvaluation,
    seed: u64,
    /// Digest of the config, which tells the samples of one run from those of another.
    digest: &'a str,
}

/// The problems of a run's corpus, and how they are judged.
pub(crate) struct Tasks {
    sampling: TaskEvaluation,
    set: ProblemFile,
}

impl Tasks {
    /// The problems that a run is judged on, checked against its model; `None` where its config asks for none.
    pub(crate) fn of(config: &RunConfig, tokens: &TokenFile) -> Result<Option<Self>, TrainError> {
        let Some(sampling) = config.evaluation.tasks else { return Ok(None) };
        check_sampling(sampling)?;
        let set = tokens.problems()?.ok_or_else(none_to_judge)?;
        set.check(config)?;
        Ok(Some(Self { sampling, set }))
    }

    /// Judges all problems, in their order.
    pub(crate) fn judge(
        &self,
        config: &RunConfig,
        model: &Model,
        workers: &Workers,
    ) -> Result<Vec<ItemResult>, TrainError> {
        let digest = config.digest();
        let context = config.shape.context as usize;
        let court =
            Court { model: &*model.family, context, sampling: self.sampling, seed: config.seed, digest: &digest };
        let problems = &self.set.problems;
        let pieces = pieces(problems);
        let judged = workers.map(&pieces, |piece| judge_piece(court, problems, piece));
        let judged = judged.into_iter().collect::<candle_core::Result<Vec<_>>>()?.concat();
        let mut in_order: Vec<(usize, Judged)> = pieces.into_iter().flatten().zip(judged).collect();
        in_order.sort_by_key(|(index, _)| *index);
        let run_id = config.id().0;
        Ok(in_order.into_iter().map(|(index, judged)| item(&run_id, &problems[index], &judged)).collect())
    }

    /// What the record says of them.
    pub(crate) fn metrics(&self, items: &[ItemResult], manifest: &CorpusManifest) -> Vec<Metric> {
        metric::metrics(items, &self.set.digest, manifest)
    }
}

fn check_sampling(sampling: TaskEvaluation) -> Result<(), TrainError> {
    let TaskEvaluation { successes, budget } = sampling;
    if (1..=budget).contains(&successes) {
        return Ok(());
    }
    Err(TrainError::config(
        format!("{successes} right answers of {budget} samples were asked for; 1 to {budget} are possible"),
        "set `task_successes` to 1 or more, and `task_samples` to that or more",
    ))
}

/// Why a run counts as diverged, if a log probability is not a number.
pub(crate) fn not_a_number(items: &[ItemResult]) -> Option<String> {
    let item = items.iter().find(|item| !item.log_p.is_finite())?;
    Some(format!("log p of problem `{}` of task `{}` is {}", item.item, item.task, item.log_p))
}

/// Places of problems that are judged together: exact ones up to so many tokens, others each by itself.
fn pieces(problems: &[Problem]) -> Vec<Vec<usize>> {
    let mut pieces: Vec<Vec<usize>> = Vec::new();
    let (mut open, mut tokens) = (Vec::new(), 0);
    for (index, problem) in problems.iter().enumerate() {
        match problem.judge {
            Judge::Exact {} => {
                open.push(index);
                tokens += problem.prompt.len() + problem.answer.len();
                if tokens >= PIECE_TOKENS {
                    pieces.push(std::mem::take(&mut open));
                    tokens = 0;
                }
            }
            Judge::StackProgram { .. } => pieces.push(vec![index]),
        }
    }
    if !open.is_empty() {
        pieces.push(open);
    }
    pieces
}

fn judge_piece(court: Court<'_>, problems: &[Problem], piece: &[usize]) -> candle_core::Result<Vec<Judged>> {
    let of_piece: Vec<&Problem> = piece.iter().map(|index| &problems[*index]).collect();
    match (&of_piece[..], of_piece.first().map(|problem| &problem.judge)) {
        ([problem], Some(Judge::StackProgram { tests, max_tokens, end })) => {
            let asked = stack_program::Asked { problem, tests, max_tokens: *max_tokens as usize, end: *end };
            Ok(vec![stack_program::judge(court, &asked)?])
        }
        _ => exact::judge(court, &of_piece),
    }
}

fn item(run_id: &str, problem: &Problem, judged: &Judged) -> ItemResult {
    ItemResult {
        run_id: run_id.to_owned(),
        task: problem.task.clone(),
        item: problem.item.clone(),
        bucket: problem.bucket,
        bucket_name: problem.bucket_name.clone(),
        chance: problem.chance,
        estimator: judged.estimator,
        trials: judged.trials,
        successes: judged.successes,
        log_p: judged.log_p,
        variance: judged.variance,
        greedy: judged.greedy,
    }
}

#[cfg(test)]
mod tests;
