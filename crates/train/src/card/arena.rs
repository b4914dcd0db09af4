//! All weights of a run on a card, one after the other, with moments, gradients and the copy that products read.

use candle_core::TensorId;
use std::collections::HashMap;

use super::{Address, Argument, Card, CardError, Format, Launch, Work, bytes_of};
use crate::model::Trace;
use crate::parametrization::Rule;

/// Values of a chunk: a weight begins with a chunk, and one block of threads updates one.
pub(crate) const CHUNK: usize = 1024;

/// Threads of a block that goes over a chunk.
const THREADS: u32 = 256;

pub(crate) struct Arena {
    /// Where each weight begins, counted in values, and how many it has; in the order of the model.
    pub(crate) places: Vec<(usize, usize)>,
    by_tensor: HashMap<TensorId, usize>,
    pub(crate) chunks: usize,
    pub(crate) master: Address,
    pub(crate) first: Address,
    pub(crate) second: Address,
    gradients: Address,
    /// The weights in the format of products, where that is not f32.
    copies: Option<Address>,
    owners: Address,
    rules: Address,
    partial: Address,
}

impl Arena {
    pub(crate) fn lay_out(card: &mut dyn Card, trace: &Trace, format: Format) -> Result<Self, CardError> {
        let (mut places, mut by_tensor, mut owners) = (Vec::new(), HashMap::new(), Vec::new());
        for (index, (spec, _, tensor)) in trace.weights.iter().enumerate() {
            places.push((owners.len() * CHUNK, spec.len()));
            by_tensor.insert(tensor.id(), index);
            owners.extend(vec![index as i32; spec.len().div_ceil(CHUNK)]);
        }
        let chunks = owners.len();
        let bytes = (chunks * CHUNK * 4) as u64;
        let [master, first, second, gradients] =
            [card.allocate(bytes)?, card.allocate(bytes)?, card.allocate(bytes)?, card.allocate(bytes)?];
        let copies = (format != Format::F32).then(|| card.allocate((chunks * CHUNK) as u64 * format.bytes()));
        let arena = Self {
            places,
            by_tensor,
            chunks,
            master,
            first,
            second,
            gradients,
            copies: copies.transpose()?,
            owners: card.allocate(4 * chunks as u64)?,
            rules: card.allocate(16 * trace.weights.len() as u64)?,
            partial: card.allocate(4 * chunks as u64)?,
        };
        card.write(arena.owners, &bytes_of(&owners, i32::to_le_bytes))?;
        let rules: Vec<f32> = trace.weights.iter().flat_map(|(_, rule, _)| row(rule)).collect();
        card.write(arena.rules, &bytes_of(&rules, f32::to_le_bytes))?;
        Ok(arena)
    }

    /// Bytes of one f32 copy of all weights.
    pub(crate) fn bytes(&self) -> u64 {
        (self.chunks * CHUNK * 4) as u64
    }

    fn start(&self, tensor: TensorId) -> Option<u64> {
        self.by_tensor.get(&tensor).map(|index| self.places[*index].0 as u64)
    }

    /// Where a weight lies, in f32.
    pub(crate) fn master_of(&self, tensor: TensorId) -> Option<Address> {
        Some(self.master + 4 * self.start(tensor)?)
    }

    /// Where a weight lies in the format of products.
    pub(crate) fn operand_of(&self, tensor: TensorId, format: Format) -> Option<Address> {
        match self.copies {
            Some(copies) => Some(copies + format.bytes() * self.start(tensor)?),
            None => self.master_of(tensor),
        }
    }

    /// Where a weight's gradient is added up.
    pub(crate) fn gradient_of(&self, tensor: TensorId) -> Option<Address> {
        Some(self.gradients + 4 * self.start(tensor)?)
    }

    /// Sets all gradients to zero.
    pub(crate) fn clear_gradients(&self) -> Work {
        Work::Zero { address: self.gradients, bytes: self.bytes() }
    }

    /// Writes the weights anew in the format of products, where that is not f32.
    pub(crate) fn copy(&self) -> Option<Work> {
        let values = self.chunks * CHUNK;
        self.copies.map(|copies| {
            Work::Launch(Launch {
                kernel: "narrow_bf16".to_owned(),
                grid: [values.div_ceil(THREADS as usize) as u32, 1, 1],
                threads: THREADS,
                shared_bytes: 0,
                arguments: vec![
                    Argument::Address(self.master),
                    Argument::Address(copies),
                    Argument::Int(values as i32),
                ],
            })
        })
    }

    /// The gradients' norm into `results[1]`, and one update of every weight. `moment` holds what changes from step to
    /// step: the schedule's share and the two corrections.
    pub(crate) fn update(&self, constants: Constants, format: Format, results: Address, moment: Address) -> [Work; 3] {
        let launch = |kernel: &str, blocks: usize, shared_bytes: u32, arguments: Vec<Argument>| {
            let kernel = kernel.to_owned();
            Work::Launch(Launch { kernel, grid: [blocks as u32, 1, 1], threads: THREADS, shared_bytes, arguments })
        };
        let at = Argument::Address;
        let adamw = format!("adamw_{}", format.suffix());
        [
            launch(
                "gradient_squares",
                self.chunks,
                4 * THREADS / 32,
                [self.gradients, self.owners, self.rules, self.partial].map(at).to_vec(),
            ),
            launch(
                "gradient_norm",
                1,
                8 * THREADS,
                vec![at(self.partial), at(results), Argument::Int(self.chunks as i32)],
            ),
            launch(
                &adamw,
                self.chunks,
                0,
                vec![
                    at(self.master),
                    at(self.first),
                    at(self.second),
                    at(self.gradients),
                    at(self.copies.unwrap_or(self.master)),
                    at(self.owners),
                    at(self.rules),
                    at(moment),
                    at(results),
                    Argument::Float(constants.beta1),
                    Argument::Float(constants.beta2),
                    Argument::Float(constants.clip),
                    Argument::Int(i32::from(self.copies.is_some())),
                ],
            ),
        ]
    }
}

/// What AdamW is given once and for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constants {
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) clip: f32,
}

/// A rule as the kernels read it.
fn row(rule: &Rule) -> [f32; 4] {
    let squared_multiplier = rule.multiplier * rule.multiplier;
    [rule.rate, rule.epsilon, rule.weight_decay, squared_multiplier].map(|value| value as f32)
}
