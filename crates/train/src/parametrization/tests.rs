use forescale_core::run::RunConfig;

use super::*;
use crate::fixture::config;
use crate::kernels::adamw::{Moments, Update, adamw};

const EVERY: [Layer; 6] =
    [Layer::Embedding, Layer::NormGain, Layer::FinalNormGain, Layer::Hidden, Layer::OutputProjection, Layer::Readout];

fn optimizer(parametrization: Parametrization) -> OptimizerConfig {
    let RunConfig { optimizer, .. } = config();
    OptimizerConfig {
        learning_rate: 0.014,
        embedding_learning_rate: 0.028,
        base_width: 32,
        base_layers: 2,
        parametrization,
        epsilon: 1e-10,
        weight_decay: 0.1,
        ..optimizer
    }
}

fn rule(layer: Layer, parametrization: Parametrization, width: u32, layers: u32) -> Rule {
    layer.rule(width as usize, &ModelShape { width, layers, ..config().shape }, &optimizer(parametrization))
}

fn close(a: f64, b: f64) {
    assert!((a / b - 1.0).abs() < 1e-12, "{a} {b}");
}

#[test]
fn at_four_times_the_base_width_matrices_learn_at_a_quarter_of_the_rate() {
    for layer in [Layer::Hidden, Layer::OutputProjection, Layer::Readout] {
        close(rule(layer, Parametrization::Mup, 128, 2).rate, 0.0035);
    }
    for layer in [Layer::Embedding, Layer::NormGain, Layer::FinalNormGain] {
        close(rule(layer, Parametrization::Mup, 128, 2).rate, 0.028);
    }
    let hidden = rule(Layer::Hidden, Parametrization::Mup, 128, 2);
    close(hidden.epsilon, 0.25e-10);
    close(hidden.weight_decay * hidden.rate, 0.1 * 0.014);
}

#[test]
fn at_three_times_the_base_depth_rates_stay_but_for_the_matrices_that_carry_the_multiplier() {
    // Dey et al., table 1, α = 1, width unchanged: hidden rates η, epsilon ε/3; a branch is added a third as strongly.
    let deep = |layer| rule(layer, Parametrization::Mup, 32, 6);
    close(deep(Layer::Hidden).rate, 0.014);
    close(deep(Layer::Hidden).epsilon, 1e-10 / 3.0);
    close(deep(Layer::NormGain).rate, 0.028);
    close(deep(Layer::NormGain).epsilon, 1e-10 / 3.0);
    close(deep(Layer::OutputProjection).rate, 0.014 / 3.0);
    close(deep(Layer::OutputProjection).epsilon, 1e-10);
    close(deep(Layer::OutputProjection).weight_decay, 0.3);
    for layer in [Layer::Embedding, Layer::FinalNormGain, Layer::Readout] {
        assert_eq!(deep(layer), rule(layer, Parametrization::Mup, 32, 2));
    }
}

#[test]
fn at_the_base_width_and_depth_both_parametrisations_are_the_same() {
    for layer in EVERY {
        assert_eq!(rule(layer, Parametrization::Mup, 32, 2), rule(layer, Parametrization::Standard, 32, 2));
    }
}

#[test]
fn the_standard_parametrisation_moves_nothing_with_width_or_depth() {
    for layer in EVERY {
        let [small, large] =
            [(32, 2), (512, 8)].map(|(width, layers)| rule(layer, Parametrization::Standard, width, layers));
        assert_eq!(
            (small.rate, small.epsilon, small.weight_decay),
            (large.rate, large.epsilon, large.weight_decay),
            "{layer:?}"
        );
    }
}

/// A branch that adds `multiplier`·w·b to a stream, drawn to a target by AdamW: ½(x + multiplier·w·b − target)² summed
/// over three numbers, b and the targets moving from step to step. Returns multiplier·w after every step.
fn trajectory(rule: Rule, multiplier: f32) -> Vec<[f32; 3]> {
    let mut weights = [0.0_f32; 3];
    let mut moments = Moments { first: vec![0.0; 3], second: vec![0.0; 3] };
    let step = |step: i32| {
        let input = 1.0 + 0.5 * (step % 3) as f32;
        let gradient = [1.0, -0.3, 0.002].map(|target| (input, target * (1.0 + 0.1 * step as f32)));
        let gradient: Vec<f32> = (0..3)
            .map(|at| {
                let (input, target) = gradient[at];
                multiplier * input * (0.1 + multiplier * weights[at] * input - target)
            })
            .collect();
        let update = Update {
            rate: rule.rate as f32,
            beta1: 0.9,
            beta2: 0.99,
            first_correction: 1.0 / (1.0 - 0.9_f32.powi(step + 1)),
            second_correction: 1.0 / (1.0 - 0.99_f32.powi(step + 1)),
            epsilon: rule.epsilon as f32,
            keep: (1.0 - rule.rate * rule.weight_decay) as f32,
            gradient_scale: 1.0,
        };
        adamw(&update, &mut weights, &gradient, &mut moments);
        weights.map(|weight| multiplier * weight)
    };
    (0..60).map(step).collect()
}

#[test]
fn weights_that_carry_the_residual_multiplier_train_like_a_true_multiplier() {
    // The true form is CompleteP's table at m = 4, l = 3: branch / 3, rate η/4, epsilon ε/12, decay 4λ. Epsilon is made
    // large enough, and decay strong enough, that a wrong factor on either shows.
    let (m, l) = (4.0, 3.0);
    let strong = OptimizerConfig { epsilon: 0.05, weight_decay: 2.0, ..optimizer(Parametrization::Mup) };
    let shape = ModelShape { width: 128, layers: 6, ..config().shape };
    let carried = Layer::OutputProjection.rule(128, &shape, &strong);
    let (rate, epsilon, weight_decay) = (strong.learning_rate / m, strong.epsilon / (m * l), strong.weight_decay * m);
    let written_out = trajectory(Rule { rate, epsilon, weight_decay, ..carried }, 1.0 / l as f32);
    let distance = |rule| {
        let pairs = trajectory(rule, 1.0).into_iter().flatten().zip(written_out.iter().flatten());
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(written_out[59][0].abs() > 0.02, "{:?}", written_out[59]);
    assert!(distance(carried) < 1e-6, "{}", distance(carried));
    assert!(distance(Rule { epsilon, ..carried }) > 1e-4);
    assert!(distance(Rule { weight_decay, ..carried }) > 1e-4);
    assert!(distance(Rule { rate, ..carried }) > 1e-4);
}
