//! Whole runs on an emulated card, against the same runs on the CPU.

use std::time::Duration;

use forescale_core::count::{Mlp, ModelShape, ParameterCounts};
use forescale_core::record::{Checkpoint, LogLine, RunSink, RunStatus, SinkError};
use forescale_core::run::{OptimizerConfig, RunConfig};

use super::super::memory_bytes;
use super::emulated;
use crate::error::TrainError;
use crate::fixture::{config, manifest, token_file};
use crate::machine::Place;
use crate::precision::Precision;
use crate::train::{TrainOptions, TrainOutcome, train, train_at};
use crate::{DeviceChoice, device_memory_bytes};

/// Keeps the last checkpoint, and stops the run after so many steps.
#[derive(Default)]
pub(super) struct Memory {
    saved: Option<Checkpoint>,
    killed_at: Option<u64>,
}

impl RunSink for Memory {
    fn log(&mut self, _: &LogLine) -> Result<(), SinkError> {
        Ok(())
    }
    fn attempts(&mut self) -> Result<u32, SinkError> {
        Ok(0)
    }
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        self.saved = Some(checkpoint.clone());
        let killed = SinkError { place: "memory".into(), problem: "killed".into(), hint: "start again".into() };
        if self.killed_at == Some(checkpoint.step) { Err(killed) } else { Ok(()) }
    }
    fn restore(&mut self) -> Result<Option<Checkpoint>, SinkError> {
        Ok(self.saved.clone())
    }
}

pub(super) fn options(accumulate: u32) -> TrainOptions<'static> {
    TrainOptions {
        device: DeviceChoice::Cpu,
        precision: None,
        accumulate,
        threads: 1,
        registration_sha256: None,
        checkpoint_every: Duration::ZERO,
        stop: None,
    }
}

pub(super) fn on_cpu(config: &RunConfig) -> TrainOutcome {
    train(config, &token_file(&manifest()), &mut Memory::default(), &options(1)).expect("a run")
}

fn place(precision: Precision, capacity: u64) -> Option<Place> {
    let card = emulated(0)?.with_capacity(capacity);
    Some(Place { name: "emulated".to_owned(), precision, card: Some(Box::new(card)) })
}

fn on_card(
    config: &RunConfig,
    precision: Precision,
    accumulate: u32,
    sink: &mut Memory,
) -> Option<Result<TrainOutcome, TrainError>> {
    let place = place(precision, u64::MAX)?;
    Some(train_at(place, config, &token_file(&manifest()), sink, &options(accumulate)))
}

/// Of the losses that six seeds of the fixture's run end with on the CPU.
pub(super) fn deviation_of_seeds() -> f64 {
    let seeds: Vec<f64> = (1..=6).map(|seed| loss(&on_cpu(&RunConfig { seed, ..config() }))).collect();
    let mean = seeds.iter().sum::<f64>() / 6.0;
    (seeds.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / 5.0).sqrt()
}

pub(super) fn loss(outcome: &TrainOutcome) -> f64 {
    assert_eq!(outcome.status, RunStatus::Finished, "{:?}", outcome.reason);
    outcome.metrics[0].value
}

#[test]
fn a_run_on_a_card_ends_where_it_does_on_the_cpu() {
    let relu = RunConfig { shape: ModelShape { mlp: Mlp::ReluSquared, ..config().shape }, steps: 8, ..config() };
    for config in [config(), relu] {
        let expected = on_cpu(&config);
        let Some(found) = on_card(&config, Precision::F32, 1, &mut Memory::default()) else { return };
        let found = found.expect("a run");
        assert!((loss(&found) - loss(&expected)).abs() < 1e-4, "{} {}", loss(&found), loss(&expected));
        assert_eq!(found.curve.len(), expected.curve.len());
        for (ours, theirs) in found.curve.iter().zip(&expected.curve) {
            assert!(ours.step == theirs.step && (ours.loss - theirs.loss).abs() < 1e-4);
        }
        assert_eq!((found.environment.device.as_str(), found.environment.dtype.as_str()), ("emulated", "f32"));
    }
}

#[test]
fn bf16_ends_within_two_deviations_of_seeds() {
    let deviation = deviation_of_seeds();
    let Some(found) = on_card(&config(), Precision::Bf16, 1, &mut Memory::default()) else { return };
    let (found, expected) = (loss(&found.expect("a run")), loss(&on_cpu(&config())));
    assert!((found - expected).abs() < 2.0 * deviation, "{found} against {expected}, deviation {deviation}");
}

