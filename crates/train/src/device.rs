//! Which device trains, and what `doctor` says about it.

use std::str::FromStr;

use thiserror::Error;

use crate::error::TrainError;
use crate::kernels::simd::SimdLevel;
use crate::precision::{self, Precision};

/// The device asked for: `auto`, `cpu` or `cuda:0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceChoice {
    /// The best one that can train; the CPU, for now.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by its number.
    Cuda(usize),
}

/// A device that is neither `auto`, `cpu` nor `cuda:N`.
#[derive(Debug, Error)]
#[error("`{0}` is not a device; allowed are `auto`, `cpu` and `cuda:N`\n\nhint: --device auto")]
pub struct ParseDeviceError(String);

impl FromStr for DeviceChoice {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("cuda:")) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(number)) => number.parse().map(Self::Cuda).map_err(|_| ParseDeviceError(text.to_owned())),
            _ => Err(ParseDeviceError(text.to_owned())),
        }
    }
}

impl core::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl DeviceChoice {
    /// The name of the device that will train.
    ///
    /// # Errors
    ///
    /// [`TrainError`] when this build cannot train there.
    pub fn resolve(self) -> Result<String, TrainError> {
        match self {
            Self::Auto | Self::Cpu => Ok("cpu".to_owned()),
            Self::Cuda(number) => Err(no_cuda(number)),
        }
    }

    /// The precision that the device trains in: the one asked for, or the device's own (bf16 on a card, f32 on the CPU).
    ///
    /// # Errors
    ///
    /// [`TrainError`] when the device cannot train, or not in that precision.
    pub fn precision(self, asked: Option<Precision>) -> Result<Precision, TrainError> {
        match self.resolve()?.as_str() {
            "cpu" => precision::on_cpu(asked),
            _ => Ok(asked.unwrap_or(Precision::Bf16)),
        }
    }
}

fn no_cuda(number: usize) -> TrainError {
    if cfg!(feature = "cuda") {
        return TrainError::Device {
            problem: format!("training on `cuda:{number}` is not built yet: the fused operations run on the CPU only"),
            hint: "--device cpu".to_owned(),
        };
    }
    TrainError::Device {
        problem: format!("`cuda:{number}` was asked for, but this binary is built without CUDA"),
        hint: "use --device cpu; `cargo run --release --features cuda -- …` builds candle's CUDA back end, but training on the GPU is not built yet"
            .to_owned(),
    }
}

/// What trains on this machine, as pairs of name and finding, for `doctor`.
#[must_use]
pub fn device_report() -> Vec<(String, String)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let cuda = if cfg!(feature = "cuda") {
        "candle is built with it; training on the GPU is not built yet"
    } else {
        "not built in (`--features cuda`); training on the GPU is not built yet"
    };
    [
        ("device", "cpu".to_owned()),
        ("simd", SimdLevel::detect().name().to_owned()),
        ("threads", threads.to_string()),
        ("dtype", "f32".to_owned()),
        ("cuda", cuda.to_owned()),
    ]
    .map(|(name, finding)| (name.to_owned(), finding))
    .to_vec()
}

/// Largest resident memory of this process so far, where the system tells.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_device_as_typed() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(text.parse::<DeviceChoice>().expect("a device").to_string(), text);
        }
        for text in ["gpu", "cuda:", "cuda:x", ""] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_cuda_device_is_refused_with_the_way_to_get_it() {
        let error = DeviceChoice::Cuda(0).resolve().expect_err("no training on the GPU yet");
        assert!(error.to_string().contains("not built yet"), "{error}");
        assert_eq!(DeviceChoice::Auto.resolve().expect("the CPU"), "cpu");
    }
}
