//! A second opinion on an optimum: argmin's own L-BFGS in another parametrisation.
//!
//! It shares the objective with the solver and nothing else: no Hessian, no continuation, no bounds (floors and exponents
//! are exponentials of its coordinates). On an objective with the edges of least absolute deviations it often stops
//! early, so that ending above the optimum says little; ending below it says that the optimum is none. Its line search
//! has no limit of its own: here each leg has a budget of evaluations, and what counts is the lowest one seen.

use std::cell::Cell;

use argmin::core::{CostFunction, Error, Executor, Gradient, IterState};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use forescale_core::law::{Scale, Theta};
use forescale_core::math;

use crate::problem::Evaluator;
use crate::solve::Optimum;

/// Evaluations of one leg on few samples, and of many: on 100,000 a leg is then a twentieth of a second.
const BUDGET: u32 = 600;
const BUDGET_OF_MANY: u32 = 60;
const MANY: usize = 5_000;
/// Steps whose curvature L-BFGS remembers: Nocedal and Wright, Numerical Optimization, 2006, 7.2, recommend 3 to 20.
const MEMORY: usize = 7;
/// How far from the optimum the second leg starts, in each coordinate.
const DISPLACED: f64 = 1e-3;

/// The lowest objective that two legs saw, from a start and from beside the optimum, over the optimum's, less one; `None`
/// of an optimum without a positive objective.
pub(crate) fn cross_check(evaluator: &Evaluator<'_>, optimum: &Optimum, start: Option<Theta>) -> Option<f64> {
    if optimum.value.is_nan() || optimum.value <= 1e-20 {
        return None;
    }
    let beside = free(evaluator, &optimum.theta).into_iter().map(|coordinate| coordinate + DISPLACED).collect();
    let legs = [start.map(|start| free(evaluator, &start)), Some(beside)];
    let lowest = legs.into_iter().flatten().map(|leg| descend(evaluator, optimum.value, leg)).fold(f64::NAN, f64::min);
    lowest.is_finite().then_some(lowest - 1.0)
}

/// The objective, in units of the optimum's, as L-BFGS sees it.
struct Unbounded<'a> {
    evaluator: &'a Evaluator<'a>,
    unit: f64,
    left: Cell<u32>,
    lowest: Cell<f64>,
}

fn descend(evaluator: &Evaluator<'_>, unit: f64, start: Vec<f64>) -> f64 {
    let budget = if evaluator.problem.samples.len() > MANY { BUDGET_OF_MANY } else { BUDGET };
    let problem = Unbounded { evaluator, unit, left: Cell::new(budget), lowest: Cell::new(f64::INFINITY) };
    let solver: LBFGS<_, Vec<f64>, Vec<f64>, f64> = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY);
    let executor = Executor::new(&problem, solver).ctrlc(false).timer(false);
    // A budget that is spent ends the leg with an error; the lowest value stands either way.
    let _ended = executor
        .configure(|state: IterState<Vec<f64>, Vec<f64>, (), (), (), f64>| state.param(start).max_iters(200))
        .run();
    problem.lowest.get()
}

/// Whether a coordinate is the logarithm of the parameter: floors and exponents, which are positive.
fn is_positive(evaluator: &Evaluator<'_>, index: usize) -> bool {
    let parameter = &evaluator.problem.form.parameters()[index];
    parameter.scale == Scale::Linear && parameter.lower >= 0.0
}

/// θ as coordinates without bounds; a floor of zero becomes a very small one.
fn free(evaluator: &Evaluator<'_>, theta: &Theta) -> Vec<f64> {
    let coordinate = |i: usize| if is_positive(evaluator, i) { math::ln(theta[i].max(1e-6)) } else { theta[i] };
    (0..evaluator.problem.count()).map(coordinate).collect()
}

/// θ within its bounds, and the derivative of each of its entries by its coordinate: zero on a bound.
fn bound(evaluator: &Evaluator<'_>, coordinates: &[f64]) -> (Theta, Theta) {
    let (mut theta, mut slopes) = (Theta::default(), Theta::default());
    for (i, &coordinate) in coordinates.iter().enumerate() {
        let is_positive = is_positive(evaluator, i);
        theta[i] = if is_positive { math::exp(coordinate) } else { coordinate };
        slopes[i] = if is_positive { theta[i] } else { 1.0 };
    }
    let inside = evaluator.problem.clamp(&theta);
    for i in 0..coordinates.len() {
        if inside[i].to_bits() != theta[i].to_bits() {
            slopes[i] = 0.0;
        }
    }
    (inside, slopes)
}

impl Unbounded<'_> {
    fn at(&self, coordinates: &[f64]) -> Result<(f64, Vec<f64>), Error> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| Error::msg("the budget is spent"))?;
        self.left.set(left);
        let (theta, slopes) = bound(self.evaluator, coordinates);
        let system = self.evaluator.system(&theta, self.evaluator.problem.cost);
        let value = system.value / self.unit;
        if value < self.lowest.get() {
            self.lowest.set(value);
        }
        let gradient = system.gradient.iter().zip(slopes).map(|(g, slope)| g * slope / self.unit);
        Ok((value, gradient.take(coordinates.len()).collect()))
    }
}

impl CostFunction for &Unbounded<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, coordinates: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.at(coordinates)?.0)
    }
}

impl Gradient for &Unbounded<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, coordinates: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.at(coordinates)?.1)
    }
}
