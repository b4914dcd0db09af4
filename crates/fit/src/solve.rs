//! Finding the optimum: a damped Newton method with continuation in the objective's width, run by argmin.
//!
//! With Huber at 1e-3 most residuals of a real table lie on the straight part, so that the objective has nearly the edges
//! of least absolute deviations, and a quasi-Newton method with a line search stops early (SciPy's L-BFGS-B: 5 to 7% of
//! starts reach the optimum). Here each start is solved as least squares first, then with ever smaller widths, each
//! warm-started, and the last is polished with the exact Hessian until the gradient is zero: to 1e-11 for each start, to the
//! machine's precision for the best.
//! Parameters are kept within bounds by freezing those that a step would push further out.
//!
//! # What counts as a start
//!
//! A start is one point of a grid, polished from there. Three things are done to it on the way, and to no other number: its
//! first steps are taken on some 60 samples where there are twice as many, a term whose share of the loss falls below 1e-6
//! in the first width is put back, at most twice each time, and a start whose gradient is not zero in the end goes through
//! the widths once more. Shares of agreeing starts count every point of the
//! grid: starts that end at one place are not collapsed into one, and none is left out.
//!
//! Least absolute deviations stand as a width of 1e-9, where the rounding of one log loss, 2e-16, is 2e-7 of a slope: their
//! gradient ends above 1e-10, and on one of six tables more than half of the starts stop in a corner beside the optimum
//! (`benches/fit.md`).

use argmin::core::{Error, Executor, IterState, KV, Problem, Solver, State as _, TerminationReason};
use forescale_core::law::{FallingTerm, MAX_PARAMETERS, Theta};
use forescale_core::math;
use rayon::prelude::*;

use crate::linear::{Matrix, solve};
use crate::objective::Cost;
use crate::problem::{Evaluator, FitProblem, System};

/// Iterations of one start over all widths; a start of a real table takes 20 to 60.
const MAX_ITERATIONS: u64 = 400;
/// Iterations of one intermediate width.
const STAGE_ITERATIONS: u32 = 12;
/// A scaled gradient below this ends an intermediate width.
const STAGE_GRADIENT: f64 = 3e-3;
/// A scaled gradient below this is an optimum: what every start is polished to.
const START_GRADIENT: f64 = 1e-11;
/// A scaled gradient below this is zero to the machine's precision: what the best end is polished to.
const FINAL_GRADIENT: f64 = 1e-14;
/// Below this a step that fails shows rounding and not a damping that is too small.
const ROUNDING_GRADIENT: f64 = 1e-8;
/// Relative rounding of an objective: a thousand times the machine's, for sums of as many terms.
const VALUE_ROUNDING: f64 = 1e-13;
/// Rounding of one predicted log loss: some times the machine's, for the exponentials and the logarithm that it is made of.
const RESIDUAL_ROUNDING: f64 = 4.0 * f64::EPSILON;
/// Damping that a start begins with, after a step that failed, after each further one in a row, and after one that went
/// down. Chosen here with the widths, on the six tables of `benches/fit.md` under Huber at 1e-3: of some twenty settings
/// the one that took fewest evaluations of those whose classic starts agree most. A rise of 5 each time and a fall of 0.3
/// take 2% more and lose 390 starts of two tables.
const FIRST_DAMPING: f64 = 1e-2;
const DAMPING_UP: f64 = 8.0;
const DAMPING_STEEPER: f64 = 1.5;
const DAMPING_DOWN: f64 = 0.1;
/// A term whose share of the loss is below this (root of the weighted mean square) has vanished: no step can tell where to
/// put it.
const VANISHED_SHARE: f64 = 1e-6;
/// How often one start may have a term put back.
const REVIVALS: u32 = 2;
/// Where a vanished term is put back: the exponent of most published fits, and a twentieth of the loss.
const REVIVED: (f64, f64) = (0.3, 0.05);
/// Samples beyond which starts are followed on a part of them first.
const MANY_SAMPLES: usize = 2000;
/// About so many samples, where there are twice as many, lead a start into the first width: far from an optimum they say
/// what all would. Of 40, 60 and 120 those with which the classic starts of the Chinchilla table take least time, 35 passes
/// over 240 samples in place of 63.
const FIRST_SAMPLES: usize = 60;

type SolverState = IterState<Theta, (), (), (), (), f64>;

