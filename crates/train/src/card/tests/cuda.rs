//! The same on a card that is there: skipped, and said so, where this build or this machine has none.

use super::runs::{Memory, deviation_of_seeds, loss, on_cpu, options};
use crate::DeviceChoice;
use crate::fixture::{config, manifest, note_skip, token_file};
use crate::gpu_check::{Agreement, Target, operations};
use crate::precision::Precision;
use crate::train::{TrainOptions, train};

/// Whether there is a card; says why a check is skipped where there is none.
fn has_card(check: &str) -> bool {
    let found = DeviceChoice::Cuda(0).resolve();
    if let Err(error) = &found {
        let text = error.to_string();
        note_skip(check, text.lines().next().unwrap_or_default());
    }
    found.is_ok()
}

#[test]
fn every_operation_on_a_card_equals_the_cpu() {
    if !has_card("operations on a card") {
        return;
    }
    let judge = |one: Agreement| {
        assert!(one.apart <= one.allowed, "{} in {}: {} apart", one.operation, one.precision, one.apart);
    };
    operations(Target::Cuda(0), judge).expect("carried out");
}

#[test]
fn a_run_on_a_card_ends_within_two_deviations_of_seeds() {
    if !has_card("a run on a card") {
        return;
    }
    let (expected, deviation) = (loss(&on_cpu(&config())), deviation_of_seeds());
    for precision in Precision::ALL {
        let options = TrainOptions { device: DeviceChoice::Cuda(0), precision: Some(precision), ..options(1) };
        let found = train(&config(), &token_file(&manifest()), &mut Memory::default(), &options).expect("a run");
        let apart = (loss(&found) - expected).abs();
        assert!(apart < 2.0 * deviation, "{precision}: {apart} apart, deviation {deviation}");
        assert!(found.environment.notes.is_empty(), "{:?}", found.environment.notes);
    }
}
