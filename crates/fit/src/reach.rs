//! The inverse forecast: which budget reaches a loss.

use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{Forecast, ForecastTarget};

use crate::{FitError, ForecastOptions, Target, forecast};

/// How far beyond the largest run a budget is sought, decades. Chosen here: no interval means anything further out.
const DECADES: f64 = 6.0;
/// Budgets per pass; two passes find a budget to DECADES / POINTS² decades, about 0.4%.
const POINTS: u32 = 60;

/// Forecasts at the compute-optimal budget whose median loss is `loss`.
///
/// # Errors
///
/// [`FitError::OutOfReach`] when no budget up to a million times the largest run gets there, or the smallest run is
/// already below it; otherwise as [`forecast`].
pub fn reach(observations: &[Observation], loss: f64, options: &ForecastOptions) -> Result<Forecast, FitError> {
    let largest = observations.iter().map(|run| run.flops).fold(0.0, f64::max);
    let smallest = observations.iter().map(|run| run.flops).fold(f64::INFINITY, f64::min);
    let ends = (math::log10(smallest), math::log10(largest) + DECADES);
    let coarse = bracket(observations, loss, ends, options)?;
    let (low, high) = bracket(observations, loss, coarse, options)?;
    forecast(observations, &[budget(f64::midpoint(low, high))], options)
}

/// The two neighbouring budgets (log10 FLOPs) between which the median crosses the loss.
fn bracket(
    observations: &[Observation],
    loss: f64,
    (low, high): (f64, f64),
    options: &ForecastOptions,
) -> Result<(f64, f64), FitError> {
    let step = (high - low) / f64::from(POINTS);
    let exponents: Vec<f64> = (0..=POINTS).map(|i| low + step * f64::from(i)).collect();
    let targets: Vec<Target> = exponents.iter().map(|&exponent| budget(exponent)).collect();
    let quick = ForecastOptions { backtest: false, ..options.clone() };
    let medians: Vec<Option<f64>> =
        forecast(observations, &targets, &quick)?.targets.iter().map(|target: &ForecastTarget| target.median).collect();
    let crossing = medians.windows(2).position(|pair| matches!(pair, [Some(a), Some(b)] if *a >= loss && *b <= loss));
    crossing.map(|at| (exponents[at], exponents[at + 1])).ok_or_else(|| FitError::OutOfReach {
        loss,
        lowest: medians.iter().flatten().copied().fold(f64::INFINITY, f64::min),
        highest: medians.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

fn budget(exponent: f64) -> Target {
    Target { flops: math::pow(10.0, exponent), params: None, tokens: None }
}
