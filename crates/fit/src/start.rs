//! Where the solver starts: the points a law proposes for the samples it is held against.

use forescale_core::law::{Sample, Theta};

use crate::problem::FitProblem;
use crate::thin;

/// Samples that a start is made from. Chosen here: what more would add to a start, the first step of a solve corrects.
const SAMPLES: usize = 4096;

/// A law's own starts.
pub(crate) fn starts(problem: &FitProblem) -> Vec<Theta> {
    let kept = thin::kept(problem.samples.len(), SAMPLES).map(|index| &problem.samples[index]);
    let samples: Vec<Sample> = kept.map(|s| Sample { at: s.at, log_loss: s.log_loss, weight: s.weight }).collect();
    problem.form.starts(&samples)
}
