//! Starts of laws that are linear once their shape is given: a floor plus amplitudes times known factors.
//!
//! For a fixed shape (exponents, and whatever else bends the law) floor and amplitudes follow from linear least squares on
//! the relative loss, so that only the shape needs a grid (variable projection, Golub and Pereyra 1973). The answer lies
//! close to the optimum on log loss; it is a start and not a fit.

use super::{Position, Sample};
use crate::math;

/// Exponents tried for each falling term: from a third of the smallest published one to twice the largest.
pub(super) const EXPONENTS: [f64; 6] = [0.05, 0.12, 0.25, 0.45, 0.75, 1.3];
/// Of the typical loss: an amplitude is at least this much at the centre, and a floor at most 1 less this.
const LEAST_SHARE: f64 = 0.02;
/// Amplitude, as a share of the typical loss, where the equations have no answer.
const FALLBACK: f64 = 0.3;
/// Amplitudes and floor.
const UNKNOWNS: usize = 3;

type Equations = [[f64; UNKNOWNS + 1]; UNKNOWNS];

/// The samples a law starts from, with their typical loss.
pub(super) struct Projection<'a> {
    samples: &'a [Sample],
    typical: f64,
    with_floor: bool,
}

/// Amplitudes, as logarithms, and floor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Linear {
    pub(super) log_amplitudes: [f64; 2],
    pub(super) floor: f64,
}

impl<'a> Projection<'a> {
    /// Ready to project onto these samples.
    pub(super) fn onto(samples: &'a [Sample], with_floor: bool) -> Self {
        let logs: Vec<f64> = samples.iter().map(|sample| sample.log_loss).collect();
        Self { samples, typical: math::median(&logs).map_or(1.0, math::exp), with_floor }
    }

    /// The best amplitudes of `COUNT` terms and the best floor, where `basis` gives the terms' factors.
    pub(super) fn solve<const COUNT: usize>(&self, basis: impl Fn(&Position) -> [f64; COUNT]) -> Linear {
        let unknowns = COUNT + usize::from(self.with_floor);
        let equations = self.equations(&basis);
        let free = if self.with_floor { eliminate(&equations, unknowns).filter(|x| x[COUNT] >= 0.0) } else { None };
        let solution = free.or_else(|| eliminate(&equations, COUNT)).unwrap_or([FALLBACK * self.typical; UNKNOWNS]);
        let log_amplitude = |amplitude: f64| math::ln(amplitude.max(LEAST_SHARE * self.typical));
        let floor = solution[COUNT].clamp(0.0, (1.0 - LEAST_SHARE) * self.typical);
        Linear {
            log_amplitudes: [solution[0], solution[1]].map(log_amplitude),
            floor: if self.with_floor { floor } else { 0.0 },
        }
    }

    /// Normal equations of least squares on L / L observed; the right-hand side is the last column.
    fn equations<const COUNT: usize>(&self, basis: impl Fn(&Position) -> [f64; COUNT]) -> Equations {
        let mut equations = Equations::default();
        for sample in self.samples {
            let per_loss = math::exp(-sample.log_loss);
            let mut row = [0.0; UNKNOWNS + 1];
            row.iter_mut().zip(basis(&sample.at)).for_each(|(entry, factor)| *entry = factor * per_loss);
            (row[COUNT], row[UNKNOWNS]) = (per_loss, 1.0);
            for (i, equation) in equations.iter_mut().enumerate() {
                equation.iter_mut().zip(row).for_each(|(entry, factor)| *entry += sample.weight * row[i] * factor);
            }
        }
        equations
    }
}

/// The first `unknowns` of the symmetric positive definite equations solved by elimination, the others zero; `None` where
/// they are singular to rounding.
fn eliminate(equations: &Equations, unknowns: usize) -> Option<[f64; UNKNOWNS]> {
    let mut rows = *equations;
    for pivot in 0..unknowns {
        let row = rows[pivot];
        if row[pivot] <= 1e-14 * equations[pivot][pivot] || row[pivot] <= 0.0 {
            return None;
        }
        for below in rows.iter_mut().take(unknowns).skip(pivot + 1) {
            let factor = below[pivot] / row[pivot];
            below.iter_mut().zip(row).for_each(|(entry, by)| *entry -= factor * by);
        }
    }
    let mut solution = [0.0; UNKNOWNS];
    for i in (0..unknowns).rev() {
        let known: f64 = (i + 1..unknowns).map(|j| rows[i][j] * solution[j]).sum();
        solution[i] = (rows[i][UNKNOWNS] - known) / rows[i][i];
    }
    solution.iter().all(|value| value.is_finite()).then_some(solution)
}

/// Intercept and slope of the weighted least-squares line through points made from samples; flat where all lie at one x.
pub(super) fn line(samples: &[Sample], point: impl Fn(&Sample) -> (f64, f64)) -> (f64, f64) {
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        samples.iter().map(|sample| (sample.weight, point(sample))).map(|(w, (x, y))| w * of(x, y)).sum()
    };
    let total = sum(&|_, _| 1.0);
    let (x0, y0) = (sum(&|x, _| x) / total, sum(&|_, y| y) / total);
    let (xx, xy) = (sum(&|x, _| (x - x0) * (x - x0)), sum(&|x, y| (x - x0) * (y - y0)));
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    (y0 - slope * x0, slope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::Centre;

    fn samples(loss: impl Fn(f64) -> f64) -> Vec<Sample> {
        let at = |flops: f64| Centre::ONE.position(1.0, 1.0, flops);
        let flops = (0..8).map(|i| math::pow(2.0, f64::from(i)));
        flops.map(|c| Sample { at: at(c), log_loss: math::ln(loss(c)), weight: 1.0 }).collect()
    }

    #[test]
    fn amplitude_and_floor_of_a_known_exponent_are_exact() {
        // L = 3 C^-0.5 + 1.25, whose two linear numbers least squares must return.
        let samples = samples(|c| 3.0 / c.sqrt() + 1.25);
        let linear = Projection::onto(&samples, true).solve(|at| [math::exp(-0.5 * at.log_flops)]);
        assert!((math::exp(linear.log_amplitudes[0]) - 3.0).abs() < 1e-10, "{linear:?}");
        assert!((linear.floor - 1.25).abs() < 1e-10, "{linear:?}");
    }

    #[test]
    fn a_floor_below_zero_is_held_at_zero() {
        let samples = samples(|c| 3.0 / c.sqrt() - 0.2);
        let linear = Projection::onto(&samples, true).solve(|at| [math::exp(-0.5 * at.log_flops)]);
        assert!(linear.floor.abs() < 1e-12, "{linear:?}");
    }

    #[test]
    fn one_sample_gives_a_start_all_the_same() {
        let one = &samples(|_| 2.0)[..1];
        let linear = Projection::onto(one, true).solve(|at| [math::exp(-0.5 * at.log_flops)]);
        assert!(linear.log_amplitudes[0].is_finite() && linear.floor.is_finite());
    }
}
