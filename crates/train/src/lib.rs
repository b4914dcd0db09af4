//! Trains one run: from a [`RunConfig`](forescale_core::run::RunConfig) and a token file to a [`TrainOutcome`].
//!
//! The only room that knows candle. It owns the model families, the fused operations they are made of, the
//! parametrisation, the data order, the loop and the form of a checkpoint. It does not know why a run is trained, or
//! where its record is kept: log lines and checkpoints go through
//! [`RunSink`](forescale_core::record::RunSink).
//!
//! Results do not depend on the number of threads: a batch is dealt into shards by a rule that knows only its size,
//! each shard is computed by one thread, and gradients are added in the order of shards.

mod card;
mod check;
mod checkpoint;
mod coord;
mod data;
mod device;
mod error;
mod estimate;
mod evaluate;
mod exam;
mod export;
#[cfg(test)]
mod fixture;
mod generate;
#[cfg(any(test, feature = "cuda", feature = "emulation"))]
#[doc(hidden)]
pub mod gpu_check;
mod init;
mod kernels;
mod machine;
mod model;
mod optim;
mod parametrization;
mod precision;
mod problems;
mod schedule;
mod shard;
mod step;
mod task;
mod train;
mod watch;

pub use coord::activation_scales;
pub use data::TokenFile;
pub use device::{
    DeviceChoice, NumberedCard, ParseDeviceError, cuda_generation, device_report, numbered_cards, why_no_card,
};
pub use error::TrainError;
pub use estimate::{counted_memory_bytes, device_memory_bytes, estimated_seconds};
pub use evaluate::eval_set_digest;
pub use export::{ExportError, TrainedModel, check_hf};
pub use generate::AnswerOptions;
pub use precision::{ParsePrecisionError, Precision};
pub use train::{TrainOptions, TrainOutcome, train};
