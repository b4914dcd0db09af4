//! The squared rectifier of a ReLU² MLP.
//!
//! # Formula
//!
//! y = max(0, x)². Backward: x̄ = 2·max(0, x)·ȳ, which is 0 at x = 0 from both sides. So et al., arXiv:2109.08668.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::simd::multiversion;
use super::tape::Tape;
use super::trace::{Traceable, Traced};
use super::{operand, pool, tensor, view};

/// max(0, x)² of each value.
pub(crate) fn relu_squared(tape: &Tape, x: &Tensor) -> Result<Tensor> {
    tape.one(x, ReluSquaredOp)
}

struct ReluSquaredOp;

impl Traceable for ReluSquaredOp {
    fn trace(&self, inputs: &[&Tensor]) -> Result<(Traced, Shape)> {
        Ok((Traced::ReluSquared, inputs[0].shape().clone()))
    }
}

impl CustomOp1 for ReluSquaredOp {
    fn name(&self) -> &'static str {
        "relu-squared"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = operand(x, layout)?;
        let mut out = pool::take(x.len());
        forward(x, &mut out);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let [x_view, gradient_view] = [x, gradient].map(view);
        let values = x_view.values()?;
        let mut x_gradient = pool::take(values.len());
        backward(values, gradient_view.values()?, &mut x_gradient);
        Ok(Some(tensor(x_gradient, x.shape())?))
    }
}

/// max(0, x); NaN stays NaN, so that a diverged run is seen.
#[inline(always)]
fn positive(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

multiversion! {
    /// max(0, x)².
    fn forward(x: &[f32], out: &mut [f32]) = forward_body
}

#[inline(always)]
fn forward_body<const FUSED: bool>(x: &[f32], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        let kept = positive(*x);
        *out = kept * kept;
    }
}

multiversion! {
    /// The gradient of x.
    fn backward(x: &[f32], out: &[f32], x_gradient: &mut [f32]) = backward_body
}

#[inline(always)]
fn backward_body<const FUSED: bool>(x: &[f32], out: &[f32], x_gradient: &mut [f32]) {
    for ((gradient, x), out) in x_gradient.iter_mut().zip(x).zip(out) {
        *gradient = 2.0 * positive(*x) * out;
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::super::gradient_check::{assert_same, assert_slopes, variable};
    use super::*;

    fn fused(tape: &Tape, v: &[Var]) -> Result<Tensor> {
        relu_squared(tape, &v[0])
    }

    #[test]
    fn equals_the_plain_composition_with_and_without_a_rest() {
        for width in [16, 43] {
            assert_same(fused, |v| v[0].relu()?.sqr(), &[variable("x", &[5, width])]);
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        assert_slopes(fused, &[variable("x", &[5, 48])]);
    }

    #[test]
    fn what_is_negative_or_zero_is_cut_and_what_is_not_a_number_stays_so() {
        let x = Tensor::new(&[[-3.0f32, 0.0, 2.0, f32::NAN]], &Device::Cpu).expect("a row");
        let out = relu_squared(&Tape::forward_only(), &x).expect("forward").to_vec2::<f32>().expect("f32");
        assert_eq!(out[0][..3], [0.0, 0.0, 4.0]);
        assert!(out[0][3].is_nan());
    }
}
