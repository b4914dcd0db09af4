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

/// Every operation forward and backward in every precision, against the CPU, each handed on once it is compared.
///
/// # Errors
///
/// [`TrainError`] when there is no such card, or it fails.
pub fn operations(target: Target, found: impl FnMut(Agreement)) -> Result<(), TrainError> {
    compare(&target.name(), || target.open(), found)
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

/// What a card of this name can do in dense bf16, TFLOP/s, by NVIDIA's data sheets; `None` where that is not known here.
/// `docs/gpu.md` says where each number was found.
#[must_use]
pub fn peak_tflops(card: &str) -> Option<f64> {
    // Another word behind a name is another card, with a peak of its own; a memory size or a socket is not.
    let is = |kind: &str| card.rsplit_once(&format!(" {kind}")).is_some_and(|(_, rest)| is_size_or_socket(rest));
    PEAKS.into_iter().find(|(kind, _)| is(kind)).map(|(_, peak)| peak)
}

const PEAKS: [(&str, f64); 6] =
    [("H200", 989.0), ("H100", 989.0), ("GB200", 2500.0), ("B200", 2250.0), ("A100", 312.0), ("L40S", 362.0)];

/// `-SXM4-80GB`, ` 80GB HBM3`, or nothing.
fn is_size_or_socket(rest: &str) -> bool {
    rest.is_empty()
        || rest.starts_with('-')
        || rest.strip_prefix(' ').is_some_and(|size| size.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::peak_tflops;

    #[test]
    fn a_card_of_another_kind_of_the_same_name_has_no_peak() {
        let known =
            ["NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB PCIe", "NVIDIA H200", "NVIDIA L40S"];
        assert_eq!(known.map(peak_tflops), [989.0, 312.0, 312.0, 989.0, 362.0].map(Some));
        assert_eq!(["NVIDIA GB200", "NVIDIA B200"].map(peak_tflops), [Some(2500.0), Some(2250.0)]);
        let unknown = ["NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA H200 NVL", "NVIDIA GH200 480GB", "emulated", ""];
        assert_eq!(unknown.map(peak_tflops), [None; 6]);
    }
}
