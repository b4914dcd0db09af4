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

mod interleave;
mod part;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use forescale_core::corpus::{
    FilesSpec, LeftOut, MixtureSpec, PartSpec, RustCodeSpec, TaskPart, TaskSpec, TokenizerSpec,
};
use forescale_core::digest::json_digest;
use forescale_core::problem::Problem;
use sha2::{Digest as _, Sha256};

use self::part::{Part, Supply};
use super::files::Files;
use super::rust_code::RustCode;
use super::{Source, left_out::Tally};
use crate::build::{BuildRequest, Progress};
use crate::content::{Content, Piece, Text, TrainDocuments};
use crate::error::CorpusError;
use crate::guard::Guard;
use crate::task::{Ask, Setup, Task};

/// Raised whenever the same spec and input would give other tokens or problems.
const MIXER_VERSION: u32 = 1;

/// Shares are written with few digits.
const SHARES_TOLERANCE: f64 = 1e-6;

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
            texts.push(read_text(part, request, progress)?);
        }
        let mut tally = Tally::default();
        keep_splits_apart(&mut texts, &mut tally);
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
    fn check(&self) -> Result<(), CorpusError> {
        let shares: Vec<f64> = self.spec.part.iter().map(PartSpec::share).collect();
        if let Some(bad) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(bad_value("share", bad, "0 to 1 is allowed", "share = 0.1 is a tenth of the training tokens"));
        }
        let sum: f64 = shares.iter().sum();
        if (sum - 1.0).abs() > SHARES_TOLERANCE {
            let value = format!("{sum} over all parts");
            return Err(bad_value("share", &value, "1 in all is needed", "shares are parts of the training tokens"));
        }
        let names = self.names();
        if let Some(twice) = names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(name))
        {
            return Err(bad_value(
                "name",
                &format!("`{twice}` twice"),
                "each task needs its own",
                "name = \"addition-5\"",
            ));
        }
        let needed = |tokens: Option<u64>| tokens.is_none() && self.spec.part.iter().all(is_task);
        for (field, tokens) in
            [("train_tokens", self.spec.train_tokens), ("validation_tokens", self.spec.validation_tokens)]
        {
            if tokens == Some(0) || needed(tokens) {
                let allowed = "a number of tokens is needed, because tasks have no end of their own";
                return Err(bad_value(
                    field,
                    &tokens.map_or("absent".to_owned(), |n| n.to_string()),
                    allowed,
                    "train_tokens = 4000000, validation_tokens = 200000",
                ));
            }
        }
        Ok(())
    }

    /// Names of the parts, each its own where the spec is right.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for part in &self.spec.part {
            let plain = match part {
                PartSpec::Task(task) => task.name(),
                PartSpec::Files(_) => "files",
                PartSpec::RustCode(_) => "rust-code",
            };
            let numbered = |number: usize| if number == 1 { plain.to_owned() } else { format!("{plain}-{number}") };
            let free = || (1..).map(numbered).find(|name| !names.contains(name)).expect("numbers do not end");
            names.push(if is_task(part) { plain.to_owned() } else { free() });
        }
        names
    }

    fn tasks(&self, request: &BuildRequest) -> Result<Vec<Option<NamedTask<'_>>>, CorpusError> {
        let task = |part| match part {
            &PartSpec::Task(ref part) => Ok(Some((part, checked_task(part, request)?))),
            PartSpec::Files(_) | PartSpec::RustCode(_) => Ok(None),
        };
        self.spec.part.iter().map(task).collect()
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

fn is_task(part: &PartSpec) -> bool {
    matches!(part, PartSpec::Task(_))
}

/// A text part as a source of its own.
enum TextSource {
    Files(FilesSpec),
    RustCode(RustCodeSpec),
}

impl TextSource {
    fn of(part: &PartSpec) -> Option<Self> {
        let tokenizer = TokenizerSpec::default();
        match part.clone() {
            PartSpec::Files(part) => {
                let (paths, validation_share) = (part.paths, part.validation_share);
                Some(Self::Files(FilesSpec { paths, validation_share, tokenizer }))
            }
            PartSpec::RustCode(part) => {
                let (lock, max_train_bytes) = (part.lock, part.max_train_bytes);
                Some(Self::RustCode(RustCodeSpec { lock, max_train_bytes, tokenizer }))
            }
            PartSpec::Task(_) => None,
        }
    }
}

/// What decides the content of a part, beside what the spec says.
fn input_key(part: &PartSpec, request: &BuildRequest) -> Result<String, CorpusError> {
    match (TextSource::of(part), part) {
        (Some(TextSource::Files(spec)), _) => Files(&spec).key(request),
        (Some(TextSource::RustCode(spec)), _) => RustCode(&spec).key(request),
        (None, PartSpec::Task(part)) => Ok(checked_task(part, request)?.input_digest()),
        (None, PartSpec::Files(_) | PartSpec::RustCode(_)) => unreachable!("text has a source"),
    }
}

fn read_text(
    part: &PartSpec,
    request: &BuildRequest,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Text>, CorpusError> {
    TextSource::of(part)
        .map(|source| match source {
            TextSource::Files(spec) => Files(&spec).text(request, progress),
            TextSource::RustCode(spec) => RustCode(&spec).text(request, progress),
        })
        .transpose()
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

/// Drops training documents that are validation documents of another text.
fn keep_splits_apart(texts: &mut [Option<Text>], tally: &mut Tally) {
    if texts.iter().flatten().count() < 2 {
        return;
    }
    let digest = |document: &[u8]| -> [u8; 32] { Sha256::digest(document).into() };
    let pieces = texts.iter().flatten().flat_map(|text| &text.validation);
    let documents = pieces.flat_map(|piece| piece.bytes.split_inclusive(|byte| *byte == 0));
    let held_out: HashSet<[u8; 32]> = documents.map(digest).collect();
    for text in texts.iter_mut().flatten() {
        text.train.retain(|document| {
            let free = !held_out.contains(&digest(document));
            if !free {
                tally.add("held_out_text", document.len() as u64 - 1);
            }
            free
        });
    }
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
