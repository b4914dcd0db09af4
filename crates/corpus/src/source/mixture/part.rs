//! A part of a mixture: where its documents come from, and what it has given so far.

use std::vec::IntoIter;

use forescale_core::corpus::PartSummary;
use rand_chacha::ChaCha8Rng;

use crate::content::{Piece, Text};
use crate::draw::{shuffle, stream};
use crate::task::{END, TRAIN_STREAM, Task, VALIDATION_STREAM};

/// Equal blocks of a task's validation text, the clusters of its standard error.
const TASK_BLOCKS: u64 = 16;

/// A part with what it has given to the training split.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) share: f64,
    pub(super) supply: Supply,
    /// Training tokens so far.
    pub(super) tokens: u64,
    /// Training documents so far.
    pub(super) documents: u64,
    /// Validation tokens.
    pub(super) validation_tokens: u64,
}

/// Where documents come from.
pub(super) enum Supply {
    /// Text that ends.
    Text { train: IntoIter<Vec<u8>>, train_bytes: u64, validation: Vec<Piece> },
    /// A task, without end; `seed` draws its validation text.
    Task { task: Box<dyn Task>, rng: Box<ChaCha8Rng>, seed: u64 },
}

impl Supply {
    /// Text in an order of the seed's; each part has a stream of its own.
    pub(super) fn text(text: Text, seed: u64, number: u64) -> Self {
        let mut train = text.train;
        shuffle(&mut train, &mut stream(seed, number));
        let train_bytes = train.iter().map(|document| document.len() as u64).sum();
        Self::Text { train: train.into_iter(), train_bytes, validation: text.validation }
    }

    pub(super) fn task(task: Box<dyn Task>, seed: u64) -> Self {
        Self::Task { task, rng: Box::new(stream(seed, TRAIN_STREAM)), seed }
    }

    /// Bytes of training text, where it ends.
    pub(super) fn train_bytes(&self) -> Option<u64> {
        match self {
            Self::Text { train_bytes, .. } => Some(*train_bytes),
            Self::Task { .. } => None,
        }
    }

    /// Bytes of validation text, where it ends.
    pub(super) fn validation_bytes(&self) -> Option<u64> {
        match self {
            Self::Text { validation, .. } => Some(validation.iter().map(|piece| piece.bytes.len() as u64).sum()),
            Self::Task { .. } => None,
        }
    }

    /// The next training document with its end; `None` after the last.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Text { train, .. } => train.next(),
            Self::Task { task, rng, .. } => task.document(rng).map(ended),
        }
    }
}

fn ended(mut document: Vec<u8>) -> Vec<u8> {
    document.push(END);
    document
}

impl Part {
    /// So many validation tokens: of a text as much of every cluster, of a task equal blocks of new documents.
    pub(super) fn validation(&mut self, tokens: u64) -> Vec<Piece> {
        let all = self.supply.validation_bytes();
        let pieces = match &mut self.supply {
            Supply::Text { validation, .. } => {
                let share = tokens as f64 / all.unwrap_or(0).max(1) as f64;
                let cut = |piece: Piece| {
                    let length = (piece.bytes.len() as f64 * share) as usize;
                    Piece { cluster: format!("{}/{}", self.name, piece.cluster), bytes: piece.bytes[..length].to_vec() }
                };
                std::mem::take(validation).into_iter().map(cut).filter(|piece| !piece.bytes.is_empty()).collect()
            }
            Supply::Task { task, seed, .. } => blocks(&self.name, task.as_mut(), *seed, tokens / TASK_BLOCKS),
        };
        self.validation_tokens = pieces.iter().map(|piece| piece.bytes.len() as u64).sum();
        pieces
    }

    pub(super) fn summary(&self) -> PartSummary {
        PartSummary {
            name: self.name.clone(),
            share: self.share,
            train_tokens: self.tokens,
            train_documents: self.documents,
            validation_tokens: self.validation_tokens,
        }
    }
}

fn blocks(name: &str, task: &mut dyn Task, seed: u64, tokens: u64) -> Vec<Piece> {
    let mut rng = stream(seed, VALIDATION_STREAM);
    let block = |number: u64| {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < tokens {
            bytes.extend(ended(task.validation_document(&mut rng)?));
        }
        bytes.truncate(usize::try_from(tokens).expect("fits in memory"));
        Some(Piece { cluster: format!("{name}/{number:02}"), bytes })
    };
    let numbers = if tokens == 0 { 0..0 } else { 0..TASK_BLOCKS };
    numbers.map_while(block).collect()
}
