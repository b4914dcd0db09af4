use std::collections::BTreeMap;
use std::io::Write as _;

use forescale_core::count::ModelShape;
use forescale_core::run::{OptimizerConfig, Parametrization};

use super::*;
use crate::fixture::{TRAIN_TOKENS, VALIDATION_TOKENS, VOCABULARY, config, manifest, token_file};

/// Tokens of which seven in ten are the first of the vocabulary, as blanks are in text. The gradients of all logits
/// then point along one direction, and what they add up to over a row grows with width, not with its root; on evenly
/// spread tokens the check would see the scatter of 16 random numbers at its narrowest width.
fn skewed_tokens() -> TokenFile {
    let mut state = 11u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = (state >> 56) as u8;
        if random < 179 { 0 } else { random % VOCABULARY as u8 }
    };
    let bytes: Vec<u8> = (0..TRAIN_TOKENS + VALIDATION_TOKENS).map(|_| next()).collect();
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&bytes).expect("written");
    TokenFile::open(file.path(), &manifest()).expect("as the manifest says")
}

/// A run tuned at width 16, at the rate given.
fn of_width(width: u32, seed: u64, parametrization: Parametrization, rate: f64) -> RunConfig {
    let shape = ModelShape { width, heads: width / 8, mlp_hidden: width * 2, ..config().shape };
    let (learning_rate, embedding_learning_rate) = (rate, rate);
    let optimizer = OptimizerConfig { parametrization, learning_rate, embedding_learning_rate, ..config().optimizer };
    RunConfig { shape, optimizer, sequences: 16, seed, ..config() }
}

/// Slope of log mean size over log width by place after four steps, by least squares over widths 16 to 128; the mean
/// over two seeds, because the embedding of the commonest token is 16 random numbers at the narrowest width.
fn slopes(parametrization: Parametrization, rate: f64) -> BTreeMap<String, f64> {
    let tokens = skewed_tokens();
    let mut slopes = BTreeMap::new();
    // Widths 2⁴ to 2⁷: deviations from their mean in octaves, whose squares sum to 5.
    for (width, deviation) in [(16, -1.5), (32, -0.5), (64, 0.5), (128, 1.5)] {
        for seed in [0, 1] {
            let run = of_width(width, seed, parametrization, rate);
            let found = activation_scales(&run, &tokens, 4, 1).expect("measured");
            for Activation { place, mean_abs, .. } in found.into_iter().filter(|activation| activation.step == 4) {
                *slopes.entry(place).or_default() += deviation / 5.0 * libm::log2(mean_abs) / 2.0;
            }
        }
    }
    slopes
}

#[test]
fn under_mup_activations_keep_their_size_at_every_width_and_any_rate() {
    for rate in [0.005, 0.04] {
        let slopes = slopes(Parametrization::Mup, rate);
        for place in ["embedding", "block 0 residual", "block 1 residual", "final norm", "logits"] {
            assert!(slopes[place].abs() < 0.1, "{place} at {rate}: {}", slopes[place]);
        }
    }
}

#[test]
fn under_the_standard_parametrisation_they_grow_with_width() {
    let slopes = slopes(Parametrization::Standard, 0.005);
    for place in ["block 0 attention", "block 1 mlp", "block 1 residual", "logits"] {
        assert!(slopes[place] > 0.2, "{place}: {}", slopes[place]);
    }
}

#[test]
fn every_place_is_measured_at_every_step() {
    let found = activation_scales(&config(), &token_file(&manifest()), 2, 1).expect("measured");
    let places = [
        "embedding",
        "block 0 attention",
        "block 0 mlp",
        "block 0 residual",
        "block 1 attention",
        "block 1 mlp",
        "block 1 residual",
        "final norm",
        "logits",
    ];
    let expected = (0..3).flat_map(|step| places.map(|place| (step, place)));
    assert!(found.iter().map(|activation| (activation.step, activation.place.as_str())).eq(expected));
    // Output projections and readout start at zero; two embeddings of standard deviation 1 are summed into the input.
    let zero = |place| found.iter().find(|a| a.step == 0 && a.place == place).expect("measured").mean_abs == 0.0;
    assert!(["block 0 attention", "block 1 mlp", "logits"].into_iter().all(zero));
    // Mean size of a normal deviate of variance 2: √(4/π) = 1.128; here over 512 deviates.
    assert!((found[0].mean_abs - 1.128).abs() < 0.2, "{}", found[0].mean_abs);
    assert_eq!(found[0].mean_abs.to_bits(), found[3].mean_abs.to_bits());
}

#[test]
fn the_same_run_gives_the_same_sizes_on_any_number_of_threads() {
    let on = |threads| activation_scales(&config(), &skewed_tokens(), 2, threads).expect("measured");
    assert_eq!(on(1), on(3));
}

#[test]
fn activations_that_are_no_numbers_are_refused() {
    let optimizer = OptimizerConfig { learning_rate: 1e30, embedding_learning_rate: 1e30, ..config().optimizer };
    let error = activation_scales(&RunConfig { optimizer, ..config() }, &skewed_tokens(), 3, 1).expect_err("refused");
    assert!(error.to_string().contains("has a mean size of"), "{error}");
}
