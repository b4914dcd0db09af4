//! Which device trains, and what `doctor` says about it.

use std::str::FromStr;

#[cfg(feature = "cuda")]
use forescale_core::memory::words;
use thiserror::Error;

use crate::card::Card;
#[cfg(feature = "cuda")]
use crate::card::cuda;
#[cfg(feature = "cuda")]
use crate::card::listed::{Listed, check_number, first, none_visible};
use crate::error::TrainError;
use crate::kernels::simd::SimdLevel;
use crate::machine::Place;
use crate::precision::{self, Precision};

/// The device asked for: `auto`, `cpu` or `cuda:N`; `cuda` alone is the first card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceChoice {
    /// The first card, where this build has CUDA and the driver lists one, and else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by its number.
    Cuda(usize),
}

/// A device that is neither `auto`, `cpu`, `cuda` nor `cuda:N`.
#[derive(Debug, Error)]
#[error("`{0}` is not a device; allowed are `auto`, `cpu`, `cuda` and `cuda:N`\n\nhint: --device {hint}", hint = meant(.0))]
pub struct ParseDeviceError(String);

/// The device that a word for one most likely stands for: `gpu:1` is another program's `cuda:1`.
fn meant(text: &str) -> String {
    let word = text.to_lowercase();
    let is_card = ["gpu", "cuda", "nvidia"].iter().any(|name| word.contains(name));
    let number = word.rsplit(':').next().and_then(|number| number.parse::<usize>().ok());
    match (is_card, number) {
        (true, Some(number)) => format!("cuda:{number}"),
        (true, None) => "cuda".to_owned(),
        (false, _) => "auto".to_owned(),
    }
}

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
    /// The name of the device that will train: `cpu`, or `cuda:N`.
    ///
    /// `auto` is the first card that can train, where this build can and there is one, and else the CPU.
    ///
    /// # Errors
    ///
    /// [`TrainError`] when this build cannot train there, or there is no such card.
    pub fn resolve(self) -> Result<String, TrainError> {
        match self {
            Self::Cpu => Ok("cpu".to_owned()),
            Self::Auto => Ok(first_card().map_or("cpu".to_owned(), |number| format!("cuda:{number}"))),
            Self::Cuda(number) => {
                check_card(number)?;
                Ok(format!("cuda:{number}"))
            }
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

impl DeviceChoice {
    /// Opens the device for a run.
    pub(crate) fn open(self, asked: Option<Precision>) -> Result<Place, TrainError> {
        let (name, precision) = (self.resolve()?, self.precision(asked)?);
        let number = name.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        Ok(Place { card: number.map(open_card).transpose()?, name, precision })
    }
}

/// A card that this process may use, in the order of its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedCard {
    /// Name that no other card has, as the driver's tools show it; of a slice of a card (MIG) the slice's own.
    pub uuid: String,
    /// Whether runs can be trained on it: old kinds lack what the kernels need.
    pub trains: bool,
}

/// The cards that this process may use, as CUDA numbers them; `None` where this build has no CUDA, or no driver answers.
#[must_use]
pub fn numbered_cards() -> Option<Vec<NumberedCard>> {
    #[cfg(feature = "cuda")]
    {
        let numbered = |card: Listed| NumberedCard { trains: card.trains(), uuid: card.uuid };
        Some(cuda::listed().ok()?.into_iter().map(numbered).collect())
    }
    #[cfg(not(feature = "cuda"))]
    None
}

/// The number of the first card that can train.
fn first_card() -> Option<usize> {
    #[cfg(feature = "cuda")]
    return first(&cuda::listed().ok()?);
    #[cfg(not(feature = "cuda"))]
    None
}

#[cfg(feature = "cuda")]
fn check_card(number: usize) -> Result<(), TrainError> {
    check_number(number, cuda::listed())
}

#[cfg(not(feature = "cuda"))]
fn check_card(number: usize) -> Result<(), TrainError> {
    Err(TrainError::Device {
        problem: format!("`cuda:{number}` was asked for, but this binary is built without CUDA"),
        hint: "`just cuda-build` makes target/cuda/bin/forescale, which has it; `--device cpu` trains without a card"
            .to_owned(),
    })
}

/// A card by its number, for one run.
#[cfg(feature = "cuda")]
pub(crate) fn open_card(number: usize) -> Result<Box<dyn Card>, TrainError> {
    check_card(number)?;
    let card = cuda::Cuda::open(number).map_err(|error| error.on(&format!("cuda:{number}")))?;
    Ok(Box::new(card))
}

#[cfg(not(feature = "cuda"))]
pub(crate) fn open_card(number: usize) -> Result<Box<dyn Card>, TrainError> {
    check_card(number)?;
    unreachable!("a build without CUDA has no card")
}

/// What trains on this machine, as pairs of name and finding, for `doctor`.
#[must_use]
pub fn device_report() -> Vec<(String, String)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let auto = DeviceChoice::Auto;
    let (device, precision) = (auto.resolve(), auto.precision(None));
    let mut report = vec![
        ("device", device.unwrap_or_else(|_| "cpu".to_owned())),
        ("simd", SimdLevel::detect().name().to_owned()),
        ("threads", threads.to_string()),
        ("dtype", precision.map_or("f32", Precision::name).to_owned()),
    ];
    report.extend(card_report());
    report.into_iter().map(|(name, finding)| (name.to_owned(), finding)).collect()
}

