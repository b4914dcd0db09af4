//! Parts that are text: each as the source it would be alone.

use std::collections::HashSet;

use forescale_core::corpus::{FilesSpec, PartSpec, RustCodeSpec, TokenizerSpec};
use sha2::{Digest as _, Sha256};

use crate::build::{BuildRequest, Progress};
use crate::content::Text;
use crate::error::CorpusError;
use crate::source::Source as _;
use crate::source::files::Files;
use crate::source::left_out::Tally;
use crate::source::rust_code::RustCode;

/// A text part as a source of its own.
pub(super) enum TextSource {
    Files(FilesSpec),
    RustCode(RustCodeSpec),
}

impl TextSource {
    pub(super) fn of(part: &PartSpec) -> Option<Self> {
        let tokenizer = TokenizerSpec::default();
        match part.clone() {
            PartSpec::Files(part) => {
                let (paths, validation_share) = (part.paths, part.validation_share);
                Some(Self::Files(FilesSpec { paths, validation_share, tokenizer }))
            }
            PartSpec::RustCode(part) => {
                let (lock, max_train_bytes) = (part.lock, part.max_train_bytes);
                Some(Self::RustCode(RustCodeSpec { lock, max_train_bytes, tokenizer }))
            }
            PartSpec::Task(_) => None,
        }
    }

    pub(super) fn key(&self, request: &BuildRequest) -> Result<String, CorpusError> {
        match self {
            Self::Files(spec) => Files(spec).key(request),
            Self::RustCode(spec) => RustCode(spec).key(request),
        }
    }

    pub(super) fn read(&self, request: &BuildRequest, progress: &mut dyn FnMut(Progress)) -> Result<Text, CorpusError> {
        match self {
            Self::Files(spec) => Files(spec).text(request, progress),
            Self::RustCode(spec) => RustCode(spec).text(request, progress),
        }
    }
}

/// Drops training documents that are validation documents of another text.
pub(super) fn keep_splits_apart(texts: &mut [Option<Text>], tally: &mut Tally) {
    if texts.iter().flatten().count() < 2 {
        return;
    }
    let digest = |document: &[u8]| -> [u8; 32] { Sha256::digest(document).into() };
    let pieces = texts.iter().flatten().flat_map(|text| &text.validation);
    let documents = pieces.flat_map(|piece| piece.bytes.split_inclusive(|byte| *byte == 0));
    let held_out: HashSet<[u8; 32]> = documents.map(digest).collect();
    for text in texts.iter_mut().flatten() {
        text.train.retain(|document| {
            let free = !held_out.contains(&digest(document));
            if !free {
                tally.add("held_out_text", document.len() as u64 - 1);
            }
            free
        });
    }
}
