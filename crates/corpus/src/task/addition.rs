//! `addition`: the sum of two numbers of n digits. `12+35=47`
//!
//! - Difficulty: n, 1 to `digits`. Every digit of the sum has to be right, so that accuracy is near p^n for digits that
//!   are each right with probability p: what looks like a sudden ability may be a steady one (arXiv:2304.15004).
//! - `reversed` writes all three numbers lowest digit first, as carries go: `21+53=74`.
//! - Training: n uniform, operands uniform. Chance: one over the sums that two such numbers can have. Ceiling: certain.
//! - Guard: neither a held-out sum nor the one with its operands swapped is trained.

use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{Ask, Question, Setup, Task, check};
use crate::draw::{below, below_u64};
use crate::error::CorpusError;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Addition {
    /// Most digits of an operand.
    digits: u32,
    /// Lowest digit first.
    reversed: bool,
}

impl Default for Addition {
    fn default() -> Self {
        Self { digits: 3, reversed: true }
    }
}

pub(super) fn new(setup: &Setup) -> Result<Box<dyn Task>, CorpusError> {
    let task: Addition = setup.parameters()?;
    check("digits", task.digits, 1..=18)?;
    Ok(Box::new(task))
}

impl Task for Addition {
    fn document(&mut self, rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
        let digits = 1 + below(rng, self.digits);
        let (a, b) = (operand(rng, digits), operand(rng, digits));
        Some([self.prompt(a, b), self.number(a + b)].concat())
    }

    fn questions(&self, ask: &mut Ask) -> Result<Vec<Question>, CorpusError> {
        Ok((1..=self.digits).flat_map(|digits| self.bucket(digits, ask)).collect())
    }
}

impl Addition {
    fn bucket(&self, digits: u32, ask: &mut Ask) -> Vec<Question> {
        let operands = operands(digits) as f64;
        ask.distinct(ask.fair_count(operands * operands), |rng| Some(self.question(rng, digits)))
    }

    fn question(&self, rng: &mut ChaCha8Rng, digits: u32) -> Question {
        let (a, b) = (operand(rng, digits), operand(rng, digits));
        let name = format!("{digits} digit{}", if digits == 1 { "" } else { "s" });
        let mut question = Question::held_out(digits, name, self.prompt(a, b), self.number(a + b));
        question.forbidden.push([self.prompt(b, a), self.number(a + b)].concat());
        question.with_chance(1.0 / sums(digits) as f64)
    }

    fn prompt(&self, a: u64, b: u64) -> Vec<u8> {
        [self.number(a), b"+".to_vec(), self.number(b), b"=".to_vec()].concat()
    }

    fn number(&self, number: u64) -> Vec<u8> {
        let mut text = number.to_string().into_bytes();
        if self.reversed {
            text.reverse();
        }
        text
    }
}

/// The smallest number of so many digits; 0 is one of one digit.
fn smallest(digits: u32) -> u64 {
    if digits == 1 { 0 } else { 10_u64.pow(digits - 1) }
}

/// How many numbers have so many digits.
fn operands(digits: u32) -> u64 {
    10_u64.pow(digits) - smallest(digits)
}

/// How many sums two of them can have: all from twice the smallest to twice the largest.
fn sums(digits: u32) -> u64 {
    2 * operands(digits) - 1
}

fn operand(rng: &mut ChaCha8Rng, digits: u32) -> u64 {
    smallest(digits) + below_u64(rng, operands(digits))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::{Example, refusal};
    use super::*;

    fn value(digits: &str, reversed: bool) -> u64 {
        let text: String = if reversed { digits.chars().rev().collect() } else { digits.into() };
        text.parse().expect("a number")
    }

    fn is_right(text: &str, reversed: bool) -> bool {
        let (sum, result) = text.split_once('=').expect("an equals sign");
        let (a, b) = sum.split_once('+').expect("a plus");
        value(a, reversed) + value(b, reversed) == value(result, reversed) && a.len() == b.len()
    }

    #[test]
    fn answers_and_documents_parse_and_add_up_in_both_directions() {
        for reversed in [true, false] {
            let example = Example::of("addition", &format!(r#"{{"digits": 4, "reversed": {reversed}}}"#));
            assert!(example.documents(2_000).iter().all(|text| is_right(text, reversed)));
            assert!(example.whole_questions().iter().all(|text| is_right(text, reversed)));
        }
    }

    #[test]
    fn a_fifth_of_what_there_is_is_held_out_at_most() {
        let counts = Example::of("addition", r#"{"digits": 3}"#).bucket_counts();
        // 10 · 10 pairs of one digit, of which a fifth; 90 · 90 of two have more than enough.
        assert_eq!(counts, [("1 digit".into(), 20), ("2 digits".into(), 100), ("3 digits".into(), 100)]);
    }

    #[test]
    fn chance_is_one_over_the_sums_that_there_are() {
        for digits in [1, 2] {
            let numbers = smallest(digits)..smallest(digits) + operands(digits);
            let counted: BTreeSet<u64> = numbers.clone().flat_map(|a| numbers.clone().map(move |b| a + b)).collect();
            assert_eq!(counted.len() as u64, sums(digits));
        }
        let example = Example::of("addition", r#"{"digits": 2}"#);
        let chances: BTreeSet<String> = example.questions().iter().map(|q| (1.0 / q.chance).to_string()).collect();
        // 0 … 18 and 20 … 198.
        assert_eq!(chances, BTreeSet::from(["19".to_owned(), "179".to_owned()]));
    }

    #[test]
    fn neither_a_held_out_sum_nor_its_twin_is_trained() {
        let example = Example::of("addition", r#"{"digits": 1, "reversed": false}"#);
        let trained: BTreeSet<String> = example.trained(5_000).into_iter().collect();
        let mut held = 0;
        for text in example.whole_questions() {
            let twin = format!("{}+{}{}", &text[2..3], &text[..1], &text[3..]);
            assert!(!trained.contains(&text) && !trained.contains(&twin), "{text}");
            held += 1 + usize::from(twin != text);
        }
        // Everything else is there to learn from: 100 pairs less these, where no pair is held out twice.
        assert!(trained.len() >= 100 - held, "{}", trained.len());
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        assert!(refusal("addition", r#"{"digits": 0}"#).starts_with("`digits` is 0; 1 to 18 is allowed\n\nhint: "));
        let unknown = refusal("addition", r#"{"digit": 3}"#);
        assert!(unknown.contains("`addition`: unknown field `digit`, expected `digits` or `reversed`"), "{unknown}");
    }
}
