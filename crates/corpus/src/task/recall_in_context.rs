//! `recall_in_context`: pairs of key and value, then a key again. `a1b7c3?b=7`
//!
//! - Difficulty: the number of pairs, from `pairs`. Nothing of one document helps in another: the answer is in context.
//! - Training: number of pairs uniform among `pairs`, keys different, values uniform. Chance: 1/10. Ceiling: certain.
//! - Guard: no held-out context with its question is trained.

use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{Ask, Question, Setup, Task, check};
use crate::draw::{below, choose, shuffle};
use crate::error::CorpusError;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RecallInContext {
    /// Each is a bucket.
    pairs: Vec<u32>,
}

impl Default for RecallInContext {
    fn default() -> Self {
        Self { pairs: vec![2, 4, 8, 16] }
    }
}

pub(super) fn new(setup: &Setup) -> Result<Box<dyn Task>, CorpusError> {
    let mut task: RecallInContext = setup.parameters()?;
    task.pairs.sort_unstable();
    task.pairs.dedup();
    check("pairs", u32::try_from(task.pairs.len()).unwrap_or(u32::MAX), 1..=26)?;
    for pairs in &task.pairs {
        check("pairs", *pairs, 1..=26)?;
    }
    Ok(Box::new(task))
}

impl Task for RecallInContext {
    fn document(&mut self, rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
        let pairs = *choose(rng, &self.pairs);
        let (prompt, answer) = draw(rng, pairs);
        Some([prompt, vec![answer]].concat())
    }

    fn questions(&self, ask: &mut Ask) -> Result<Vec<Question>, CorpusError> {
        Ok(self.pairs.iter().flat_map(|pairs| bucket(*pairs, ask)).collect())
    }
}

fn bucket(pairs: u32, ask: &mut Ask) -> Vec<Question> {
    let name = format!("{pairs} pair{}", if pairs == 1 { "" } else { "s" });
    ask.distinct(ask.fair_count(different(pairs)), |rng| {
        let (prompt, answer) = draw(rng, pairs);
        Some(Question::held_out(pairs, name.clone(), prompt, vec![answer]).with_chance(0.1))
    })
}

/// Ordered keys, a value for each, and which of them is asked.
fn different(pairs: u32) -> f64 {
    (0..pairs).fold(f64::from(pairs), |count, used| count * f64::from(26 - used) * 10.0)
}

fn draw(rng: &mut ChaCha8Rng, pairs: u32) -> (Vec<u8>, u8) {
    let mut keys: Vec<u8> = (b'a'..=b'z').collect();
    shuffle(&mut keys, rng);
    let values: Vec<u8> = (0..pairs).map(|_| b'0' + u8::try_from(below(rng, 10)).expect("a digit")).collect();
    let asked = below(rng, pairs) as usize;
    let mut prompt: Vec<u8> = keys.iter().zip(&values).flat_map(|(key, value)| [*key, *value]).collect();
    prompt.extend([b'?', keys[asked], b'=']);
    (prompt, values[asked])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::{Example, refusal};

    /// What a reader answers: the digit after the key's only place in the context.
    fn is_right(text: &str) -> bool {
        let (context, question) = text.split_once('?').expect("a question");
        let (key, value) = question.split_once('=').expect("an equals sign");
        let places: Vec<&str> = context.split(key).collect();
        places.len() == 2 && places[1].starts_with(value) && value.len() == 1
    }

    #[test]
    fn documents_and_answers_are_in_the_context_once() {
        let example = Example::of("recall_in_context", r#"{"pairs": [1, 3, 26]}"#);
        assert!(example.documents(1_000).iter().all(|text| is_right(text)));
        assert!(example.whole_questions().iter().all(|text| is_right(text)));
        for question in example.questions() {
            assert_eq!(question.prompt.len(), 2 * question.bucket as usize + 3);
        }
    }

    #[test]
    fn one_pair_has_260_contexts_and_a_fifth_of_them_is_held_out() {
        let example = Example::of("recall_in_context", r#"{"pairs": [1, 2]}"#);
        assert_eq!(example.bucket_counts(), [("1 pair".into(), 52), ("2 pairs".into(), 100)]);
        let trained: BTreeSet<String> = example.trained(8_000).into_iter().collect();
        assert!(example.whole_questions().iter().all(|text| !trained.contains(text)));
        let of_one = trained.iter().filter(|text| text.len() == 6).count();
        assert_eq!(of_one, 260 - 52);
    }

    #[test]
    fn each_of_ten_values_is_an_answer_and_chance_is_one_in_ten() {
        let example = Example::of("recall_in_context", "{}");
        let answers: BTreeSet<u8> = example.questions().iter().map(|question| question.answer[0]).collect();
        assert_eq!(answers.len(), 10);
        assert!(example.questions().iter().all(|question| (question.chance - 0.1).abs() < 1e-15));
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        assert!(refusal("recall_in_context", r#"{"pairs": [27]}"#).starts_with("`pairs` is 27; 1 to 26 is allowed"));
    }
}
