//! The parts of one optimiser step: what it reads, and the loss and gradients of that.

use std::ops::Range;
use std::sync::Arc;

use forescale_core::run::RunConfig;

use crate::data::{Batch, BlockOrder, TokenFile};
use crate::error::TrainError;
use crate::kernels::cross_entropy::cross_entropy;
use crate::kernels::tape::{Gradients, Tape};
use crate::kernels::tensor;
use crate::model::{Inputs, Model};
use crate::shard::{Workers, shards};

/// The windows of a step, counted from 0.
pub(crate) fn read_batch(
    config: &RunConfig,
    tokens: &TokenFile,
    order: &mut BlockOrder,
    step: u64,
) -> Result<Batch, TrainError> {
    let mut batch = Batch::empty(config.sequences as usize, config.shape.context as usize);
    for (index, position) in positions(config, step).enumerate() {
        tokens.read_train(order.start(position), batch.window_mut(index))?;
    }
    Ok(batch)
}

/// Has the system fetch the windows of a step while the one before it is computed.
pub(crate) fn fetch_ahead(config: &RunConfig, tokens: &TokenFile, order: &mut BlockOrder, step: u64) {
    if step < config.steps {
        positions(config, step).for_each(|position| tokens.fetch_ahead(order.start(position), config.shape.context));
    }
}

/// Places of a step's windows in the order of the whole run.
fn positions(config: &RunConfig, step: u64) -> Range<u64> {
    step * u64::from(config.sequences)..(step + 1) * u64::from(config.sequences)
}

/// Mean loss of a batch, and its gradients: those of its parts, one part after another, and in each those of its shards,
/// added up in their order.
pub(crate) fn forward_backward(
    config: &RunConfig,
    model: &Model,
    workers: &Workers,
    batch: &Batch,
    accumulate: u32,
) -> Result<(f64, Gradients), TrainError> {
    let of_part = |part: Range<usize>| part_forward_backward(config, model, workers, batch, part);
    let mut parts = parts(config.sequences as usize, accumulate as usize);
    let mut sum = of_part(parts.next().expect("a batch has a part"));
    for part in parts {
        add_shard(&mut sum, of_part(part));
    }
    Ok(sum?)
}

/// Sequences of each of so many equal parts.
fn parts(sequences: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let each = sequences / count;
    (0..count).map(move |part| part * each..(part + 1) * each)
}

fn part_forward_backward(
    config: &RunConfig,
    model: &Model,
    workers: &Workers,
    batch: &Batch,
    part: Range<usize>,
) -> Shard {
    let weight = 1.0 / config.batch_tokens() as f32;
    let dealt: Vec<Range<usize>> =
        shards(part.len()).into_iter().map(|shard| part.start + shard.start..part.start + shard.end).collect();
    let of_shard = |range: &Range<usize>| -> Shard {
        let tokens = range.start * batch.context..range.end * batch.context;
        let inputs = Inputs { tokens: Arc::from(&batch.inputs[tokens.clone()]), context: batch.context };
        let tape = Tape::recording();
        let logits = model.family.logits(&tape, &inputs)?;
        let loss = cross_entropy(&tape, &logits, Arc::from(&batch.targets[tokens]), weight)?;
        Ok((f64::from(loss.to_scalar::<f32>()?), tape.backward(&loss, tensor(vec![1.0], ())?)?))
    };
    workers.sum(&dealt, of_shard, add_shard).expect("a part has a shard")
}

type Shard = candle_core::Result<(f64, Gradients)>;

fn add_shard(sum: &mut Shard, shard: Shard) {
    let added = match (&mut *sum, shard) {
        (Ok((loss, gradients)), Ok((next_loss, next))) => {
            *loss += next_loss;
            gradients.merge(next)
        }
        (Ok(_), Err(error)) => Err(error),
        (Err(_), _) => Ok(()),
    };
    if let Err(error) = added {
        *sum = Err(error);
    }
}
