//! How many parameters a model has, and how many FLOPs a token costs, under each convention of the field.
//!
//! For tiny models the convention changes C by up to a factor of 1.8, and the factor drifts with scale, so that the
//! fitted exponent changes too (Porian et al., arXiv:2406.19146; Pearce and Song, arXiv:2406.12907). A record
//! therefore carries every count, and a fit names the rule it used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kinds of MLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mlp {
    /// down(silu(gate x) ⊙ up x): three matrices (Shazeer 2020, arXiv:2002.05202).
    #[default]
    Swiglu,
    /// down(max(0, up x)²): two matrices (So et al. 2021, arXiv:2109.08668).
    ReluSquared,
}

impl Mlp {
    /// Matrices of `width × mlp_hidden` per block.
    #[must_use]
    pub fn matrices(self) -> u32 {
        match self {
            Self::Swiglu => 3,
            Self::ReluSquared => 2,
        }
    }
}

/// The shape of a decoder-only transformer with weighted QK-norm, untied embedding and head, and no biases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelShape {
    /// Vocabulary size V.
    pub vocabulary: u32,
    /// Residual width d.
    pub width: u32,
    /// Number of blocks L.
    pub layers: u32,
    /// Attention heads per block; `heads × head_size = width`.
    pub heads: u32,
    /// Width of one head.
    pub head_size: u32,
    /// Kind of MLP.
    #[serde(default)]
    pub mlp: Mlp,
    /// Hidden width of the MLP.
    pub mlp_hidden: u32,
    /// Context length T in tokens.
    pub context: u32,
    /// How many of the last tokens have an embedding of their own that is summed into the input; 1 is the plain model.
    pub input_order: u32,
}

/// Parameters by group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterCounts {
    /// Input embeddings (all tables).
    pub embedding: u64,
    /// Query, key, value and output projections.
    pub attention: u64,
    /// The matrices of each MLP.
    pub mlp: u64,
    /// RMSNorm gains, QK-norm gains included.
    pub norm: u64,
    /// The unembedding.
    pub head: u64,
    /// The sum of all groups.
    pub total: u64,
    /// Parameters used for one token; equal to `total` for a dense model.
    pub active: u64,
}

/// Which parameters N counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountingRule {
    /// Everything (Hoffmann et al.).
    Total,
    /// Without the input embedding and without the head (Kaplan et al.).
    NonEmbedding,
    /// Those that take part in matrix products: blocks and head, without the input embedding.
    #[default]
    Matmul,
    /// What a table's own column counts, which nothing beside it tells.
    Column,
}

/// How the FLOPs of a run follow from its shape and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FlopsRule {
    /// 6 × N × D with N the total parameters (Hoffmann et al., arXiv:2203.15556).
    #[serde(rename = "6nd")]
    SixNd,
    /// 6 × N × D with N the parameters without embedding and head (Kaplan et al., arXiv:2001.08361).
    #[serde(rename = "kaplan")]
    Kaplan,
    /// 3 × forward: every matrix product, causal attention at half, and the head.
    #[default]
    #[serde(rename = "exact")]
    Exact,
    /// A table's own column.
    #[serde(rename = "column")]
    Column,
}

/// FLOPs of a whole run under each rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlopsCounts {
    /// 6 × total parameters × tokens.
    pub six_nd: f64,
    /// 6 × non-embedding parameters × tokens.
    pub kaplan: f64,
    /// Matrix products, causal attention and head, forward and backward.
    pub exact: f64,
}

impl ParameterCounts {
    /// Counts by group for a shape.
    #[must_use]
    pub fn of(shape: &ModelShape) -> Self {
        let [v, d, l, h, f] =
            [shape.vocabulary, shape.width, shape.layers, shape.head_size, shape.mlp_hidden].map(u64::from);
        let attention_width = u64::from(shape.heads) * h;
        let embedding = u64::from(shape.input_order) * v * d;
        let attention = l * 4 * d * attention_width;
        let mlp = l * u64::from(shape.mlp.matrices()) * d * f;
        let norm = l * (2 * d + 2 * h) + d;
        let head = v * d;
        let total = embedding + attention + mlp + norm + head;
        Self { embedding, attention, mlp, norm, head, total, active: total }
    }

