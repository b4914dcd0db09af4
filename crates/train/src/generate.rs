//! Answers of a model, token by token, for several sequences at once.
//!
//! A prompt is read in one pass and remembered (see [`Memory`]); after that a token costs the work of one token. Each
//! sequence chooses by itself: the most probable token, or one drawn from the whole distribution by a stream of its own.
//! Sequences computed beside it change nothing but the last bits of its logits, and who is computed beside whom does not
//! depend on threads.

use candle_core::{Result, Tensor};
use rand_chacha::ChaCha8Rng;

use crate::error::TrainError;
use crate::export::TrainedModel;
use crate::init::{stream, unit};
use crate::kernels::cross_entropy::window_losses;
use crate::kernels::simd::{exp_in_place, largest, multiversion};
use crate::kernels::tape::Tape;
use crate::kernels::view;
use crate::model::{Inputs, LanguageModel, Memory, New};
use crate::shard::Workers;

/// Sequences computed at once by [`TrainedModel::answers`]; fixed, so that results do not depend on threads. Chosen
/// here: matrix products gain little from more.
const PIECE_SEQUENCES: usize = 32;

/// How a token is chosen.
pub(crate) enum Choice {
    /// The most probable one; of equals the first.
    Greedy,
    /// One drawn from the distribution, at temperature 1.
    Sample(Box<ChaCha8Rng>),
}

impl Choice {
    /// Draws by a stream of this name.
    pub(crate) fn sample(seed: u64, name: &str) -> Self {
        Self::Sample(Box::new(stream(seed, name)))
    }

    /// Chooses from a row of logits, which is used up; `None` where one of them is not a number.
    fn choose(&mut self, logits: &mut [f32]) -> Option<u32> {
        if !logits.iter().all(|logit| logit.is_finite()) {
            return None;
        }
        match self {
            Self::Greedy => most_probable(logits),
            Self::Sample(rng) => {
                weights(logits);
                drawn(logits, unit(rng))
            }
        }
    }
}

/// The token of the largest logit, of equals the first; `None` without tokens.
pub(crate) fn most_probable(logits: &[f32]) -> Option<u32> {
    let best = largest(logits);
    logits.iter().position(|logit| *logit >= best).map(|token| token as u32)
}

/// The token at which the sum of weights passes a share of their total; the share is below 1.
fn drawn(weights: &[f32], share: f64) -> Option<u32> {
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let mut sum = 0.0;
    let passed = weights.iter().position(|weight| {
        sum += f64::from(*weight);
        sum > share * total
    });
    passed.map(|token| token as u32)
}

multiversion! {
    /// Turns logits into weights exp(z − largest z).
    fn weights(logits: &mut [f32]) = weights_body
}

#[inline(always)]
fn weights_body<const FUSED: bool>(logits: &mut [f32]) {
    let shift = largest(logits);
    exp_in_place::<FUSED>(logits, shift);
}

/// A sequence that was read, and logits of the token that follows.
#[derive(Clone)]
pub(crate) struct Start {
    memory: Memory,
    logits: Vec<f32>,
}

impl Start {
    /// Reads prompts, each with room for an answer of so many tokens.
    pub(crate) fn read(model: &dyn LanguageModel, prompts: &[&[u32]], answer: usize) -> Result<Vec<Self>> {
        let mut memories: Vec<Memory> =
            prompts.iter().map(|prompt| model.memory(prompt.len() + answer.max(1) - 1)).collect();
        let mut new: Vec<New<'_>> =
            memories.iter_mut().zip(prompts).map(|(memory, tokens)| New { memory, tokens, asked: 1 }).collect();
        let rows = rows(&model.advance(&mut new)?)?;
        Ok(memories.into_iter().zip(rows).map(|(memory, logits)| Self { memory, logits }).collect())
    }
}

fn rows(logits: &Tensor) -> Result<Vec<Vec<f32>>> {
    let (_, vocabulary) = logits.dims2()?;
    Ok(view(logits).values()?.chunks_exact(vocabulary).map(<[f32]>::to_vec).collect())
}

/// Where an answer ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) tokens: usize,
    /// The token after which nothing follows.
    pub(crate) end: Option<u32>,
}

/// What part of a prompt is read: its last tokens, as many as leave room in the window for an answer.
pub(crate) fn read_part(prompt: &[u32], answer: usize, context: usize) -> &[u32] {
    let most = (context + 1).saturating_sub(answer).max(1);
    &prompt[prompt.len().saturating_sub(most)..]
}

/// An answer on its way.
struct Going {
    index: usize,
    start: Start,
    choice: Choice,
    answer: Vec<u32>,
}

/// The answers that follow, the end mark included where it came; `None` where logits are not numbers.
pub(crate) fn continue_all(
    model: &dyn LanguageModel,
    starts: Vec<(Start, Choice)>,
    limit: Limit,
) -> Result<Vec<Option<Vec<u32>>>> {
    let mut answers = vec![None; starts.len()];
    let mut going: Vec<Going> = starts
        .into_iter()
        .enumerate()
        .map(|(index, (start, choice))| Going { index, start, choice, answer: Vec::with_capacity(limit.tokens) })
        .collect();
    loop {
        going.retain_mut(|one| one.choose_next(limit, &mut answers));
        if going.is_empty() {
            return Ok(answers);
        }
        let mut new: Vec<New<'_>> = going
            .iter_mut()
            .map(|Going { start, answer, .. }| New {
                memory: &mut start.memory,
                tokens: &answer[answer.len() - 1..],
                asked: 1,
            })
            .collect();
        let logits = model.advance(&mut new)?;
        let (_, vocabulary) = logits.dims2()?;
        for (one, row) in going.iter_mut().zip(view(&logits).values()?.chunks_exact(vocabulary)) {
            one.start.logits.copy_from_slice(row);
        }
    }
}

