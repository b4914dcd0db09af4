//! `modular`: arithmetic modulo a prime or any other number. `12*35%97=32`
//!
//! - Difficulty: the modulus; `moduli` lists them, `operation` is `+` or `*`.
//! - Training: modulus uniform, operands uniform below it. Chance: 1/modulus. Ceiling: certain.
//! - Guard: neither a held-out problem nor the one with its operands swapped is trained.

use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{Ask, Question, Setup, Task, check};
use crate::draw::{below, choose};
use crate::error::CorpusError;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Modular {
    /// Each is a bucket.
    moduli: Vec<u32>,
    /// What is done to the operands.
    operation: Operation,
}

#[derive(Clone, Copy, Deserialize)]
enum Operation {
    #[serde(rename = "+")]
    Add,
    #[serde(rename = "*")]
    Multiply,
}

impl Default for Modular {
    fn default() -> Self {
        Self { moduli: vec![7, 17, 37, 97], operation: Operation::Add }
    }
}

pub(super) fn new(setup: &Setup) -> Result<Box<dyn Task>, CorpusError> {
    let mut task: Modular = setup.parameters()?;
    task.moduli.sort_unstable();
    task.moduli.dedup();
    check("moduli", u32::try_from(task.moduli.len()).unwrap_or(u32::MAX), 1..=64)?;
    for modulus in &task.moduli {
        check("moduli", *modulus, 3..=9_999)?;
    }
    Ok(Box::new(task))
}

impl Task for Modular {
    fn document(&mut self, rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
        let modulus = *choose(rng, &self.moduli);
        let (a, b) = (below(rng, modulus), below(rng, modulus));
        Some(format!("{}{}", self.prompt(a, b, modulus), self.operation.apply(a, b, modulus)).into_bytes())
    }

    fn questions(&self, ask: &mut Ask) -> Result<Vec<Question>, CorpusError> {
        Ok(self.moduli.iter().flat_map(|modulus| self.bucket(*modulus, ask)).collect())
    }
}

impl Modular {
    fn bucket(&self, modulus: u32, ask: &mut Ask) -> Vec<Question> {
        let different = f64::from(modulus) * f64::from(modulus);
        ask.distinct(ask.fair_count(different), |rng| Some(self.question(rng, modulus)))
    }

    fn question(&self, rng: &mut ChaCha8Rng, modulus: u32) -> Question {
        let (a, b) = (below(rng, modulus), below(rng, modulus));
        let answer = self.operation.apply(a, b, modulus).to_string();
        let twin = format!("{}{answer}", self.prompt(b, a, modulus));
        let prompt = self.prompt(a, b, modulus).into_bytes();
        let mut question = Question::held_out(modulus, format!("modulo {modulus}"), prompt, answer.into_bytes());
        question.forbidden.push(twin.into_bytes());
        question.with_chance(1.0 / f64::from(modulus))
    }

    fn prompt(&self, a: u32, b: u32, modulus: u32) -> String {
        let sign = match self.operation {
            Operation::Add => '+',
            Operation::Multiply => '*',
        };
        format!("{a}{sign}{b}%{modulus}=")
    }
}

impl Operation {
    fn apply(self, a: u32, b: u32, modulus: u32) -> u32 {
        match self {
            Self::Add => (a + b) % modulus,
            Self::Multiply => a * b % modulus,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::{Example, refusal};

    fn is_right(text: &str) -> bool {
        let (left, result) = text.split_once('=').expect("an equals sign");
        let (sum, modulus) = left.split_once('%').expect("a modulus");
        let (a, b) = sum.split_once(['+', '*']).expect("an operation");
        let [a, b, modulus, result] = [a, b, modulus, result].map(|number| number.parse::<u64>().expect("a number"));
        let plain = if sum.contains('*') { a * b } else { a + b };
        a < modulus && b < modulus && plain.rem_euclid(modulus) == result
    }

    #[test]
    fn answers_and_documents_are_right_for_both_operations() {
        for operation in ["+", "*"] {
            let example =
                Example::of("modular", &format!(r#"{{"moduli": [9973, 7, 12], "operation": "{operation}"}}"#));
            assert!(example.documents(1_000).iter().all(|text| is_right(text)));
            assert!(example.whole_questions().iter().all(|text| is_right(text)));
        }
    }

    #[test]
    fn chance_is_one_over_the_answers_that_documents_have() {
        let example = Example::of("modular", r#"{"moduli": [12]}"#);
        let answers = |text: &String| text.split_once('=').expect("an equals sign").1.to_owned();
        let counted: BTreeSet<String> = example.documents(2_000).iter().map(answers).collect();
        assert_eq!(counted.len(), 12);
        assert!(example.questions().iter().all(|q| (q.chance - 1.0 / 12.0).abs() < 1e-15));
    }

    #[test]
    fn a_fifth_of_the_pairs_is_held_out_at_most_and_none_of_them_trained() {
        let example = Example::of("modular", r#"{"moduli": [7, 97], "operation": "*"}"#);
        // 49 pairs modulo 7, a fifth of them rounded down.
        assert_eq!(example.bucket_counts(), [("modulo 7".into(), 9), ("modulo 97".into(), 100)]);
        let trained: BTreeSet<String> = example.trained(3_000).into_iter().collect();
        assert!(example.whole_questions().iter().all(|text| !trained.contains(text)));
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        assert!(refusal("modular", r#"{"moduli": []}"#).starts_with("`moduli` is 0; 1 to 64 is allowed"));
        assert!(refusal("modular", r#"{"moduli": [2]}"#).starts_with("`moduli` is 2; 3 to 9999 is allowed"));
        assert!(refusal("modular", r#"{"operation": "-"}"#).contains("unknown variant `-`, expected `+` or `*`"));
    }
}
