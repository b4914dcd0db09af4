//! `mixture` and `task`: text of several sources and tasks in fixed shares, with held-out problems beside it.
//!
//! Documents of the parts are interleaved so that every prefix of the training split has the shares, within a document
//! of each part: a small run sees what a large one sees. Documents of text come in an order drawn from the seed and each
//! at most once; tasks are drawn without end. In the validation split parts lie one after the other, a cluster for each
//! cluster of a text, and equal blocks for a task.
//!
//! # Guard
//!
//! Every training document of every part, code too, is searched for what the problems forbid (`guard.rs`). One that
//! holds such a text is left out and counted: `held_out_problem` in the manifest. Where a mixture has several texts, a
//! training document that is a validation document of another is left out as `held_out_text`.

mod check;
mod interleave;
mod part;
mod text;

use std::borrow::Cow;
use std::collections::BTreeMap;

use forescale_core::corpus::{LeftOut, MixtureSpec, PartSpec, TaskPart, TaskSpec};
use forescale_core::digest::json_digest;
use forescale_core::problem::Problem;

use self::part::{Part, Supply};
use self::text::TextSource;
use super::Source;
use super::left_out::Tally;
use crate::build::{BuildRequest, Progress};
use crate::content::{Content, Piece, Text, TrainDocuments};
use crate::error::CorpusError;
use crate::guard::Guard;
use crate::task::{Ask, Setup, Task};

/// Raised whenever the same spec and input would give other tokens or problems.
const MIXER_VERSION: u32 = 1;

/// The source, with its spec.
pub(crate) struct Mixture<'a> {
    name: &'static str,
    spec: Cow<'a, MixtureSpec>,
}

impl<'a> Mixture<'a> {
    /// Of several parts.
    pub(crate) fn of(spec: &'a MixtureSpec) -> Self {
        Self { name: "mixture", spec: Cow::Borrowed(spec) }
    }

    /// Of one task.
    pub(crate) fn alone(spec: &TaskSpec) -> Self {
        Self { name: "task", spec: Cow::Owned(spec.as_mixture()) }
    }
}

impl Source for Mixture<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn key(&self, request: &BuildRequest) -> Result<String, CorpusError> {
        self.check()?;
        let inputs: Vec<String> =
            self.spec.part.iter().map(|part| input_key(part, request)).collect::<Result<_, _>>()?;
        Ok(json_digest(&(MIXER_VERSION, self.spec.as_ref(), inputs)))
    }

    fn read(&self, request: &BuildRequest, progress: &mut dyn FnMut(Progress)) -> Result<Content, CorpusError> {
        self.check()?;
        let mut texts = Vec::new();
        for part in &self.spec.part {
            texts.push(TextSource::of(part).map(|source| source.read(request, progress)).transpose()?);
        }
        let mut tally = Tally::default();
        text::keep_splits_apart(&mut texts, &mut tally);
        let tasks = self.tasks(request)?;
        let asked = ask(&tasks, &texts)?;
        let guard = Guard::forbidding(asked.forbidden.iter().map(Vec::as_slice));
        let mut left_out = Vec::new();
        let mut parts = self.parts(texts, tasks, &mut left_out);
        let train_tokens = self.train_tokens(&parts)?;
        let validation = self.validation(&mut parts)?;
        let mixed =
            interleave::Mixer { guard: &guard, tally: &mut tally, progress, total: train_tokens }.mix(&mut parts)?;
        left_out.extend(tally.finish());
        let mut content = Text { train: mixed, validation, left_out: merged(left_out) }.into_bytes();
        content.train_documents = TrainDocuments::Counted(parts.iter().map(|part| part.documents).sum());
        content.parts = parts.iter().map(Part::summary).collect();
        content.problems = asked.problems;
        Ok(content)
    }
}

/// A task with its part of the spec.
type NamedTask<'a> = (&'a TaskPart, Box<dyn Task>);

impl Mixture<'_> {
    fn tasks(&self, request: &BuildRequest) -> Result<Vec<Option<NamedTask<'_>>>, CorpusError> {
        let mut tasks = Vec::new();
        for part in &self.spec.part {
            tasks.push(match part {
                PartSpec::Task(part) => Some((part, checked_task(part, request)?)),
                PartSpec::Files(_) | PartSpec::RustCode(_) => None,
            });
        }
        Ok(tasks)
    }

    fn parts(
        &self,
        texts: Vec<Option<Text>>,
        tasks: Vec<Option<NamedTask<'_>>>,
        left_out: &mut Vec<LeftOut>,
    ) -> Vec<Part> {
        let mut parts = Vec::new();
        let inputs = self.names().into_iter().zip(&self.spec.part).zip(texts.into_iter().zip(tasks));
        for (number, ((name, part), (text, task))) in (0..).zip(inputs) {
            let supply = match (text, task) {
                (Some(text), _) => {
                    left_out.extend(text.left_out.clone());
                    Supply::text(text, self.spec.seed, number)
                }
                (None, Some((part, task))) => Supply::task(task, part.seed),
                (None, None) => unreachable!("a part is text or a task"),
            };
            parts.push(Part { name, share: part.share(), supply, tokens: 0, documents: 0, validation_tokens: 0 });
        }
        parts
    }

    /// Training tokens in all: what the spec says, else what the text that ends first allows.
    fn train_tokens(&self, parts: &[Part]) -> Result<u64, CorpusError> {
        total("train_tokens", self.spec.train_tokens, parts, Supply::train_bytes)
    }

    /// The validation split, part by part.
    fn validation(&self, parts: &mut [Part]) -> Result<Vec<Piece>, CorpusError> {
        let all = total("validation_tokens", self.spec.validation_tokens, parts, Supply::validation_bytes)?;
        Ok(parts.iter_mut().flat_map(|part| part.validation((all as f64 * part.share).round() as u64)).collect())
    }
}