/// Where one start ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Optimum {
    pub(crate) theta: Theta,
    /// Objective, tether excluded.
    pub(crate) value: f64,
    /// Gradient over the free coordinates, each scaled by its sensitivity and by the size of the slopes.
    pub(crate) gradient_norm: f64,
}

/// What a search from several starts found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) optimum: Optimum,
    /// Starts that ended within 1e-6 of its objective.
    pub(crate) agreeing: usize,
}

/// Polishes every start, and the best end to the machine's precision. Of many samples the starts are followed on a part
/// of them, and where that ends on all.
pub(crate) fn search(problem: &FitProblem, starts: &[Theta]) -> Option<Found> {
    let evaluator = Evaluator::new(problem);
    let ends = match problem.thinned(MANY_SAMPLES) {
        Some(thin) => from_part(&evaluator, &thin, starts),
        None => follow(&evaluator, starts, &problem.cost.stages()),
    };
    let best = best_of(&ends)?;
    let polished = run(&evaluator, &best.theta, &[problem.cost], FINAL_GRADIENT);
    let optimum = polished.filter(|polished| polished.gradient_norm <= best.gradient_norm).unwrap_or(best);
    let optimum = past_rounding(&evaluator, optimum);
    let limit = optimum.value + 1e-6 * optimum.value.abs().max(1e-20);
    Some(Found { optimum, agreeing: ends.iter().filter(|end| end.value <= limit).count() })
}

/// An optimum that stopped short of a zero gradient, polished by the rounding that its own residuals have.
///
/// Residuals are differences of log losses: a few that are a few ten-thousandths keep twelve digits, and their sum of squares
/// no more, so that [`VALUE_ROUNDING`] takes its noise for steps that go up. Where that noise is allowed for, the gradient,
/// which keeps its digits, decides.
fn past_rounding(evaluator: &Evaluator<'_>, optimum: Optimum) -> Optimum {
    if optimum.gradient_norm <= ROUNDING_GRADIENT {
        return optimum;
    }
    let stages = [evaluator.problem.cost];
    let solver =
        DampedNewton { rounding: rounding(evaluator, &optimum.theta), ..DampedNewton::new(&stages, FINAL_GRADIENT) };
    let further = run_by(evaluator, &optimum.theta, solver);
    further.filter(|further| further.gradient_norm < optimum.gradient_norm).unwrap_or(optimum)
}

/// By how much the objective may be off at a point, by the rounding of each residual: Σ |wψ| of it, and no more than Cauchy
/// and Schwarz allow.
fn rounding(evaluator: &Evaluator<'_>, theta: &Theta) -> f64 {
    let problem = evaluator.problem;
    let slopes = evaluator.system(theta, problem.cost).slope_square * problem.samples.len() as f64;
    slopes.sqrt() * RESIDUAL_ROUNDING * evaluator.log_loss.abs().max(1.0)
}

/// How many samples the starts are followed on where that is a part of them.
pub(crate) fn search_size(problem: &FitProblem) -> Option<usize> {
    problem.thinned(MANY_SAMPLES).map(|thin| thin.samples.len())
}

/// Ends on all samples of starts followed on a part of them: one polish for each end that differs.
fn from_part(evaluator: &Evaluator<'_>, thin: &FitProblem, starts: &[Theta]) -> Vec<Optimum> {
    let near = follow(&Evaluator::new(thin), starts, &thin.cost.stages());
    let (distinct, which) = distinct_ends(&near);
    let whole: Vec<Option<Optimum>> =
        distinct.par_iter().map(|theta| solve_on(evaluator, theta, &evaluator.problem.cost.last_stages())).collect();
    which.into_iter().filter_map(|index| whole[index]).collect()
}

/// Ends that differ, and for each end which of them it is. Both have zero gradient to rounding, so that two which agree
/// to 1e-8 are one.
fn distinct_ends(ends: &[Optimum]) -> (Vec<Theta>, Vec<usize>) {
    let mut distinct: Vec<Theta> = Vec::new();
    let same = |a: &Theta, b: &Theta| a.iter().zip(b).all(|(x, y)| (x - y).abs() <= 1e-8 * (1.0 + y.abs()));
    let which = ends.iter().map(|end| {
        distinct.iter().position(|known| same(known, &end.theta)).unwrap_or_else(|| {
            distinct.push(end.theta);
            distinct.len() - 1
        })
    });
    let which = which.collect();
    (distinct, which)
}

