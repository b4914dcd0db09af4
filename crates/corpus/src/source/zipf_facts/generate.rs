//! Sentences of the law, in chunks that each have a stream of their own, so that threads do not change them.

use forescale_core::corpus::ZipfFactsSpec;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::law::Law;
use crate::build::Progress;
use crate::draw::stream;

const CHUNK_SENTENCES: u64 = 1 << 16;

/// Chunks made between two reports of progress.
const CHUNKS_PER_REPORT: u64 = 16;

/// Streams 0 and 1 belong to the law; even ones from here are training, odd ones validation.
const FIRST_STREAM: u64 = 2;

/// A law that speaks.
pub(super) struct Sentences<'a> {
    pub(super) law: &'a Law,
    pub(super) spec: &'a ZipfFactsSpec,
}

impl Sentences<'_> {
    /// The training split in chunks.
    pub(super) fn train(&self, sentences: u64, progress: &mut dyn FnMut(Progress)) -> Vec<Vec<u8>> {
        let chunks = sentences.div_ceil(CHUNK_SENTENCES);
        let mut made = Vec::new();
        for first in (0..chunks).step_by(CHUNKS_PER_REPORT as usize) {
            progress(Progress { stage: "generate chunks", done: first, total: Some(chunks) });
            let next = first..chunks.min(first + CHUNKS_PER_REPORT);
            let length = |chunk: u64| CHUNK_SENTENCES.min(sentences - chunk * CHUNK_SENTENCES);
            made.par_extend(next.into_par_iter().map(|chunk| self.chunk(length(chunk), FIRST_STREAM + 2 * chunk)));
        }
        made
    }

    /// The validation split in equal blocks; fewer than asked for where there are too few sentences.
    pub(super) fn validation(&self, sentences: u64, blocks: u64) -> Vec<Vec<u8>> {
        let blocks = blocks.min(sentences);
        let length = sentences / blocks;
        let numbers = (0..blocks).into_par_iter();
        numbers.map(|block| self.chunk(length, FIRST_STREAM + 2 * block + 1)).collect()
    }

    fn chunk(&self, sentences: u64, number: u64) -> Vec<u8> {
        let mut rng = stream(self.spec.seed, number);
        let tokens = sentences * (u64::from(self.spec.key_digits) + 1);
        let mut bytes = Vec::with_capacity(usize::try_from(tokens).expect("fits in memory") * 2);
        for _ in 0..sentences {
            self.speak(&mut rng, &mut bytes);
        }
        bytes
    }

    /// One sentence: the digits of the id, highest first, and the value.
    fn speak(&self, rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
        let rank = self.law.draw_rank(rng);
        for digit in super::digits(self.spec, self.law.ids[rank]) {
            self.push(digit, bytes);
        }
        self.push(self.law.draw_value(rank, rng), bytes);
    }

    fn push(&self, token: u32, bytes: &mut Vec<u8>) {
        let pair = u16::try_from(token).expect("a token is below the vocabulary").to_le_bytes();
        let width = if self.spec.vocabulary <= 256 { 1 } else { 2 };
        bytes.extend_from_slice(&pair[..width]);
    }
}
