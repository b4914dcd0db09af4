//! A run on a card: its weights and moments stay there, and what is read back after a step is two numbers.

use forescale_core::run::RunConfig;

use super::counting::memory_bytes;
use super::plan::Plan;
use super::{Address, Card, CardError, Program, bytes_of};
use crate::data::Batch;
use crate::error::TrainError;
use crate::kernels::{tensor, view};
use crate::model::{Trace, Weight};
use crate::optim::Optimizer;
use crate::precision::Precision;

/// What a run on a card says of itself when something fails.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) device: String,
    pub(crate) precision: Precision,
    pub(crate) accumulate: u32,
}

/// A run's weights, moments and plan on a card.
pub(crate) struct OnCard {
    card: Box<dyn Card>,
    plan: Plan,
    programs: Programs,
    setting: Setting,
    config: RunConfig,
    needed_bytes: u64,
}

struct Programs {
    /// A whole step, where it is not in parts.
    whole: Option<Program>,
    begin: Program,
    part: Program,
    finish: Program,
    evaluate: Program,
    /// Weights in the format of products, after they were written from outside.
    copy: Option<Program>,
}

impl Programs {
    fn prepare(card: &mut dyn Card, plan: &Plan, parts: u32) -> Result<Self, CardError> {
        let whole = [&plan.begin[..], &plan.part, &plan.finish].concat();
        Ok(Self {
            whole: (parts == 1).then(|| card.prepare(whole)).transpose()?,
            begin: card.prepare(plan.begin.clone())?,
            part: card.prepare(plan.part.clone())?,
            finish: card.prepare(plan.finish.clone())?,
            evaluate: card.prepare(plan.evaluate.clone())?,
            copy: plan.arena.copy().map(|work| card.prepare(vec![work])).transpose()?,
        })
    }
}

/// What a step gives back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Taken {
    pub(crate) loss: f64,
    pub(crate) gradient_norm: f64,
}

impl Taken {
    /// Both are numbers; where not, no weight was moved.
    pub(crate) fn is_finite(self) -> bool {
        self.loss.is_finite() && self.gradient_norm.is_finite()
    }
}

fn error(setting: &Setting, config: &RunConfig, needed_bytes: u64, found: CardError) -> TrainError {
    match found {
        CardError::OutOfMemory { free_bytes } => TrainError::OutOfMemory {
            device: setting.device.clone(),
            needed_bytes: Some(needed_bytes),
            free_bytes,
            accumulate: setting.accumulate,
            sequences: config.sequences,
        },
        CardError::Failed(problem) => TrainError::Device {
            problem: format!("`{}`: {problem}", setting.device),
            hint: "run `forescale doctor`; `--device cpu` trains without a card".to_owned(),
        },
    }
}

impl OnCard {
    /// Lays a run out on a card; its weights hold anything until they are [sent](Self::send).
    pub(crate) fn lay_out(mut card: Box<dyn Card>, config: &RunConfig, setting: Setting) -> Result<Self, TrainError> {
        let needed_bytes = memory_bytes(config, setting.precision, setting.accumulate)?;
        let free_bytes = card.free_bytes();
        let failed = |found| error(&setting, config, needed_bytes, found);
        if free_bytes.is_some_and(|free| free < needed_bytes) {
            return Err(failed(CardError::OutOfMemory { free_bytes }));
        }
        let trace = Trace::of(config, (config.sequences / setting.accumulate) as usize)?;
        let plan = Plan::lay_out(&mut *card, &trace, config, setting.precision).map_err(failed)?;
        let programs = Programs::prepare(&mut *card, &plan, setting.accumulate).map_err(failed)?;
        Ok(Self { card, plan, programs, config: config.clone(), needed_bytes, setting })
    }

    fn done<T>(&self, result: Result<T, CardError>) -> Result<T, TrainError> {
        result.map_err(|found| error(&self.setting, &self.config, self.needed_bytes, found))
    }

