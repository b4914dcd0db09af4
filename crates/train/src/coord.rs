//! The coordinate check: how large the activations are after each of the first steps.
//!
//! Under a parametrisation that fits, the mean size of every activation after a few steps does not depend on width; a
//! recipe whose activations grow or shrink with width cannot keep its rates from rung to rung (Yang et al.,
//! arXiv:2203.03466, appendix D.1). This module measures one width; who compares several judges.

use candle_core::Tensor;
use forescale_core::probe::Activation;
use forescale_core::run::RunConfig;

use crate::check::check;
use crate::data::{Batch, BlockOrder, TokenFile};
use crate::error::TrainError;
use crate::kernels::tape::Tape;
use crate::kernels::view;
use crate::model::{Inputs, Model, Place};
use crate::optim::Optimizer;
use crate::shard::Workers;
use crate::step::{forward_backward, read_batch};

/// Tokens on which activations are measured, whole windows of them. Chosen here: at a few hundred the windows that
/// happen to come first decide the slope.
const PROBE_TOKENS: u32 = 4096;

/// Trains a run for some steps at its peak rate, without warmup, and measures activations before the first step and
/// after each: the mean of absolute values over the windows that a run of seed 0 reads first.
///
/// Measured are the embedding's output, what each block's attention and MLP add to the residual stream, the stream
/// after each block, the final norm's output and the logits. Readout and output projections start at zero, so that
/// what they compute is exactly 0 at step 0, and what lies below them stands still for a step longer.
///
/// # Errors
///
/// [`TrainError`] when the config cannot be trained on these tokens, or when an activation stops being a number.
pub fn activation_scales(
    config: &RunConfig,
    tokens: &TokenFile,
    steps: u64,
    threads: usize,
) -> Result<Vec<Activation>, TrainError> {
    check(config, tokens)?;
    let mut order = BlockOrder::of(config, tokens.manifest())?;
    let probe = probe(config, tokens)?;
    let workers = Workers::start(threads)?;
    let model = Model::initialise(config)?;
    let mut optimizer = Optimizer::new(&config.optimizer, &model.weights);
    let mut found = measure(&model, &probe, 0)?;
    for step in 0..steps {
        let batch = read_batch(config, tokens, &mut order, step)?;
        let (_, gradients) = forward_backward(config, &model, &workers, &batch, 1)?;
        optimizer.gather(&model.weights, gradients)?;
        let gradient_norm = optimizer.gradient_norm(&model.weights);
        optimizer.step(&model.weights, step, 1.0, gradient_norm)?;
        found.extend(measure(&model, &probe, step + 1)?);
    }
    Ok(found)
}

/// The windows that a run of seed 0 reads first.
fn probe(config: &RunConfig, tokens: &TokenFile) -> Result<Batch, TrainError> {
    let sequences = PROBE_TOKENS.div_ceil(config.shape.context);
    let first = RunConfig { seed: 0, sequences, steps: 1, allow_repeats: true, ..config.clone() };
    read_batch(&first, tokens, &mut BlockOrder::of(&first, tokens.manifest())?, 0)
}

fn measure(model: &Model, probe: &Batch, step: u64) -> Result<Vec<Activation>, TrainError> {
    let inputs = Inputs { tokens: probe.inputs.as_slice().into(), context: probe.context };
    let mut scales = Scales::default();
    let mut seen = Ok(());
    model.family.logits_observed(&Tape::forward_only(), &inputs, &mut |place, values| {
        if seen.is_ok() {
            seen = scales.see(place, values);
        }
    })?;
    seen?;
    scales.found.into_iter().map(|scale| scale.at(step)).collect()
}

/// Activations of one forward pass, and the residual stream as it was last seen.
#[derive(Default)]
struct Scales {
    stream: Vec<f32>,
    found: Vec<Scale>,
}

struct Scale {
    place: String,
    mean_abs: f64,
}

impl Scale {
    fn at(self, step: u64) -> Result<Activation, TrainError> {
        let Self { place, mean_abs } = self;
        if mean_abs.is_finite() {
            return Ok(Activation { step, place, mean_abs });
        }
        Err(TrainError::config(
            format!("`{place}` has a mean size of {mean_abs} after {step} steps"),
            "lower `learning_rate`: the check needs activations that are numbers",
        ))
    }
}

impl Scales {
    fn see(&mut self, place: Place, tensor: &Tensor) -> candle_core::Result<()> {
        let held = view(tensor);
        let values = held.values()?;
        match place {
            Place::Embedding => self.add("embedding".to_owned(), mean_abs(values)),
            Place::AfterAttention(block) => self.add(format!("block {block} attention"), self.moved(values)),
            Place::AfterMlp(block) => {
                self.add(format!("block {block} mlp"), self.moved(values));
                self.add(format!("block {block} residual"), mean_abs(values));
            }
            Place::FinalNorm => self.add("final norm".to_owned(), mean_abs(values)),
            Place::Logits => self.add("logits".to_owned(), mean_abs(values)),
        }
        self.stream = values.to_vec();
        Ok(())
    }

    fn add(&mut self, place: String, mean_abs: f64) {
        self.found.push(Scale { place, mean_abs });
    }

    /// Mean size of what was added to the residual stream.
    fn moved(&self, values: &[f32]) -> f64 {
        let sum: f64 = values.iter().zip(&self.stream).map(|(now, before)| f64::from((now - before).abs())).sum();
        sum / values.len() as f64
    }
}

fn mean_abs(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(value.abs())).sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests;
