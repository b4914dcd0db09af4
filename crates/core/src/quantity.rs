//! Quantities with units, so that a budget is never passed where a size is meant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The smallest size, data, compute, loss or weight that is taken for one. Chosen here: far outside any unit that runs are
/// told in, and products of three of them are still numbers.
pub const SMALLEST: f64 = 1e-60;
/// The largest, likewise.
pub const LARGEST: f64 = 1e60;

/// A number as a person types it: with a power of ten where it has many digits.
#[must_use]
pub fn scientific(value: f64) -> String {
    let is_plain = value == 0.0 || !value.is_finite() || (1e-4..1e7).contains(&value.abs());
    if is_plain { value.to_string() } else { format!("{value:e}") }
}

macro_rules! quantity {
    ($(#[$page:meta])* $name:ident) => {
        $(#[$page])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(f64);

        impl $name {
            /// A finite number above zero, or `None`.
            #[must_use]
            pub fn new(value: f64) -> Option<Self> {
                (value.is_finite() && value > 0.0).then_some(Self(value))
            }

            /// The bare number.
            #[must_use]
            pub fn get(self) -> f64 {
                self.0
            }
        }
    };
}

quantity!(
    /// A number of model parameters, N.
    Params
);
quantity!(
    /// A number of training tokens, D.
    Tokens
);
quantity!(
    /// Floating-point operations of a whole training run, C (a multiply-add counts as two).
    Flops
);
quantity!(
    /// Cross-entropy in nats per token.
    NatsPerToken
);
quantity!(
    /// Cross-entropy in bits per byte of the original text.
    BitsPerByte
);

impl NatsPerToken {
    /// The same loss in bits per byte: L / (ln 2 × bytes per token).
    #[must_use]
    pub fn to_bits_per_byte(self, bytes_per_token: f64) -> Option<BitsPerByte> {
        BitsPerByte::new(self.0 / (core::f64::consts::LN_2 * bytes_per_token))
    }
}

/// The unit a loss column is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossUnit {
    /// Nats per token.
    #[default]
    NatsPerToken,
    /// Bits per token.
    BitsPerToken,
    /// Bits per byte of text.
    BitsPerByte,
}

impl LossUnit {
    /// The words for an axis or a sentence.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NatsPerToken => "nats per token",
            Self::BitsPerToken => "bits per token",
            Self::BitsPerByte => "bits per byte",
        }
    }

    /// As `--unit` spells it.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::NatsPerToken => "nats",
            Self::BitsPerToken => "bits",
            Self::BitsPerByte => "bpb",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_many_digits_is_told_by_its_power_of_ten() {
        assert_eq!([1e300, -1e9, 0.5, 0.0, -3.0, 2e-7].map(scientific), ["1e300", "-1e9", "0.5", "0", "-3", "2e-7"]);
        assert_eq!(scientific(f64::NAN), "NaN");
    }

    #[test]
    fn refuses_what_is_not_a_positive_number() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Params::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn one_nat_per_byte_is_log2_e_bits() {
        let bits = NatsPerToken::new(1.0).and_then(|l| l.to_bits_per_byte(1.0)).map(BitsPerByte::get);
        assert!((bits.unwrap_or(0.0) - core::f64::consts::LOG2_E).abs() < 1e-15);
    }
}
