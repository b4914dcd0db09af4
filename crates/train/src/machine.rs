//! Where a run's arithmetic is done: on the CPU, or on a card.
//!
//! The loop holds weights and moments in main memory either way. On the CPU they are what is trained; on a card they are
//! a copy, which is brought up to date before it is saved or judged.

use forescale_core::run::RunConfig;

use crate::card::{Card, OnCard, Setting, Taken};
use crate::data::Batch;
use crate::error::TrainError;
use crate::exam::{Evaluated, Exam};
use crate::model::Model;
use crate::optim::Optimizer;
use crate::precision::Precision;
use crate::shard::Workers;
use crate::step::forward_backward;

/// A device that was opened for a run.
pub(crate) struct Place {
    /// `cpu`, `cuda:0`.
    pub(crate) name: String,
    pub(crate) precision: Precision,
    pub(crate) card: Option<Box<dyn Card>>,
}

impl Place {
    /// What a checkpoint remembers of it.
    pub(crate) fn arithmetic(&self) -> String {
        format!("{} in {}", self.name, self.precision)
    }
}

/// What carries a run's steps out.
pub(crate) enum Machine {
    /// The threads of this process, with so many parts of a step.
    Cpu { accumulate: u32 },
    /// A card.
    Card(Box<OnCard>),
}

impl Machine {
    /// Lays a run out where it is to be trained.
    pub(crate) fn start(place: Place, config: &RunConfig, accumulate: u32) -> Result<Self, TrainError> {
        let Place { name: device, precision, card } = place;
        let Some(card) = card else { return Ok(Self::Cpu { accumulate }) };
        let on_card = OnCard::lay_out(card, config, Setting { device, precision, accumulate })?;
        Ok(Self::Card(Box::new(on_card)))
    }

    /// Goes on from weights and moments in main memory.
    pub(crate) fn send(&mut self, model: &Model, optimizer: &Optimizer) -> Result<(), TrainError> {
        match self {
            Self::Cpu { .. } => Ok(()),
            Self::Card(card) => card.send(&model.weights, optimizer),
        }
    }

    /// Brings weights and moments in main memory up to date.
    pub(crate) fn fetch(&mut self, model: &Model, optimizer: &mut Optimizer) -> Result<(), TrainError> {
        match self {
            Self::Cpu { .. } => Ok(()),
            Self::Card(card) => card.fetch(&model.weights, optimizer),
        }
    }

    /// One step. Where loss or norm is not a number, no weight is moved.
    pub(crate) fn step(&mut self, at: Moment<'_>, optimizer: &mut Optimizer) -> Result<Taken, TrainError> {
        let Moment { config, model, workers, batch, step, share } = at;
        let accumulate = match self {
            Self::Card(card) => return card.step(batch, step, share),
            Self::Cpu { accumulate } => *accumulate,
        };
        let (loss, gradients) = forward_backward(config, model, workers, batch, accumulate)?;
        optimizer.gather(&model.weights, gradients)?;
        let taken = Taken { loss, gradient_norm: optimizer.gradient_norm(&model.weights) };
        if taken.is_finite() {
            optimizer.step(&model.weights, step, share, taken.gradient_norm)?;
        }
        Ok(taken)
    }

    /// Measures a run, at its end or on the way.
    pub(crate) fn evaluate(
        &mut self,
        exam: &Exam,
        model: &Model,
        workers: &Workers,
        last: bool,
    ) -> Result<Evaluated, TrainError> {
        match self {
            Self::Card(card) => exam.on_card(card, last),
            Self::Cpu { .. } if last => Ok(exam.at_the_end(model, workers)?),
            Self::Cpu { .. } => Ok(exam.on_the_way(model, workers)?),
        }
    }

    /// What a reader of the record should know of how work was done.
    pub(crate) fn notes(&self) -> Vec<String> {
        match self {
            Self::Cpu { .. } => Vec::new(),
            Self::Card(card) => card.notes(),
        }
    }
}

/// What a step is computed of.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) model: &'a Model,
    pub(crate) workers: &'a Workers,
    pub(crate) batch: &'a Batch,
    /// Counted from 0.
    pub(crate) step: u64,
    /// The schedule's share of the peak rate.
    pub(crate) share: f64,
}
