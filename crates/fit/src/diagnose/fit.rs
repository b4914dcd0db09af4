//! Doubts about one fit: its bounds, its starts, its ladder and its floor.

use core::fmt;

use forescale_core::law::{Domain, LawName, Scale, Theta};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::Severity;

use super::{Doubt, SAME_LOSS};
use crate::fitted::Fitted;
use crate::linear::solve;
use crate::profile::Profile;
use crate::{noise, path};

/// Above this scaled gradient a fit is not at its optimum; fits of published tables end below 1e-8.
pub(super) const GRADIENT: f64 = 1e-6;
/// Fewer decades of compute than this leave wide intervals. In simulation (8 points, 0.3% noise, 1000x out) the median 90%
/// interval was 6% wide from three decades and 11% from two.
const ENOUGH_DECADES: f64 = 3.0;
/// A floor above this share of the lowest loss says that nothing is left to gain.
const FLOOR_AT_LOWEST: f64 = 0.99;

/// Doubts that need nothing but the fit.
pub(super) fn doubts(fitted: &Fitted, runs: usize) -> Vec<Doubt> {
    let mut doubts = bounds(fitted);
    doubts.extend(super::does_not_fall(fitted));
    doubts.extend(disagreeing_starts(fitted));
    doubts.extend(not_converged(fitted));
    doubts.extend(ladder(fitted, runs));
    doubts
}

/// Parameters that ended at an end of their range.
pub(super) fn bounds(fitted: &Fitted) -> Vec<Doubt> {
    let parameters = fitted.problem.form.parameters();
    let doubt = |i: usize| Doubt::ParameterAtBound {
        law: fitted.law.to_string(),
        symbol: parameters[i].symbol,
        is_floor: parameters[i].is_floor,
        simpler: simpler(fitted, i),
    };
    // A floor that an S presses to zero says nothing of whether the loss flattens: the law cannot follow it.
    let is_pressed = super::inflection(fitted).is_some();
    let at_bound = fitted.problem.at_bound(&fitted.optimum.theta).into_iter();
    at_bound.filter(|&i| !(is_pressed && parameters[i].is_floor)).map(doubt).collect()
}

/// The law that this one is where a parameter has that end of its range: nothing is undetermined there.
fn simpler(fitted: &Fitted, index: usize) -> Option<LawName> {
    let parameter = &fitted.problem.form.parameters()[index];
    let is_upper = fitted.optimum.theta[index] >= parameter.upper;
    (fitted.law == LawName::COUPLED && parameter.symbol == "kappa" && is_upper).then_some(LawName::CHINCHILLA)
}

fn disagreeing_starts(fitted: &Fitted) -> Option<Doubt> {
    let (agreeing, starts) = (fitted.agreeing, fitted.starts);
    (agreeing < 2).then(|| Doubt::StartsDisagree { law: fitted.law.to_string(), agreeing, starts })
}

/// On a table without noise every gradient is rounding, and none is doubted.
fn not_converged(fitted: &Fitted) -> Option<Doubt> {
    let gradient = fitted.optimum.gradient_norm;
    (gradient > GRADIENT && fitted.dispersion.kappa > 0.0)
        .then(|| Doubt::NotConverged { law: fitted.law.to_string(), gradient })
}

/// Doubts about the runs as a ladder of rungs.
pub(super) fn ladder(fitted: &Fitted, runs: usize) -> Vec<Doubt> {
    let law = fitted.law.to_string();
    let (rungs, decades) = (path::distinct_budgets(&fitted.points), fitted.problem.decades());
    let is_path = fitted.law.form().domain() == Domain::Compute;
    let (mut doubts, vertices) = (Vec::new(), fitted.vertices);
    if is_path && (rungs < 5 || decades < 1.0) {
        doubts.push(Doubt::FewRungs { law: law.clone(), rungs, decades, vertices });
    } else if decades < ENOUGH_DECADES * (1.0 - 1e-6) {
        doubts.push(Doubt::FewDecades { law: law.clone(), decades, vertices });
    }
    if is_path && vertices {
        doubts.push(Doubt::Vertices { law, budgets: rungs, runs });
    }
    doubts
}

