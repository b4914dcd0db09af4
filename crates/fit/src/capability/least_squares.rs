//! The least sum of squares over a few parameters: Levenberg's and Marquardt's damping of Gauss and Newton's step.
//!
//! The laws of capability have two to four parameters and tens of points. [`crate::solve`] serves laws of loss; this is the
//! same step for any residual that knows its gradient.

use forescale_core::law::Theta;

use crate::linear::{Matrix, add_outer, solve};

/// Steps at most: a step that lowers nothing raises the damping, so that a hopeless start ends.
const STEPS: usize = 80;
/// A relative fall of the sum below this is none.
const STILL: f64 = 1e-12;

/// One residual and its gradient.
pub(crate) type Residual = (f64, Theta);

/// Where it is least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Least {
    pub(crate) theta: Theta,
    /// Sum of squares.
    pub(crate) squares: f64,
}

/// The least sum of squares from one start, over the first `count` parameters.
pub(crate) fn from_start(of: &impl Fn(&Theta) -> Vec<Residual>, start: Theta, count: usize) -> Option<Least> {
    let free: Vec<usize> = (0..count).collect();
    let sum = |residuals: &[Residual]| residuals.iter().map(|(r, _)| r * r).sum::<f64>();
    let (mut theta, mut residuals) = (start, of(&start));
    let mut squares = sum(&residuals);
    let mut damping = 1e-3;
    for _ in 0..STEPS {
        let Some(step) = damped_step(&residuals, damping, &free) else {
            damping *= 10.0;
            continue;
        };
        let mut next = theta;
        next.iter_mut().zip(&step).for_each(|(value, step)| *value -= step);
        let tried = of(&next);
        let lower = sum(&tried);
        if lower.is_finite() && lower <= squares {
            let is_still = squares - lower <= STILL * squares;
            (theta, residuals, squares) = (next, tried, lower);
            damping = (damping * 0.2_f64).max(1e-12);
            if is_still {
                break;
            }
        } else if damping > 1e12 {
            break;
        } else {
            damping *= 8.0;
        }
    }
    squares.is_finite().then_some(Least { theta, squares })
}

/// The lowest over several starts; the first of equals.
pub(crate) fn lowest(
    of: &impl Fn(&Theta) -> Vec<Residual>,
    starts: impl Iterator<Item = Theta>,
    count: usize,
) -> Option<Least> {
    let found = starts.filter_map(|start| from_start(of, start, count));
    found.reduce(|best, next| if next.squares < best.squares { next } else { best })
}

/// (JᵀJ + λ diag JᵀJ)⁻¹ Jᵀr.
fn damped_step(residuals: &[Residual], damping: f64, free: &[usize]) -> Option<Theta> {
    let (mut matrix, mut right) = (Matrix::default(), Theta::default());
    for (residual, gradient) in residuals {
        add_outer(&mut matrix, gradient, 1.0);
        right.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g * residual);
    }
    for &i in free {
        matrix[i][i] += damping * matrix[i][i].max(1e-12);
    }
    solve(&matrix, &right, free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use forescale_core::law::padded;
    use forescale_core::math;

    /// Misra1a of NIST's reference data sets for nonlinear regression: y = b1(1 − e^(−b2·x)).
    const X: [f64; 14] =
        [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0];
    const Y: [f64; 14] =
        [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78];

    fn misra(theta: &Theta) -> Vec<Residual> {
        let one = |(x, y): (&f64, &f64)| {
            let fallen = math::exp(-theta[1] * x);
            (theta[0] * (1.0 - fallen) - y, padded([1.0 - fallen, theta[0] * x * fallen]))
        };
        X.iter().zip(&Y).map(one).collect()
    }

    #[test]
    fn nists_certified_values_come_out_from_its_far_start() {
        let found = from_start(&misra, padded([500.0, 0.0001]), 2).expect("ends");
        // Certified: 2.3894212918E+02, 5.5015643181E-04, residual sum of squares 1.2455138894E-01.
        assert!((found.theta[0] / 238.942_129_18 - 1.0).abs() < 1e-7, "{found:?}");
        assert!((found.theta[1] / 5.501_564_318_1e-4 - 1.0).abs() < 1e-7, "{found:?}");
        assert!((found.squares / 0.124_551_388_94 - 1.0).abs() < 1e-8, "{found:?}");
    }

    #[test]
    fn a_parameter_that_nothing_depends_on_stays_where_it_was() {
        let of = |theta: &Theta| vec![(theta[0] - 2.0, padded([1.0, 0.0]))];
        let found = from_start(&of, padded([0.0, 7.0]), 2).expect("ends");
        assert!((found.theta[0] - 2.0).abs() < 1e-6 && (found.theta[1] - 7.0).abs() < 1e-12, "{found:?}");
    }
}
