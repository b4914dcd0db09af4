//! How well each law's parameters are known: profiles, and how their errors go together.

use forescale_core::law::Theta;
use forescale_core::math;
use forescale_core::panel::{Correlation, ParameterPanel, ParameterProfile, ProfilePoint};

use super::evenly;
use crate::fitted::Fitted;
use crate::forecaster::Forecaster;
use crate::functional::Functional;
use crate::linear::{dot, solve};

/// Most points of a profile: percentiles of a bootstrap are more than anyone can see.
const MOST_POINTS: usize = 40;

/// One panel per law that was fitted for its own sake.
pub(super) fn parameters(forecaster: &Forecaster, level: f64) -> Vec<ParameterPanel> {
    forecaster.own_laws().map(|fitted| panel(fitted, level)).collect()
}

fn panel(fitted: &Fitted, level: f64) -> ParameterPanel {
    let profiles = (0..fitted.problem.count()).filter_map(|index| profile(fitted, index, level));
    let (law, root) = (fitted.law.to_string(), fitted.root(level));
    ParameterPanel { law, level, root, profiles: profiles.collect(), correlations: correlations(fitted) }
}

/// None for a parameter without a standard error: one at a bound, or one that the data do not place.
fn profile(fitted: &Fitted, index: usize, level: f64) -> Option<ParameterProfile> {
    let functional = Functional::Parameter(index);
    let profile = fitted.profile(functional, level);
    let error = profile.standard_error.filter(|error| error.is_finite() && *error > 0.0)?;
    let logarithm = functional.is_logarithm(&fitted.problem);
    let point = |&(root, value): &(f64, f64)| ProfilePoint {
        value: if logarithm { math::exp(value) } else { value },
        errors: (value - profile.centre) / error,
        root,
    };
    let is_number = |point: &ProfilePoint| point.value.is_finite() && point.errors.is_finite();
    let points: Vec<ProfilePoint> = profile.knots().iter().map(point).filter(is_number).collect();
    let symbol = fitted.problem.form.parameters()[index].symbol.to_owned();
    (points.len() > 2).then(|| ParameterProfile { symbol, logarithm, points: evenly(points, MOST_POINTS) })
}

/// gᵢᵀ I⁻¹ gⱼ over the roots of both variances, for parameters off their bounds.
fn correlations(fitted: &Fitted) -> Vec<Correlation> {
    let (problem, theta) = (&fitted.problem, &fitted.optimum.theta);
    let on_bound = problem.at_bound(theta);
    let free: Vec<usize> = (0..problem.count()).filter(|index| !on_bound.contains(index)).collect();
    let information = problem.information(theta);
    let known = |&index: &usize| {
        let gradient: Theta = Functional::Parameter(index).at(problem, theta).1;
        let solved = solve(&information, &gradient, &free)?;
        let variance = dot(&gradient, &solved);
        (variance > 0.0).then(|| (problem.form.parameters()[index].symbol, gradient, solved, variance.sqrt()))
    };
    let known: Vec<_> = free.iter().filter_map(known).collect();
    let mut pairs = Vec::new();
    for (i, (first, gradient, _, sd)) in known.iter().enumerate() {
        for (second, _, solved, other_sd) in &known[i + 1..] {
            let value = (dot(gradient, solved) / (sd * other_sd)).clamp(-1.0, 1.0);
            pairs.push(Correlation { first: (*first).to_owned(), second: (*second).to_owned(), value });
        }
    }
    pairs.retain(|pair| pair.value.is_finite());
    pairs
}
