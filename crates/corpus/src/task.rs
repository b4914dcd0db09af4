//! Tasks: text that teaches one, and held-out problems of it. A file per task, and one line in [`TASKS`].
//!
//! A task says what its documents look like and what is asked. How they are mixed into other text, and that no
//! training document holds a held-out problem, is seen to where the parts come together (`source/mixture.rs`): tasks
//! only say what is forbidden.

mod addition;
mod brackets;
mod code_completion;
mod distractor;
mod jsonl;
mod modular;
mod multi_hop;
mod recall_in_context;
mod stack_program;
mod zipf_recall;

use std::collections::HashSet;
use std::path::Path;

use forescale_core::corpus::TaskPart;
use forescale_core::digest::sha256_hex;
use forescale_core::problem::{Judge, Problem};
use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;

use crate::content::Text;
use crate::draw::stream;
use crate::error::CorpusError;

/// What follows a document, and so a whole answer.
pub(crate) const END: u8 = 0;

/// Streams of a task's seed; lower ones are its own.
const PROBLEM_STREAM: u64 = 16;
pub(crate) const TRAIN_STREAM: u64 = 17;
pub(crate) const VALIDATION_STREAM: u64 = 18;

/// A bucket holds out at most one of so many different problems: the rest is there to learn from.
const DIFFERENT_PER_HELD_OUT: f64 = 5.0;

type New = fn(&Setup) -> Result<Box<dyn Task>, CorpusError>;

/// All tasks.
const TASKS: [(&str, New); 10] = [
    ("addition", addition::new),
    ("brackets", brackets::new),
    ("code_completion", code_completion::new),
    ("distractor", distractor::new),
    ("jsonl", jsonl::new),
    ("modular", modular::new),
    ("multi_hop", multi_hop::new),
    ("recall_in_context", recall_in_context::new),
    ("stack_program", stack_program::new),
    ("zipf_recall", zipf_recall::new),
];

/// Text that teaches, and problems that ask.
pub(crate) trait Task {
    /// The next training document, without an end: printable text, and no zero byte in it.
    ///
    /// `None` for a task that is taught by the text of other parts.
    fn document(&mut self, rng: &mut ChaCha8Rng) -> Option<Vec<u8>>;

    /// The next validation document; where training has rows of its own, one that is not among them.
    fn validation_document(&mut self, rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
        self.document(rng)
    }

    /// The held-out problems, bucket by bucket.
    fn questions(&self, ask: &mut Ask) -> Result<Vec<Question>, CorpusError>;

    /// A digest of the files that it reads, beside its parameters.
    fn input_digest(&self) -> String {
        String::new()
    }

    /// Whether its share is 0, because other parts teach it.
    fn is_taught_by_other_parts(&self) -> bool {
        false
    }
}

/// What problems are made from.
pub(crate) struct Ask<'a> {
    /// Problems of a bucket.
    pub(crate) per_bucket: u32,
    /// Draws.
    pub(crate) rng: ChaCha8Rng,
    /// Text of the mixture's other parts.
    pub(crate) text: &'a [&'a Text],
}

impl<'a> Ask<'a> {
    /// What a part of a mixture asks for.
    pub(crate) fn of(part: &TaskPart, text: &'a [&'a Text]) -> Self {
        Self { per_bucket: part.problems, rng: stream(part.seed, PROBLEM_STREAM), text }
    }

    /// How many a bucket with so many different problems holds out.
    fn fair_count(&self, different: f64) -> usize {
        f64::from(self.per_bucket).min((different / DIFFERENT_PER_HELD_OUT).floor()) as usize
    }

    /// So many problems with different prompts; fewer where draws no longer give new ones.
    fn distinct(&mut self, count: usize, mut draw: impl FnMut(&mut ChaCha8Rng) -> Option<Question>) -> Vec<Question> {
        const DRAWS_PER_PROBLEM: usize = 1_000;
        let mut seen = HashSet::new();
        let mut questions = Vec::with_capacity(count);
        for _ in 0..count.saturating_mul(DRAWS_PER_PROBLEM) {
            if questions.len() == count {
                break;
            }
            let drawn = draw(&mut self.rng);
            questions.extend(drawn.filter(|question| seen.insert(question.prompt.clone())));
        }
        questions
    }
}

