//! The plan of a run on a card: every buffer, and the lists of work of a step and of an evaluation.
//!
//! The residual stream, logits, gradients of weights and everything that is summed are f32; what matrix products read is
//! in the precision's format. Forward, each operation keeps its output for the backward pass. Backward, the gradient of
//! an output is freed once it has been read, and the next one of that size takes its place.

use std::collections::{BTreeMap, HashMap};

use candle_core::{Tensor, TensorId};
use forescale_core::run::RunConfig;

use super::arena::{Arena, Constants};
use super::launches::{Loss, Step};
use super::{Address, Card, CardError, Format, Product, Work};
use crate::kernels::trace::{Traced, TracedStep};
use crate::model::Trace;
use crate::precision::Precision;

/// A run laid out on a card.
pub(crate) struct Plan {
    pub(crate) arena: Arena,
    /// Rows (tokens) of a part of a step.
    pub(crate) rows: usize,
    pub(crate) vocabulary: usize,
    pub(crate) inputs: InputBuffers,
    /// Loss and gradient norm, f64.
    pub(crate) results: Address,
    /// The schedule's share and AdamW's two corrections, f32.
    pub(crate) moment: Address,
    /// Gradients and loss to zero.
    pub(crate) begin: Vec<Work>,
    /// Forward and backward pass of a part, added to gradients and loss.
    pub(crate) part: Vec<Work>,
    /// The update.
    pub(crate) finish: Vec<Work>,
    /// Forward pass of a part, and the loss of each row.
    pub(crate) evaluate: Vec<Work>,
}

/// What is written before each part, one after the other in this order, so that it is one copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputBuffers {
    /// A token per row.
    pub(crate) tokens: Address,
    pub(crate) targets: Address,
    /// Rows by token: those of token v from `starts[v]` on.
    pub(crate) places: Address,
    pub(crate) starts: Address,
    /// Loss of each row, read after an evaluation.
    pub(crate) losses: Address,
}

impl Plan {
    /// Lays out a traced model; the trace is of one part of a step.
    pub(crate) fn lay_out(
        card: &mut dyn Card,
        trace: &Trace,
        config: &RunConfig,
        precision: Precision,
    ) -> Result<Self, CardError> {
        let mut builder = Builder::new(card, trace, precision)?;
        let rows = trace.rows();
        let vocabulary = config.shape.vocabulary as usize;
        let inputs = builder.inputs(rows, vocabulary)?;
        let (results, moment) = (builder.card.allocate(16)?, builder.card.allocate(12)?);
        let logits = trace.steps.last().expect("a model has an operation").output.clone();
        builder.logits = Some(logits.id());
        for step in &trace.steps {
            builder.forward(step)?;
        }
        let forward = std::mem::take(&mut builder.works);
        let gradient = builder.gradient_buffer(&logits)?;
        let loss = |with_gradient| Loss { rows, vocabulary, weight: 1.0 / config.batch_tokens() as f32, with_gradient };
        builder.cross_entropy(loss(true), gradient, results)?;
        for step in trace.steps.iter().rev() {
            builder.backward(step)?;
        }
        let backward = std::mem::take(&mut builder.works);
        builder.cross_entropy(loss(false), gradient, results)?;
        let measure = std::mem::take(&mut builder.works);
        let (format, arena) = (builder.format, builder.arena);
        let optimizer = &config.optimizer;
        let constants = Constants {
            beta1: optimizer.beta1 as f32,
            beta2: optimizer.beta2 as f32,
            clip: optimizer.clip_norm as f32,
        };
        Ok(Self {
            begin: vec![arena.clear_gradients(), Work::Zero { address: results, bytes: 16 }],
            part: [forward.clone(), backward].concat(),
            finish: arena.update(constants, format, results, moment).to_vec(),
            evaluate: [forward, measure].concat(),
            arena,
            rows,
            vocabulary,
            inputs,
            results,
            moment,
        })
    }
}

/// Lays out buffers and writes lists of work, operation by operation.
pub(crate) struct Builder<'a> {
    pub(crate) card: &'a mut dyn Card,
    pub(crate) arena: Arena,
    pub(crate) format: Format,
    pub(crate) tf32: bool,
    pub(crate) context: usize,
    pub(crate) works: Vec<Work>,
    pub(crate) input_buffers: Option<InputBuffers>,
    /// The tensor whose values are f32 although a product made them.
    pub(crate) logits: Option<TensorId>,
    values: HashMap<TensorId, Address>,
    gradients: HashMap<TensorId, Gradient>,
    /// What the backward pass reads besides values: inverse norms, log-sum-exps.
    pub(crate) beside: HashMap<TensorId, Address>,
    /// Rotary tables by how many values they have.
    pub(crate) rotary: HashMap<(usize, usize), [Address; 2]>,
    free: BTreeMap<u64, Vec<Address>>,
}

