//! Runs that differ in a knob alone, reduced to one observation for each size and data.
//!
//! The lowest of several noisy losses is biased downwards by the noise, and by more the more settings were tried. So the
//! reduction is the vertex of a parabola in the logarithm of the setting ([`vertex`]), with its standard error; the
//! lowest setting stands only where it lies at the edge of the range or where there are but two, and that is said.
//!
//! What this does not do: choose among sizes or data (that is the path's affair), or drop a run without an exclusion.
//!
//! One knob is reduced after another. Runs of one cell agree in group, role, evaluation set, size, data and in every
//! knob that is still to be reduced; a knob that was not asked for must agree as well, so that no parabola goes
//! through runs of different batch sizes unless that was asked for first.

mod cell;
mod vertex;

use std::collections::BTreeSet;

use forescale_core::observation::{Exclusion, ExclusionReason, Observation};
use forescale_core::outcome::{Diagnosis, Severity};
use forescale_core::reduction::{Knob, Reduction, ReductionMethod};
use thiserror::Error;

use crate::fitted::{check_split, validate};
use crate::{FitError, FitOptions};
use cell::{Cell, Scatter, cells};

/// Why runs could not be reduced.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum BestOfError {
    /// No run tells the quantity.
    #[error("no run of {runs} tells its {}\n\nhint: name the column that holds it with `--map`, or leave `--best-of` out", knob.label())]
    Untold {
        /// The quantity.
        knob: Knob,
        /// Runs looked at.
        runs: usize,
    },
    /// The runs are no table.
    #[error(transparent)]
    Table(#[from] FitError),
}

/// Observations with the tuned ones reduced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reduced {
    /// What is left to fit: reduced observations, and runs that had nothing to be reduced with.
    pub observations: Vec<Observation>,
    /// The runs folded in.
    pub exclusions: Vec<Exclusion>,
    /// Cell by cell.
    pub reductions: Vec<Reduction>,
    /// Doubts.
    pub diagnoses: Vec<Diagnosis>,
}

/// Reduces each knob in turn.
///
/// # Errors
///
/// [`BestOfError`] for a table that holds anything but positive numbers, or one that does not tell the knob.
pub fn best_of(observations: &[Observation], knobs: &[Knob]) -> Result<Reduced, BestOfError> {
    validate(observations, &FitOptions::default())?;
    check_split("`--best-of`", observations.iter())?;
    let mut reduced = Reduced { observations: observations.to_vec(), ..Reduced::default() };
    for (index, &knob) in knobs.iter().enumerate() {
        reduce(&mut reduced, knob, &knobs[..index])?;
    }
    // What one knob left is folded again by the next, and was never a run.
    let known: BTreeSet<&str> = observations.iter().map(|run| run.run_id.as_str()).collect();
    reduced.exclusions.retain(|one| known.contains(one.run_id.as_str()));
    let others = Knob::ALL.into_iter().filter(|knob| !knobs.contains(knob));
    reduced.diagnoses.extend(others.filter_map(|other| left_mixed(&reduced.observations, other)).collect::<Vec<_>>());
    Ok(reduced)
}

fn reduce(reduced: &mut Reduced, knob: Knob, done: &[Knob]) -> Result<(), BestOfError> {
    let runs = std::mem::take(&mut reduced.observations);
    if runs.iter().all(|run| cell::setting(run, knob).is_none()) {
        return Err(BestOfError::Untold { knob, runs: runs.len() });
    }
    let cells = cells(&runs, knob, done);
    let scatter = cells.iter().map(Cell::scatter).fold(Scatter::default(), Scatter::and);
    let first = reduced.reductions.len();
    for cell in &cells {
        let Some((observation, reduction)) = cell.reduce(scatter) else {
            reduced.observations.extend(cell.runs().cloned());
            continue;
        };
        let folded = reduction.runs.iter().filter(|run_id| **run_id != observation.run_id);
        let exclusion = |run_id: &String| Exclusion { run_id: run_id.clone(), reason: ExclusionReason::Reduced };
        reduced.exclusions.extend(folded.map(exclusion));
        reduced.observations.push(observation);
        reduced.reductions.push(reduction);
    }
    reduced.observations.extend(runs.iter().filter(|run| cell::setting(run, knob).is_none()).cloned());
    reduced.diagnoses.extend(doubts(&reduced.reductions[first..], knob, cells.len()));
    Ok(())
}

/// Sizes and data that keep several settings of a knob that was not asked for: the law then goes through tuned and untuned
/// ones of it alike.
fn left_mixed(runs: &[Observation], knob: Knob) -> Option<Diagnosis> {
    let others: Vec<Knob> = Knob::ALL.into_iter().filter(|other| *other != knob).collect();
    let mixed = cells(runs, knob, &others).iter().filter(|cell| cell.settings() > 1).count();
    let what = knob.label();
    (mixed > 0).then(|| Diagnosis {
        code: "tuning_other_knob".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "at {mixed} of the sizes and data runs still differ in {what}, and each stands for itself: the untuned ones lie too high"
        ),
        hint: format!("reduce that too: --best-of {}", Knob::ALL.map(Knob::flag).join(",")),
    })
}

/// What can be doubted about the reductions of one knob in `cells` cells.
fn doubts(reductions: &[Reduction], knob: Knob, cells: usize) -> Vec<Diagnosis> {
    let of = |method: ReductionMethod| reductions.iter().filter(|r| r.method == method).count();
    let (edge, apart, few) = (of(ReductionMethod::AtEdge), of(ReductionMethod::NoVertex), of(ReductionMethod::TooFew));
    let untuned = cells.saturating_sub(reductions.len());
    let what = knob.label();
    let mut doubts = Vec::new();
    let mut doubt = |code: &str, severity, message, hint: &str| {
        doubts.push(Diagnosis { code: code.to_owned(), severity, message, hint: hint.to_owned() });
    };
    if edge > 0 {
        let first = reductions.iter().find(|r| r.method == ReductionMethod::AtEdge);
        let example = first.map_or_else(String::new, |r| format!(" (`{}`: {:.3e})", r.run_id, r.value));
        let message = format!(
            "at {edge} of {cells} sizes and data the best {what} is at the edge of the range tried{example}: a better one may lie beyond, and then the loss there is too high"
        );
        doubt("tuning_at_edge", Severity::Warning, message, "try settings past the edge until the loss rises again");
    }
    if apart > 0 {
        let message = format!(
            "at {apart} of {cells} sizes and data the best {what} has a neighbour so far away that no parabola goes through both: the lowest stands, which noise biases downwards"
        );
        doubt("tuning_far_apart", Severity::Note, message, "try settings a factor of 2 from the best one");
    }
    if few > 0 {
        let message = format!(
            "at {few} of {cells} sizes and data only two settings of the {what} were tried: the lower one stands, which noise biases downwards"
        );
        doubt("tuning_too_few", Severity::Note, message, "try a third setting on the far side of the better one");
    }
    if reductions.is_empty() {
        let message =
            format!("no two runs of one size and data differ in {what} alone, so that nothing was reduced by it");
        doubt(
            "tuning_without_effect",
            Severity::Warning,
            message,
            "reduce first what they differ in beside it, or leave it out of `--best-of`",
        );
    }
    if untuned > 0 && !reductions.is_empty() {
        let message = format!(
            "{untuned} of {cells} sizes and data have one setting of the {what} and were left as they are: beside tuned ones they may lie too high"
        );
        doubt("tuning_untuned", Severity::Warning, message, "tune them too, or leave them out with `--where`");
    }
    doubts
}

#[cfg(test)]
mod tests;
