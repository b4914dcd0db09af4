//! `code_completion`: finish a line of real text that was held out. No text of its own: its share is 0.
//!
//! Problems are cut from the validation split of the mixture's own text parts.
//!
//! - `finish = "line"`: the rest of a line, 1 to 32 bytes. `finish = "delimiters"`: the brackets, commas and semicolons
//!   at its end. The line's end is the answer's end.
//! - Difficulty: bytes of the answer, and whether the whole line, without its indentation, occurs in the training split
//!   (`seen`) or not (`new`).
//! - Chance: 95^-bytes, the printable ones, for a line; 7^-bytes for delimiters. Ceiling: unknown for real text; 0 is
//!   said, so that a gap to it is no measure of what can still be learnt.
//! - Guard: turned around. Real text is given, so that a problem whose prompt with its answer occurs in the training
//!   split is not asked.

use std::collections::HashSet;

use forescale_core::math;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{Ask, Place, Question, Setup, Task, check};
use crate::content::Text;
use crate::draw::{below, choose};
use crate::error::CorpusError;
use crate::guard::Guard;

const DELIMITERS: &[u8] = b")]}>;,?";

/// Upper bounds of the buckets of answers, bytes.
const LINE_BYTES: [usize; 4] = [4, 8, 16, 32];
const DELIMITER_BYTES: [usize; 3] = [1, 2, 4];