/// What decides the content of a part, beside what the spec says.
fn input_key(part: &PartSpec, request: &BuildRequest) -> Result<String, CorpusError> {
    match (TextSource::of(part), part) {
        (Some(source), _) => source.key(request),
        (None, PartSpec::Task(part)) => Ok(checked_task(part, request)?.input_digest()),
        (None, PartSpec::Files(_) | PartSpec::RustCode(_)) => unreachable!("text has a source"),
    }
}

fn checked_task(part: &TaskPart, request: &BuildRequest) -> Result<Box<dyn Task>, CorpusError> {
    let task = Setup { part, folder: request.spec_dir }.task()?;
    let hint = "share = 0.05 makes it a twentieth of the training tokens";
    match (task.is_taught_by_other_parts(), part.share > 0.0) {
        (true, true) => {
            let allowed = format!("0 is needed, because `{}` is taught by the text of the other parts", part.task);
            Err(bad_value("share", &part.share, &allowed, "leave `share` out"))
        }
        (false, false) => {
            let allowed = format!("more than 0 is needed, because `{}` has text of its own", part.task);
            Err(bad_value("share", &part.share, &allowed, hint))
        }
        _ => Ok(task),
    }
}

/// The problems of all tasks.
#[derive(Default)]
struct Asked {
    problems: Vec<Problem>,
    /// What no training document may hold.
    forbidden: Vec<Vec<u8>>,
}

fn ask(tasks: &[Option<NamedTask<'_>>], texts: &[Option<Text>]) -> Result<Asked, CorpusError> {
    let texts: Vec<&Text> = texts.iter().flatten().collect();
    let mut asked = Asked::default();
    for (part, task) in tasks.iter().flatten() {
        let questions = task.questions(&mut Ask::of(part, &texts))?;
        if questions.is_empty() && part.problems > 0 {
            let value = format!("{}, of which `{}` can make none", part.problems, part.name());
            let allowed = "a fifth of the different problems of a bucket can be held out";
            return Err(bad_value("problems", &value, allowed, "raise its parameters, or say problems = 0"));
        }
        asked.forbidden.extend(questions.iter().flat_map(|question| question.forbidden.clone()));
        asked.problems.extend(questions.into_iter().map(|question| question.into_problem(part.name())));
    }
    Ok(asked)
}

/// Tokens in all that the shares allow.
fn total(
    field: &'static str,
    asked: Option<u64>,
    parts: &[Part],
    available: impl Fn(&Supply) -> Option<u64>,
) -> Result<u64, CorpusError> {
    let most = |part: &Part| available(&part.supply).map(|bytes| (bytes as f64 / part.share) as u64);
    let limit = parts
        .iter()
        .filter(|part| part.share > 0.0)
        .filter_map(|part| Some((most(part)?, part)))
        .min_by_key(|(most, _)| *most);
    match (asked, limit) {
        (Some(asked), Some((most, part))) if asked > most => {
            let allowed = format!(
                "at most {most} is allowed, of which the text of `{}` fills its share of {}",
                part.name, part.share
            );
            Err(bad_value(field, &asked, &allowed, "lower it, lower that share, or name more text"))
        }
        (Some(asked), _) => Ok(asked),
        (None, Some((most, _))) if most > 0 => Ok(most),
        (None, _) => Err(bad_value(field, &"absent", "a number of tokens is needed", "no part's text says how many")),
    }
}

/// One entry a reason.
fn merged(left_out: Vec<LeftOut>) -> Vec<LeftOut> {
    let mut by_reason: BTreeMap<String, LeftOut> = BTreeMap::new();
    for LeftOut { reason, documents, bytes } in left_out {
        let empty = LeftOut { reason: reason.clone(), documents: 0, bytes: 0 };
        let entry = by_reason.entry(reason).or_insert(empty);
        entry.documents += documents;
        entry.bytes += bytes;
    }
    by_reason.into_values().collect()
}

fn bad_value(field: &'static str, value: &dyn std::fmt::Display, allowed: &str, hint: &str) -> CorpusError {
    CorpusError::BadValue { field, value: value.to_string(), allowed: allowed.into(), hint: hint.into() }
}

#[cfg(test)]
mod tests;
