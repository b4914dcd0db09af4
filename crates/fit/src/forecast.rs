//! Forecasting runs that were not trained yet.
//!
//! Every law that the runs carry gives a distribution of log loss at the target; the ensemble is their mixture with equal
//! weights (fewer than eight independent backtest cases cannot tell the laws apart), blurred by seed noise and by a
//! model-form term that grows with decades beyond the data and learns from backtests on the same runs.

use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{
    BacktestReport, Diagnosis, FORECAST_SCHEMA, Forecast, ForecastStatus, ForecastTarget,
};
use forescale_core::quantity::LossUnit;

use crate::backtest::{self, report};
use crate::diagnose::Doubt;
use crate::ensemble::mean_interval;
use crate::fitted::validate;
use crate::forecaster::{Forecaster, forecaster};
use crate::form_error::Calibration;
use crate::session::{groups, inputs};
use crate::{FitError, FitOptions};

/// The run to forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Compute C, FLOPs.
    pub flops: f64,
    /// Size N; compute-optimal where neither size nor data is given.
    pub params: Option<f64>,
    /// Data D, tokens.
    pub tokens: Option<f64>,
}

/// How to forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastOptions {
    /// Laws, objective and level.
    pub fit: FitOptions,
    /// Name of the metric.
    pub metric: String,
    /// Its unit.
    pub unit: LossUnit,
    /// Loss an untrained model starts from, nats per token, where it is known (the corpus's unigram entropy).
    pub start_level: Option<f64>,
    /// Whether to backtest on the same runs, and to learn the width from it.
    pub backtest: bool,
}

impl Default for ForecastOptions {
    fn default() -> Self {
        let (metric, unit) = ("loss".to_owned(), LossUnit::default());
        Self { fit: FitOptions::default(), metric, unit, start_level: None, backtest: true }
    }
}

/// Forecasts each target from the runs of one group.
///
/// Where no law can be fitted the target's status is `refused`, with the reason.
///
/// # Errors
///
/// [`FitError`] for a table that holds anything but positive numbers, a repeated identity, or a target that is not a
/// positive number.
pub fn forecast(
    observations: &[Observation],
    targets: &[Target],
    options: &ForecastOptions,
) -> Result<Forecast, FitError> {
    validate(observations, &options.fit)?;
    targets.iter().try_for_each(validate_target)?;
    let (prepared, backtest) = prepare(observations, options);
    let (entries, diagnoses) = match prepared {
        Ok((forecaster, mut diagnoses)) => {
            let outlooks = targets.iter().map(|target| forecast_one(&forecaster, target, options));
            let (entries, doubts): (Vec<_>, Vec<_>) = outlooks.unzip();
            diagnoses.extend(doubts.into_iter().flatten().map(|doubt| doubt.diagnosis()));
            diagnoses.extend(backtest.as_ref().and_then(missed).map(|doubt| doubt.diagnosis()));
            (entries, diagnoses)
        }
        Err(reason) => (targets.iter().map(|target| refused(target, &reason, options)).collect(), Vec::new()),
    };
    let schema = FORECAST_SCHEMA.to_owned();
    Ok(Forecast { schema, targets: entries, backtest, diagnoses, inputs: inputs(observations) })
}

fn validate_target(target: &Target) -> Result<(), FitError> {
    let given = [("flops", Some(target.flops)), ("params", target.params), ("tokens", target.tokens)];
    let bad = given.into_iter().find_map(|(option, value)| {
        value.filter(|v| !(v.is_finite() && *v > 0.0)).map(|value| (option, value))
    });
    match bad {
        Some((option, value)) => Err(FitError::BadOption { option, value, allowed: "a finite number above 0" }),
        None => Ok(()),
    }
}

type Prepared = Result<(Forecaster, Vec<Diagnosis>), String>;

/// A calibrated forecaster, or the reason why there is none; and the backtest that calibrated it.
pub(crate) fn prepare(observations: &[Observation], options: &ForecastOptions) -> (Prepared, Option<BacktestReport>) {
    let groups = groups(observations);
    let Some(runs) = groups.values().next().filter(|_| groups.len() == 1) else {
        let reason = format!("the runs fall into {} groups; pool them or pick one with `--where`", groups.len());
        return (Err(reason), None);
    };
    let (mut forecaster, refusals) = match forecaster(runs, &options.fit) {
        Ok(prepared) => prepared,
        Err(error) => return (Err(error.to_string()), None),
    };
    if !options.backtest {
        return (Ok((forecaster, refusals)), None);
    }
    let rolling = backtest::rolling(runs, &options.fit);
    forecaster.calibration = Calibration::from_errors(&rolling.errors);
    let report = (!rolling.cases.is_empty()).then(|| report(rolling.cases));
    (Ok((forecaster, refusals)), report)
}

fn forecast_one(forecaster: &Forecaster, target: &Target, options: &ForecastOptions) -> (ForecastTarget, Vec<Doubt>) {
    let outlook = forecaster.outlook(target);
    let levels = interval_levels(options.fit.level);
    let entry = ForecastTarget {
        status: ForecastStatus::Forecast,
        reason: None,
        median: Some(outlook.predictive.median()),
        intervals: levels.iter().map(|&level| outlook.predictive.interval(level)).collect(),
        mean_intervals: levels.iter().map(|&level| mean_interval(&outlook.members, level)).collect(),
        predictive: Some(outlook.predictive),
        decades_beyond_data: outlook.decades_beyond,
        laws: outlook.laws,
        optimum: forecaster.optimum(target.flops),
        ..blank(target, options)
    };
    (entry, outlook.doubts)
}

/// The level asked for, and one half.
fn interval_levels(level: f64) -> Vec<f64> {
    if (level - 0.5).abs() < 1e-9 { vec![level] } else { vec![level, 0.5] }
}

fn refused(target: &Target, reason: &str, options: &ForecastOptions) -> ForecastTarget {
    ForecastTarget { reason: Some(reason.to_owned()), ..blank(target, options) }
}

fn blank(target: &Target, options: &ForecastOptions) -> ForecastTarget {
    ForecastTarget {
        status: ForecastStatus::Refused,
        reason: None,
        flops: target.flops,
        params: target.params,
        tokens: target.tokens,
        metric: options.metric.clone(),
        unit: options.unit,
        median: None,
        predictive: None,
        intervals: Vec::new(),
        mean_intervals: Vec::new(),
        decades_beyond_data: 0.0,
        laws: Vec::new(),
        optimum: None,
    }
}

/// Four cases or more of which fewer than three in four lay inside.
fn missed(report: &BacktestReport) -> Option<Doubt> {
    let inside = report.cases.iter().filter(|case| case.intervals.iter().any(|i| i.level > 0.6 && i.contains(case.actual)));
    let (cases, inside) = (report.cases.len(), inside.count());
    (cases >= 4 && 4 * inside < 3 * cases).then(|| Doubt::BacktestMissed { cases, inside: inside as f64 / cases as f64 })
}

/// |ln predicted − ln actual|.
pub(crate) fn log_error(predicted: f64, actual: f64) -> f64 {
    (math::ln(predicted) - math::ln(actual)).abs()
}
