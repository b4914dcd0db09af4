//! How initial scales, rates, epsilon and decay follow from width: one table, by kind of layer.
//!
//! With m = width / base_width, under muP (maximal update parametrisation; Yang et al., arXiv:2203.03466, table 8;
//! extension to epsilon and decay: Dey et al., arXiv:2505.01618, table 1):
//!
//! | layer             | initial weights     | rate        | epsilon | decay | source and doubt |
//! |-------------------|---------------------|-------------|---------|-------|------------------|
//! | embedding         | normal, std 1       | η_emb       | ε / m   | 0     | μP; one rate for every width was not tuned per width |
//! | norm gain         | 1                   | η_emb       | ε / m   | 0     | vector-like: μP as embeddings |
//! | hidden matrix     | normal, std 1/√fan  | η / m       | ε / m   | λ · m | μP; λ·m keeps η·λ constant (CompleteP) |
//! | output projection | 0                   | η / m       | ε / m   | λ · m | zero start: each block begins as the identity; practice of our ladder, not of the papers |
//! | readout           | 0                   | η / m       | ε / m   | 0     | μP, in the form "rate η/m, multiplier 1", equal to "rate η, multiplier 1/m" (abc-symmetry) from a zero start |
//!
//! The output multiplier is 1 throughout, and the attention scale is 1/√h: μP asks for 1/h, but the head size is the
//! same at every width of a family, so that the two differ by a constant that QK-norm's gains absorb.
//!
//! Under the standard parametrisation rates, epsilon and decay stay as given at every width; initial weights are the
//! same, so that a comparison of the two isolates the rates.

use forescale_core::run::{OptimizerConfig, Parametrization};

/// Kinds of layer that differ in how they scale with width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// A table of vectors of model width.
    Embedding,
    /// The gain of a normalisation.
    NormGain,
    /// A matrix that reads the residual stream.
    Hidden,
    /// A matrix that writes to the residual stream.
    OutputProjection,
    /// The unembedding.
    Readout,
}

/// Initial weights of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Initial {
    /// All equal.
    Constant(f32),
    /// Normal deviates with mean 0.
    Normal {
        /// Standard deviation.
        standard_deviation: f64,
    },
}

/// What one tensor gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) initial: Initial,
    /// Peak learning rate.
    pub(crate) rate: f64,
    pub(crate) epsilon: f64,
    /// Decoupled decay, multiplied by the rate.
    pub(crate) weight_decay: f64,
}

impl Layer {
    /// The table's row for this kind of layer.
    pub(crate) fn rule(self, fan_in: usize, width: u32, optimizer: &OptimizerConfig) -> Rule {
        let m = match optimizer.parametrization {
            Parametrization::Mup => f64::from(width) / f64::from(optimizer.base_width),
            Parametrization::Standard => 1.0,
        };
        let (vector_rate, matrix_rate) = (optimizer.embedding_learning_rate, optimizer.learning_rate / m);
        let hidden = Initial::Normal { standard_deviation: 1.0 / libm::sqrt(fan_in as f64) };
        let (initial, rate, weight_decay) = match self {
            Self::Embedding => (Initial::Normal { standard_deviation: 1.0 }, vector_rate, 0.0),
            Self::NormGain => (Initial::Constant(1.0), vector_rate, 0.0),
            Self::Hidden => (hidden, matrix_rate, optimizer.weight_decay * m),
            Self::OutputProjection => (Initial::Constant(0.0), matrix_rate, optimizer.weight_decay * m),
            Self::Readout => (Initial::Constant(0.0), matrix_rate, 0.0),
        };
        Rule { initial, rate, epsilon: optimizer.epsilon / m, weight_decay }
    }
}

#[cfg(test)]
mod tests {
    use forescale_core::run::ScheduleKind;

    use super::*;

    fn optimizer(parametrization: Parametrization) -> OptimizerConfig {
        OptimizerConfig {
            learning_rate: 0.014,
            embedding_learning_rate: 0.028,
            base_width: 32,
            parametrization,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-10,
            weight_decay: 0.1,
            clip_norm: 1.0,
            schedule: ScheduleKind::Linear,
            warmup_steps: 10,
        }
    }

    fn close(a: f64, b: f64) {
        assert!((a / b - 1.0).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn at_four_times_the_base_width_matrices_learn_at_a_quarter_of_the_rate() {
        for layer in [Layer::Hidden, Layer::OutputProjection, Layer::Readout] {
            let rule = layer.rule(128, 128, &optimizer(Parametrization::Mup));
            close(rule.rate, 0.0035);
            close(rule.epsilon, 0.25e-10);
        }
        let hidden = Layer::Hidden.rule(128, 128, &optimizer(Parametrization::Mup));
        close(hidden.weight_decay * hidden.rate, 0.1 * 0.014);
        close(Layer::Embedding.rule(256, 128, &optimizer(Parametrization::Mup)).rate, 0.028);
        close(Layer::NormGain.rule(128, 128, &optimizer(Parametrization::Mup)).rate, 0.028);
    }

    #[test]
    fn at_the_base_width_both_parametrisations_are_the_same() {
        for layer in [Layer::Embedding, Layer::NormGain, Layer::Hidden, Layer::OutputProjection, Layer::Readout] {
            let [mup, standard] = [Parametrization::Mup, Parametrization::Standard]
                .map(|parametrization| layer.rule(32, 32, &optimizer(parametrization)));
            assert_eq!(mup, standard);
        }
    }

    #[test]
    fn the_standard_rate_is_the_same_at_every_width() {
        let rate = |width| Layer::Hidden.rule(32, width, &optimizer(Parametrization::Standard)).rate;
        close(rate(32), rate(512));
    }
}
