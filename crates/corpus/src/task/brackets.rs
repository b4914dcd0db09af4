//! `brackets`: close what is open. `([]{|})`
//!
//! - Difficulty: how many are open, 1 to `depth`; before them up to `closed` pairs open and close again, of `kinds` kinds.
//! - Training: depth and number of closed pairs uniform, kinds uniform. Chance: kinds^-depth. Ceiling: certain.
//! - Guard: no held-out opening with its answer is trained.

use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{Ask, Question, Setup, Task, check};
use crate::draw::{below, choose, shuffle};
use crate::error::CorpusError;

const KINDS: [(u8, u8); 4] = [(b'(', b')'), (b'[', b']'), (b'{', b'}'), (b'<', b'>')];

/// Between what is open and what closes it.
const ASK: u8 = b'|';

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Brackets {
    /// Most brackets that are open.
    depth: u32,
    /// Most pairs that are closed already.
    closed: u32,
    /// Kinds of brackets.
    kinds: u32,
}

impl Default for Brackets {
    fn default() -> Self {
        Self { depth: 6, closed: 3, kinds: 4 }
    }
}

pub(super) fn new(setup: &Setup) -> Result<Box<dyn Task>, CorpusError> {
    let task: Brackets = setup.parameters()?;
    check("depth", task.depth, 1..=64)?;
    check("closed", task.closed, 0..=64)?;
    check("kinds", task.kinds, 1..=4)?;
    Ok(Box::new(task))
}

impl Task for Brackets {
    fn document(&mut self, rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
        let depth = 1 + below(rng, self.depth);
        let (prompt, answer) = self.draw(rng, depth);
        Some([prompt, answer].concat())
    }

    fn questions(&self, ask: &mut Ask) -> Result<Vec<Question>, CorpusError> {
        Ok((1..=self.depth).flat_map(|depth| self.bucket(depth, ask)).collect())
    }
}

impl Brackets {
    fn bucket(&self, depth: u32, ask: &mut Ask) -> Vec<Question> {
        let chance = (0..depth).fold(1.0, |chance, _| chance / f64::from(self.kinds));
        ask.distinct(ask.fair_count(self.openings(depth)), |rng| {
            let (prompt, answer) = self.draw(rng, depth);
            Some(Question::held_out(depth, format!("{depth} open"), prompt, answer).with_chance(chance))
        })
    }

    /// What is open, and what closes it.
    fn draw(&self, rng: &mut ChaCha8Rng, depth: u32) -> (Vec<u8>, Vec<u8>) {
        let closed = below(rng, self.closed + 1);
        let (mut prompt, mut open) = (Vec::new(), Vec::new());
        for opens in opening(rng, depth, closed) {
            if opens {
                let (left, right) = *choose(rng, &KINDS[..self.kinds as usize]);
                prompt.push(left);
                open.push(right);
            } else {
                prompt.push(open.pop().expect("never below zero"));
            }
        }
        prompt.push(ASK);
        open.reverse();
        (prompt, open)
    }

    /// How many different openings of a depth there are.
    fn openings(&self, depth: u32) -> f64 {
        let of_kinds = |opened: u32| (0..opened).fold(1.0, |count, _| count * f64::from(self.kinds));
        (0..=self.closed).map(|closed| ballots(depth + closed, closed) * of_kinds(depth + closed)).sum()
    }
}

/// Where brackets open, uniform among all orders that never close what is not open.
fn opening(rng: &mut ChaCha8Rng, depth: u32, closed: u32) -> Vec<bool> {
    let mut order = [vec![true; (depth + closed) as usize], vec![false; closed as usize]].concat();
    loop {
        shuffle(&mut order, rng);
        let mut balance = 0_i64;
        let stays = order.iter().all(|opens| {
            balance += if *opens { 1 } else { -1 };
            balance >= 0
        });
        if stays {
            return order;
        }
    }
}

/// Orders of so many openings and closings that never fall below zero (Bertrand 1887):
/// (n − m + 1)/(n + 1) · C(n + m, m).
fn ballots(opened: u32, closed: u32) -> f64 {
    let (n, m) = (f64::from(opened), f64::from(closed));
    let binomial = (1..=closed).fold(1.0, |product, k| product * (n + f64::from(k)) / f64::from(k));
    (n - m + 1.0) / (n + 1.0) * binomial
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::{Example, refusal};
    use super::*;

    /// A checker of its own: removes neighbouring pairs until nothing is left.
    fn is_balanced(text: &str) -> bool {
        let mut text = text.replace('|', "");
        loop {
            let shorter = ["()", "[]", "{}", "<>"].iter().fold(text.clone(), |text, pair| text.replace(pair, ""));
            if shorter == text {
                return text.is_empty();
            }
            text = shorter;
        }
    }

    #[test]
    fn documents_and_answers_close_everything_and_the_answer_is_as_long_as_the_depth() {
        let example = Example::of("brackets", r#"{"depth": 8, "closed": 5}"#);
        assert!(example.documents(2_000).iter().all(|text| is_balanced(text)));
        for question in example.questions() {
            assert_eq!(question.answer.len(), question.bucket as usize);
            assert!(question.answer.iter().all(|byte| b")]}>".contains(byte)));
        }
        assert!(example.whole_questions().iter().all(|text| is_balanced(text)));
        assert!(!is_balanced("([|)]") && !is_balanced("(|"));
    }

    #[test]
    fn openings_are_counted_as_a_plain_enumeration_counts_them() {
        // Two kinds, depth 1, up to one closed pair: (, [ and  ()(, ([](, (()… by enumeration below.
        let task = Brackets { depth: 1, closed: 1, kinds: 2 };
        let mut rng = crate::draw::stream(1, 0);
        let drawn: BTreeSet<Vec<u8>> = (0..5_000).map(|_| task.draw(&mut rng, 1).0).collect();
        // 2 of one bracket; of three, two orders (+-+, ++-) with 2² kinds each: 8.
        assert_eq!(drawn.len(), 10);
        assert!((task.openings(1) - 10.0).abs() < 1e-12);
    }

    #[test]
    fn orders_are_counted_as_the_catalan_numbers() {
        // Catalan: 1, 1, 2, 5, 14, 42; ballots(3, 1) = 3: +++-, ++-+, +-++.
        let catalan = [1.0, 1.0, 2.0, 5.0, 14.0, 42.0];
        (0..6).for_each(|n| assert!((ballots(n, n) - catalan[n as usize]).abs() < 1e-9, "{n}"));
        assert!((ballots(3, 1) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn chance_is_one_over_the_answers_of_that_length() {
        let example = Example::of("brackets", r#"{"depth": 3, "kinds": 3}"#);
        for question in example.questions() {
            let answers = [3.0, 9.0, 27.0][question.bucket as usize - 1];
            assert!((question.chance * answers - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn held_out_openings_are_not_trained() {
        let example = Example::of("brackets", r#"{"depth": 2, "closed": 1, "kinds": 2}"#);
        // Depth 1: 10 openings, a fifth is 2; depth 2: 4 + 3·2³ = 28, a fifth is 5.
        assert_eq!(example.bucket_counts(), [("1 open".into(), 2), ("2 open".into(), 5)]);
        let trained: BTreeSet<String> = example.trained(3_000).into_iter().collect();
        assert!(example.whole_questions().iter().all(|text| !trained.contains(text)));
        assert!(trained.len() >= 38 - 7 - 4, "{}", trained.len());
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        assert!(refusal("brackets", r#"{"kinds": 5}"#).starts_with("`kinds` is 5; 1 to 4 is allowed"));
    }
}
