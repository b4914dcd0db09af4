//! Text in pieces becomes tokens in pieces: documents in parallel, each piece in the place of its text.

use forescale_core::corpus::TokenWidth;
use forescale_core::digest::sha256_hex;
use rayon::prelude::*;

use super::encoder::Encoder;
use crate::build::Progress;
use crate::content::{Content, Text, TokenizerIdentity, width_of};
use crate::error::CorpusError;

/// Pieces encoded at once between two reports of progress.
const PIECES_PER_REPORT: usize = 256;

/// Encodes both splits.
pub(super) fn text(
    mut text: Text,
    encoder: Encoder,
    progress: &mut dyn FnMut(Progress),
) -> Result<Content, CorpusError> {
    let validation_bytes: usize = text.validation.iter().map(|piece| piece.bytes.len()).sum();
    let lossless = text.validation.par_iter().all(|piece| gives_back(&encoder, &piece.bytes));
    encode_all(text.train.iter_mut().collect(), &encoder, progress)?;
    encode_all(text.validation.iter_mut().map(|piece| &mut piece.bytes).collect(), &encoder, progress)?;
    let vocabulary = encoder.vocabulary();
    let validation_tokens =
        text.validation.iter().map(|piece| piece.bytes.len()).sum::<usize>() / width_of(vocabulary).bytes();
    let bytes_per_token = lossless.then(|| validation_bytes as f64 / validation_tokens as f64);
    let identity = TokenizerIdentity { digest: sha256_hex(encoder.json()), json: Some(encoder.into_json()) };
    Ok(text.into_content(vocabulary, identity, bytes_per_token))
}

fn encode_all(
    mut pieces: Vec<&mut Vec<u8>>,
    encoder: &Encoder,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), CorpusError> {
    let total = Some(pieces.len() as u64);
    let mut done = 0;
    for chunk in pieces.chunks_mut(PIECES_PER_REPORT) {
        progress(Progress { stage: "encode documents", done, total });
        chunk.par_iter_mut().try_for_each(|piece| {
            **piece = encode(encoder, piece)?;
            Ok::<_, CorpusError>(())
        })?;
        done += chunk.len() as u64;
    }
    Ok(())
}

/// The documents of a piece as tokens, each with its end.
fn encode(encoder: &Encoder, piece: &[u8]) -> Result<Vec<u8>, CorpusError> {
    let width = width_of(encoder.vocabulary());
    let mut tokens = Vec::with_capacity(piece.len());
    for document in documents(piece) {
        let ids = encoder.ids(document).map_err(|reason| CorpusError::BadTokenizer {
            path: "tokenizer.json".into(),
            reason: format!("cannot encode a document of {} bytes: {reason}", document.len()),
        })?;
        for id in ids.iter().chain(encoder.end()) {
            push(&mut tokens, *id, width);
        }
    }
    tokens.shrink_to_fit();
    Ok(tokens)
}

fn push(tokens: &mut Vec<u8>, id: u32, width: TokenWidth) {
    match width {
        TokenWidth::U8 => tokens.push(u8::try_from(id).expect("an id below the vocabulary")),
        TokenWidth::U16 => tokens.extend(u16::try_from(id).expect("an id below the vocabulary").to_le_bytes()),
    }
}

fn gives_back(encoder: &Encoder, piece: &[u8]) -> bool {
    documents(piece).all(|document| encoder.gives_back(document))
}

/// The documents of a piece: a zero byte after each, and nowhere else.
pub(super) fn documents(piece: &[u8]) -> impl Iterator<Item = &str> {
    let ended = piece.split_inclusive(|byte| *byte == 0);
    ended.map(|document| {
        let text = document.strip_suffix(&[0]).unwrap_or(document);
        std::str::from_utf8(text).expect("a source keeps only UTF-8")
    })
}
