//! How initial scales, rates, epsilon and decay follow from width and depth: one table, by kind of layer.
//!
//! With m = width / base_width and l = layers / base_layers, under muP for width (maximal update parametrisation; Yang
//! et al., arXiv:2203.03466, table 8) and CompleteP for depth (Dey et al., arXiv:2505.01618, table 1 with α = 1):
//!
//! | layer             | initial weights   | rate      | epsilon   | decay     | source and doubt |
//! |-------------------|-------------------|-----------|-----------|-----------|------------------|
//! | embedding         | normal, std 1     | η_emb     | ε / m     | 0         | μP; that one η_emb suits every width was not tuned width by width |
//! | norm gain, blocks | 1                 | η_emb     | ε / (m·l) | 0         | vector-like, so as embeddings (μP); at α = 1 CompleteP leaves its rate alone. A query's or key's gain is shared by all heads, which the papers do not treat |
//! | norm gain, final  | 1                 | η_emb     | ε / m     | 0         | the same, outside the blocks |
//! | hidden matrix     | normal, 1/√fan in | η / m     | ε / (m·l) | λ·m       | μP, and l^(α−1) = 1; λ·m keeps η·λ the same at every width (CompleteP) |
//! | output projection | 0                 | η / (m·l) | ε / m     | λ·m·l     | carries the residual multiplier 1/l, see below; the zero start is the practice of our ladder, not of the papers |
//! | readout           | 0                 | η / m     | ε         | 0         | μP's "rate η, epsilon ε/m, multiplier 1/m", carried by the weights in the same way (abc-symmetry) |
//!
//! **The residual multiplier.** CompleteP adds a block's branch as x + W·b / l. We store V = W / l and add V·b, which
//! costs nothing in the forward pass and needs no unfolding on export. Both train alike: the gradient of V is l times
//! that of W, so Adam's moments are l and l² times, and its step η′·(l·m̂) / (l·√v̂ + ε′) must be 1/l of W's step
//! η·m̂ / (√v̂ + ε). That holds for η′ = η / l and ε′ = l·ε; W's own ε is ε / (m·l), so that V's is ε / m. The decay
//! factor 1 − η′·λ′ is W's for λ′ = l·λ. An initial V of 0 is W's. A test trains both and compares them. The readout
//! carries its multiplier 1/m alike: ε / m becomes ε.
//!
//! **Clipping.** The global gradient norm is that of the written-out form: V's gradient counts 1/l, the readout's 1/m of
//! what it is, so that width and depth alone do not change how often a model is clipped.
//!
//! **Doubt: attention.** Its scale is 1/√h. μP asks for 1/h, but the head size is the same at every width of a family,
//! so that the two differ by a constant that QK-norm's gains absorb.
//!
//! Under the standard parametrisation nothing moves: initial weights are those of the table (1/√fan in is the usual
//! choice; output projections and readout start at zero), while rates, epsilon and decay stay as given at every width
//! and depth, and branches are added as they are. A comparison of the two isolates the rules above.

use forescale_core::count::ModelShape;
use forescale_core::run::{OptimizerConfig, Parametrization};

/// Kinds of layer that differ in how they scale with width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// A table of vectors of model width.
    Embedding,
    /// The gain of a normalisation within a block.
    NormGain,
    /// The gain of the normalisation before the readout.
    FinalNormGain,
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
    /// The multiplier that the weight carries: the gradient is that of the written-out form times 1/multiplier.
    pub(crate) multiplier: f64,
}

/// How many times wider and deeper a model is than the one whose rates were tuned; 1 and 1 where that is not to count.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Multiples {
    width: f64,
    depth: f64,
}

impl Multiples {
    fn of(shape: &ModelShape, optimizer: &OptimizerConfig) -> Self {
        match optimizer.parametrization {
            Parametrization::Mup => Self {
                width: f64::from(shape.width) / f64::from(optimizer.base_width),
                depth: f64::from(shape.layers) / f64::from(optimizer.base_layers),
            },
            Parametrization::Standard => Self { width: 1.0, depth: 1.0 },
        }
    }
}

impl Layer {
    /// The table's row for this kind of layer.
    pub(crate) fn rule(self, fan_in: usize, shape: &ModelShape, optimizer: &OptimizerConfig) -> Rule {
        let Multiples { width: m, depth: l } = Multiples::of(shape, optimizer);
        let (vector_rate, matrix_rate) = (optimizer.embedding_learning_rate, optimizer.learning_rate / m);
        let (epsilon, decay) = (optimizer.epsilon / m, optimizer.weight_decay * m);
        let normal = |standard_deviation| Initial::Normal { standard_deviation };
        let (zero, one) = (Initial::Constant(0.0), Initial::Constant(1.0));
        let row = |initial, rate, epsilon, weight_decay| Rule { initial, rate, epsilon, weight_decay, multiplier: 1.0 };
        match self {
            Self::Embedding => row(normal(1.0), vector_rate, epsilon, 0.0),
            Self::NormGain => row(one, vector_rate, epsilon / l, 0.0),
            Self::FinalNormGain => row(one, vector_rate, epsilon, 0.0),
            Self::Hidden => row(normal(1.0 / libm::sqrt(fan_in as f64)), matrix_rate, epsilon / l, decay),
            Self::OutputProjection => Rule { multiplier: 1.0 / l, ..row(zero, matrix_rate / l, epsilon, decay * l) },
            Self::Readout => Rule { multiplier: 1.0 / m, ..row(zero, matrix_rate, optimizer.epsilon, 0.0) },
        }
    }
}

#[cfg(test)]
mod tests;
