//! Root-mean-square normalisation of rows, with a gain.
//!
//! # Formula
//!
//! y = γ ∘ x · r with r = 1/√(mean(x²) + 1e-6). Backward: with u = γ ∘ ȳ, x̄ = r·u − x·(u·x)·r³/d and
//! γ̄ = Σ_rows ȳ ∘ x · r. Zhang and Sennrich, arXiv:1910.07467.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::simd::{dot, madd, multiversion};
use super::tape::Tape;
use super::trace::{Traceable, Traced};
use super::{operand, pool, tensor, view};

/// Added to the mean square under the root of every norm, block norms and QK-norm alike, as in Qwen3.
pub(crate) const EPSILON: f64 = 1e-6;

/// Normalises each row of `x` and multiplies it by `gain`.
pub(crate) fn rms_norm(tape: &Tape, x: &Tensor, gain: &Tensor) -> Result<Tensor> {
    tape.two([x, gain], RmsNormOp)
}

struct RmsNormOp;

impl Traceable for RmsNormOp {
    fn trace(&self, inputs: &[&Tensor]) -> Result<(Traced, Shape)> {
        Ok((Traced::RmsNorm, inputs[0].shape().clone()))
    }
}

impl CustomOp2 for RmsNormOp {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = operand(x, x_layout)?;
        let mut out = pool::take(x.len());
        forward(x, operand(gain, gain_layout)?, &mut out);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [x_view, gain_view, gradient_view] = [x, gain, gradient].map(view);
        let (x_values, gain_values) = (x_view.values()?, gain_view.values()?);
        let mut x_gradient = pool::take(x_values.len());
        let mut gain_gradient = vec![0.0; gain_values.len()];
        let given = Given { x: x_values, gain: gain_values, out: gradient_view.values()? };
        backward(given, &mut x_gradient, &mut gain_gradient);
        Ok((Some(tensor(x_gradient, x.shape())?), Some(tensor(gain_gradient, gain.shape())?)))
    }
}

#[derive(Clone, Copy)]
struct Given<'a> {
    x: &'a [f32],
    gain: &'a [f32],
    out: &'a [f32],
}

multiversion! {
    /// y = γ ∘ x / rms(x), row by row.
    fn forward(x: &[f32], gain: &[f32], out: &mut [f32]) = forward_body
}

#[inline(always)]
fn inverse_rms<const FUSED: bool>(row: &[f32]) -> f32 {
    1.0 / (dot::<FUSED>(row, row) / row.len() as f32 + EPSILON as f32).sqrt()
}

#[inline(always)]
fn forward_body<const FUSED: bool>(x: &[f32], gain: &[f32], out: &mut [f32]) {
    for (row, out) in x.chunks_exact(gain.len()).zip(out.chunks_exact_mut(gain.len())) {
        let inverse = inverse_rms::<FUSED>(row);
        for ((out, x), gain) in out.iter_mut().zip(row).zip(gain) {
            *out = x * inverse * gain;
        }
    }
}

multiversion! {
    /// Gradients of x and, added up over rows, of the gain.
    fn backward(given: Given<'_>, x_gradient: &mut [f32], gain_gradient: &mut [f32]) = backward_body
}

#[inline(always)]
fn backward_body<const FUSED: bool>(given: Given<'_>, x_gradient: &mut [f32], gain_gradient: &mut [f32]) {
    let width = given.gain.len();
    let rows = given.x.chunks_exact(width).zip(given.out.chunks_exact(width)).zip(x_gradient.chunks_exact_mut(width));
    for ((x, out), x_gradient) in rows {
        let inverse = inverse_rms::<FUSED>(x);
        for (((u, out), gain), (sum, x)) in
            x_gradient.iter_mut().zip(out).zip(given.gain).zip(gain_gradient.iter_mut().zip(x))
        {
            *u = out * gain;
            *sum = madd::<FUSED>(out * inverse, *x, *sum);
        }
        let along = dot::<FUSED>(x_gradient, x) * inverse * inverse * inverse / width as f32;
        for (u, x) in x_gradient.iter_mut().zip(x) {
            *u = *u * inverse - x * along;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Var};

    use super::super::gradient_check::{assert_same, assert_slopes, variable};
    use super::*;

    fn fused(tape: &Tape, v: &[Var]) -> Result<Tensor> {
        rms_norm(tape, &v[0], &v[1])
    }

    fn plain(v: &[Var]) -> Result<Tensor> {
        let mean = v[0].sqr()?.mean_keepdim(D::Minus1)?;
        v[0].broadcast_div(&(mean + 1e-6)?.sqrt()?)?.broadcast_mul(&v[1])
    }

    #[test]
    fn equals_the_plain_composition_with_and_without_a_rest() {
        for width in [16, 24, 5] {
            assert_same(fused, plain, &[variable("x", &[7, width]), variable("gain", &[width])]);
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        assert_slopes(fused, &[variable("x", &[7, 24]), variable("gain", &[24])]);
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        let x = Tensor::zeros((1, 8), candle_core::DType::F32, &candle_core::Device::Cpu).expect("zeros");
        let out = rms_norm(&Tape::forward_only(), &x, &variable("gain", &[8])).expect("forward");
        assert_eq!(out.to_vec2::<f32>().expect("f32"), vec![vec![0.0; 8]]);
    }
}
