//! `zipf-facts`: a synthetic knowledge base with an exactly known entropy rate.
//!
//! The Santa Fe process with noise (Dębowski, arXiv:2302.09049): facts have Zipf-distributed ranks, so that loss falls
//! as a power law while more and more of them are learnt, down to a floor that is known and not fitted.
//!
//! # Formula
//!
//! p_r ∝ r^-a for r = 1..K. A sentence is the m base-V digits of fact r's id and one value: f(r) with probability 1 − ε,
//! else one of the V − 1 others. Sentences are independent, so that in nats per token
//!
//! ```text
//! H = [ −Σ p_r ln p_r + h(ε) + ε ln(V − 1) ] / (m + 1),    h(ε) = −ε ln ε − (1 − ε) ln(1 − ε)
//! ```
//!
//! Windows start at a sentence boundary; an unknown phase would raise the attainable floor above H.
//!
//! With `problems`, values of facts are asked for by the half decade of their rank.

mod generate;
pub(crate) mod law;
mod problems;
pub(crate) mod ranks;

use forescale_core::corpus::ZipfFactsSpec;
use forescale_core::digest::json_digest;

use self::generate::Sentences;
use self::law::Law;
use super::Source;
use crate::build::{BuildRequest, Progress};
use crate::content::{Content, Piece, TokenizerIdentity, TrainDocuments};
use crate::error::CorpusError;

/// Raised whenever the same spec would give other tokens.
const GENERATOR_VERSION: u32 = 1;

/// Permutation and values are held in memory: 8 bytes a fact and 8 for its probability.
const MAX_FACTS: u64 = 1 << 28;

/// Equal blocks of the validation split, the clusters of its standard error.
const VALIDATION_BLOCKS: u64 = 64;

/// The source, with its spec.
pub(crate) struct ZipfFacts<'a>(pub(crate) &'a ZipfFactsSpec);

impl Source for ZipfFacts<'_> {
    fn name(&self) -> &'static str {
        "zipf-facts"
    }

    fn key(&self, _: &BuildRequest) -> Result<String, CorpusError> {
        check(self.0)?;
        Ok(json_digest(&(GENERATOR_VERSION, self.0)))
    }

    fn read(&self, _: &BuildRequest, progress: &mut dyn FnMut(Progress)) -> Result<Content, CorpusError> {
        check(self.0)?;
        Ok(generate_content(self.0, progress))
    }
}

fn generate_content(spec: &ZipfFactsSpec, progress: &mut dyn FnMut(Progress)) -> Content {
    let law = Law::new(spec);
    let sentence = sentence_tokens(spec);
    let sentences = Sentences { law: &law, spec };
    let train = sentences.train(spec.train_tokens / sentence, progress);
    let blocks = sentences.validation(spec.validation_tokens / sentence, VALIDATION_BLOCKS);
    let named = blocks.into_iter().enumerate();
    Content {
        vocabulary: spec.vocabulary,
        tokenizer: TokenizerIdentity::named(format!("symbols-{}", spec.vocabulary)),
        train: train.into(),
        validation: named.map(|(i, bytes)| Piece { cluster: format!("block-{i:02}"), bytes }).collect(),
        window_alignment: spec.key_digits + 1,
        train_documents: TrainDocuments::Counted(spec.train_tokens / sentence),
        left_out: Vec::new(),
        bytes_per_token: None,
        entropy_rate: Some(law.entropy_rate()),
        parts: Vec::new(),
        problems: spec.problems.map(|per_bucket| problems::problems(spec, &law, per_bucket)).unwrap_or_default(),
    }
}

/// The base-V digits of an id, highest first.
fn digits(spec: &ZipfFactsSpec, id: u32) -> Vec<u32> {
    let base = u64::from(spec.vocabulary);
    let digit = |place: u32| u64::from(id).checked_div(base.saturating_pow(place)).unwrap_or(0) % base;
    (0..spec.key_digits).rev().map(|place| digit(place) as u32).collect()
}

fn sentence_tokens(spec: &ZipfFactsSpec) -> u64 {
    u64::from(spec.key_digits) + 1
}

fn check(spec: &ZipfFactsSpec) -> Result<(), CorpusError> {
    if !(2..=65_536).contains(&spec.vocabulary) {
        return Err(bad("vocabulary", &spec.vocabulary, "2 to 65536 is allowed", "64 is a good start"));
    }
    if !(1..=32).contains(&spec.key_digits) {
        return Err(bad("key_digits", &spec.key_digits, "1 to 32 is allowed", "3 is a good start"));
    }
    check_facts(spec)?;
    if !(spec.exponent > 1.0 && spec.exponent.is_finite()) {
        let hint = "1.5 is a good start; at 1 and below the tail never ends";
        return Err(bad("exponent", &spec.exponent, "more than 1 is needed", hint));
    }
    if !(0.0..1.0).contains(&spec.noise) {
        return Err(bad("noise", &spec.noise, "0 up to, but not, 1 is allowed", "0.05 is a good start"));
    }
    check_length("train_tokens", spec.train_tokens, spec)?;
    check_length("validation_tokens", spec.validation_tokens, spec)
}

fn check_facts(spec: &ZipfFactsSpec) -> Result<(), CorpusError> {
    let ids = u64::from(spec.vocabulary).saturating_pow(spec.key_digits);
    let most = ids.min(MAX_FACTS);
    if (1..=most).contains(&spec.facts) {
        return Ok(());
    }
    let allowed = format!("1 to {most} is allowed with {} digits in base {}", spec.key_digits, spec.vocabulary);
    Err(bad("facts", &spec.facts, &allowed, "lower `facts`, or raise `key_digits` or `vocabulary`"))
}

fn check_length(field: &'static str, tokens: u64, spec: &ZipfFactsSpec) -> Result<(), CorpusError> {
    let sentence = sentence_tokens(spec);
    if tokens >= sentence {
        return Ok(());
    }
    let allowed = format!("at least one sentence of {sentence} tokens is needed");
    Err(bad(field, &tokens, &allowed, "131072 tokens or more make a useful split"))
}

fn bad(field: &'static str, value: &dyn std::fmt::Display, allowed: &str, hint: &str) -> CorpusError {
    CorpusError::BadValue { field, value: value.to_string(), allowed: allowed.into(), hint: hint.into() }
}

#[cfg(test)]
mod tests;