/// Bytes of a line before the cut that are not indentation: enough to say which line it is.
const LEAST_BEFORE: usize = 4;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CodeCompletion {
    /// Bytes of a prompt.
    context: u32,
    finish: Finish,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Finish {
    Line,
    Delimiters,
}

impl Default for CodeCompletion {
    fn default() -> Self {
        Self { context: 48, finish: Finish::Line }
    }
}

pub(super) fn new(setup: &Setup) -> Result<Box<dyn Task>, CorpusError> {
    let task: CodeCompletion = setup.parameters()?;
    check("context", task.context, 8..=4_096)?;
    Ok(Box::new(task))
}

impl Task for CodeCompletion {
    fn document(&mut self, _: &mut ChaCha8Rng) -> Option<Vec<u8>> {
        None
    }

    fn is_taught_by_other_parts(&self) -> bool {
        true
    }

    fn questions(&self, ask: &mut Ask) -> Result<Vec<Question>, CorpusError> {
        let held_out: Vec<&[u8]> =
            ask.text.iter().flat_map(|text| &text.validation).map(|piece| piece.bytes.as_slice()).collect();
        if held_out.iter().all(|text| text.len() <= self.context as usize) {
            return Err(CorpusError::BadValue {
                field: "task",
                value: "`code_completion` in a corpus without text".into(),
                allowed: "a part that is `files` or `rust-code` is needed".into(),
                hint: "it is taught by the mixture's own text, and asks about its validation split".into(),
            });
        }
        let candidates = self.candidates(ask, &held_out);
        Ok(self.choose(ask, candidates))
    }
}

/// A problem before its bucket is known.
struct Candidate {
    line: Vec<u8>,
    prompt: Vec<u8>,
    answer: Vec<u8>,
}

impl CodeCompletion {
    /// More than are asked for: most draws fall into a few buckets.
    fn candidates(&self, ask: &mut Ask, held_out: &[&[u8]]) -> Vec<Candidate> {
        const DRAWS_PER_PROBLEM: u32 = 64;
        let mut candidates = Vec::new();
        for _ in 0..ask.per_bucket.saturating_mul(DRAWS_PER_PROBLEM) {
            let text = *choose(&mut ask.rng, held_out);
            let at = below(&mut ask.rng, u32::try_from(text.len()).unwrap_or(u32::MAX)) as usize;
            candidates.extend(self.candidate(&mut ask.rng, text, at));
        }
        candidates
    }

    /// A problem from the line around a byte, where that line makes one.
    fn candidate(&self, rng: &mut ChaCha8Rng, text: &[u8], at: usize) -> Option<Candidate> {
        let start = text[..at].iter().rposition(|byte| matches!(byte, b'\n' | 0)).map_or(0, |before| before + 1);
        let end = at + text[at..].iter().position(|byte| *byte == b'\n')?;
        let line = &text[start..end];
        let indentation = line.len() - line.trim_ascii_start().len();
        let cut = start + self.cut(rng, line, indentation + LEAST_BEFORE)?;
        let prompt = &text[cut.checked_sub(self.context as usize)?..cut];
        let whole = std::str::from_utf8(prompt).is_ok() && !prompt.contains(&0) && !line.contains(&0);
        whole.then(|| Candidate {
            line: line.trim_ascii().to_vec(),
            prompt: prompt.to_vec(),
            answer: text[cut..=end].to_vec(),
        })
    }

    /// Where in a line the answer starts, at least so many bytes after its start.
    fn cut(&self, rng: &mut ChaCha8Rng, line: &[u8], least: usize) -> Option<usize> {
        let most = self.bounds().last().copied().unwrap_or(0);
        match self.finish {
            Finish::Line => {
                let longest = line.len().checked_sub(least)?.min(most);
                let bytes = 1 + below(rng, u32::try_from(longest).ok().filter(|longest| *longest > 0)?) as usize;
                let cut = line.len() - bytes;
                std::str::from_utf8(&line[cut..]).is_ok().then_some(cut)
            }
            Finish::Delimiters => {
                let bytes = line.iter().rev().take_while(|byte| DELIMITERS.contains(byte)).count();
                let cut = line.len() - bytes;
                ((1..=most).contains(&bytes) && cut >= least).then_some(cut)
            }
        }
    }

    fn bounds(&self) -> &'static [usize] {
        match self.finish {
            Finish::Line => &LINE_BYTES,
            Finish::Delimiters => &DELIMITER_BYTES,
        }
    }

    /// The first of each bucket that training does not hold.
    fn choose(&self, ask: &Ask, candidates: Vec<Candidate>) -> Vec<Question> {
        let trained = Trained::of(ask.text, &candidates);
        let mut asked = HashSet::new();
        let mut counts = vec![0; 2 * self.bounds().len()];
        let mut questions = Vec::new();
        for (index, candidate) in candidates.into_iter().enumerate() {
            let (bucket, name) = self.bucket(&candidate, trained.lines.contains(candidate.line.as_slice()));
            let count = &mut counts[bucket as usize];
            let wanted = *count < ask.per_bucket && !trained.problems.contains(&index);
            if wanted && asked.insert(candidate.prompt.clone()) {
                *count += 1;
                questions.push(self.question(bucket, name, candidate));
            }
        }
        questions.sort_by_key(|question| question.bucket);
        questions
    }

    fn bucket(&self, candidate: &Candidate, seen: bool) -> (u32, String) {
        let (bounds, bytes) = (self.bounds(), candidate.answer.len() - 1);
        let class = bounds.iter().position(|bound| bytes <= *bound).expect("cut to the largest");
        let least = if class == 0 { 1 } else { bounds[class - 1] + 1 };
        let range = if least == bounds[class] { least.to_string() } else { format!("{least}–{}", bounds[class]) };
        let novelty = if seen { "seen line" } else { "new line" };
        (2 * class as u32 + u32::from(!seen), format!("{range} bytes, {novelty}"))
    }

    fn question(&self, bucket: u32, name: String, candidate: Candidate) -> Question {
        let symbols = if self.finish == Finish::Line { 95.0 } else { DELIMITERS.len() as f64 };
        let chance = math::pow(symbols, -((candidate.answer.len() - 1) as f64));
        let question = Question::recall(bucket, name, candidate.prompt, candidate.answer).with_chance(chance);
        let forbidden = vec![[question.prompt.as_slice(), &question.answer].concat()];
        Question { place: Place::Inside, forbidden, ..question }
    }
}

/// What of the candidates the training split holds.
struct Trained {
    /// Their lines, without indentation.
    lines: HashSet<Vec<u8>>,
    /// Indices of those that it holds with their answer.
    problems: HashSet<usize>,
}

