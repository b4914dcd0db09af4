//! `distractor`: a frequent rule that is easy to learn, and rare exceptions that it gets wrong. `$kfc>c`, but `$xqc>m`
//!
//! A document has a key of two letters, the value before, and the value after. Mostly the value stays: copy it. A few
//! keys are exceptions and have a value of their own, whatever came before. Who knows nothing guesses; who has learnt
//! to copy is wrong about exceptions and sure of it; who has learnt the keys is right. So the probability of the right
//! answer falls and then rises with scale: inverse scaling that turns (arXiv:2211.02011).
//!
//! - Buckets: 0 `regular`, 1 `exceptions`, whose value before is never the right one.
//! - Training: an exception with probability `exception_share`, keys and values before uniform. Chance: 1/26. Ceiling:
//!   certain.
//! - Guard: no held-out key with its value before is trained; the key with other values is.

use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{Ask, Question, Setup, Task, check, letters};
use crate::draw::{below, distinct_below, letter, shuffle, stream, uniform};
use crate::error::CorpusError;

const KEY_STREAM: u64 = 0;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    regular: u32,
    exceptions: u32,
    exception_share: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { regular: 300, exceptions: 40, exception_share: 0.1 }
    }
}

struct Distractor {
    regular: Vec<Vec<u8>>,
    /// Keys, each with its value.
    exceptions: Vec<(Vec<u8>, u8)>,
    exception_share: f64,
}

pub(super) fn new(setup: &Setup) -> Result<Box<dyn Task>, CorpusError> {
    let Parameters { regular, exceptions, exception_share } = setup.parameters()?;
    check("exceptions", exceptions, 1..=300)?;
    check("regular", regular, 1..=26 * 26 - exceptions)?;
    if !(exception_share > 0.0 && exception_share < 1.0) {
        return Err(CorpusError::BadValue {
            field: "exception_share",
            value: exception_share.to_string(),
            allowed: "more than 0 and less than 1 is needed".into(),
            hint: "0.1 is usual".into(),
        });
    }
    let mut rng = stream(setup.part.seed, KEY_STREAM);
    let mut keys: Vec<Vec<u8>> =
        distinct_below(&mut rng, regular + exceptions, 26 * 26).into_iter().map(|key| letters(key, 2)).collect();
    shuffle(&mut keys, &mut rng);
    let exceptions = keys.split_off(regular as usize).into_iter().map(|key| (key, letter(&mut rng, 26))).collect();
    Ok(Box::new(Distractor { regular: keys, exceptions, exception_share }))
}

impl Task for Distractor {
    fn document(&mut self, rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
        let exception = uniform(rng) < self.exception_share;
        let (prompt, answer) = if exception { self.exception(rng) } else { self.regular(rng) };
        Some([prompt, vec![answer]].concat())
    }

    fn questions(&self, ask: &mut Ask) -> Result<Vec<Question>, CorpusError> {
        let mut questions = ask.distinct(ask.fair_count(self.regular.len() as f64 * 26.0), |rng| {
            Some(question(0, "regular", self.regular(rng)))
        });
        questions.extend(ask.distinct(ask.fair_count(self.exceptions.len() as f64 * 25.0), |rng| {
            let (prompt, answer) = self.exception(rng);
            // Where the rule happens to be right there is nothing to be misled about.
            (prompt[3] != answer).then(|| question(1, "exceptions", (prompt, answer)))
        }));
        Ok(questions)
    }
}

impl Distractor {
    fn regular(&self, rng: &mut ChaCha8Rng) -> (Vec<u8>, u8) {
        let key = &self.regular[below(rng, self.regular.len() as u32) as usize];
        let value = letter(rng, 26);
        (prompt(key, value), value)
    }

    fn exception(&self, rng: &mut ChaCha8Rng) -> (Vec<u8>, u8) {
        let (key, answer) = &self.exceptions[below(rng, self.exceptions.len() as u32) as usize];
        (prompt(key, letter(rng, 26)), *answer)
    }
}

fn prompt(key: &[u8], value: u8) -> Vec<u8> {
    [b"$", key, &[value], b">"].concat()
}

fn question(bucket: u32, name: &str, (prompt, answer): (Vec<u8>, u8)) -> Question {
    Question::held_out(bucket, name.into(), prompt, vec![answer]).with_chance(1.0 / 26.0)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::tests::{Example, refusal};

    fn is_copy(text: &str) -> bool {
        text[3..4] == text[5..6]
    }

    #[test]
    fn nine_in_ten_documents_copy_and_the_others_have_one_value_for_each_key() {
        let example = Example::of("distractor", "{}");
        let documents = example.documents(20_000);
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        documents.iter().filter(|text| !is_copy(text)).for_each(|text| {
            values.entry(&text[1..3]).or_default().insert(&text[5..6]);
        });
        assert_eq!(values.len(), 40);
        assert!(values.values().all(|value| value.len() == 1), "{values:?}");
        // 0.9 + 0.1/26 copy: 18077 of 20000, standard deviation 41.7.
        let copies = documents.iter().filter(|text| is_copy(text)).count();
        assert!((17_910..18_245).contains(&copies), "{copies}");
    }

    #[test]
    fn the_rule_is_right_about_every_regular_question_and_wrong_about_every_exception() {
        let example = Example::of("distractor", "{}");
        assert_eq!(example.bucket_counts(), [("regular".into(), 100), ("exceptions".into(), 100)]);
        for (question, text) in example.questions().iter().zip(example.whole_questions()) {
            assert_eq!(is_copy(&text), question.bucket == 0, "{text}");
        }
    }

    #[test]
    fn what_is_asked_is_not_trained_but_every_key_is() {
        let example = Example::of("distractor", r#"{"regular": 30, "exceptions": 8, "exception_share": 0.3}"#);
        let trained: BTreeSet<String> = example.trained(10_000).into_iter().collect();
        assert!(example.whole_questions().iter().all(|text| !trained.contains(text)));
        let keys: BTreeSet<&str> = trained.iter().map(|text| &text[1..3]).collect();
        assert_eq!(keys.len(), 38);
        // A fifth of 8 · 25 is held out, and so is a fifth of 30 · 26, up to a hundred.
        assert_eq!(example.bucket_counts(), [("regular".into(), 100), ("exceptions".into(), 40)]);
    }

    #[test]
    fn chance_is_one_over_the_values_that_answers_have() {
        let example = Example::of("distractor", r#"{"exceptions": 300, "regular": 100}"#);
        let answers: BTreeSet<char> = example.documents(5_000).iter().filter_map(|text| text.chars().last()).collect();
        assert_eq!(answers.len(), 26);
        assert!(example.questions().iter().all(|question| (question.chance * 26.0 - 1.0).abs() < 1e-12));
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        assert!(refusal("distractor", r#"{"regular": 677}"#).starts_with("`regular` is 677; 1 to 636 is allowed"));
        assert!(refusal("distractor", r#"{"exception_share": 1}"#).starts_with("`exception_share` is 1; more than 0"));
    }
}
