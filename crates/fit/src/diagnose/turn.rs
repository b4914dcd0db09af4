//! A loss that turns up over the largest rungs of a path: no law that falls with compute can be carried past it.
//!
//! A line through the last rungs, as many as show it best, against the scatter of all of them off a curve: what three-step
//! differences leave of four neighbours once a parabola is taken out, so that neither a fall nor a turn counts as scatter.
//! Such runs are mostly trained worse and not too large: a rate that was not lowered with size, data that repeat.

use core::fmt;

use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::Severity;

use super::Voiced;
use crate::fitted::Fitted;
use crate::path;

/// Budgets on a path whose compute differs by less are one.
const ONE_BUDGET: f64 = 1.02;
/// Fewest rungs whose scatter is known: two windows of four.
const LEAST_RUNGS: usize = 5;
/// Fewest rungs that rise.
const LEAST_RISING: usize = 3;
/// A rise by less is none. Chosen here: below what a forecast of a decade is off by.
const LEAST_RISE: f64 = 0.005;
/// Chance makes a rise as steep less often than this, over all lengths of it together. Chosen here: a refusal follows.
const CHANCE: f64 = 2e-3;
/// With fewer rungs their scatter is hardly known, and a rise is said that may be noise.
const KNOWN_SCATTER: usize = 8;
/// A rise by less is not worth saying where it may be noise.
const WORTH_SAYING: f64 = 0.01;
/// Losses are written with few digits: scatter is no less, in ln L.
const ROUNDING: f64 = 1e-6;

/// What was seen of a turn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TurnsUp {
    law: String,
    /// How many of the largest rungs rise.
    rising: usize,
    rungs: usize,
    /// By which share the loss rises over those.
    rise: f64,
    /// Compute of the first of those.
    from: f64,
    /// Whether chance hardly makes it.
    is_sure: bool,
}

/// Where a path that a law is fitted to ends in a rise that is no noise; a law that turns itself asks for nothing else.
pub(super) fn turns_up(fitted: &Fitted) -> Option<TurnsUp> {
    let rungs = asked(fitted).filter(|rungs| rungs.len() >= LEAST_RUNGS)?;
    let (variance, degrees) = scatter(&rungs);
    let lengths = LEAST_RISING..rungs.len();
    let chance = CHANCE / lengths.len() as f64;
    let rises = lengths.filter_map(|rising| {
        let last = &rungs[rungs.len() - rising..];
        let (slope, squares) = slope(last)?;
        let rise = math::exp(slope * (last[rising - 1].0 - last[0].0)) - 1.0;
        let t = slope * (squares / variance).sqrt();
        (rise > LEAST_RISE && 1.0 - math::student_t_cdf(t, degrees) < chance).then_some((rising, rise, t))
    });
    let (rising, rise, _) = rises.max_by(|a, b| a.2.total_cmp(&b.2))?;
    Some(TurnsUp::of(fitted, &rungs, rising, (rise, true)))
}

/// The same where rungs are too few to tell a turn from noise: each of the last is higher than the one before.
pub(super) fn may_turn_up(fitted: &Fitted) -> Option<TurnsUp> {
    let rungs = asked(fitted).filter(|rungs| rungs.len() < KNOWN_SCATTER && turns_up(fitted).is_none())?;
    let rising = 1 + rungs.windows(2).rev().take_while(|pair| pair[1].1 > pair[0].1).count();
    let rise = math::exp(rungs[rungs.len() - 1].1 - rungs[rungs.len() - rising].1) - 1.0;
    (rising >= LEAST_RISING && rise > WORTH_SAYING).then(|| TurnsUp::of(fitted, &rungs, rising, (rise, false)))
}

/// The rungs of a path law that is carried further.
fn asked(fitted: &Fitted) -> Option<Vec<(f64, f64)>> {
    let is_carried = fitted.problem.is_path_law() && fitted.law.form().extrapolates();
    is_carried.then(|| rungs(&fitted.points))
}

/// ln C and ln L of each budget by its median.
pub(super) fn rungs(points: &[Observation]) -> Vec<(f64, f64)> {
    let points: Vec<&Observation> = points.iter().collect();
    let middle = |budget: &[&Observation], of: fn(&Observation) -> f64| {
        math::median(&budget.iter().map(|o| math::ln(of(o))).collect::<Vec<_>>()).unwrap_or_default()
    };
    let cut = path::budgets(&points, ONE_BUDGET);
    cut.iter().map(|budget| (middle(budget, |o| o.flops), middle(budget, |o| o.loss))).collect()
}

/// Variance of one rung off a smooth curve, and its degrees of freedom: windows of four overlap, and two tell about as much
/// as one.
fn scatter(rungs: &[(f64, f64)]) -> (f64, f64) {
    let squares: Vec<f64> = rungs.windows(4).map(|four| off_parabola(four) * off_parabola(four)).collect();
    let windows = squares.len() as f64;
    let variance = squares.iter().sum::<f64>() / windows;
    (variance.max(ROUNDING * ROUNDING), (0.5 * windows).max(1.0))
}

/// What four points have off every parabola, in standard deviations of one: the divided difference of third order.
fn off_parabola(four: &[(f64, f64)]) -> f64 {
    let weight = |i: usize| (0..4).filter(|&j| j != i).map(|j| four[i].0 - four[j].0).product::<f64>().recip();
    let (sum, squares) = (0..4).fold((0.0, 0.0), |(sum, squares), i| {
        let weight = weight(i);
        (sum + weight * four[i].1, squares + weight * weight)
    });
    sum / squares.sqrt()
}

/// Slope of a least-squares line, and the sum of squares of x about its mean.
fn slope(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let (_, slope) = path::line(points)?;
    let mean = points.iter().map(|point| point.0).sum::<f64>() / points.len() as f64;
    Some((slope, points.iter().map(|point| (point.0 - mean) * (point.0 - mean)).sum()))
}

impl TurnsUp {
    fn of(fitted: &Fitted, rungs: &[(f64, f64)], rising: usize, (rise, is_sure): (f64, bool)) -> Self {
        let (law, from) = (fitted.law.to_string(), math::exp(rungs[rungs.len() - rising].0));
        Self { law, rising, rungs: rungs.len(), rise, from, is_sure }
    }
}

impl Voiced for TurnsUp {
    fn code(&self) -> &'static str {
        "loss_turns_up"
    }

    fn severity(&self) -> Severity {
        if self.is_sure { Severity::Error } else { Severity::Warning }
    }

    fn hint(&self) -> &'static str {
        if !self.is_sure {
            return "repeat the largest rung with another seed: if it comes out as high, look for a rate that was not lowered with size, or data that repeat";
        }
        "look for a rate that was not lowered with size, for data that repeat, or for larger runs that were cut short; `--where` leaves those out, and `fit --law bnsl` describes a turn"
    }
}

impl fmt::Display for TurnsUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law, rising, rungs, rise, from, is_sure } = self;
        let what = if *is_sure {
            "a law that falls with compute has no word on where it goes from there"
        } else {
            "too few rungs to tell a turn from noise, and a law that falls with compute takes it for noise"
        };
        let rise = 100.0 * rise;
        write!(
            f,
            "`{law}`: the loss rises by {rise:.1}% over the {rising} largest of {rungs} rungs, from {from:.1e} FLOPs on: {what}"
        )
    }
}
