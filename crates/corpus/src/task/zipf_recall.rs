//! `zipf_recall`: facts that are said as often as their rank says, as text that can stand beside code. `@kfe=q`
//!
//! The same law as the source `zipf-facts` (its page has the formula), with ids and values in letters.
//!
//! - Difficulty: the half decade of the rank, 1–10, 11–31, 32–100, …
//! - Training: rank r with probability ∝ r^-`exponent` of `facts`; the value is wrong with probability `noise`.
//!   Chance: 1/26. Ceiling: ln(1 − `noise`).
//! - Guard: none by design. This is recall: it asks for what training states.

use forescale_core::corpus::ZipfFactsSpec;
use forescale_core::math;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{Ask, Question, Setup, Task, check, letters};
use crate::draw::distinct_below;
use crate::error::CorpusError;
use crate::source::zipf_facts::law::Law;
use crate::source::zipf_facts::ranks;

const LETTERS: u32 = 26;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    facts: u32,
    exponent: f64,
    noise: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { facts: 10_000, exponent: 1.5, noise: 0.05 }
    }
}

struct ZipfRecall {
    law: Law,
    facts: u32,
    /// Letters of an id.
    id_letters: u32,
    noise: f64,
}

pub(super) fn new(setup: &Setup) -> Result<Box<dyn Task>, CorpusError> {
    let Parameters { facts, exponent, noise } = setup.parameters()?;
    check("facts", facts, 1..=LETTERS.pow(5))?;
    check_number("exponent", exponent, exponent > 1.0 && exponent.is_finite(), "more than 1 is needed")?;
    check_number("noise", noise, (0.0..1.0).contains(&noise), "0 up to, but not, 1 is allowed")?;
    let id_letters = (1..=5).find(|length| LETTERS.pow(*length) >= facts).expect("at most 26^5 facts");
    let law = Law::new(&ZipfFactsSpec {
        vocabulary: LETTERS,
        facts: u64::from(facts),
        key_digits: id_letters,
        exponent,
        noise,
        train_tokens: 0,
        validation_tokens: 0,
        seed: setup.part.seed,
        problems: None,
    });
    Ok(Box::new(ZipfRecall { law, facts, id_letters, noise }))
}

fn check_number(field: &'static str, value: f64, holds: bool, allowed: &str) -> Result<(), CorpusError> {
    if holds {
        return Ok(());
    }
    let hint = "1.5 is a usual exponent, 0.05 a usual noise".to_owned();
    Err(CorpusError::BadValue { field, value: value.to_string(), allowed: allowed.into(), hint })
}

impl Task for ZipfRecall {
    fn document(&mut self, rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
        let rank = self.law.draw_rank(rng);
        let value = self.law.draw_value(rank, rng);
        Some([self.prompt(rank), letters(u64::from(value), 1)].concat())
    }

    fn questions(&self, ask: &mut Ask) -> Result<Vec<Question>, CorpusError> {
        let mut questions = Vec::new();
        for (bucket, ranks) in (0..).zip(ranks::half_decades(u64::from(self.facts))) {
            let width = ranks.end() - ranks.start() + 1;
            for offset in distinct_below(&mut ask.rng, ask.per_bucket, width) {
                let rank = (ranks.start() + offset - 1) as usize;
                let answer = letters(u64::from(self.law.values[rank]), 1);
                let question = Question::recall(bucket, ranks::name(&ranks), self.prompt(rank), answer);
                let ceiling_log_p = math::ln_1p(-self.noise);
                questions.push(Question { ceiling_log_p, ..question.with_chance(1.0 / f64::from(LETTERS)) });
            }
        }
        Ok(questions)
    }
}

impl ZipfRecall {
    fn prompt(&self, rank: usize) -> Vec<u8> {
        let id = letters(u64::from(self.law.ids[rank]), self.id_letters);
        [b"@", id.as_slice(), b"="].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashSet};

    use super::super::tests::{Example, refusal};

    #[test]
    fn without_noise_answers_are_what_training_states() {
        let example = Example::of("zipf_recall", r#"{"facts": 100, "noise": 0}"#);
        let trained: HashSet<String> = example.trained(20_000).into_iter().collect();
        assert_eq!(trained.len(), 100, "one value for each fact");
        assert!(example.whole_questions().iter().all(|text| trained.contains(text)));
        let buckets = [("ranks 1–10", 10), ("ranks 11–31", 21), ("ranks 32–100", 69)];
        assert_eq!(example.bucket_counts(), buckets.map(|(name, count)| (name.to_owned(), count)));
    }

    #[test]
    fn facts_are_said_as_often_as_their_rank_says_and_wrong_as_often_as_the_noise() {
        let example = Example::of("zipf_recall", r#"{"facts": 2, "exponent": 2.0, "noise": 0.2}"#);
        let right: BTreeSet<String> = example.whole_questions().into_iter().collect();
        let mut said: BTreeMap<String, u32> = BTreeMap::new();
        let mut wrong = 0;
        for text in example.documents(20_000) {
            wrong += u32::from(!right.contains(&text));
            *said.entry(text[..3].to_owned()).or_default() += 1;
        }
        // p = 4/5, 1/5: 16000 of 20000, standard deviation 56.6; so is it for the noise.
        assert!((15_770..16_230).contains(said.values().max().expect("two")), "{said:?}");
        assert!((3_770..4_230).contains(&wrong), "{wrong}");
    }

    #[test]
    fn chance_and_ceiling_are_those_of_26_values_and_the_noise() {
        let example = Example::of("zipf_recall", r#"{"facts": 1000}"#);
        let values: BTreeSet<char> = example.documents(5_000).iter().filter_map(|text| text.chars().last()).collect();
        assert_eq!(values.len(), 26);
        for question in example.questions() {
            assert!((question.chance * 26.0 - 1.0).abs() < 1e-12);
            // ln 0.95.
            assert!((question.ceiling_log_p + 0.051_293_294_387_550_58).abs() < 1e-15);
        }
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        assert!(
            refusal("zipf_recall", r#"{"noise": 1.0}"#).starts_with("`noise` is 1; 0 up to, but not, 1 is allowed")
        );
        assert!(refusal("zipf_recall", r#"{"exponent": 1.0}"#).starts_with("`exponent` is 1; more than 1 is needed"));
        assert!(refusal("zipf_recall", r#"{"facts": 0}"#).starts_with("`facts` is 0; 1 to 11881376 is allowed"));
    }
}