#[cfg(not(feature = "cuda"))]
fn card_report() -> Vec<(&'static str, String)> {
    vec![(
        "cuda",
        "not built in; `just cuda-build` makes target/cuda/bin/forescale, which trains on NVIDIA cards".to_owned(),
    )]
}

#[cfg(feature = "cuda")]
fn card_report() -> Vec<(&'static str, String)> {
    match cuda::listed() {
        Err(unlisted) => vec![("cuda", format!("built in, but {}; {}", unlisted.problem, unlisted.hint))],
        Ok(cards) if cards.is_empty() => {
            vec![("cuda", format!("built in, but {}", none_visible()))]
        }
        Ok(cards) => cards.iter().enumerate().map(|(number, card)| ("cuda", card_line(number, card))).collect(),
    }
}

#[cfg(feature = "cuda")]
fn card_line(number: usize, card: &Listed) -> String {
    let (major, minor) = card.capability;
    let memory = match cuda::memory(number) {
        Ok((free, total)) => format!("{} of {} free", words(free), words(total)),
        Err(problem) => format!("cannot be opened: {problem}"),
    };
    let too_old = if card.trains() { "" } else { ", too old to train on" };
    format!("cuda:{number} is a {} (compute capability {major}.{minor}{too_old}), {memory}", card.kind)
}

/// Why `auto` is the CPU, where it is.
#[must_use]
pub fn why_no_card() -> Option<String> {
    #[cfg(feature = "cuda")]
    return match cuda::listed() {
        Err(unlisted) => Some(unlisted.problem),
        Ok(cards) if cards.is_empty() => Some(none_visible()),
        Ok(cards) => first(&cards).is_none().then(|| "all that there are are too old".to_owned()),
    };
    #[cfg(not(feature = "cuda"))]
    Some("this build has no CUDA".to_owned())
}

/// The generation of CUDA that a build with the feature is made for, 13 for 13.0: of this build, or of the toolkit that
/// `just cuda-build` makes.
#[must_use]
pub fn cuda_generation() -> u32 {
    #[cfg(feature = "cuda")]
    return candle_core::cuda_backend::cudarc::driver::sys::CUDA_VERSION / 1000;
    #[cfg(not(feature = "cuda"))]
    13
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
        assert_eq!("cuda".parse::<DeviceChoice>().expect("a device"), DeviceChoice::Cuda(0));
        for text in ["gpu", "cuda:", "cuda:x", ""] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_word_of_another_program_is_answered_with_ours() {
        let hint = |text: &str| text.parse::<DeviceChoice>().expect_err("refused").to_string();
        let hints = ["gpu", "gpu:1", "CUDA:x", "tpu", ""].map(hint);
        let ours = ["cuda", "cuda:1", "cuda", "auto", "auto"];
        assert!(
            hints.iter().zip(ours).all(|(said, ours)| said.ends_with(&format!("hint: --device {ours}"))),
            "{hints:?}"
        );
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_cuda_device_is_refused_with_the_way_to_get_it() {
        let error = DeviceChoice::Cuda(0).resolve().expect_err("no training on the GPU in this build").to_string();
        assert!(error.contains("built without CUDA") && error.contains("hint: `just cuda-build`"), "{error}");
        assert_eq!(DeviceChoice::Auto.resolve().expect("the CPU"), "cpu");
        assert!(device_report().iter().any(|(name, finding)| name == "cuda" && finding.contains("just cuda-build")));
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_card_that_is_not_there_is_refused_and_auto_falls_back() {
        if first_card().is_some() {
            return;
        }
        let error = DeviceChoice::Cuda(0).resolve().expect_err("no card").to_string();
        assert!(error.contains("`cuda:0` was asked for") && error.contains("hint:"), "{error}");
        assert_eq!(DeviceChoice::Auto.resolve().expect("the CPU"), "cpu");
    }
}