impl Going {
    /// Adds the next token; whether the answer goes on after it.
    fn choose_next(&mut self, limit: Limit, answers: &mut [Option<Vec<u32>>]) -> bool {
        let Some(token) = self.choice.choose(&mut self.start.logits) else { return false };
        self.answer.push(token);
        let over = limit.end == Some(token) || self.answer.len() >= limit.tokens;
        if over {
            answers[self.index] = Some(std::mem::take(&mut self.answer));
        }
        !over
    }
}

/// How [`TrainedModel::answers`] answers.
#[derive(Clone, Copy, Debug)]
pub struct AnswerOptions {
    /// Most tokens of an answer, at least 1.
    pub tokens: usize,
    /// The token that ends an answer, if there is one.
    pub end: Option<u32>,
    /// Seed of sampling at temperature 1; without one the most probable token is taken.
    pub seed: Option<u64>,
    /// Threads; 0 counts as 1. Answers do not depend on them.
    pub threads: usize,
}

impl TrainedModel {
    /// What the model says after each prompt, the end mark included where it came. Of a prompt that leaves no room for
    /// the answer in the model's window, the last part is read.
    ///
    /// # Errors
    ///
    /// [`TrainError::BadConfig`] when a prompt is empty, an answer is longer than the window or the model's logits are
    /// not numbers; [`TrainError::Tensor`] when a token is not in the vocabulary.
    pub fn answers(
        &self,
        prompts: &[Vec<u32>],
        options: &AnswerOptions,
    ) -> std::result::Result<Vec<Vec<u32>>, TrainError> {
        let context = self.config.shape.context as usize;
        check_request(prompts, options.tokens, context)?;
        let model = &*self.model.family;
        let parts: Vec<(usize, &[u32])> =
            prompts.iter().map(|prompt| read_part(prompt, options.tokens, context)).enumerate().collect();
        let pieces: Vec<&[(usize, &[u32])]> = parts.chunks(PIECE_SEQUENCES).collect();
        let choice = |index: usize| match options.seed {
            Some(seed) => Choice::sample(seed, &format!("answer {index}")),
            None => Choice::Greedy,
        };
        let of_piece = |piece: &&[(usize, &[u32])]| {
            let prompts: Vec<&[u32]> = piece.iter().map(|(_, prompt)| *prompt).collect();
            let starts = Start::read(model, &prompts, options.tokens)?;
            let starts = starts.into_iter().zip(*piece).map(|(start, (index, _))| (start, choice(*index))).collect();
            continue_all(model, starts, Limit { tokens: options.tokens, end: options.end })
        };
        let answers =
            Workers::start(options.threads)?.map(&pieces, of_piece).into_iter().collect::<Result<Vec<_>>>()?;
        answers.into_iter().flatten().collect::<Option<Vec<_>>>().ok_or_else(not_numbers)
    }

    /// Log probabilities, nats, of every token that may follow each sequence, by the plain forward pass over all of it.
    ///
    /// # Errors
    ///
    /// As [`Self::answers`].
    pub fn next_log_probabilities(&self, sequences: &[Vec<u32>]) -> std::result::Result<Vec<Vec<f64>>, TrainError> {
        let context = self.config.shape.context as usize;
        check_request(sequences, 1, context)?;
        let mut tokens = Vec::with_capacity(sequences.len() * context);
        let mut lengths = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            let read = read_part(sequence, 1, context);
            lengths.push(read.len());
            tokens.extend_from_slice(read);
            // A causal model does not see what follows.
            tokens.resize(lengths.len() * context, 0);
        }
        let logits = self.model.family.logits(&Tape::forward_only(), &Inputs { tokens: tokens.into(), context })?;
        let of_sequence = |(index, length): (usize, usize)| -> Result<Vec<f64>> {
            let row = logits.narrow(0, index * context + length - 1, 1)?;
            let held = view(&row);
            let values = held.values()?;
            let log_sum = window_losses(&row, &[0], 1)?[0] + f64::from(values[0]);
            Ok(values.iter().map(|logit| f64::from(*logit) - log_sum).collect())
        };
        Ok(lengths.into_iter().enumerate().map(of_sequence).collect::<Result<Vec<_>>>()?)
    }
}

fn check_request(prompts: &[Vec<u32>], answer: usize, context: usize) -> std::result::Result<(), TrainError> {
    if let Some(index) = prompts.iter().position(Vec::is_empty) {
        return Err(TrainError::config(format!("prompt {index} is empty"), "a prompt has at least one token"));
    }
    if !(1..=context).contains(&answer) {
        return Err(TrainError::config(
            format!("answers of {answer} tokens were asked for; 1 to {context}, the model's window, are allowed"),
            format!("ask for {context} tokens or fewer"),
        ));
    }
    Ok(())
}

fn not_numbers() -> TrainError {
    TrainError::config("the model's logits are not numbers", "it diverged in training: use another run's weights")
}

#[cfg(test)]
mod tests;
