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

#[cfg(test)]
mod tests {
    use forescale_core::observation::Observation;

    use super::*;
    use crate::{FitOptions, LawName};

    /// Eight runs on 1.7 + 60 C^-0.1, constants chosen here, 1e15 to 10^18.5 FLOPs.
    fn path() -> Vec<Observation> {
        let run = |step: u32| {
            let flops = math::pow(10.0, 15.0 + f64::from(step) / 2.0);
            let params = (flops / 120.0).sqrt();
            Observation {
                run_id: format!("run-{step}"),
                name: format!("run-{step}"),
                group: None,
                cluster: format!("run-{step}"),
                role: None,
                params,
                tokens: 20.0 * params,
                flops,
                loss: 1.7 + 60.0 * math::pow(flops, -0.1),
                loss_se: None,
                seed_sd: None,
                seed_degrees: None,
                weight: 1.0,
                seed: None,
                eval_set_digest: None,
                unique_tokens: None,
                training: forescale_core::observation::Training::default(),
            }
        };
        (0..8).map(run).collect()
    }

    fn options() -> ForecastOptions {
        let fit = FitOptions { laws: vec![LawName::POWER_LAW], ..FitOptions::default() };
        ForecastOptions { fit, ..ForecastOptions::default() }
    }

    #[test]
    fn finds_the_budget_of_a_loss_worked_by_hand() {
        // 60 C^-0.1 = 0.6 where C = 1e20.
        let found = reach(&path(), 2.3, &options()).expect("within reach");
        assert!((math::log10(found.targets[0].flops) - 20.0).abs() < 0.01, "{}", found.targets[0].flops);
    }

    #[test]
    fn refuses_a_loss_below_the_floor() {
        assert!(matches!(reach(&path(), 1.5, &options()), Err(FitError::OutOfReach { .. })));
        assert!(matches!(reach(&path(), 9.0, &options()), Err(FitError::OutOfReach { .. })));
    }
}
