//! Fused operations of the model families, each with a backward pass of its own.
//!
//! candle's stock operations are five to eight times slower than PyTorch on these shapes, and some of them lose
//! gradients without a word; each operation here is one pass over its data, tested against the plain composition and
//! against finite differences. Each runs on the thread that calls it (see [`crate::shard`]). A file holds the loops,
//! as functions of slices, and the `CustomOp` that gives them to candle. CPU, f32.

pub(crate) mod adamw;
pub(crate) mod attention;
pub(crate) mod attention_head;
pub(crate) mod continuation;
pub(crate) mod cross_entropy;
pub(crate) mod embedding;
#[cfg(test)]
pub(crate) mod gradient_check;
pub(crate) mod linear;
pub(crate) mod pool;
pub(crate) mod product;
pub(crate) mod relu_squared;
pub(crate) mod rms_norm;
pub(crate) mod simd;
pub(crate) mod swiglu;
pub(crate) mod tape;
pub(crate) mod trace;
pub(crate) mod transpose;

use std::ops::Deref;

use candle_core::{CpuStorage, Device, Layout, Result, Shape, Storage, Tensor, bail};

/// The values of an operand, which must be contiguous.
pub(crate) fn operand<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("a fused operation needs contiguous operands"),
    }
}

/// A tensor's values, held for reading.
pub(crate) struct View<'a, G> {
    guard: G,
    layout: &'a Layout,
}

/// Holds a tensor's values for reading.
pub(crate) fn view(tensor: &Tensor) -> View<'_, impl Deref<Target = Storage>> {
    let (guard, layout) = tensor.storage_and_layout();
    View { guard, layout }
}

impl<G: Deref<Target = Storage>> View<'_, G> {
    pub(crate) fn values(&self) -> Result<&[f32]> {
        match &*self.guard {
            Storage::Cpu(storage) => operand(storage, self.layout),
            _ => bail!("the fused operations run on the CPU only"),
        }
    }
}

/// A tensor that takes over values.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}
