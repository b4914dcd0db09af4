//! Number formats of the arithmetic on a device.

use std::str::FromStr;

use thiserror::Error;

use crate::error::TrainError;

/// The number format that matrix products read; sums are f32 in each, and so are master weights and moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// bfloat16 operands, f32 sums and residual stream.
    Bf16,
    /// f32 everywhere, but products round their operands to 10 bits of significand (TensorFloat-32).
    Tf32,
    /// f32 everywhere.
    F32,
}

impl Precision {
    /// All of them, fastest first.
    pub const ALL: [Self; 3] = [Self::Bf16, Self::Tf32, Self::F32];

    /// The name as typed, and in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Tf32 => "tf32",
            Self::F32 => "f32",
        }
    }
}

impl core::fmt::Display for Precision {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// A precision that is none of `bf16`, `tf32` and `f32`.
#[derive(Debug, Error)]
#[error("`{0}` is not a precision; allowed are `bf16`, `tf32` and `f32`\n\nhint: --precision bf16")]
pub struct ParsePrecisionError(String);

impl FromStr for Precision {
    type Err = ParsePrecisionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|one| one.name() == text).ok_or_else(|| ParsePrecisionError(text.to_owned()))
    }
}

/// The precision of the CPU: f32, whether asked for or not.
pub(crate) fn on_cpu(asked: Option<Precision>) -> Result<Precision, TrainError> {
    match asked {
        None | Some(Precision::F32) => Ok(Precision::F32),
        Some(other) => Err(TrainError::Device {
            problem: format!("`cpu` trains in f32, but {other} was asked for"),
            hint: if cfg!(feature = "cuda") {
                "use --precision f32, or a card: --device cuda".to_owned()
            } else {
                "use --precision f32; cards take a binary of `just cuda-build`, which this one is not".to_owned()
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_precision_as_typed() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse::<Precision>().expect("a precision"), precision);
        }
        let error = "fp8".parse::<Precision>().expect_err("none of ours").to_string();
        assert!(error.contains("`fp8` is not a precision") && error.contains("hint: --precision bf16"), "{error}");
    }

    #[test]
    fn the_cpu_trains_in_f32_alone() {
        assert_eq!(on_cpu(None).expect("its own"), Precision::F32);
        assert_eq!(on_cpu(Some(Precision::F32)).expect("asked for"), Precision::F32);
        let error = on_cpu(Some(Precision::Bf16)).expect_err("refused").to_string();
        assert!(error.contains("`cpu` trains in f32, but bf16 was asked for") && error.contains("hint:"), "{error}");
    }
}
