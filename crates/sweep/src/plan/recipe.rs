//! The recipe: how the numbers of a run follow from its training tokens D and its batch. [`RECIPE`] is the whole of it.

use forescale_core::math;

/// One rule of the recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecipeRule {
    /// What it decides.
    pub decides: &'static str,
    /// How, in the keys of `sweep.toml`; D is the training tokens, B the tokens per step.
    pub formula: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// Why it may be wrong.
    pub doubt: &'static str,
}

/// All rules; what width and depth do to rates and scales is the trainer's.
///
/// Every branch of a trunk takes D as the geometric mean of the trunk's horizons in the rules for batch and rates, and
/// warms up as the shortest branch would: only so are its first steps those of the others.
pub const RECIPE: [RecipeRule; 6] = [
    RecipeRule {
        decides: "tokens per step",
        formula: "B = batch_coefficient × D^batch_exponent, in whole sequences, at least one",
        source: "critical batch grows as D^0.47 (Zhang et al. 2024, arXiv:2410.21676), best batch as D^0.57 (Li et al. \
                 2025, arXiv:2503.04715)",
        doubt: "the coefficient is of one corpus and one width; whole sequences make steps of a third at the smallest runs",
    },
    RecipeRule {
        decides: "warmup",
        formula: "warmup × steps",
        source: "10% in Marin's recipe",
        doubt: "as a share it is shorter for small runs, which have the largest rates and may need more",
    },
    RecipeRule {
        decides: "cooldown of warmup-stable-decay",
        formula: "decay × steps, 1 − √",
        source: "10% to 20%, and 1 − √ at least as good as linear (Hägele et al. 2024, arXiv:2405.18392)",
        doubt: "measured above 30M parameters; a short cooldown leaves small runs noisier",
    },
    RecipeRule {
        decides: "peak rates",
        formula: "rate × (base_tokens / D)^horizon_exponent",
        source: "exponent 0.32 (Bjorck et al. 2024, arXiv:2409.19913), 0.3 in Marin's recipe",
        doubt: "measured at one batch for all D; with B growing as √D less is right, and Li et al. 2025 find the sign \
                turned (D^0.31)",
    },
    RecipeRule {
        decides: "decay of the second moment",
        formula: "β2^(B / beta2_base_batch_tokens), within 0.9 and 0.9999",
        source: "one half-life in tokens for all batches (Marek et al. 2025, arXiv:2507.07101; Marin's Complete(d)P)",
        doubt: "at batches of one sequence the half-life may be longer than the warmup",
    },
    RecipeRule {
        decides: "branches of a trunk",
        formula: "D = geometric mean of the horizons; warmup of the shortest",
        source: "chosen here, because one rate has to serve all horizons",
        doubt: "the longest branch has too large a rate and the shortest too small a one: its loss lies high at both ends",
    },
];

/// Sequences per step: B = coefficient × D^exponent tokens, in whole sequences.
pub(super) fn sequences(coefficient: f64, exponent: f64, tokens: f64, context: f64) -> u32 {
    (coefficient * math::pow(tokens, exponent) / context).round().max(1.0) as u32
}

/// Steps that come nearest to D tokens.
pub(super) fn steps(tokens: f64, batch_tokens: f64) -> u64 {
    (tokens / batch_tokens).round().max(1.0) as u64
}

/// Steps that a share of a run takes, at least one.
pub(super) fn share_of(steps: u64, share: f64) -> u64 {
    ((share * steps as f64).round() as u64).max(1)
}

/// What the peak rates are multiplied by: (base tokens / D)^exponent.
pub(super) fn horizon_factor(exponent: f64, base_tokens: f64, tokens: f64) -> f64 {
    math::pow(base_tokens / tokens, exponent)
}

/// β2 at a batch: the half-life in tokens is that of `beta2` at `base_batch_tokens`.
pub(super) fn beta2_at(beta2: f64, base_batch_tokens: f64, batch_tokens: f64) -> f64 {
    math::pow(beta2, batch_tokens / base_batch_tokens).clamp(0.9, 0.9999)
}

/// The geometric mean of numbers above zero.
pub(super) fn geometric_mean(numbers: &[f64]) -> f64 {
    let logs: f64 = numbers.iter().map(|&number| math::ln(number)).sum();
    math::exp(logs / numbers.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) -> bool {
        (one / other - 1.0).abs() < 1e-12
    }

    #[test]
    fn the_batch_is_worked_by_hand() {
        // 0.36·√1e6 = 360 tokens: 2.8 sequences of 128, so 3. With exponent 0 the coefficient is the batch: 512 / 128.
        assert_eq!(sequences(0.36, 0.5, 1e6, 128.0), 3);
        assert_eq!(sequences(512.0, 0.0, 1e6, 128.0), 4);
        // 0.02·(1e6)^(2/3) = 200 tokens: 1.6 sequences, so 2; and never none.
        assert_eq!(sequences(0.02, 2.0 / 3.0, 1e6, 128.0), 2);
        assert_eq!(sequences(0.36, 0.5, 100.0, 128.0), 1);
    }

    #[test]
    fn a_share_of_the_steps_is_at_least_one_step() {
        assert_eq!([share_of(2096, 0.1), share_of(15, 0.1), share_of(3, 0.1)], [210, 2, 1]);
    }

    #[test]
    fn rates_fall_with_the_horizon_as_worked_by_hand() {
        // 16 times the tokens at exponent 1/4 halve the rate; a sixteenth doubles it; at the base nothing moves.
        assert!(near(horizon_factor(0.25, 1e6, 16e6), 0.5));
        assert!(near(horizon_factor(0.25, 16e6, 1e6), 2.0));
        assert!(near(horizon_factor(0.3, 1e6, 1e6), 1.0));
        // Step law, rates rising with D: exponent -0.5 at four times the tokens doubles.
        assert!(near(horizon_factor(-0.5, 1e6, 4e6), 2.0));
    }

    #[test]
    fn the_second_moments_half_life_in_tokens_stays() {
        // 0.99² = 0.9801 at twice the batch, √0.99 = 0.99498743710662 at half of it.
        assert!(near(beta2_at(0.99, 512.0, 1024.0), 0.9801));
        assert!(near(beta2_at(0.99, 512.0, 256.0), 0.994_987_437_106_62));
        let half_life = |batch: f64| batch * math::ln(0.5) / math::ln(beta2_at(0.99, 512.0, batch));
        assert!(near(half_life(256.0), half_life(1536.0)));
    }

    #[test]
    fn the_second_moments_decay_stays_within_what_is_sane() {
        // 0.99^100 = 0.366 and 0.99^(1/1000) = 0.99999.
        assert!(near(beta2_at(0.99, 10.0, 1000.0), 0.9) && near(beta2_at(0.99, 1000.0, 1.0), 0.9999));
    }

    #[test]
    fn the_geometric_mean_of_10_20_and_40_is_20() {
        assert!(near(geometric_mean(&[10.0, 20.0, 40.0]), 20.0));
    }

    #[test]
    fn every_rule_says_where_it_comes_from_and_why_it_may_be_wrong() {
        for rule in RECIPE {
            assert!(!rule.source.is_empty() && !rule.doubt.is_empty(), "{}", rule.decides);
        }
    }
}