/// Follows one start through all widths, warm or cold.
#[allow(clippy::needless_pass_by_value, reason = "callers make the widths for it")]
pub(crate) fn solve_from(problem: &FitProblem, start: &Theta, stages: Vec<Cost>) -> Option<Optimum> {
    solve_on(&Evaluator::new(problem), start, &stages)
}

/// The same on a problem that is laid out already.
pub(crate) fn solve_on(evaluator: &Evaluator<'_>, start: &Theta, stages: &[Cost]) -> Option<Optimum> {
    run(evaluator, start, stages, START_GRADIENT)
}

fn run(evaluator: &Evaluator<'_>, start: &Theta, stages: &[Cost], limit: f64) -> Option<Optimum> {
    run_by(evaluator, start, DampedNewton::new(stages, limit))
}

fn run_by(evaluator: &Evaluator<'_>, start: &Theta, solver: DampedNewton<'_>) -> Option<Optimum> {
    let problem = evaluator.problem;
    let executor = Executor::new(evaluator, solver)
        .ctrlc(false)
        .timer(false)
        .configure(|state: SolverState| state.param(problem.clamp(start)).max_iters(MAX_ITERATIONS));
    let result = executor.run().ok()?;
    let theta = *result.state.get_param()?;
    let system = result.solver.system;
    let value =
        if evaluator.tether.is_some() { evaluator.untethered(&theta, problem.cost).value } else { system.value };
    let gradient_norm = scaled_gradient(problem, &theta, &system);
    (value.is_finite() && gradient_norm.is_finite()).then_some(Optimum { theta, value, gradient_norm })
}

/// Polishes every start, each by itself and in parallel; the results keep the order of the starts.
#[cfg(any(test, feature = "bench"))]
pub(crate) fn solve_all(problem: &FitProblem, starts: &[Theta]) -> Vec<Optimum> {
    follow(&Evaluator::new(problem), starts, &problem.cost.stages())
}

/// One start; from where it stuck once more through all widths, should it have stuck.
fn persist(evaluator: &Evaluator<'_>, start: &Theta, stages: &[Cost]) -> Option<Optimum> {
    let end = solve_on(evaluator, start, stages)?;
    if end.gradient_norm < ROUNDING_GRADIENT {
        return Some(end);
    }
    let again = solve_on(evaluator, &end.theta, stages).filter(|again| again.value < end.value);
    Some(again.unwrap_or(end))
}

fn follow(evaluator: &Evaluator<'_>, starts: &[Theta], stages: &[Cost]) -> Vec<Optimum> {
    let few = evaluator.problem.thinned(FIRST_SAMPLES);
    let few = few.as_ref().map(Evaluator::new);
    let end =
        |start: &Theta| persist(evaluator, &few.as_ref().map_or(*start, |few| approach(few, start, stages)), stages);
    let found: Vec<Option<Optimum>> = starts.par_iter().map(end).collect();
    found.into_iter().flatten().collect()
}

/// Where the first width leads on a few samples; the start itself where it leads nowhere.
fn approach(few: &Evaluator<'_>, start: &Theta, stages: &[Cost]) -> Theta {
    // Twice the same: a vanished term is put back in a width that is not the last.
    let first = [stages[0]; 2];
    run(few, start, &first, STAGE_GRADIENT).map_or(*start, |end| end.theta)
}

/// The best of several ends; of equal ones the first.
pub(crate) fn best_of(found: &[Optimum]) -> Option<Optimum> {
    found.iter().copied().reduce(|best, next| if next.value < best.value { next } else { best })
}

/// Norm of the gradient over free coordinates. Each component is divided by the largest it could be, so that it is a
/// cosine: 1 is a gradient to which every residual contributes with one sign, 0 an optimum.
pub(crate) fn scaled_gradient(problem: &FitProblem, theta: &Theta, system: &System) -> f64 {
    let slopes = system.slope_square.sqrt().max(1e-15 * (problem.samples.len() as f64).sqrt() * problem.cost.bend(0.0));
    let free = free_coordinates(problem, theta, system);
    let component = |&i: &usize| system.gradient[i] / (system.sensitivity[i].sqrt().max(1e-150) * slopes);
    free.iter().map(component).map(|g| g * g).sum::<f64>().sqrt()
}

/// Indices of coordinates, in order, without an allocation for each step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coordinates {
    indices: [usize; MAX_PARAMETERS],
    count: usize,
}

impl core::ops::Deref for Coordinates {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.indices[..self.count]
    }
}

