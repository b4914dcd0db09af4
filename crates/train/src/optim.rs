//! Summed gradients, clipping by their global norm, and AdamW with a rule per weight.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, bail};
use forescale_core::run::OptimizerConfig;

use crate::kernels::adamw::{Moments, Update, adamw};
use crate::kernels::simd::{dot, multiversion};
use crate::kernels::tape::Gradients;
use crate::kernels::view;
use crate::model::Weight;

/// The state of AdamW over a list of weights.
pub(crate) struct Optimizer {
    config: OptimizerConfig,
    pub(crate) moments: Vec<Moments>,
    gradients: Vec<Vec<f32>>,
}

impl Optimizer {
    pub(crate) fn new(config: &OptimizerConfig, weights: &[Weight]) -> Self {
        let zeros = |weight: &Weight| vec![0.0; weight.spec.len()];
        let moments = weights.iter().map(|weight| Moments { first: zeros(weight), second: zeros(weight) }).collect();
        Self { config: config.clone(), moments, gradients: weights.iter().map(zeros).collect() }
    }

    /// Copies the gradients of a step; their buffers are free for the next one.
    pub(crate) fn gather(&mut self, weights: &[Weight], gradients: Gradients) -> Result<()> {
        for (kept, weight) in self.gradients.iter_mut().zip(weights) {
            let Some(gradient) = gradients.get(&weight.variable) else {
                bail!("`{}` received no gradient", weight.spec.name)
            };
            kept.copy_from_slice(view(gradient).values()?);
        }
        gradients.give_back()
    }

    /// The global norm of the gathered gradients, each as it would be without the multiplier that its weight carries.
    pub(crate) fn gradient_norm(&self, weights: &[Weight]) -> f64 {
        let mut squares = vec![0.0; self.gradients.len()];
        sums_of_squares(&self.gradients, &mut squares);
        let without = |(square, weight): (f64, &Weight)| square * weight.rule.multiplier * weight.rule.multiplier;
        libm::sqrt(squares.into_iter().zip(weights).map(without).sum())
    }

    /// Updates every weight from the gathered gradients. `step` counts from 0; `share` is the schedule's.
    pub(crate) fn step(&mut self, weights: &[Weight], step: u64, share: f64, gradient_norm: f64) -> Result<()> {
        let clip = self.config.clip_norm;
        let gradient_scale = if gradient_norm > clip { clip / gradient_norm } else { 1.0 };
        let correction = |beta: f64| 1.0 / (1.0 - libm::pow(beta, step as f64 + 1.0));
        let (first, second) = (correction(self.config.beta1), correction(self.config.beta2));
        for ((weight, moments), gradient) in weights.iter().zip(&mut self.moments).zip(&self.gradients) {
            let rate = weight.rule.rate * share;
            let update = Update {
                rate: rate as f32,
                beta1: self.config.beta1 as f32,
                beta2: self.config.beta2 as f32,
                first_correction: first as f32,
                second_correction: second as f32,
                epsilon: weight.rule.epsilon as f32,
                keep: (1.0 - rate * weight.rule.weight_decay) as f32,
                gradient_scale: gradient_scale as f32,
            };
            weight.variable.inplace_op1(&AdamwOp { update, gradient, moments: RefCell::new(moments) })?;
        }
        Ok(())
    }
}

struct AdamwOp<'a> {
    update: Update,
    gradient: &'a [f32],
    moments: RefCell<&'a mut Moments>,
}

impl InplaceOp1 for AdamwOp<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _layout: &Layout) -> Result<()> {
        let CpuStorage::F32(weight) = storage else { bail!("adamw: weights must be f32") };
        adamw(&self.update, weight, self.gradient, &mut self.moments.borrow_mut());
        Ok(())
    }
}

multiversion! {
    /// Sum of squares of each gradient, in pieces that f32 can hold.
    fn sums_of_squares(gradients: &[Vec<f32>], squares: &mut [f64]) = squares_body
}

#[inline(always)]
fn squares_body<const FUSED: bool>(gradients: &[Vec<f32>], squares: &mut [f64]) {
    for (gradient, square) in gradients.iter().zip(squares) {
        // A loop, not a sum over a map: a closure would be compiled without vector instructions.
        *square = 0.0;
        for piece in gradient.chunks(1024) {
            *square += f64::from(dot::<FUSED>(piece, piece));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::config;
    use crate::kernels::gradient_check::variable;
    use crate::kernels::linear::linear;
    use crate::kernels::pool;
    use crate::kernels::tape::Tape;
    use crate::model::Model;

    /// Gradients of weights were the only buffers of a step that were allocated anew each time.
    #[test]
    fn gathered_gradients_go_back_to_the_pool() {
        // 103 · 97 = 9991 values: a length that no other test uses, the buffers being those of the whole process.
        let mut weight = Model::initialise(&config()).expect("a model").weights.swap_remove(0);
        (weight.spec.dims, weight.variable) = (vec![103, 97], variable("weight", &[103, 97]));
        let weights = [weight];
        let mut optimizer = Optimizer::new(&config().optimizer, &weights);
        let tape = Tape::recording();
        let out = linear(&tape, &variable("x", &[2, 97]), &weights[0].variable).expect("forward");
        let gradients = tape.backward(&out, out.clone()).expect("backward");
        optimizer.gather(&weights, gradients).expect("every weight has a gradient");
        assert!(optimizer.gradients[0].iter().any(|value| *value != 0.0));
        assert_eq!(pool::take(9991), optimizer.gradients[0]);
    }
}
