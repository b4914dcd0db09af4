//! Cross-entropy of logits against the tokens that came, with the gradient computed on the way forward.
//!
//! # Formula
//!
//! loss = w · Σ_rows (ln Σ_v exp(z_v) − z_target); its gradient is w · (softmax(z) − onehot(target)). The weight w is
//! one over the tokens of the whole batch, so that shards add up to its mean.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::simd::{exp_in_place, largest, multiversion};
use super::tape::Tape;
use super::trace::{Traceable, Traced};
use super::{operand, pool, tensor, view};

/// Weighted sum of losses over rows.
pub(crate) fn cross_entropy(tape: &Tape, logits: &Tensor, targets: Arc<[u32]>, weight: f32) -> Result<Tensor> {
    tape.one(logits, CrossEntropyOp { targets, weight, gradient: Mutex::new(None) })
}

/// Sum of losses of each run of `context` rows, without a gradient.
pub(crate) fn window_losses(logits: &Tensor, targets: &[u32], context: usize) -> Result<Vec<f64>> {
    let (rows, vocabulary) = logits.dims2()?;
    if rows != targets.len() {
        bail!("cross-entropy: {rows} rows against {} targets", targets.len());
    }
    let held = view(logits);
    let mut losses = vec![0.0; rows];
    let mut scratch = vec![0.0; vocabulary];
    row_losses(held.values()?, targets, &mut scratch, &mut losses);
    Ok(losses.chunks_exact(context).map(|window| window.iter().copied().map(f64::from).sum()).collect())
}

struct CrossEntropyOp {
    targets: Arc<[u32]>,
    weight: f32,
    gradient: Mutex<Option<Vec<f32>>>,
}

impl Traceable for CrossEntropyOp {
    fn trace(&self, _: &[&Tensor]) -> Result<(Traced, Shape)> {
        bail!("the loss is not part of a trace")
    }
}

impl CustomOp1 for CrossEntropyOp {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, _) = layout.shape().dims2()?;
        if rows != self.targets.len() {
            bail!("cross-entropy: {rows} rows against {} targets", self.targets.len());
        }
        let logits = operand(logits, layout)?;
        let mut gradient = pool::take(logits.len());
        gradient.copy_from_slice(logits);
        let mut losses = vec![0.0; rows];
        losses_and_gradient(&self.targets, self.weight, &mut gradient, &mut losses);
        let loss = losses.iter().copied().map(f64::from).sum::<f64>() * f64::from(self.weight);
        *self.gradient.lock().unwrap_or_else(PoisonError::into_inner) = Some(gradient);
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let kept = self.gradient.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut values) = kept else { bail!("cross-entropy: a second backward pass") };
        let factor = gradient.to_scalar::<f32>()?;
        // Exactly 1 when the loss itself is differentiated; a pass over the logits is saved then.
        if factor.to_bits() != 1.0f32.to_bits() {
            values.iter_mut().for_each(|value| *value *= factor);
        }
        Ok(Some(tensor(values, logits.shape())?))
    }
}

multiversion! {
    /// Loss of each row; turns logits into weighted gradients.
    fn losses_and_gradient(targets: &[u32], weight: f32, logits: &mut [f32], losses: &mut [f32]) = gradient_body
}

#[inline(always)]
fn gradient_body<const FUSED: bool>(targets: &[u32], weight: f32, logits: &mut [f32], losses: &mut [f32]) {
    let vocabulary = logits.len() / targets.len();
    for ((row, target), loss) in logits.chunks_exact_mut(vocabulary).zip(targets).zip(losses) {
        let target = *target as usize;
        let (shift, logit) = (largest(row), row[target]);
        let sum = exp_in_place::<FUSED>(row, shift);
        *loss = libm::logf(sum) + (shift - logit);
        let scale = weight / sum;
        for value in row.iter_mut() {
            *value *= scale;
        }
        row[target] -= weight;
    }
}

multiversion! {
    /// Loss of each row.
    fn row_losses(logits: &[f32], targets: &[u32], scratch: &mut [f32], losses: &mut [f32]) = losses_body
}

#[inline(always)]
fn losses_body<const FUSED: bool>(logits: &[f32], targets: &[u32], scratch: &mut [f32], losses: &mut [f32]) {
    for ((row, target), loss) in logits.chunks_exact(scratch.len()).zip(targets).zip(losses) {
        scratch.copy_from_slice(row);
        let shift = largest(row);
        *loss = libm::logf(exp_in_place::<FUSED>(scratch, shift)) + (shift - row[*target as usize]);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::super::gradient_check::{assert_same, assert_slopes, variable};
    use super::*;

    const TARGETS: [u32; 6] = [0, 5, 2, 36, 1, 5];

    fn fused(tape: &Tape, v: &[Var]) -> Result<Tensor> {
        cross_entropy(tape, &v[0], Arc::from(TARGETS), 1.0 / 6.0)
    }

    fn plain(v: &[Var]) -> Result<Tensor> {
        candle_nn::loss::cross_entropy(&v[0], &Tensor::new(&TARGETS, &Device::Cpu)?)
    }

    #[test]
    fn equals_the_plain_composition() {
        assert_same(fused, plain, &[variable("logits", &[6, 37])]);
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        assert_slopes(fused, &[variable("logits", &[6, 37])]);
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_vocabulary() {
        let logits = Tensor::zeros((6, 256), candle_core::DType::F32, &Device::Cpu).expect("zeros");
        let sums = window_losses(&logits, &TARGETS, 3).expect("losses");
        // Three tokens of ln 256 = 5.545177.
        assert!(sums.len() == 2 && sums.iter().all(|sum| (sum - 3.0 * 5.545_177).abs() < 1e-5), "{sums:?}");
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let logits = (variable("logits", &[6, 37]).as_tensor() * 1e4).expect("scaled");
        assert!(window_losses(&logits, &TARGETS, 6).expect("losses")[0].is_finite());
    }
}
