//! What else a sweep's family could train: widths and horizons about those it has, worked out as a plan works them out.
//!
//! A run that a plan would refuse (too few steps, too little data, more tokens than the corpus has) is not among them, and
//! neither is one that the sweep's target or a trunk's branch already is.

use forescale_core::corpus::CorpusManifest;
use forescale_core::run::PlannedRun;

use super::{Plan, Planner};
use crate::spec::{Horizon, SweepSpec};

/// A run that could be added to a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyRun {
    /// Its width.
    pub width: u32,
    /// D / N.
    pub tokens_per_param: f64,
    /// As it would be trained, with seed 0.
    pub run: PlannedRun,
}

/// Widths go up by this, or by one head where that is more. Chosen here: N and compute follow by a factor of 2 or more.
const WIDTH_STEP: f64 = core::f64::consts::SQRT_2;
/// Horizons on either side of the ladder's, in doublings. Chosen here: four times less and more data tell N from D.
const DOUBLINGS: i32 = 2;

/// The runs that a sweep's family could train, below the compute of its target.
#[must_use]
pub fn family(spec: &SweepSpec, manifest: Option<&CorpusManifest>, plan: &Plan) -> Vec<FamilyRun> {
    let planner = Planner::new(spec, manifest);
    let target = plan.target().map_or(f64::INFINITY, |run| run.config.flops().exact);
    let is_taken = |found: &FamilyRun| {
        let stem = stem(&found.run.name);
        plan.runs.iter().any(|run| run.config.branch && self::stem(&run.name) == stem)
    };
    let at = |width: u32, ratio: f64| {
        let run = planner.run(&planner.wanted(width, ratio, 0)).ok()?;
        Some(FamilyRun { width, tokens_per_param: ratio, run })
    };
    let ratios = ratios(spec);
    let all = widths(spec).into_iter().flat_map(|width| ratios.iter().map(move |&ratio| (width, ratio)));
    let runs = all.filter_map(|(width, ratio)| at(width, ratio));
    runs.filter(|found| found.run.config.flops().exact < target && !is_taken(found)).collect()
}

/// A run's name without its seed.
fn stem(name: &str) -> &str {
    name.rsplit_once("-s").map_or(name, |(stem, _)| stem)
}

/// From the narrowest to the target's width, the sweep's own among them.
fn widths(spec: &SweepSpec) -> Vec<u32> {
    let own = spec.rungs().iter().map(|rung| rung.width).chain(spec.off_path().iter().map(|run| run.width));
    let mut widths: Vec<u32> = own.collect();
    let (least, most) = widths.iter().fold((u32::MAX, 0), |(l, m), &w| (l.min(w), m.max(w)));
    let most = spec.target().map_or(most * 2, |target| target.width.max(most));
    let head = spec.model().head_size;
    let mut width = least;
    while width < most {
        let next = (f64::from(width) * WIDTH_STEP / f64::from(head)).round() as u32 * head;
        width = next.max(width + head);
        if width <= most {
            widths.push(width);
        }
    }
    widths.sort_unstable();
    widths.dedup();
    widths
}

/// The rungs' horizons, and doublings of the middle one, of at least one token per parameter.
fn ratios(spec: &SweepSpec) -> Vec<f64> {
    let mut ratios: Vec<f64> = spec.rungs().iter().map(|rung| rung.tokens_per_param).collect();
    ratios.sort_by(f64::total_cmp);
    let middle = ratios[ratios.len() / 2];
    ratios.extend((-DOUBLINGS..=DOUBLINGS).map(|doublings| middle * 2.0_f64.powi(doublings)));
    ratios.extend(spec.off_path().iter().filter_map(|run| match run.horizon {
        Horizon::TokensPerParam(ratio) => Some(ratio),
        Horizon::ComputeOf(_) => None,
    }));
    ratios.retain(|ratio| *ratio >= 1.0);
    ratios.sort_by(f64::total_cmp);
    ratios.dedup_by(|b, a| *b < *a * 1.05);
    ratios
}