/// The gradient of a tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gradient {
    pub(crate) address: Address,
    pub(crate) bytes: u64,
    pub(crate) format: Format,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(card: &'a mut dyn Card, trace: &Trace, precision: Precision) -> Result<Self, CardError> {
        let format = if precision == Precision::Bf16 { Format::Bf16 } else { Format::F32 };
        let arena = Arena::lay_out(card, trace, format)?;
        Ok(Self {
            card,
            arena,
            format,
            tf32: precision == Precision::Tf32,
            context: trace.context,
            works: Vec::new(),
            input_buffers: None,
            logits: None,
            values: HashMap::new(),
            gradients: HashMap::new(),
            beside: HashMap::new(),
            rotary: HashMap::new(),
            free: BTreeMap::new(),
        })
    }

    pub(crate) fn inputs(&mut self, rows: usize, vocabulary: usize) -> Result<InputBuffers, CardError> {
        let bytes = 4 * rows as u64;
        let tokens = self.card.allocate(3 * bytes + 4 * (vocabulary as u64 + 1))?;
        let inputs = InputBuffers {
            tokens,
            targets: tokens + bytes,
            places: tokens + 2 * bytes,
            starts: tokens + 3 * bytes,
            losses: self.card.allocate(bytes)?,
        };
        self.input_buffers = Some(inputs);
        Ok(inputs)
    }

    /// A buffer for a while, which holds anything.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<Address, CardError> {
        match self.free.get_mut(&bytes).and_then(Vec::pop) {
            Some(address) => Ok(address),
            None => self.card.allocate(bytes),
        }
    }

    /// Gives a buffer back: what is launched later may use it.
    pub(crate) fn give(&mut self, address: Address, bytes: u64) {
        self.free.entry(bytes).or_default().push(address);
    }

    /// Where a tensor's values lie.
    pub(crate) fn value(&self, tensor: &Tensor) -> Result<Address, CardError> {
        self.value_of(tensor.id()).ok_or_else(|| CardError::Failed("a value before it is made".to_owned()))
    }

    pub(crate) fn value_of(&self, tensor: TensorId) -> Option<Address> {
        self.values.get(&tensor).copied()
    }

    /// A buffer for a tensor's values, to be kept.
    pub(crate) fn keep(&mut self, tensor: &Tensor, format: Format) -> Result<Address, CardError> {
        let address = self.card.allocate(tensor.elem_count() as u64 * format.bytes())?;
        self.values.insert(tensor.id(), address);
        Ok(address)
    }

    /// A buffer for a tensor's gradient in the format of products, to be filled from outside.
    pub(crate) fn gradient_buffer(&mut self, tensor: &Tensor) -> Result<Address, CardError> {
        let format = self.format;
        self.fresh_gradient(tensor, format).map(|gradient| gradient.address)
    }

    pub(crate) fn fresh_gradient(&mut self, tensor: &Tensor, format: Format) -> Result<Gradient, CardError> {
        let bytes = tensor.elem_count() as u64 * format.bytes();
        let gradient = Gradient { address: self.take(bytes)?, bytes, format };
        self.gradients.insert(tensor.id(), gradient);
        Ok(gradient)
    }

    /// The gradient of a tensor so far, or a buffer for it, and whether there was one to add to.
    pub(crate) fn gradient_onto(&mut self, tensor: &Tensor, format: Format) -> Result<(Gradient, bool), CardError> {
        match self.gradients.get(&tensor.id()) {
            Some(gradient) => Ok((*gradient, true)),
            None => Ok((self.fresh_gradient(tensor, format)?, false)),
        }
    }

    /// A gradient that has been added up and is read for the last time.
    pub(crate) fn take_gradient(&mut self, tensor: &Tensor) -> Option<Gradient> {
        self.gradients.remove(&tensor.id())
    }

    /// Where the gradient of a tensor of the trace that is no output lies, once all has been walked.
    #[cfg(any(test, feature = "cuda", feature = "emulation"))]
    pub(crate) fn gradient_of_input(&self, tensor: &Tensor) -> Option<Gradient> {
        self.gradients.get(&tensor.id()).copied()
    }

    /// Hands a gradient on to another tensor that has none yet.
    pub(crate) fn hand_on(&mut self, tensor: &Tensor, gradient: Gradient) -> Result<(), CardError> {
        match self.gradients.insert(tensor.id(), gradient) {
            None => Ok(()),
            Some(_) => Err(CardError::Failed("a residual that is read after it was added to".to_owned())),
        }
    }

    pub(crate) fn product(&mut self, product: Product) {
        self.works.push(Work::Product(Product { tf32: self.tf32, ..product }));
    }

    pub(crate) fn forward(&mut self, step: &TracedStep) -> Result<(), CardError> {
        let step = Step::of(step)?;
        match step.operation {
            Traced::Embedding { vocabulary } => self.embed(&step, *vocabulary),
            Traced::RmsNorm => self.normalise(&step),
            Traced::Linear => self.multiply(&step),
            Traced::LinearOnto => self.multiply_onto(&step),
            Traced::Attention(attention) => self.attend(&step, attention),
            Traced::Swiglu => self.gate(&step),
            Traced::ReluSquared => self.rectify(&step),
        }
    }

    pub(crate) fn backward(&mut self, step: &TracedStep) -> Result<(), CardError> {
        let step = Step::of(step)?;
        let Some(gradient) = self.take_gradient(step.output) else { return Ok(()) };
        match step.operation {
            Traced::Embedding { vocabulary } => self.embed_backward(&step, *vocabulary, gradient),
            Traced::RmsNorm => self.normalise_backward(&step, gradient),
            Traced::Linear => self.multiply_backward(step.inputs[0], step.inputs[1], gradient),
            Traced::LinearOnto => self.multiply_onto_backward(&step, gradient),
            Traced::Attention(attention) => self.attend_backward(&step, attention, gradient),
            Traced::Swiglu => self.gate_backward(&step, gradient),
            Traced::ReluSquared => self.rectify_backward(&step, gradient),
        }?;
        // What was handed on is in use still.
        if !matches!(step.operation, Traced::LinearOnto) {
            self.give(gradient.address, gradient.bytes);
        }
        Ok(())
    }
}