#[test]
fn a_step_in_parts_ends_where_a_step_at_once_does_on_a_card() {
    let Some(whole) = on_card(&config(), Precision::F32, 1, &mut Memory::default()) else { return };
    let parts = on_card(&config(), Precision::F32, 3, &mut Memory::default()).expect("as above").expect("a run");
    let whole = whole.expect("a run");
    assert!((loss(&parts) - loss(&whole)).abs() < 1e-4, "{} {}", loss(&parts), loss(&whole));
    assert!(parts.environment.notes[0].contains("3 parts"));
}

#[test]
fn a_run_killed_on_a_card_and_started_again_ends_with_the_same_bits() {
    let short = RunConfig { steps: 6, ..config() };
    for precision in [Precision::F32, Precision::Bf16] {
        let Some(whole) = on_card(&short, precision, 1, &mut Memory::default()) else { return };
        let mut sink = Memory { killed_at: Some(4), ..Memory::default() };
        on_card(&short, precision, 1, &mut sink).expect("as above").expect_err("killed");
        sink.killed_at = None;
        let again = on_card(&short, precision, 1, &mut sink).expect("as above").expect("a run");
        assert_eq!(loss(&again).to_bits(), loss(&whole.expect("a run")).to_bits());
        assert!(again.environment.notes.is_empty());
    }
}

#[test]
fn a_checkpoint_of_the_cpu_goes_on_on_a_card_and_says_so() {
    let mut sink = Memory { killed_at: Some(8), ..Memory::default() };
    train(&config(), &token_file(&manifest()), &mut sink, &options(1)).expect_err("killed");
    sink.killed_at = None;
    let Some(found) = on_card(&config(), Precision::F32, 1, &mut sink) else { return };
    let found = found.expect("a run");
    assert_eq!(
        found.environment.notes,
        ["went on from cpu in f32 to emulated in f32 at step 8; later steps differ by rounding"]
    );
    assert!((loss(&found) - loss(&on_cpu(&config()))).abs() < 1e-4);
}

#[test]
fn a_rate_beyond_reason_is_an_outcome_on_a_card_too() {
    let optimizer = OptimizerConfig { learning_rate: 1e30, embedding_learning_rate: 1e30, ..config().optimizer };
    let mad = RunConfig { optimizer, ..config() };
    let Some(outcome) = on_card(&mad, Precision::F32, 1, &mut Memory::default()) else { return };
    assert_eq!(outcome.expect("an outcome").status, RunStatus::Diverged);
}

#[test]
fn a_card_that_is_too_small_is_an_error_that_says_what_would_fit() {
    let needed = memory_bytes(&config(), Precision::F32, 1).expect("planned");
    let Some(place) = place(Precision::F32, needed - 1) else { return };
    let found = train_at(place, &config(), &token_file(&manifest()), &mut Memory::default(), &options(1));
    let error = found.expect_err("too small");
    assert_eq!(error.next_accumulation(), Some(3), "{error}");
    assert!(error.to_string().contains("`emulated` is out of memory") && error.to_string().contains("--accumulate 3"));
}

#[test]
fn what_is_counted_is_what_a_card_is_asked_for_and_what_the_shape_says() {
    for (precision, operand) in [(Precision::F32, 4), (Precision::Bf16, 2)] {
        let config = RunConfig {
            shape: ModelShape { context: 256, width: 64, heads: 8, mlp_hidden: 171, ..config().shape },
            ..config()
        };
        let counted = device_memory_bytes(&config, precision, 3);
        let (d, f, layers, rows) = (64, 171, 2, 3 * 256);
        let weights = ParameterCounts::of(&config.shape).total * (16 + operand % 4);
        // Kept per token: the stream in f32 at its beginning and twice a block, norms, packed rows, what is mixed, gate and
        // up, hidden, logits with their gradient.
        let kept = 4 * d * (1 + 2 * layers)
            + operand * d * (2 * layers + 1)
            + layers * operand * (4 * d + 3 * f)
            + 16 * (4 + operand);
        let least = weights + rows * kept;
        // On top: chunks that a weight does not fill, gradients of activations, what attention computes again.
        assert!(counted > least && counted < 2 * least, "{counted} {least}");
    }
    let needed = memory_bytes(&config(), Precision::Bf16, 1).expect("planned");
    let Some(fits) = place(Precision::Bf16, needed) else { return };
    let short = RunConfig { steps: 3, ..config() };
    train_at(fits, &short, &token_file(&manifest()), &mut Memory::default(), &options(1)).expect("fits to the byte");
}
