//! The default family, Qwen3-shaped: pre-RMSNorm, SwiGLU (or, where the shape says so, ReLU²), rotary embedding,
//! weighted QK-norm, untied embedding and head, no biases.
//!
//! Queries, keys and values are one matrix, gate and up are one matrix; split by rows they are those of Qwen3
//! (arXiv:2505.09388). With an input order n above 1 the input is a sum of n embeddings, of the last n tokens, which
//! costs no matrix product; order 1 is the plain model.

use candle_core::{Result, Tensor};
use forescale_core::count::{Mlp, ModelShape};

use super::memory::asked_rows;
use super::{Group, Inputs, LanguageModel, Memory, New, Place, WeightSpec};
use crate::kernels::attention::Attention;
use crate::kernels::attention_head::HeadShape;
use crate::kernels::continuation::Continued;
use crate::kernels::embedding::{self, Lookup, embedding};
use crate::kernels::linear::{linear, linear_onto};
use crate::kernels::relu_squared::relu_squared;
use crate::kernels::rms_norm::rms_norm;
use crate::kernels::swiglu::swiglu;
use crate::kernels::tape::Tape;
use crate::parametrization::Layer;

/// Base of the rotary angles. Chosen here: the usual 10,000 suits contexts of a few hundred tokens; Qwen3's 1,000,000
/// is for 32,768.
pub(crate) const ROTARY_BASE: f64 = 10_000.0;

pub(crate) struct Qwen3 {
    vocabulary: usize,
    attention: Attention,
    embedding: Tensor,
    blocks: Vec<Block>,
    norm: Tensor,
    head: Tensor,
}

struct Block {
    attention_norm: Tensor,
    query_key_value: Tensor,
    query_norm: Tensor,
    key_norm: Tensor,
    attention_output: Tensor,
    mlp_norm: Tensor,
    mlp: Mlp,
    /// Gate and up of SwiGLU, up alone of ReLU².
    up: Tensor,
    down: Tensor,
}

/// The weights, in the order that [`Qwen3::assemble`] takes them.
pub(crate) fn specs(shape: &ModelShape) -> Vec<WeightSpec> {
    let [v, d, f, h] = [shape.vocabulary, shape.width, shape.mlp_hidden, shape.head_size].map(|size| size as usize);
    let tables = shape.input_order as usize * v;
    let spec = |name: &str, dims: &[usize], layer, group| WeightSpec {
        name: name.to_owned(),
        dims: dims.to_vec(),
        layer,
        group,
    };
    let mut specs = vec![spec("embedding", &[tables, d], Layer::Embedding, Group::Embedding)];
    for block in 0..shape.layers {
        let of_block =
            |name: &str, dims: &[usize], layer, group| spec(&format!("blocks.{block}.{name}"), dims, layer, group);
        specs.extend([
            of_block("attention_norm", &[d], Layer::NormGain, Group::Norm),
            of_block("query_key_value", &[3 * d, d], Layer::Hidden, Group::Attention),
            of_block("query_norm", &[h], Layer::NormGain, Group::Norm),
            of_block("key_norm", &[h], Layer::NormGain, Group::Norm),
            of_block("attention_output", &[d, d], Layer::OutputProjection, Group::Attention),
            of_block("mlp_norm", &[d], Layer::NormGain, Group::Norm),
            match shape.mlp {
                Mlp::Swiglu => of_block("gate_up", &[2 * f, d], Layer::Hidden, Group::Mlp),
                Mlp::ReluSquared => of_block("up", &[f, d], Layer::Hidden, Group::Mlp),
            },
            of_block("down", &[d, f], Layer::OutputProjection, Group::Mlp),
        ]);
    }
    specs.push(spec("norm", &[d], Layer::FinalNormGain, Group::Norm));
    specs.push(spec("head", &[v, d], Layer::Readout, Group::Head));
    specs
}

