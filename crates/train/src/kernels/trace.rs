//! What an operation does, in words that another device can follow.
//!
//! A tape that traces is given placeholders, tensors that have a shape and no values, and writes down each operation with
//! its inputs and its output. So a family is written once, and a card's plan is read off it.

use candle_core::{DType, Device, Result, Shape, Tensor};

use super::attention::Attention;

/// An operation of the families.
#[derive(Clone, Debug)]
pub(crate) enum Traced {
    /// Rows of tables, summed over orders.
    Embedding {
        /// Rows of one table.
        vocabulary: usize,
    },
    /// Rows normalised, times a gain.
    RmsNorm,
    /// x·Wᵀ.
    Linear,
    /// residual + x·Wᵀ.
    LinearOnto,
    /// Causal attention over packed rows, with two gains.
    Attention(Attention),
    /// The gate of packed rows.
    Swiglu,
    /// max(0, x)².
    ReluSquared,
}

/// An operation that can be traced: itself in words, and the shape of its output.
pub(crate) trait Traceable {
    fn trace(&self, inputs: &[&Tensor]) -> Result<(Traced, Shape)>;
}

/// One operation of a trace.
#[derive(Clone, Debug)]
pub(crate) struct TracedStep {
    pub(crate) operation: Traced,
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) output: Tensor,
}

/// A tensor of a shape, which holds one value, whatever its size.
pub(crate) fn placeholder(shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)
}