    /// What a reader of the record should know of how work was done.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.card.notes()
    }

    // ------------------------------------------------------------------------------------------ weights and moments

    /// Writes weights and moments onto the card.
    pub(crate) fn send(&mut self, weights: &[Weight], optimizer: &Optimizer) -> Result<(), TrainError> {
        let arena = &self.plan.arena;
        let mut whole = [arena.master, arena.first, arena.second].map(|to| (to, vec![0u8; arena.bytes() as usize]));
        for ((weight, moments), (start, len)) in weights.iter().zip(&optimizer.moments).zip(&arena.places) {
            let held = view(weight.variable.as_tensor());
            for ((_, bytes), values) in whole.iter_mut().zip([held.values()?, &moments.first, &moments.second]) {
                bytes[4 * start..4 * (start + len)].copy_from_slice(&bytes_of(values, f32::to_le_bytes));
            }
        }
        for (to, bytes) in whole {
            let written = self.card.write(to, &bytes);
            self.done(written)?;
        }
        self.execute(self.programs.copy)
    }

    /// Reads weights and moments back.
    pub(crate) fn fetch(&mut self, weights: &[Weight], optimizer: &mut Optimizer) -> Result<(), TrainError> {
        let arena = &self.plan.arena;
        let [master, first, second] = [arena.master, arena.first, arena.second];
        let places = arena.places.clone();
        let [master, first, second] = [self.floats(master)?, self.floats(first)?, self.floats(second)?];
        for ((weight, moments), (start, len)) in weights.iter().zip(&mut optimizer.moments).zip(places) {
            let range = start..start + len;
            weight.variable.set(&tensor(master[range.clone()].to_vec(), weight.spec.dims.clone())?)?;
            moments.first.copy_from_slice(&first[range.clone()]);
            moments.second.copy_from_slice(&second[range]);
        }
        Ok(())
    }

    /// A copy of everything that lies where the weights do.
    fn floats(&mut self, from: Address) -> Result<Vec<f32>, TrainError> {
        let mut bytes = vec![0u8; self.plan.arena.bytes() as usize];
        let read = self.card.read(from, &mut bytes);
        self.done(read)?;
        Ok(floats_of(&bytes))
    }

    // ----------------------------------------------------------------------------------------------------- the step

    /// One step: loss, gradients, their norm, the update. `step` counts from 0; `share` is the schedule's.
    pub(crate) fn step(&mut self, batch: &Batch, step: u64, share: f64) -> Result<Taken, TrainError> {
        let correction = |beta: f64| (1.0 / (1.0 - libm::pow(beta, step as f64 + 1.0))) as f32;
        let optimizer = &self.config.optimizer;
        let moment = [share as f32, correction(optimizer.beta1), correction(optimizer.beta2)];
        self.write(self.plan.moment, &bytes_of(&moment, f32::to_le_bytes))?;
        if let Some(whole) = self.programs.whole {
            self.write_part(&batch.inputs, &batch.targets)?;
            self.execute(Some(whole))?;
        } else {
            self.execute(Some(self.programs.begin))?;
            let rows = self.plan.rows;
            for (inputs, targets) in batch.inputs.chunks_exact(rows).zip(batch.targets.chunks_exact(rows)) {
                self.write_part(inputs, targets)?;
                self.execute(Some(self.programs.part))?;
            }
            self.execute(Some(self.programs.finish))?;
        }
        let mut bytes = [0u8; 16];
        let read = self.card.read(self.plan.results, &mut bytes);
        self.done(read)?;
        let (values, _) = bytes.as_chunks::<8>();
        Ok(Taken { loss: f64::from_le_bytes(values[0]), gradient_norm: f64::from_le_bytes(values[1]) })
    }

    /// Loss of each token of whole windows, in their order.
    pub(crate) fn losses(&mut self, inputs: &[u32], targets: &[u32]) -> Result<Vec<f32>, TrainError> {
        let rows = self.plan.rows;
        let mut losses = Vec::with_capacity(inputs.len());
        for (inputs, targets) in inputs.chunks(rows).zip(targets.chunks(rows)) {
            // Windows do not see each other: what fills up the last part changes nothing.
            let filled = |tokens: &[u32]| [tokens, &vec![0; rows - tokens.len()]].concat();
            self.write_part(&filled(inputs), &filled(targets))?;
            self.execute(Some(self.programs.evaluate))?;
            let mut bytes = vec![0u8; 4 * rows];
            let read = self.card.read(self.plan.inputs.losses, &mut bytes);
            self.done(read)?;
            losses.extend_from_slice(&floats_of(&bytes)[..inputs.len()]);
        }
        Ok(losses)
    }

    fn write_part(&mut self, inputs: &[u32], targets: &[u32]) -> Result<(), TrainError> {
        let (starts, places) = rows_by_token(inputs, self.plan.vocabulary)?;
        let words = [inputs, targets, &places, &starts].concat();
        self.write(self.plan.inputs.tokens, &bytes_of(&words, u32::to_le_bytes))
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), TrainError> {
        let written = self.card.write(to, bytes);
        self.done(written)
    }

    fn execute(&mut self, program: Option<Program>) -> Result<(), TrainError> {
        let executed = program.map_or(Ok(()), |program| self.card.execute(program));
        self.done(executed)
    }
}

fn floats_of(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Rows in the order of their tokens, and where each token's begin: the embedding's gradient of a token is summed over
/// its rows, in order.
pub(super) fn rows_by_token(tokens: &[u32], vocabulary: usize) -> Result<(Vec<u32>, Vec<u32>), TrainError> {
    let mut starts = vec![0u32; vocabulary + 1];
    for token in tokens {
        let Some(count) = starts.get_mut(*token as usize + 1) else {
            return Err(TrainError::config(
                format!("token {token} lies outside a vocabulary of {vocabulary}"),
                "build the corpus again with `forescale corpus build SPEC`",
            ));
        };
        *count += 1;
    }
    for token in 0..vocabulary {
        starts[token + 1] += starts[token];
    }
    let mut next = starts.clone();
    let mut places = vec![0; tokens.len()];
    for (row, token) in tokens.iter().enumerate() {
        let place = &mut next[*token as usize];
        places[*place as usize] = row as u32;
        *place += 1;
    }
    Ok((starts, places))
}
