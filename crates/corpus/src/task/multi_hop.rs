//! `multi_hop`: where one gets in so many steps. `#ab1=ef`, `#ef1=cd`, and so `#ab2=cd`
//!
//! Entities form one ring; a fact says what comes one step after an entity, a chain what comes several steps after.
//!
//! - Difficulty: hops, 1 to `hops`. Facts (1 hop) are trained for all `entities`, chains for all but the held-out ones:
//!   who has learnt to compose facts knows those as well, who has learnt chains by heart does not.
//! - Training: half facts (`facts_share`), else a chain with hops and start uniform. Chance: 1/entities. Ceiling: certain.
//! - Guard: no held-out chain is trained; the bucket of 1 hop is recall and asks for trained facts.

use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{Ask, Question, Setup, Task, check, letters};
use crate::draw::{below, distinct_below, shuffle, stream, uniform};
use crate::error::CorpusError;

const RING_STREAM: u64 = 0;

/// Letters of a name: 676 names.
const NAME_LETTERS: u32 = 2;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    entities: u32,
    hops: u32,
    facts_share: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { entities: 200, hops: 3, facts_share: 0.5 }
    }
}

struct MultiHop {
    /// Names in the order of the ring.
    ring: Vec<Vec<u8>>,
    hops: u32,
    facts_share: f64,
}

pub(super) fn new(setup: &Setup) -> Result<Box<dyn Task>, CorpusError> {
    let Parameters { entities, hops, facts_share } = setup.parameters()?;
    check("hops", hops, 1..=9)?;
    check("entities", entities, hops + 1..=26 * 26)?;
    if !(facts_share > 0.0 && facts_share <= 1.0) {
        return Err(CorpusError::BadValue {
            field: "facts_share",
            value: facts_share.to_string(),
            allowed: "more than 0 and at most 1 is needed".into(),
            hint: "0.5 is usual".into(),
        });
    }
    let mut rng = stream(setup.part.seed, RING_STREAM);
    let names = distinct_below(&mut rng, entities, 26 * 26);
    let mut ring: Vec<Vec<u8>> = names.into_iter().map(|name| letters(name, NAME_LETTERS)).collect();
    shuffle(&mut ring, &mut rng);
    Ok(Box::new(MultiHop { ring, hops, facts_share }))
}

impl Task for MultiHop {
    fn document(&mut self, rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
        let fact = self.hops == 1 || uniform(rng) < self.facts_share;
        let hops = if fact { 1 } else { 2 + below(rng, self.hops - 1) };
        let start = below(rng, self.entities());
        Some([self.prompt(start, hops), self.answer(start, hops)].concat())
    }

    fn questions(&self, ask: &mut Ask) -> Result<Vec<Question>, CorpusError> {
        Ok((1..=self.hops).flat_map(|hops| self.bucket(hops, ask)).collect())
    }
}

impl MultiHop {
    fn bucket(&self, hops: u32, ask: &mut Ask) -> Vec<Question> {
        let all = u64::from(self.entities());
        let count = if hops == 1 { ask.per_bucket } else { ask.fair_count(f64::from(self.entities())) as u32 };
        let starts = distinct_below(&mut ask.rng, count, all);
        let name = format!("{hops} hop{}", if hops == 1 { "" } else { "s" });
        let question = |start: u64| {
            let start = u32::try_from(start).expect("below the entities");
            let (prompt, answer) = (self.prompt(start, hops), self.answer(start, hops));
            let kind = if hops == 1 { Question::recall } else { Question::held_out };
            kind(hops, name.clone(), prompt, answer).with_chance(1.0 / f64::from(self.entities()))
        };
        starts.into_iter().map(question).collect()
    }

    fn entities(&self) -> u32 {
        u32::try_from(self.ring.len()).expect("at most 676")
    }

    fn prompt(&self, start: u32, hops: u32) -> Vec<u8> {
        [b"#", self.ring[start as usize].as_slice(), hops.to_string().as_bytes(), b"="].concat()
    }

    fn answer(&self, start: u32, hops: u32) -> Vec<u8> {
        self.ring[((start + hops) % self.entities()) as usize].clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::tests::{Example, refusal};

    /// The facts that training states, from its text alone.
    fn facts(trained: &[String]) -> BTreeMap<String, String> {
        let facts = trained.iter().filter(|text| &text[3..5] == "1=");
        facts.map(|text| (text[1..3].to_owned(), text[5..].to_owned())).collect()
    }

    fn composed(facts: &BTreeMap<String, String>, text: &str) -> String {
        let hops: usize = text[3..4].parse().expect("hops");
        (0..hops).fold(text[1..3].to_owned(), |at, _| facts[&at].clone())
    }

    #[test]
    fn every_chain_and_every_answer_is_what_the_trained_facts_compose_to() {
        let example = Example::of("multi_hop", r#"{"entities": 60, "hops": 4}"#);
        let trained = example.trained(5_000);
        let facts = facts(&trained);
        assert_eq!(facts.len(), 60, "facts are trained for all entities");
        for text in trained.iter().chain(&example.whole_questions()) {
            assert_eq!(text[5..], composed(&facts, text), "{text}");
        }
    }

    #[test]
    fn chains_are_held_out_and_facts_are_not() {
        let example = Example::of("multi_hop", r#"{"entities": 60, "hops": 3}"#);
        assert_eq!(example.bucket_counts(), [("1 hop".into(), 60), ("2 hops".into(), 12), ("3 hops".into(), 12)]);
        let trained: BTreeSet<String> = example.trained(5_000).into_iter().collect();
        for text in example.whole_questions() {
            assert_eq!(trained.contains(&text), &text[3..4] == "1", "{text}");
        }
        // 60 facts and 2 · (60 − 12) chains: each is seen.
        assert_eq!(trained.len(), 60 + 2 * 48);
    }

    #[test]
    fn each_entity_is_an_answer_as_often_as_any_other() {
        let example = Example::of("multi_hop", r#"{"entities": 60, "hops": 1}"#);
        let answers: BTreeSet<Vec<u8>> = example.questions().into_iter().map(|question| question.answer).collect();
        assert_eq!(answers.len(), 60);
        assert!(example.questions().iter().all(|question| (question.chance - 1.0 / 60.0).abs() < 1e-15));
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        assert!(refusal("multi_hop", r#"{"entities": 3}"#).starts_with("`entities` is 3; 4 to 676 is allowed"));
        assert!(refusal("multi_hop", r#"{"facts_share": 0.0}"#).starts_with("`facts_share` is 0; more than 0"));
    }
}