/// Loss that is the same at every compute, or higher where there is more of it.
pub(super) fn does_not_fall(fitted: &Fitted) -> Option<Doubt> {
    let points: Vec<&Observation> = fitted.points.iter().collect();
    let factor = if fitted.problem.is_path_law() { 1.02 } else { path::BUDGET_FACTOR };
    let slope = path::overall_slope(&points, factor)?;
    let span = points.iter().map(|o| math::ln(o.flops));
    let (low, high) = span.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    let change = math::exp(slope * (high - low)) - 1.0;
    let decades = (high - low) / core::f64::consts::LN_10;
    (change > -SAME_LOSS).then(|| Doubt::LossDoesNotFall { law: fitted.law.to_string(), decades, change })
}

/// Where no run is repeated and none carries a deviation.
pub(super) fn seeds(fitted: &Fitted, runs: &[&Observation]) -> Option<Doubt> {
    let repeated =
        noise::of_repeats(runs).is_some() || runs.iter().any(|o| o.seed_sd.is_some() && noise::is_measured(o));
    (!repeated && !fitted.vertices).then(|| Doubt::FewSeeds { law: fitted.law.to_string() })
}

/// The floor against the lowest loss fitted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FloorFound {
    share: f64,
    /// One standard error down and up, as shares too; none where the data set no end.
    ends: [Option<f64>; 2],
    /// Correlation with the first exponent, and its symbol.
    tied: Option<(&'static str, f64)>,
}

impl FloorFound {
    /// A floor with no lower end, or one that leaves nothing to gain, is a warning.
    pub(super) fn severity(&self) -> Severity {
        if self.ends[0].is_none() || self.share > FLOOR_AT_LOWEST { Severity::Warning } else { Severity::Note }
    }
}

impl fmt::Display for FloorFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.0}%", 100.0 * share);
        write!(f, "the floor is {} of the lowest loss fitted", percent(self.share))?;
        match self.ends {
            [Some(low), Some(high)] => write!(f, " ({} to {} within one standard error)", percent(low), percent(high))?,
            [Some(_), None] => write!(f, ", and the data set no upper bound on it")?,
            _ => write!(f, ", and the data set no lower bound on it")?,
        }
        match self.tied {
            Some((symbol, correlation)) => {
                write!(f, "; its error correlates by {correlation:.2} with that of {symbol}")
            }
            None => Ok(()),
        }
    }
}

/// How well the floor is known, where there is one above zero.
pub(super) fn floor_share(fitted: &Fitted, profiles: &[Profile]) -> Option<Doubt> {
    let index = fitted.problem.form.parameters().iter().position(|p| p.is_floor)?;
    let lowest = fitted.points.iter().map(|o| o.loss).fold(f64::INFINITY, f64::min);
    let share = fitted.optimum.theta[index] / lowest;
    let profile = profiles.get(index)?;
    let ends = [-1.0, 1.0].map(|root| profile.bounded(root).map(|floor| floor / lowest));
    let floor = FloorFound { share, ends, tied: tied(fitted, index) };
    (share > 0.0).then(|| Doubt::FloorShare { law: fitted.law.to_string(), floor })
}

/// The correlation of two parameters' errors, from the inverse of the information matrix.
fn tied(fitted: &Fitted, floor: usize) -> Option<(&'static str, f64)> {
    let parameters = fitted.problem.form.parameters();
    let exponent = parameters.iter().position(|p| p.scale == Scale::Linear && !p.is_floor)?;
    let on_bound = fitted.problem.at_bound(&fitted.optimum.theta);
    let free: Vec<usize> = (0..parameters.len()).filter(|i| !on_bound.contains(i)).collect();
    if !free.contains(&floor) || !free.contains(&exponent) {
        return None;
    }
    let information = fitted.problem.information(&fitted.optimum.theta);
    let column = |index: usize| {
        let mut unit = Theta::default();
        unit[index] = 1.0;
        solve(&information, &unit, &free)
    };
    let (of_floor, of_exponent) = (column(floor)?, column(exponent)?);
    let correlation = of_floor[exponent] / (of_floor[floor] * of_exponent[exponent]).sqrt();
    correlation.is_finite().then_some((parameters[exponent].symbol, correlation))
}
