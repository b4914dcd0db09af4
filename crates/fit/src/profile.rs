//! Profile intervals: how the best objective rises as one functional of the parameters is held in place.
//!
//! The functional is held by a stiff spring rather than by elimination: the end point is the exact constrained optimum at
//! wherever the spring left it, so that one solver serves parameters, predictions and optima alike.

use forescale_core::law::Theta;

use crate::fitted::Fitted;
use crate::functional::Functional;
use crate::problem::{Evaluator, Tether};
use crate::solve::solve_on;

/// Stiffness of the spring relative to the profile's own curvature.
const STIFFNESS: f64 = 30.0;
/// Steps on one side before it counts as unbounded.
const MAX_STEPS: usize = 30;
/// Roots past this are not traced; tails beyond are straight.
const MAX_ROOT: f64 = 9.0;

/// A profile as knots (signed root of the scaled rise, value of the functional), rising in both.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profile {
    /// The functional at the optimum.
    pub(crate) centre: f64,
    /// Standard error, where the information matrix is regular.
    pub(crate) standard_error: Option<f64>,
    /// Of a logarithm: the relative deviation of the quantity itself, where it was seen apart from its logarithm's.
    pub(crate) relative_error: Option<f64>,
    knots: Vec<(f64, f64)>,
}

impl Profile {
    /// Traces a functional on both sides until the root passes `reach`.
    pub(crate) fn trace(fitted: &Fitted, functional: Functional, reach: f64) -> Self {
        let (centre, gradient) = functional.at(&fitted.problem, &fitted.optimum.theta);
        let (kappa, standard_error) = fitted.scale_of(&gradient);
        let mut knots = vec![(0.0, centre)];
        if kappa > 0.0 {
            let unit = functional.unit(&fitted.problem, &gradient);
            let scale = standard_error.unwrap_or(0.05 * unit).clamp(1e-9 * unit, 3.0 * unit);
            let reach = (reach * 1.05).min(MAX_ROOT);
            let spring = Spring { functional, kappa, centre };
            for sign in [-1.0, 1.0] {
                knots.extend(side(fitted, spring, sign * scale, reach));
            }
        }
        knots.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { centre, standard_error, relative_error: None, knots: rising(&knots) }
    }

    /// From knots found otherwise.
    pub(crate) fn of_knots(centre: f64, standard_error: Option<f64>, knots: &[(f64, f64)]) -> Self {
        Self { centre, standard_error, relative_error: None, knots: rising(knots) }
    }

    /// Knots (signed root, value), rising in both.
    pub(crate) fn knots(&self) -> &[(f64, f64)] {
        &self.knots
    }

    /// The value at a signed root, `None` past what the data rule out.
    pub(crate) fn bounded(&self, root: f64) -> Option<f64> {
        let (first, last) = (self.knots.first()?, self.knots.last()?);
        (self.knots.len() == 1 || (first.0 <= root && root <= last.0)).then(|| self.value(root))
    }

    /// The value at a signed root; straight past the last knots.
    pub(crate) fn value(&self, root: f64) -> f64 {
        let knots = &self.knots;
        if knots.len() == 1 {
            return self.centre;
        }
        let above = knots.partition_point(|knot| knot.0 < root).clamp(1, knots.len() - 1);
        let ((r0, v0), (r1, v1)) = (knots[above - 1], knots[above]);
        v0 + (v1 - v0) * (root - r0) / (r1 - r0)
    }
}

/// What is held, how much a rise counts, and where it starts.
#[derive(Clone, Copy)]
struct Spring {
    functional: Functional,
    kappa: f64,
    centre: f64,
}

/// Knots on one side; `step` is one signed standard error.
fn side(fitted: &Fitted, spring: Spring, step: f64, reach: f64) -> Vec<(f64, f64)> {
    let Spring { functional, kappa, centre } = spring;
    let mut evaluator = Evaluator::new(&fitted.problem);
    let (mut theta, mut knots) = (fitted.optimum.theta, Vec::new());
    let (mut distance, mut stride, mut last) = (0.0, 0.4, (0.0, centre));
    for _ in 0..MAX_STEPS {
        distance += stride;
        let slack = step.abs() * (1.0 + 0.3 * distance);
        let stiffness = STIFFNESS * kappa / (slack * slack);
        let lead = distance * (1.0 + 1.0 / STIFFNESS);
        evaluator.tether = Some(Tether { functional, target: centre + step * lead, stiffness });
        let Some(knot) = held(fitted, &evaluator, spring, &mut theta) else { break };
        if (knot.1 - last.1) * step <= 1e-9 * step * step {
            break;
        }
        knots.push((step.signum() * knot.0, knot.1));
        if knot.0 >= reach {
            break;
        }
        // Aim at a third of a root to one per step, whatever the profile's shape.
        let gained: f64 = knot.0 - last.0;
        stride *= (0.6 / gained.max(1e-3)).clamp(0.5, 2.5);
        last = knot;
    }
    knots
}

/// The optimum with the spring in place: (unsigned root, functional).
fn held(fitted: &Fitted, evaluator: &Evaluator<'_>, spring: Spring, theta: &mut Theta) -> Option<(f64, f64)> {
    let optimum = solve_on(evaluator, theta, &[evaluator.problem.cost])?;
    *theta = optimum.theta;
    let rise = (optimum.value - fitted.optimum.value).max(0.0);
    let root = (2.0 * rise / spring.kappa).sqrt();
    root.is_finite().then(|| (root, spring.functional.at(evaluator.problem, theta).0))
}

/// Knots whose values rise with their roots; a knot out of order is dropped.
fn rising(knots: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::with_capacity(knots.len());
    for &knot in knots {
        if kept.last().is_none_or(|last| knot.0 > last.0 + 1e-9 && knot.1 > last.1) {
            kept.push(knot);
        }
    }
    kept
}