impl Qwen3 {
    /// The model over weights in the order of [`specs`].
    pub(crate) fn assemble(shape: &ModelShape, weights: Vec<Tensor>) -> Self {
        let mut weights = weights.into_iter();
        let mut next = || weights.next().expect("as many weights as specs");
        let embedding = next();
        let block = |next: &mut dyn FnMut() -> Tensor| Block {
            attention_norm: next(),
            query_key_value: next(),
            query_norm: next(),
            key_norm: next(),
            attention_output: next(),
            mlp_norm: next(),
            mlp: shape.mlp,
            up: next(),
            down: next(),
        };
        let blocks = (0..shape.layers).map(|_| block(&mut next)).collect();
        let [context, heads, head_size] = [shape.context, shape.heads, shape.head_size].map(|size| size as usize);
        Self {
            vocabulary: shape.vocabulary as usize,
            attention: Attention::new(HeadShape { context, heads, head_size }, ROTARY_BASE),
            embedding,
            blocks,
            norm: next(),
            head: next(),
        }
    }
}

impl LanguageModel for Qwen3 {
    fn logits_observed(&self, tape: &Tape, inputs: &Inputs, see: &mut dyn FnMut(Place, &Tensor)) -> Result<Tensor> {
        let lookup = Lookup { tokens: inputs.tokens.clone(), context: inputs.context, vocabulary: self.vocabulary };
        let mut x = embedding(tape, &self.embedding, lookup)?;
        see(Place::Embedding, &x);
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.attend(tape, &x, |packed| self.attention.apply(tape, packed, block.gains()))?;
            see(Place::AfterAttention(index), &x);
            x = block.transform(tape, &x)?;
            see(Place::AfterMlp(index), &x);
        }
        let normed = rms_norm(tape, &x, &self.norm)?;
        see(Place::FinalNorm, &normed);
        let logits = linear(tape, &normed, &self.head)?;
        see(Place::Logits, &logits);
        Ok(logits)
    }

    fn memory(&self, tokens: usize) -> Memory {
        Memory::new(&self.attention.shape, self.blocks.len(), tokens)
    }

    fn advance(&self, sequences: &mut [New<'_>]) -> Result<Tensor> {
        let tape = &Tape::forward_only();
        sequences.iter_mut().try_for_each(New::take_in)?;
        let mut x = embedding::continued(&self.embedding, self.vocabulary, sequences.iter().map(New::whole))?;
        for (index, block) in self.blocks.iter().enumerate() {
            let continued = sequences
                .iter_mut()
                .map(|new| Continued { held: &mut new.memory.blocks[index], rows: new.tokens.len() });
            x = block.attend(tape, &x, |packed| self.attention.continued(packed, block.gains(), continued))?;
            x = block.transform(tape, &x)?;
        }
        let normed = rms_norm(tape, &asked_rows(&x, sequences)?, &self.norm)?;
        linear(tape, &normed, &self.head)
    }
}

impl Block {
    /// Gains of queries and keys.
    fn gains(&self) -> [&Tensor; 2] {
        [&self.query_norm, &self.key_norm]
    }

    /// The residual stream with the attention's output added; `mix` is the attention over packed rows.
    fn attend(&self, tape: &Tape, x: &Tensor, mix: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let packed = linear(tape, &rms_norm(tape, x, &self.attention_norm)?, &self.query_key_value)?;
        linear_onto(tape, x, &mix(&packed)?, &self.attention_output)
    }

    /// The residual stream with the MLP's output added.
    fn transform(&self, tape: &Tape, x: &Tensor) -> Result<Tensor> {
        let up = linear(tape, &rms_norm(tape, x, &self.mlp_norm)?, &self.up)?;
        let hidden = match self.mlp {
            Mlp::Swiglu => swiglu(tape, &up)?,
            Mlp::ReluSquared => relu_squared(tape, &up)?,
        };
        linear_onto(tape, x, &hidden, &self.down)
    }
}
