//! Where the solver starts: a grid of exponents, with everything linear solved for.
//!
//! For fixed exponents each law is linear in its floor and amplitudes, so that only exponents need a grid (variable
//! projection, Golub and Pereyra 1973). The least-squares answer on relative loss is close to the optimum on log loss.

use forescale_core::law::{MAX_PARAMETERS, Theta};
use forescale_core::math;

use crate::linear::{Matrix, solve};
use crate::problem::FitProblem;

/// Exponents tried for each term: from a third of the smallest published one to twice the largest.
const EXPONENTS: [f64; 6] = [0.05, 0.12, 0.25, 0.45, 0.75, 1.3];

/// One start per combination of exponents.
pub(crate) fn starts(problem: &FitProblem) -> Vec<Theta> {
    let second: &[f64] = if problem.form.terms() == 2 { &EXPONENTS } else { &EXPONENTS[..1] };
    let pairs = EXPONENTS.iter().flat_map(|&first| second.iter().map(move |&other| [first, other]));
    pairs.map(|exponents| project(problem, exponents)).collect()
}

/// θ at fixed exponents, with amplitudes and floor from linear least squares on L/L_observed, kept above zero.
fn project(problem: &FitProblem, exponents: [f64; 2]) -> Theta {
    let terms = problem.form.terms();
    let with_floor: Vec<usize> = (0..=terms).collect();
    let (matrix, vector) = normal_equations(problem, exponents);
    let typical = typical_loss(problem);
    let with = if problem.form.has_floor() { solve(&matrix, &vector, &with_floor) } else { None };
    let solution = with
        .filter(|x| x[terms] >= 0.0)
        .or_else(|| solve(&matrix, &vector, &with_floor[..terms]))
        .unwrap_or([0.3 * typical; MAX_PARAMETERS]);
    let log_amplitudes = [solution[0], solution[1]].map(|amplitude| math::ln(amplitude.max(0.02 * typical)));
    let floor = if problem.form.has_floor() { solution[terms].clamp(0.0, 0.98 * typical) } else { 0.0 };
    problem.form.start(exponents, log_amplitudes, floor)
}

fn normal_equations(problem: &FitProblem, exponents: [f64; 2]) -> (Matrix, Theta) {
    let terms = problem.form.terms();
    let (mut matrix, mut vector) = (Matrix::default(), Theta::default());
    for sample in &problem.samples {
        let loss = math::exp(sample.log_loss);
        let basis = problem.form.basis(exponents, &sample.at);
        let mut row = [basis[0] / loss, basis[1] / loss, 0.0];
        row[terms] = 1.0 / loss;
        for i in 0..=terms {
            vector[i] += sample.weight * row[i];
            for j in 0..=terms {
                matrix[i][j] += sample.weight * row[i] * row[j];
            }
        }
    }
    (matrix, vector)
}

fn typical_loss(problem: &FitProblem) -> f64 {
    let logs: Vec<f64> = problem.samples.iter().map(|sample| sample.log_loss).collect();
    math::median(&logs).map_or(1.0, math::exp)
}