impl Trained {
    fn of(text: &[&Text], candidates: &[Candidate]) -> Self {
        let documents = || text.iter().flat_map(|text| &text.train);
        let asked: HashSet<&[u8]> = candidates.iter().map(|candidate| candidate.line.as_slice()).collect();
        let lines = documents().flat_map(|document| document.split(|byte| matches!(byte, b'\n' | 0)));
        let lines = lines.map(<[u8]>::trim_ascii).filter(|line| asked.contains(line)).map(<[u8]>::to_vec).collect();
        let whole: Vec<Vec<u8>> = candidates.iter().map(|one| [one.prompt.as_slice(), &one.answer].concat()).collect();
        let guard = Guard::forbidding(whole.iter().map(Vec::as_slice));
        let problems = documents().flat_map(|document| guard.find_in(document)).collect();
        Self { lines, problems }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::refusal;
    use super::*;
    use crate::content::Piece;
    use crate::draw::stream;

    const TRAIN: &str = "fn a() {\n    let known = vec![1];\n    common(\"one\");\n    let same = f(1);\n}\n\0";
    const HELD_OUT: &str = "fn b() {\n    let known = vec![1];\n    let fresh = g(h[2]);\n    x.call(&[1, 2]);\n}\n\0";

    fn questions(finish: Finish, train: &str) -> Vec<Question> {
        let piece = Piece { cluster: "c".into(), bytes: HELD_OUT.as_bytes().to_vec() };
        let text = Text { train: vec![train.as_bytes().to_vec()], validation: vec![piece], left_out: Vec::new() };
        let texts = [&text];
        let mut ask = Ask { per_bucket: 20, rng: stream(1, 0), text: &texts };
        CodeCompletion { context: 12, finish }.questions(&mut ask).expect("problems")
    }

    fn whole(question: &Question) -> String {
        String::from_utf8([question.prompt.as_slice(), &question.answer].concat()).expect("text")
    }

    #[test]
    fn an_answer_is_the_rest_of_its_line_and_the_prompt_what_stands_before() {
        let questions = questions(Finish::Line, TRAIN);
        assert!(questions.len() > 20, "{}", questions.len());
        for question in &questions {
            let at = HELD_OUT.find(&whole(question)).expect("in the held-out text") + 12;
            assert_eq!(question.prompt.len(), 12);
            assert!(HELD_OUT[at..].starts_with(std::str::from_utf8(&question.answer).expect("text")));
            assert_eq!(question.answer.iter().position(|byte| *byte == b'\n'), Some(question.answer.len() - 1));
        }
    }

    #[test]
    fn buckets_are_bytes_of_the_answer_and_whether_training_has_the_line() {
        for question in questions(Finish::Line, TRAIN) {
            let bytes = question.answer.len() - 1;
            let class = [4, 8, 16, 32].iter().position(|bound| bytes <= *bound).expect("at most 32");
            // The one line that both texts have ends as no other does.
            let seen = whole(&question).ends_with("[1];\n");
            assert_eq!(question.bucket, 2 * class as u32 + u32::from(!seen), "{}", whole(&question));
            assert_eq!(question.bucket_name.ends_with("seen line"), seen);
        }
    }

    #[test]
    fn what_training_holds_with_its_answer_is_not_asked() {
        let leak = format!("{TRAIN}{}", &HELD_OUT[..33]);
        for question in questions(Finish::Line, &leak) {
            assert!(!leak.contains(&whole(&question)), "{}", whole(&question));
            assert!(!whole(&question).contains("vec![1];"));
        }
    }

    #[test]
    fn delimiters_at_a_lines_end_are_an_answer_of_their_own() {
        let mut answers: Vec<_> =
            questions(Finish::Delimiters, TRAIN).into_iter().map(|q| (q.answer, q.chance)).collect();
        answers.sort_by(|one, other| one.0.cmp(&other.0));
        // Of the line that calls and of `g(h[2]`; `];` of the vector is in training with the 12 bytes before it.
        let texts: Vec<_> = answers.iter().map(|(answer, _)| std::str::from_utf8(answer).expect("text")).collect();
        assert_eq!(texts, ["]);\n", "]);\n"]);
        // Seven delimiters: 1/343.
        assert!(answers.iter().all(|(_, chance)| (chance * 343.0 - 1.0).abs() < 1e-9));
    }

    #[test]
    fn chance_is_one_over_the_printable_lines_of_that_length() {
        for question in questions(Finish::Line, TRAIN) {
            let lines = (1..question.answer.len()).fold(1.0, |lines, _| lines * 95.0);
            assert!((question.chance * lines - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_mixture_without_text_is_refused() {
        let task = CodeCompletion::default();
        let error = task.questions(&mut Ask { per_bucket: 1, rng: stream(1, 0), text: &[] }).expect_err("no text");
        assert!(error.to_string().starts_with("`task` is `code_completion` in a corpus without text"), "{error}");
        assert!(refusal("code_completion", r#"{"context": 4}"#).starts_with("`context` is 4; 8 to 4096 is allowed"));
    }
}
