//! Byte-level BPE (Sennrich et al., arXiv:1508.07909; over bytes, Radford et al. 2019) learnt from the training split.
//!
//! Words are GPT-2's, merges stop at pairs that occur once, and no validation text is read. The result does not depend
//! on threads: counts are sums of whole numbers, and of two equally frequent pairs the one with the lower ids is merged.

use forescale_core::corpus::BpeSpec;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, NormalizerWrapper, TokenizerBuilder, TokenizerImpl};

use super::encode::documents;
use super::encoder::{Encoder, parts};
use crate::error::CorpusError;

/// The end of a text and 256 bytes are in every vocabulary.
const LEAST_VOCABULARY: u32 = 257;
const MOST_VOCABULARY: u32 = 65_536;
/// The library counts pairs in 31 bits.
const MOST_TRAIN_BYTES: u64 = 1_000_000_000;
/// A pair seen once is a copy of the text, not a rule.
const LEAST_PAIRS: u64 = 2;
/// Id 0.
const END_OF_TEXT: &str = "<|endoftext|>";

/// Refuses a spec that no text could satisfy.
pub(super) fn check(spec: &BpeSpec) -> Result<(), CorpusError> {
    if !(LEAST_VOCABULARY..=MOST_VOCABULARY).contains(&spec.vocabulary) {
        return Err(CorpusError::BadValue {
            field: "tokenizer.vocabulary",
            value: spec.vocabulary.to_string(),
            allowed: format!("{LEAST_VOCABULARY} to {MOST_VOCABULARY} is allowed"),
            hint: "4096 suits a small ladder; bytes have 256".into(),
        });
    }
    if !(1..=MOST_TRAIN_BYTES).contains(&spec.train_bytes) {
        return Err(CorpusError::BadValue {
            field: "tokenizer.train_bytes",
            value: spec.train_bytes.to_string(),
            allowed: format!("1 to {MOST_TRAIN_BYTES} is allowed"),
            hint: "20000000 is the default".into(),
        });
    }
    Ok(())
}

type ByteLevelBpe = TokenizerImpl<BPE, NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel>;

/// Learns from training pieces.
///
/// # Errors
///
/// If the text has too few pairs for the vocabulary.
pub(super) fn bpe(spec: &BpeSpec, train: &[Vec<u8>]) -> Result<Encoder, CorpusError> {
    let sample = sample(train, spec.train_bytes);
    let mut tokenizer = untrained().map_err(|error| broken(&*error))?;
    tokenizer.train(&mut trainer(spec.vocabulary), sample.iter()).map_err(|error| broken(&*error))?;
    let found = tokenizer.get_vocab_size(true) as u64;
    if found < u64::from(spec.vocabulary) {
        let bytes: usize = sample.iter().map(|part| part.len()).sum();
        return Err(CorpusError::BadValue {
            field: "tokenizer.vocabulary",
            value: spec.vocabulary.to_string(),
            allowed: format!("{bytes} bytes of training text give {found} tokens"),
            hint: "lower `vocabulary`, or raise `train_bytes` where there is more text".into(),
        });
    }
    let json = tokenizer.to_string(false).map_err(|error| broken(&*error))?;
    Encoder::from_json(json.into_bytes()).map_err(|reason| broken(&*Box::<dyn std::error::Error>::from(reason)))
}

fn untrained() -> tokenizers::Result<ByteLevelBpe> {
    let bytes = ByteLevel::new(false, false, true);
    TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(None::<NormalizerWrapper>)
        .with_pre_tokenizer(Some(bytes))
        .with_post_processor(Some(bytes))
        .with_decoder(Some(bytes))
        .build()
}

fn trainer(vocabulary: u32) -> BpeTrainer {
    BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(vocabulary as usize)
        .min_frequency(LEAST_PAIRS)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
        .build()
}

fn broken(error: &(dyn std::error::Error + 'static)) -> CorpusError {
    CorpusError::BadTokenizer { path: "tokenizer.json".into(), reason: format!("cannot be learnt: {error}") }
}

/// Parts of documents up to about this many bytes, spread evenly, because documents come in the order of their names.
fn sample(train: &[Vec<u8>], bytes: u64) -> Vec<&str> {
    let parts = || train.iter().flat_map(|piece| documents(piece)).flat_map(parts);
    let total: u128 = parts().map(|part| part.len() as u128).sum();
    let (mut seen, mut taken) = (0_u128, 0_u128);
    let mut sample = Vec::new();
    for part in parts() {
        if taken * total <= seen * u128::from(bytes) {
            taken += part.len() as u128;
            sample.push(part);
        }
        seen += part.len() as u128;
    }
    sample
}
