//! Where the solver starts: the points a law proposes for the samples it is held against.

use forescale_core::law::{Sample, Theta};

use crate::problem::FitProblem;

/// A law's own starts.
pub(crate) fn starts(problem: &FitProblem) -> Vec<Theta> {
    let samples: Vec<Sample> =
        problem.samples.iter().map(|s| Sample { at: s.at, log_loss: s.log_loss, weight: s.weight }).collect();
    problem.form.starts(&samples)
}
