//! The gate of a SwiGLU MLP over packed rows (gate | up).
//!
//! # Formula
//!
//! y = silu(g) ∘ u with silu(g) = g·σ(g). Backward: ū = ȳ·g·σ, ḡ = ȳ·u·σ·(1 + g·(1 − σ)). Shazeer, arXiv:2002.05202.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::simd::{exp, multiversion};
use super::tape::Tape;
use super::trace::{Traceable, Traced};
use super::{operand, pool, tensor, view};

/// Gates rows of width 2f into rows of width f.
pub(crate) fn swiglu(tape: &Tape, packed: &Tensor) -> Result<Tensor> {
    tape.one(packed, SwigluOp)
}

struct SwigluOp;

impl Traceable for SwigluOp {
    fn trace(&self, inputs: &[&Tensor]) -> Result<(Traced, Shape)> {
        let (rows, width) = inputs[0].dims2()?;
        Ok((Traced::Swiglu, Shape::from((rows, width / 2))))
    }
}

impl CustomOp1 for SwigluOp {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, packed: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        let mut out = pool::take(rows * width / 2);
        forward(operand(packed, layout)?, width / 2, &mut out);
        Ok((CpuStorage::F32(out), Shape::from((rows, width / 2))))
    }

    fn bwd(&self, packed: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let [packed_view, gradient_view] = [packed, gradient].map(view);
        let values = packed_view.values()?;
        let mut packed_gradient = pool::take(values.len());
        backward(values, gradient_view.values()?, gradient.dim(1)?, &mut packed_gradient);
        Ok(Some(tensor(packed_gradient, packed.shape())?))
    }
}

multiversion! {
    /// silu(gate) ∘ up, row by row.
    fn forward(packed: &[f32], hidden: usize, out: &mut [f32]) = forward_body
}

#[inline(always)]
fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FUSED>(-x))
}

#[inline(always)]
fn forward_body<const FUSED: bool>(packed: &[f32], hidden: usize, out: &mut [f32]) {
    for (row, out) in packed.chunks_exact(2 * hidden).zip(out.chunks_exact_mut(hidden)) {
        let (gate, up) = row.split_at(hidden);
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate * sigmoid::<FUSED>(*gate) * up;
        }
    }
}

multiversion! {
    /// Gradients of the packed rows.
    fn backward(packed: &[f32], out: &[f32], hidden: usize, packed_gradient: &mut [f32]) = backward_body
}

#[inline(always)]
fn backward_body<const FUSED: bool>(packed: &[f32], out: &[f32], hidden: usize, packed_gradient: &mut [f32]) {
    let rows = packed.chunks_exact(2 * hidden).zip(packed_gradient.chunks_exact_mut(2 * hidden));
    for ((row, gradient), out) in rows.zip(out.chunks_exact(hidden)) {
        let (gate, up) = row.split_at(hidden);
        let (gate_gradient, up_gradient) = gradient.split_at_mut(hidden);
        for index in 0..hidden {
            let (g, u, y) = (gate[index], up[index], out[index]);
            let s = sigmoid::<FUSED>(g);
            up_gradient[index] = y * g * s;
            gate_gradient[index] = y * u * s * (1.0 + g * (1.0 - s));
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::super::gradient_check::{assert_same, assert_slopes, variable};
    use super::*;

    fn fused(tape: &Tape, v: &[Var]) -> Result<Tensor> {
        swiglu(tape, &v[0])
    }

    fn plain(v: &[Var]) -> Result<Tensor> {
        let hidden = v[0].dim(1)? / 2;
        candle_nn::ops::silu(&v[0].narrow(1, 0, hidden)?)? * v[0].narrow(1, hidden, hidden)?
    }

    #[test]
    fn equals_the_plain_composition_with_and_without_a_rest() {
        for hidden in [16, 43] {
            assert_same(fused, plain, &[variable("packed", &[5, 2 * hidden])]);
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        assert_slopes(fused, &[variable("packed", &[5, 48])]);
    }
}
