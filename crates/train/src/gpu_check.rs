//! What a check of a card needs of the trainer; not part of its interface.
//!
//! The example `gpu_check` calls it on a card and, as a dry run, on the emulation of one.

use forescale_core::record::RunSink;
use forescale_core::run::RunConfig;

pub use crate::card::Agreement;
use crate::card::{Card, ONE_BY_ONE, compare};
use crate::data::TokenFile;
use crate::device::open_card;
use crate::error::TrainError;
use crate::machine::Place;
use crate::precision::Precision;
use crate::train::{TrainOptions, TrainOutcome, train_at};

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A CUDA device by its number.
    Cuda(usize),
    /// The kernels compiled for the CPU, where the feature `emulation` is built in.
    Emulated,
}

impl Target {
    /// `cuda:0` or `emulated`.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Cuda(number) => format!("cuda:{number}"),
            Self::Emulated => "emulated".to_owned(),
        }
    }

    fn open(self) -> Result<Box<dyn Card>, TrainError> {
        match self {
            Self::Cuda(number) => open_card(number),
            Self::Emulated => open_emulated(),
        }
    }
}

#[cfg(any(test, feature = "emulation"))]
fn open_emulated() -> Result<Box<dyn Card>, TrainError> {
    use crate::card::emulated::{Emulated, Unavailable};
    match Emulated::new(0) {
        Ok(card) => Ok(Box::new(card)),
        Err(Unavailable::Broken(problem)) => Err(TrainError::config(
            format!("the kernels do not compile for the CPU: {problem}"),
            "see the compiler's words",
        )),
        Err(Unavailable::NoCompiler) => {
            Err(TrainError::config("the emulation needs a C++ compiler, and there is none", "install g++ or clang++"))
        }
    }
}

#[cfg(not(any(test, feature = "emulation")))]
fn open_emulated() -> Result<Box<dyn Card>, TrainError> {
    Err(TrainError::config("this binary is built without the emulation of a card", "--features emulation"))
}

/// Every operation forward and backward in every precision, against the CPU.
///
/// # Errors
///
/// [`TrainError`] when there is no such card, or it fails.
pub fn operations(target: Target) -> Result<Vec<Agreement>, TrainError> {
    compare(&target.name(), || target.open())
}

/// Trains a run there, whatever the options say of device and precision.
///
/// # Errors
///
/// As [`train`](crate::train()).
pub fn train_there(
    (target, precision): (Target, Precision),
    config: &RunConfig,
    tokens: &TokenFile,
    sink: &mut dyn RunSink,
    options: &TrainOptions<'_>,
) -> Result<TrainOutcome, TrainError> {
    let opened = target.open().map_err(|error| error.opening_for(config.sequences, options.accumulate))?;
    let place = Place { name: target.name(), precision, card: Some(opened) };
    train_at(place, config, tokens, sink, options)
}

/// Whether a run's steps were replayed as one graph each; `None` under emulation, which has none.
#[must_use]
pub fn replayed_as_graph(target: Target, outcome: &TrainOutcome) -> Option<bool> {
    let one_by_one = outcome.environment.notes.iter().any(|note| note.starts_with(ONE_BY_ONE));
    matches!(target, Target::Cuda(_)).then_some(!one_by_one)
}
