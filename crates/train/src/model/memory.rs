//! What a model keeps of a sequence, so that the next token costs the work of one token.

use candle_core::{Result, Tensor, bail};

use crate::kernels::attention_head::HeadShape;
use crate::kernels::continuation::KeyValues;
use crate::kernels::{tensor, view};

/// The tokens of one sequence, and keys and values of them in each block. A copy goes on by itself.
#[derive(Clone)]
pub(crate) struct Memory {
    pub(super) tokens: Vec<u32>,
    pub(super) blocks: Vec<KeyValues>,
    room: usize,
}

impl Memory {
    pub(super) fn new(shape: &HeadShape, blocks: usize, tokens: usize) -> Self {
        let room = tokens.min(shape.context);
        let block = KeyValues::new(shape, room);
        Self { tokens: Vec::with_capacity(room), blocks: vec![block; blocks], room }
    }
}

/// New tokens of one sequence.
pub(crate) struct New<'a> {
    pub(crate) memory: &'a mut Memory,
    pub(crate) tokens: &'a [u32],
    /// Of how many of the new tokens, the last ones, logits are asked for.
    pub(crate) asked: usize,
}

impl New<'_> {
    /// Takes the new tokens into the memory.
    pub(super) fn take_in(&mut self) -> Result<()> {
        let memory = &mut *self.memory;
        memory.tokens.extend_from_slice(self.tokens);
        if memory.tokens.len() > memory.room || self.asked > self.tokens.len() {
            bail!("{} tokens do not fit a memory of {}", memory.tokens.len(), memory.room);
        }
        Ok(())
    }

    /// All tokens so far, and the position of the first new one.
    pub(super) fn whole(&self) -> (&[u32], usize) {
        let tokens = &self.memory.tokens;
        (tokens, tokens.len() - self.tokens.len())
    }
}

/// The rows that are asked for, out of the rows of all new tokens.
pub(super) fn asked_rows(x: &Tensor, sequences: &[New<'_>]) -> Result<Tensor> {
    if sequences.iter().all(|new| new.asked == new.tokens.len()) {
        return Ok(x.clone());
    }
    let (_, width) = x.dims2()?;
    let held = view(x);
    let mut left = held.values()?;
    let mut out = Vec::new();
    for New { tokens, asked, .. } in sequences {
        let (rows, rest) = left.split_at(tokens.len() * width);
        out.extend_from_slice(&rows[(tokens.len() - asked) * width..]);
        left = rest;
    }
    let rows = out.len() / width;
    tensor(out, (rows, width))
}
