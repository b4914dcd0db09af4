//! Runs that may be bought.

use forescale_core::math;
use forescale_core::observation::Observation;

use crate::forecast::flops_per_product;

/// A run that may be bought: the caller says what it would cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// By which the caller knows it again.
    pub name: String,
    /// Size N.
    pub params: f64,
    /// Data D, tokens.
    pub tokens: f64,
    /// Compute C, FLOPs.
    pub flops: f64,
}

/// Which runs to think of where the caller has no list of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CandidateGrid {
    /// Largest compute over that of the largest run so far.
    pub growth: f64,
    /// Tokens per parameter, least and most; where there are none, those of the runs, and as far beyond on either side that
    /// they span 16 times.
    pub tokens_per_param: Option<(f64, f64)>,
}

impl Default for CandidateGrid {
    /// No run larger than the largest so far.
    fn default() -> Self {
        Self { growth: 1.0, tokens_per_param: None }
    }
}

/// The runs that may be bought.
#[derive(Clone, Debug, PartialEq)]
pub enum Candidates {
    /// Made from the sizes and ratios of the table.
    Grid(CandidateGrid),
    /// The caller's own.
    Listed(Vec<Candidate>),
}

/// Sizes and ratios a factor of 2 apart. Chosen here: the variance of a design hardly changes within such a step.
const STEP: f64 = 2.0;
/// How far the ratios are to reach on either side of their middle: as far as the sizes of an isoFLOP sweep. Runs that reach
/// further already tell N from D, and beyond them no law was seen to hold.
const REACH: f64 = 4.0;

/// Sizes from the smallest tried upwards, each at several tokens per parameter, with compute between that of the smallest
/// run and `growth` times that of the largest. Compute follows from the runs' own median C/(N·D).
pub(super) fn candidate_grid(observations: &[Observation], grid: &CandidateGrid) -> Vec<Candidate> {
    let range = |of: fn(&Observation) -> f64| {
        observations.iter().map(of).fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)))
    };
    let (least_params, most_params) = range(|o| o.params);
    let (least_flops, most_flops) = range(|o| o.flops);
    let (least_ratio, most_ratio) = range(|o| o.tokens / o.params);
    if observations.is_empty() {
        return Vec::new();
    }
    let wider = (REACH / (most_ratio / least_ratio).sqrt()).max(1.0);
    let (least_ratio, most_ratio) = grid.tokens_per_param.unwrap_or((least_ratio / wider, most_ratio * wider));
    let per_product = flops_per_product(observations);
    let sizes = steps(least_params, most_params * grid.growth.sqrt());
    let ratios = steps(least_ratio, most_ratio);
    let of_size = |&params: &f64| {
        let at_ratio = move |&ratio: &f64| {
            let tokens = ratio * params;
            let name = format!("N={params:.4e},D={tokens:.4e}");
            Candidate { name, params, tokens, flops: per_product * params * tokens }
        };
        ratios.iter().map(at_ratio).collect::<Vec<_>>()
    };
    let rounding = 1.0 + 1e-9;
    let is_allowed =
        |c: &Candidate| c.flops * rounding >= least_flops && c.flops <= most_flops * grid.growth * rounding;
    sizes.iter().flat_map(of_size).filter(is_allowed).collect()
}

/// Steps from the least to the most at most. Chosen here: twelve decades by factors of [`STEP`], beyond which the factor grows.
const MOST_STEPS: f64 = 40.0;

/// From the least upwards by factors of at most [`STEP`], as long as they are few, the most among them.
fn steps(least: f64, most: f64) -> Vec<f64> {
    let count = (math::ln(most / least) / math::ln(STEP)).ceil().clamp(0.0, MOST_STEPS) as usize;
    let at = |i: usize| least * math::pow(most / least, i as f64 / count.max(1) as f64);
    (0..=count).map(at).collect()
}
