//! How text becomes tokens: bytes, a BPE learnt from the corpus, or a `tokenizer.json` that exists.
//!
//! Owns what is in a corpus folder's `tokenizer.json`, whose SHA-256 is the tokenizer's digest. What is learnt is
//! written as JSON and read back before it is used, so that the file in the cache is the tokenizer that was used.
//!
//! Each document is encoded alone and followed by one end: the tokenizer's end-of-text token, or what it makes of a
//! zero byte, which ends documents of bytes. Text that spells a special token is text: a source file about tokenizers
//! must not end in the middle.
//!
//! # Bytes per token
//!
//! Measured on the validation split, because there the loss is: loss per token over bytes per token is loss per byte.
//! An end counts as one byte, as it does under bytes, so that two tokenizers of one corpus divide by the same number.
//! Where decoding does not give the text of the validation split back, the tokenizer forgets (letter case, unknown
//! characters), its loss says nothing of what it forgot, and there is no such number.

mod encode;
mod encoder;
mod learn;

use std::fs;
use std::path::Path;

use forescale_core::corpus::{BpeSpec, TokenizerFileSpec, TokenizerSpec};
use forescale_core::digest::{json_digest, sha256_hex};

use self::encoder::Encoder;
use crate::build::Progress;
use crate::content::{Content, Text};
use crate::error::CorpusError;

/// Raised whenever the same tokenizer spec and text would give other tokens.
const TOKENIZER_VERSION: u32 = 1;

/// Adds what decides the tokenizer to the key of a text source, which stays as it is for bytes. Checks the spec; fast.
///
/// # Errors
///
/// If a number is outside its range, or `tokenizer.json` is missing, damaged or too large.
pub(crate) fn key(source: String, spec: &TokenizerSpec, folder: &Path) -> Result<String, CorpusError> {
    match spec {
        TokenizerSpec::Bytes {} => Ok(source),
        TokenizerSpec::Bpe(spec) => {
            learn::check(spec)?;
            let BpeSpec { vocabulary, train_bytes } = spec;
            Ok(json_digest(&(source, TOKENIZER_VERSION, "bpe", vocabulary, train_bytes)))
        }
        TokenizerSpec::File(spec) => {
            let encoder = read(spec, folder)?;
            Ok(json_digest(&(source, TOKENIZER_VERSION, "file", sha256_hex(encoder.json()))))
        }
    }
}

/// Cuts text into tokens.
///
/// # Errors
///
/// As [`key`], and if the text is too small for the vocabulary that is to be learnt, or cannot be encoded.
pub(crate) fn tokenise(
    text: Text,
    spec: &TokenizerSpec,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Content, CorpusError> {
    let encoder = match spec {
        TokenizerSpec::Bytes {} => return Ok(text.into_bytes()),
        TokenizerSpec::Bpe(spec) => {
            progress(Progress { stage: "learn tokenizer", done: 0, total: None });
            learn::bpe(spec, &text.train)?
        }
        TokenizerSpec::File(spec) => read(spec, folder)?,
    };
    encode::text(text, encoder, progress)
}

fn read(spec: &TokenizerFileSpec, folder: &Path) -> Result<Encoder, CorpusError> {
    let path = folder.join(&spec.path);
    let json = fs::read(&path).map_err(CorpusError::io("read", &path))?;
    let bad = |reason| CorpusError::BadTokenizer { path: path.clone(), reason };
    let encoder = Encoder::from_json(json).map_err(bad)?;
    match spec.vocabulary {
        Some(stated) if stated != encoder.vocabulary() => {
            Err(bad(format!("has a vocabulary of {}, but the spec says {stated}", encoder.vocabulary())))
        }
        _ => Ok(encoder),
    }
}

#[cfg(test)]
mod tests;
