//! Arguments of `probe`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::device::DeviceArgs;
use super::whole::whole;

/// Sizes of a model: as many as fit.
const SIZES: RangeInclusive<u64> = 1..=u32::MAX as u64;

/// How rates and scales move with width and depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ParametrizationName {
    /// Maximal update parametrisation, with CompleteP for depth
    Mup,
    /// The same rate for every matrix at every size
    Standard,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProbeCommand {
    /// Do activations keep their scale as width and depth grow
    Coord(CoordArgs),
    /// Does the best rate stay the same from width to width, and how does it fall with data
    Lr(RateArgs),
    /// Do the loss curves of all rungs fall together
    Collapse(CollapseArgs),
}

/// What every probe may be asked for.
#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
    /// Probe another parametrisation than the spec's
    #[arg(long, value_enum)]
    pub(crate) parametrization: Option<ParametrizationName>,
    /// Folder for the page and the JSON document [default: out/probe of the sweep]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How runs of a probe are trained.
#[derive(Debug, Args)]
pub(crate) struct ProbeTraining {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Runs at once at most; as many as there are cores when absent, and on cards as many as are measured to be worth it
    #[arg(long, value_parser = whole::<NonZeroUsize>(1..=u64::MAX, "--jobs 2"), allow_negative_numbers = true)]
    pub(crate) jobs: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub(crate) struct CoordArgs {
    #[command(flatten)]
    pub(crate) probe: ProbeArgs,
    /// Widths, four or more [default: from the ladder's smallest, doubling, over the ladder]
    #[arg(
        long,
        value_name = "WIDTH,…",
        value_delimiter = ',',
        value_parser = whole::<u32>(SIZES, "--widths 16,32,64,128"),
        allow_hyphen_values = true
    )]
    pub(crate) widths: Vec<u32>,
    /// Depths as well, three or more, at the smallest of the widths
    #[arg(
        long,
        value_name = "LAYERS,…",
        value_delimiter = ',',
        value_parser = whole::<u32>(0..=u64::from(u32::MAX), "--depths 2,4,8"),
        allow_hyphen_values = true
    )]
    pub(crate) depths: Vec<u32>,
    /// Steps to train
    #[arg(
        long,
        default_value_t = 5,
        value_parser = whole::<u64>(0..=u64::MAX, "--steps 5"),
        allow_negative_numbers = true
    )]
    pub(crate) steps: u64,
    /// Rate over the recipe's: large, so that a drift shows in a few steps; at 4 and above the noise of single seeds does
    /// as well
    #[arg(long, default_value_t = 2.0, value_name = "X", allow_negative_numbers = true)]
    pub(crate) rate_factor: f64,
    /// Seeds to average over
    #[arg(
        long,
        default_value = "4",
        value_name = "N",
        value_parser = whole::<NonZeroU64>(1..=u64::MAX, "--seeds 4"),
        allow_negative_numbers = true
    )]
    pub(crate) seeds: NonZeroU64,
}

#[derive(Debug, Args)]
pub(crate) struct RateArgs {
    #[command(flatten)]
    pub(crate) probe: ProbeArgs,
    #[command(flatten)]
    pub(crate) training: ProbeTraining,
    /// Widths, three or more [default: the ladder's smallest, and twice and four times it]
    #[arg(
        long,
        value_name = "WIDTH,…",
        value_delimiter = ',',
        value_parser = whole::<u32>(SIZES, "--widths 16,32,64"),
        allow_hyphen_values = true
    )]
    pub(crate) widths: Vec<u32>,
    /// Horizons, tokens per parameter; with fewer than two the answer stays open
    #[arg(long, value_name = "RATIO,…", value_delimiter = ',', default_value = "10,40", allow_hyphen_values = true)]
    pub(crate) horizons: Vec<f64>,
    /// Rates over the recipe's
    #[arg(
        long,
        value_name = "X,…",
        value_delimiter = ',',
        default_value = "0.25,0.5,1,2,4",
        allow_hyphen_values = true
    )]
    pub(crate) factors: Vec<f64>,
    /// Seeds of each: with one, noise alone moves a best rate by a step
    #[arg(
        long,
        default_value = "2",
        value_name = "N",
        value_parser = whole::<NonZeroU64>(1..=u64::MAX, "--seeds 2"),
        allow_negative_numbers = true
    )]
    pub(crate) seeds: NonZeroU64,
}

#[derive(Debug, Args)]
pub(crate) struct CollapseArgs {
    #[command(flatten)]
    pub(crate) probe: ProbeArgs,
    #[command(flatten)]
    pub(crate) training: ProbeTraining,
}