/// Coordinates that a step may move: all but those on a bound that the gradient presses against it.
pub(crate) fn free_coordinates(problem: &FitProblem, theta: &Theta, system: &System) -> Coordinates {
    let parameters = problem.form.parameters();
    let pressed = |i: usize| {
        let parameter = &parameters[i];
        (theta[i] <= parameter.lower && system.gradient[i] > 0.0)
            || (theta[i] >= parameter.upper && system.gradient[i] < 0.0)
    };
    let mut free = Coordinates { indices: [0; MAX_PARAMETERS], count: 0 };
    for i in (0..parameters.len()).filter(|&i| !pressed(i)) {
        free.indices[free.count] = i;
        free.count += 1;
    }
    free
}

/// The solver: one damped step per iteration.
struct DampedNewton<'s> {
    stages: &'s [Cost],
    stage: usize,
    iterations: u32,
    damping: f64,
    system: System,
    /// The Gauss–Newton matrix where the system stands, once a step has asked for it.
    gauss_newton: Option<Matrix>,
    /// The scaled gradient that ends the last width.
    limit: f64,
    revivals: u32,
    /// Rounding of the objective, where it is known to be more than [`VALUE_ROUNDING`] of it.
    rounding: f64,
}

impl<'s> DampedNewton<'s> {
    fn new(stages: &'s [Cost], limit: f64) -> Self {
        // A polish begins where a plain Newton step is right: damping would leave the weakest directions as they are.
        let damping = if limit < START_GRADIENT { 1e-15 } else { FIRST_DAMPING };
        let system = System::default();
        let (gauss_newton, revivals, rounding) = (None, 0, 0.0);
        Self { stages, stage: 0, iterations: 0, damping, system, gauss_newton, limit, revivals, rounding }
    }

    fn cost(&self) -> Cost {
        self.stages[self.stage]
    }

    fn stand_at(&mut self, system: System) {
        self.system = system;
        self.gauss_newton = None;
    }

    fn is_last_stage(&self) -> bool {
        self.stage + 1 == self.stages.len()
    }

    /// Goes on to the next width, if there is one.
    fn advance(&mut self, evaluator: &Evaluator<'_>, theta: &Theta) -> bool {
        if self.is_last_stage() {
            return false;
        }
        self.stage += 1;
        self.iterations = 0;
        self.damping = self.damping.min(1e-3);
        self.stand_at(evaluator.system(theta, self.cost()));
        true
    }

    /// θ with a term put back that has vanished, in the first of several widths.
    ///
    /// A vanished term has no gradient left, so that its amplitude runs off to minus infinity and the start is lost,
    /// although a little of that term would lower the objective: a corner of the logarithm and not of the law.
    fn revived(&mut self, evaluator: &Evaluator<'_>, theta: Theta) -> Theta {
        if self.stage > 0 || self.is_last_stage() || self.revivals >= REVIVALS {
            return theta;
        }
        let Some(parts) = evaluator.problem.form.falling_terms() else { return theta };
        let least = VANISHED_SHARE * VANISHED_SHARE * evaluator.weight;
        let is_gone = |term: &&FallingTerm| self.system.sensitivity[term.amplitude] < least;
        let gone: Vec<&FallingTerm> = parts.terms.iter().filter(is_gone).collect();
        if gone.is_empty() {
            return theta;
        }
        let mut back = theta;
        for term in gone {
            back[term.exponent] = REVIVED.0;
            back[term.amplitude] = evaluator.log_loss + math::ln(REVIVED.1);
        }
        self.revivals += 1;
        self.damping = 1e-3;
        self.stand_at(evaluator.system(&back, self.cost()));
        back
    }

    /// Whether a step goes down. Within rounding of the objective, where it can no longer tell, the gradient decides.
    fn improves(&self, problem: &FitProblem, theta: &Theta, (moved, system): (&Theta, &System)) -> bool {
        let rounding = (VALUE_ROUNDING * self.system.value.abs()).max(self.rounding);
        if (system.value - self.system.value).abs() > rounding {
            return system.value < self.system.value;
        }
        let [before, after] = [(theta, &self.system), (moved, system)].map(|(at, s)| scaled_gradient(problem, at, s));
        after < 0.5 * before
    }