/// A problem as its task sees it: text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    /// A-priori difficulty.
    pub(crate) bucket: u32,
    /// What the bucket is called.
    pub(crate) bucket_name: String,
    /// Probability of the right answer by guessing among answers of the right form.
    pub(crate) chance: f64,
    /// Log probability of the answer by who knows all that can be known, nats.
    pub(crate) ceiling_log_p: f64,
    /// Text before the answer.
    pub(crate) prompt: Vec<u8>,
    /// The answer, without the end of the document.
    pub(crate) answer: Vec<u8>,
    /// Whether prompt and answer are a whole document, or stand in the middle of one.
    pub(crate) place: Place,
    /// How an answer is judged.
    pub(crate) judge: Judge,
    /// What no training document may hold.
    pub(crate) forbidden: Vec<Vec<u8>>,
}

/// Where a question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The prompt starts a document, the answer ends it.
    WholeDocument,
    /// In the middle; the answer brings its own end mark.
    Inside,
}

impl Question {
    /// A question with one right answer, of which no training document may hold a copy.
    fn held_out(bucket: u32, bucket_name: String, prompt: Vec<u8>, answer: Vec<u8>) -> Self {
        let forbidden = vec![[prompt.as_slice(), &answer].concat()];
        Self { forbidden, ..Self::recall(bucket, bucket_name, prompt, answer) }
    }

    /// A question for what training states.
    fn recall(bucket: u32, bucket_name: String, prompt: Vec<u8>, answer: Vec<u8>) -> Self {
        Self {
            bucket,
            bucket_name,
            chance: 0.0,
            ceiling_log_p: 0.0,
            prompt,
            answer,
            place: Place::WholeDocument,
            judge: Judge::Exact {},
            forbidden: Vec::new(),
        }
    }

    fn with_chance(self, chance: f64) -> Self {
        Self { chance, ..self }
    }

    /// As a problem of a corpus of bytes.
    pub(crate) fn into_problem(self, task: &str) -> Problem {
        let item = sha256_hex(&[self.prompt.as_slice(), &[END], &self.answer].concat())[..16].to_owned();
        let mark: &[u8] = if self.place == Place::WholeDocument { &[END] } else { &[] };
        let tokens = |parts: [&[u8]; 2]| parts.concat().iter().map(|byte| u32::from(*byte)).collect();
        Problem {
            task: task.to_owned(),
            item,
            bucket: self.bucket,
            bucket_name: self.bucket_name,
            chance: self.chance,
            ceiling_log_p: self.ceiling_log_p,
            prompt: tokens([mark, &self.prompt]),
            answer: tokens([&self.answer, mark]),
            judge: self.judge,
        }
    }
}

/// What a task is made from.
pub(crate) struct Setup<'a> {
    /// As the spec says it.
    pub(crate) part: &'a TaskPart,
    /// The folder that its paths are relative to.
    pub(crate) folder: &'a Path,
}

impl Setup<'_> {
    /// The task that the part names.
    pub(crate) fn task(&self) -> Result<Box<dyn Task>, CorpusError> {
        match TASKS.iter().find(|(name, _)| *name == self.part.task) {
            Some((_, new)) => new(self),
            None => Err(CorpusError::BadValue {
                field: "task",
                value: format!("`{}`", self.part.task),
                allowed: format!("one of {} is needed", TASKS.map(|(name, _)| format!("`{name}`")).join(", ")),
                hint: "`jsonl` takes prompts and answers of your own, without Rust".into(),
            }),
        }
    }

    /// The task's own parameters.
    fn parameters<T: DeserializeOwned>(&self) -> Result<T, CorpusError> {
        let written = self.part.parameters.clone().into_iter().collect();
        serde_json::from_value(serde_json::Value::Object(written))
            .map_err(|error| CorpusError::BadParameters { task: self.part.task.clone(), reason: error.to_string() })
    }
}

/// Whether a parameter lies in its range.
fn check(field: &'static str, value: u32, allowed: std::ops::RangeInclusive<u32>) -> Result<(), CorpusError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(CorpusError::BadValue {
        field,
        value: value.to_string(),
        allowed: format!("{} to {} is allowed", allowed.start(), allowed.end()),
        hint: "leave the parameter out to take its usual value".into(),
    })
}

/// A number as letters, `a` for 0, highest first.
fn letters(mut number: u64, length: u32) -> Vec<u8> {
    let mut text = vec![b'a'; length as usize];
    for letter in text.iter_mut().rev() {
        *letter = b'a' + u8::try_from(number % 26).expect("below 26");
        number /= 26;
    }
    text
}

#[cfg(test)]
mod tests;
