//! The multi-power law over a table of curves: fitted group by group, curves held out predicted, all of it one document.
//!
//! It chooses what the fit may see and says how each curve is met; the fit itself is [`crate::fit_schedule`]'s. No interval
//! is given: a curve's points share one seed and one smoothing, so that their number says nothing of how far the law would
//! lie for another set of curves. What stands in its place is the error on curves held out.

mod doubt;

use std::collections::BTreeSet;

use forescale_core::digest::json_digest;
use forescale_core::estimate::Estimate;
use forescale_core::law::multi_power::NAME;
use forescale_core::outcome::{Inputs, ObjectiveValue};
use forescale_core::quantity::LossUnit;
use forescale_core::schedule::{
    CurveFit, CurveGroup, CurveOutcome, CurveUse, FittedSchedules, LossCurve, SCHEDULE_SCHEMA, ScheduleReport,
};

use crate::FitError;
use crate::multi_power::{ScheduleFit, ScheduleOptions, fit_schedule};

/// What to fit and how to say it.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleReportOptions {
    /// How to fit.
    pub fit: ScheduleOptions,
    /// Curves to keep from the fit and to predict, by name, in whichever groups have them.
    pub hold_out: Vec<String>,
    /// Level that estimates are written with.
    pub level: f64,
    /// What the curves are of.
    pub metric: String,
    /// Its unit.
    pub unit: LossUnit,
}

/// Fits the law to the curves of each group that are neither held out nor untrained, and predicts all.
///
/// # Errors
///
/// [`FitError`] for a curve to hold out that is not there, and as [`fit_schedule`].
pub fn schedules(groups: &[CurveGroup], options: &ScheduleReportOptions) -> Result<ScheduleReport, FitError> {
    check_names(groups, &options.hold_out)?;
    let named = |group: &CurveGroup, error| match groups {
        [_] => error,
        _ => FitError::in_group(group.group.as_deref(), error),
    };
    let fits = groups.iter().map(|group| fit_group(group, options).map_err(|error| named(group, error)));
    Ok(ScheduleReport {
        schema: SCHEDULE_SCHEMA.to_owned(),
        metric: options.metric.clone(),
        unit: options.unit,
        fits: fits.collect::<Result<_, _>>()?,
        inputs: Inputs { digest: json_digest(&groups) },
    })
}

fn check_names(groups: &[CurveGroup], hold_out: &[String]) -> Result<(), FitError> {
    let known: BTreeSet<&str> = groups.iter().flat_map(|group| &group.curves).map(|c| c.run_id.as_str()).collect();
    match hold_out.iter().find(|name| !known.contains(name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            Err(FitError::UnknownCurve { name: name.clone(), known: known.join(", ") })
        }
    }
}

fn used(curve: &LossCurve, hold_out: &[String]) -> CurveUse {
    if curve.points.is_empty() {
        CurveUse::Untrained
    } else if hold_out.contains(&curve.run_id) {
        CurveUse::HeldOut
    } else {
        CurveUse::Fitted
    }
}

fn fit_group(group: &CurveGroup, options: &ScheduleReportOptions) -> Result<FittedSchedules, FitError> {
    let seen: Vec<LossCurve> =
        group.curves.iter().filter(|curve| used(curve, &options.hold_out) == CurveUse::Fitted).cloned().collect();
    let fit = fit_schedule(&seen, options.fit)?;
    let curves: Vec<CurveOutcome> = group.curves.iter().map(|curve| outcome(&fit, curve, options)).collect();
    let mut diagnoses = fit.diagnoses.clone();
    diagnoses.extend(doubt::doubts(&group.curves, &curves));
    Ok(FittedSchedules {
        group: group.group.clone(),
        law: NAME.to_owned(),
        points: fit.points as u64,
        parameters: fit.law.parameters().map(|(symbol, value)| (symbol.to_owned(), bare(value, options.level))).into(),
        objective: ObjectiveValue { kind: "huber".to_owned(), delta: Some(options.fit.delta), value: fit.objective },
        starts: fit.starts as u32,
        agreeing_starts: fit.agreeing as u32,
        fitted_r_squared: mean_r_squared(&curves, CurveUse::Fitted),
        held_out_r_squared: mean_r_squared(&curves, CurveUse::HeldOut),
        curves,
        diagnoses,
    })
}

/// A number that no interval is known for.
fn bare(estimate: f64, level: f64) -> Estimate {
    Estimate { estimate, standard_error: None, lower: None, upper: None, level }
}

fn outcome(fit: &ScheduleFit, curve: &LossCurve, options: &ScheduleReportOptions) -> CurveOutcome {
    let last = curve.points.iter().copied().reduce(|last, next| if next.step > last.step { next } else { last });
    let last_step = last.map_or_else(|| curve.schedule.end(), |last| last.step);
    let predicted = fit.predict(&curve.schedule, &[last_step])[0];
    let met = last.map(|last| {
        let score = fit.score(curve);
        CurveFit {
            r_squared: Some(score.r_squared).filter(|share| share.is_finite()),
            mean_relative_error: score.mean_relative,
            worst_relative_error: score.worst_relative,
            last_loss: last.loss,
        }
    });
    CurveOutcome {
        run_id: curve.run_id.clone(),
        used: used(curve, &options.hold_out),
        points: curve.points.len() as u64,
        last_step,
        last_predicted: bare(predicted, options.level),
        fit: met,
    }
}

/// Mean R² of the curves of one use; `None` where none of them has one.
fn mean_r_squared(curves: &[CurveOutcome], used: CurveUse) -> Option<f64> {
    let of = curves.iter().filter(|curve| curve.used == used);
    let shares: Vec<f64> = of.filter_map(|curve| curve.fit?.r_squared).collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

#[cfg(test)]
mod tests;