    /// A damped step: Newton's where the Hessian is positive, Gauss and Newton's where it is not.
    fn direction(&mut self, evaluator: &Evaluator<'_>, theta: &Theta, free: &[usize]) -> Option<Theta> {
        let cost = self.cost();
        let Self { system, gauss_newton, damping, .. } = self;
        let along = |matrix: &Matrix| solve(&damped(matrix, system, *damping), &system.gradient, free);
        along(&system.newton).or_else(|| along(gauss_newton.get_or_insert_with(|| evaluator.gauss_newton(theta, cost))))
    }

    /// Where a step leads, if it goes down. A step that goes up is given up as soon as that is known.
    fn lower(&self, evaluator: &Evaluator<'_>, theta: &Theta, direction: &Theta) -> Option<(Theta, System)> {
        let mut moved = *theta;
        moved.iter_mut().zip(direction).for_each(|(value, by)| *value -= by);
        let moved = evaluator.problem.clamp(&moved);
        // Twice the rounding within which the gradient decides.
        let limit = (self.system.value * (1.0 + 2.0 * VALUE_ROUNDING)).max(self.system.value + 2.0 * self.rounding);
        let system = evaluator.system_within(&moved, self.cost(), limit)?;
        self.improves(evaluator.problem, theta, (&moved, &system)).then_some((moved, system))
    }

    /// The first damped step that lowers the objective, with the system there.
    fn step(&mut self, evaluator: &Evaluator<'_>, theta: &Theta, norm: f64) -> Option<(Theta, System)> {
        let problem = evaluator.problem;
        let free = free_coordinates(problem, theta, &self.system);
        let attempts = if norm < ROUNDING_GRADIENT { 3 } else { 24 };
        let mut steeper = DAMPING_UP;
        for _ in 0..attempts {
            if let Some(direction) = self.direction(evaluator, theta, &free) {
                if is_negligible(&direction, theta) {
                    return None;
                }
                if let Some(there) = self.lower(evaluator, theta, &direction) {
                    self.damping = (self.damping * DAMPING_DOWN).max(1e-15);
                    return Some(there);
                }
            }
            self.damping = (self.damping * steeper).max(1e-6);
            steeper *= DAMPING_STEEPER;
        }
        None
    }
}

/// Whether a step is below the rounding of every coordinate.
fn is_negligible(direction: &Theta, theta: &Theta) -> bool {
    direction.iter().zip(theta).all(|(by, value)| by.abs() <= 1e-16 * (1.0 + value.abs()))
}

/// A matrix with damping on its diagonal, in proportion to each coordinate's own curvature.
fn damped(matrix: &Matrix, system: &System, damping: f64) -> Matrix {
    let mut sum = *matrix;
    for (i, row) in sum.iter_mut().enumerate() {
        row[i] += damping * (system.majorizer[i] + 1e-12 * system.sensitivity[i]) + 1e-300;
    }
    sum
}

impl<'a> Solver<&'a Evaluator<'a>, SolverState> for DampedNewton<'_> {
    fn name(&self) -> &'static str {
        "damped Newton with continuation"
    }

    fn init(
        &mut self,
        problem: &mut Problem<&'a Evaluator<'a>>,
        state: SolverState,
    ) -> Result<(SolverState, Option<KV>), Error> {
        let theta = *state.get_param().expect("a start is configured");
        self.system = problem.problem.expect("the problem is set").system(&theta, self.cost());
        Ok((state.cost(self.system.value), None))
    }

    fn next_iter(
        &mut self,
        problem: &mut Problem<&'a Evaluator<'a>>,
        mut state: SolverState,
    ) -> Result<(SolverState, Option<KV>), Error> {
        let evaluator = problem.problem.expect("the problem is set");
        let theta = state.take_param().expect("a start is configured");
        self.iterations += 1;
        let theta = self.revived(evaluator, theta);
        let limit = if self.is_last_stage() { self.limit } else { STAGE_GRADIENT };
        let norm = scaled_gradient(evaluator.problem, &theta, &self.system);
        let finished = norm < limit || (!self.is_last_stage() && self.iterations > STAGE_ITERATIONS);
        let step = if finished { None } else { self.step(evaluator, &theta, norm) };
        if let Some((moved, system)) = step {
            self.stand_at(system);
            return Ok((state.param(moved).cost(system.value), None));
        }
        let state = if self.advance(evaluator, &theta) {
            state
        } else {
            state.terminate_with(TerminationReason::SolverConverged)
        };
        Ok((state.param(theta).cost(self.system.value), None))
    }
}

#[cfg(test)]
mod tests;