    /// N under a rule; everything for [`CountingRule::Column`], which only a table can answer.
    #[must_use]
    pub fn under(&self, rule: CountingRule) -> u64 {
        match rule {
            CountingRule::Total | CountingRule::Column => self.total,
            CountingRule::NonEmbedding => self.attention + self.mlp + self.norm,
            CountingRule::Matmul => self.attention + self.mlp + self.norm + self.head,
        }
    }
}

impl FlopsCounts {
    /// FLOPs of training a shape on a number of tokens.
    ///
    /// # Formula
    ///
    /// exact = 6 D [ L (4 d a + k d f) + V d ] + 6 D L a T, with a = heads × head size and k matrices per MLP (3 for SwiGLU,
    /// 2 for ReLU²): six per weight and token for
    /// the matrix products, and for causal attention half of the 12 L a T of a full square.
    #[must_use]
    pub fn of(shape: &ModelShape, tokens: u64) -> Self {
        let counts = ParameterCounts::of(shape);
        let d = tokens as f64;
        let weights = (counts.attention + counts.mlp + counts.head) as f64;
        let attention_width = f64::from(shape.heads * shape.head_size);
        let scores = f64::from(shape.layers) * attention_width * f64::from(shape.context);
        Self {
            six_nd: 6.0 * counts.total as f64 * d,
            kaplan: 6.0 * counts.under(CountingRule::NonEmbedding) as f64 * d,
            exact: 6.0 * d * (weights + scores),
        }
    }

    /// FLOPs under a rule; `None` for [`FlopsRule::Column`], which only a table can answer.
    #[must_use]
    pub fn under(&self, rule: FlopsRule) -> Option<f64> {
        match rule {
            FlopsRule::SixNd => Some(self.six_nd),
            FlopsRule::Kaplan => Some(self.kaplan),
            FlopsRule::Exact => Some(self.exact),
            FlopsRule::Column => None,
        }
    }
}

impl CountingRule {
    /// The rule's name as typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::NonEmbedding => "non_embedding",
            Self::Matmul => "matmul",
            Self::Column => "column",
        }
    }
}

impl FlopsRule {
    /// The rule's name as typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SixNd => "6nd",
            Self::Kaplan => "kaplan",
            Self::Exact => "exact",
            Self::Column => "column",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpt(layers: u32, width: u32, vocabulary: u32, context: u32) -> ModelShape {
        // SwiGLU with 8/3 d hidden units has the parameters of a GELU MLP of 4 d.
        ModelShape {
            vocabulary,
            width,
            layers,
            heads: width / 16,
            head_size: 16,
            mlp: Mlp::Swiglu,
            mlp_hidden: width * 8 / 3,
            context,
            input_order: 1,
        }
    }

    #[test]
    fn counts_a_shape_worked_by_hand() {
        // V 256, d 32, L 2, 2 heads of 16, f 96: 8192 + 2·4·1024 + 2·3·3072 + (2·(64 + 32) + 32) + 8192.
        let shape = ModelShape { mlp_hidden: 96, ..gpt(2, 32, 256, 128) };
        let counts = ParameterCounts::of(&shape);
        assert_eq!(
            (counts.embedding, counts.attention, counts.mlp, counts.norm, counts.head),
            (8192, 8192, 18432, 224, 8192)
        );
        assert_eq!(counts.total, 43232);
    }

    #[test]
    fn kaplan_over_exact_agrees_with_published_table() {
        // Ratios of METHODS.md section 2, computed independently: (layers, width, vocabulary, context) → ratio.
        // Norm gains, which the table leaves out, are why the tolerance is 0.02.
        for (l, d, v, t, ratio) in
            [(2, 96, 256, 128, 0.81), (12, 768, 50304, 1024, 0.64), (32, 4096, 50304, 2048, 0.93)]
        {
            let flops = FlopsCounts::of(&gpt(l, d, v, t), 1_000_000);
            let hand = 12.0 * f64::from(l) * f64::from(d) * f64::from(d)
                / (12.0 * f64::from(l) * f64::from(d * d) + f64::from(v * d) + f64::from(l * d * t));
            assert!((flops.kaplan / flops.exact - hand).abs() < 0.02, "{l} {d}: {}", flops.kaplan / flops.exact);
            assert!((hand - ratio).abs() < 0.01 || d == 96, "{l} {d}: {hand}");
        }
    }
}
