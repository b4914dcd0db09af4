//! What a report shows, worked out: the report room only draws it.

mod calibration;
mod capability;
mod course;
mod decision;
mod parameters;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use forescale_core::approach::ApproachFit;
use forescale_core::checklist::Checklist;
use forescale_core::cost::Hardware;
use forescale_core::math;
use forescale_core::observation::{Exclusion, ExclusionReason, Observation};
use forescale_core::outcome::{BacktestReport, Diagnosis, FitReport, Forecast, Score};
use forescale_core::panel::{
    BandPoint, ComputePanel, ComputePoint, Provenance, REPORT_SCHEMA, ReportData, ResidualPoint, RunRow, TargetPanel,
};
use forescale_core::record::CurvePoint;
use forescale_core::run::Role;

pub use capability::CapabilityInput;

use crate::ForecastOptions;
use crate::approach::{ApproachOptions, approaches};
use crate::checklist::checklist;
use crate::diagnose::heaviest_first;
use crate::fitted::Fitted;
use crate::forecast::prepare;
use crate::forecaster::Forecaster;

/// Points of the curve along the path.
const CURVE_POINTS: usize = 60;
/// The curve goes this far past the target.
const BEYOND_TARGET: f64 = 3.0;

/// What a report is worked out from.
#[derive(Clone, Debug)]
pub struct PanelInput {
    /// Name of the sweep.
    pub sweep: String,
    /// What the model was trained on, in words.
    pub corpus: String,
    /// Observations fitted.
    pub observations: Vec<Observation>,
    /// Runs not fitted.
    pub exclusions: Vec<Exclusion>,
    /// Fits.
    pub fits: FitReport,
    /// The forecast, where one was asked for; its first target is the one drawn.
    pub forecast: Option<Forecast>,
    /// How the forecast was made: the band along the path is made the same way. Holds the unit and the level.
    pub options: ForecastOptions,
    /// The held-out target.
    pub target: Option<TargetPanel>,
    /// How the forecast was judged.
    pub score: Option<Score>,
    /// Capabilities, where runs were asked the problems of tasks.
    pub capability: Option<CapabilityInput>,
    /// Every run; `excluded` is filled in here.
    pub runs: Vec<RunRow>,
    /// What was measured on the way, by run.
    pub curves: Vec<(String, Vec<CurvePoint>)>,
    /// Devices that the target's compute is priced on.
    pub hardware: Vec<Hardware>,
    /// True irreducible loss, where it is known.
    pub true_floor: Option<f64>,
    /// Where it all came from.
    pub provenance: Provenance,
}

/// Works out what a report shows.
#[must_use]
pub fn panels(input: &PanelInput) -> ReportData {
    let prepared = prepare(&input.observations, &input.options).0.ok();
    let forecaster = prepared.as_ref().map(|(forecaster, _)| forecaster);
    let (doubts, approaches) = (diagnoses(input), splits(input));
    let level = input.options.fit.level;
    ReportData {
        schema: REPORT_SCHEMA.to_owned(),
        sweep: input.sweep.clone(),
        corpus: input.corpus.clone(),
        unit: input.options.unit,
        forecast: input.forecast.as_ref().and_then(|forecast| forecast.targets.first().cloned()),
        decision: decision::decision(input, &doubts),
        target: input.target.clone(),
        score: input.score.clone(),
        compute: compute_panel(input, forecaster),
        residuals: forecaster.map(residuals).unwrap_or_default(),
        laws: input.fits.fits.clone(),
        parameters: forecaster.map(|forecaster| parameters::parameters(forecaster, level)).unwrap_or_default(),
        shape: forecaster.and_then(|forecaster| shape::shape(input, forecaster, &approaches)),
        approaches,
        runs: rows(input),
        curves: course::curves(input),
        seeds: course::seeds(&input.observations),
        capability: input.capability.as_ref().map(|tasks| capability::capability(tasks, input.score.as_ref())),
        checklist: Some(filled_checklist(input)),
        diagnoses: doubts,
        calibration: backtests(input).and_then(|report| calibration::calibration(report, &input.runs, level)),
        backtest: backtests(input).cloned(),
        true_floor: input.true_floor,
        provenance: input.provenance.clone(),
    }
}

fn backtests(input: &PanelInput) -> Option<&BacktestReport> {
    input.forecast.as_ref().and_then(|forecast| forecast.backtest.as_ref())
}

/// The checklist, with the registration where the forecast was sealed in one.
fn filled_checklist(input: &PanelInput) -> Checklist {
    let list = checklist(&input.observations, &input.exclusions, &input.fits, input.forecast.as_ref());
    let sealed = input.target.as_ref().and_then(|target| target.registration_sha256.as_deref());
    match sealed {
        Some(sha256) => list.registered(sha256),
        None => list,
    }
}

/// What each approach says of the smallest budget, the largest and the target's; none where the runs carry none of them.
fn splits(input: &PanelInput) -> Vec<ApproachFit> {
    let smallest = input.observations.iter().map(|o| o.flops).fold(f64::INFINITY, f64::min);
    let mut at = vec![smallest, largest(input)];
    at.extend(target_flops(input));
    let options = ApproachOptions {
        at,
        level: input.options.fit.level,
        objective: input.options.fit.objective,
        ..ApproachOptions::default()
    };
    approaches(&input.observations, &options).map(|report| report.fits).unwrap_or_default()
}

/// At most so many of a list, ends included, evenly by place.
fn evenly<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let last = all.len().saturating_sub(1);
    if all.len() <= most {
        return all;
    }
    let mut wanted = (0..most).map(|i| (i * last + (most - 1) / 2) / (most - 1)).peekable();
    let keep = |(place, item): (usize, T)| wanted.next_if_eq(&place).map(|_| item);
    all.into_iter().enumerate().filter_map(keep).collect()
}

fn compute_panel(input: &PanelInput, forecaster: Option<&Forecaster>) -> ComputePanel {
    let drawn = forecaster.and_then(drawn_law);
    ComputePanel {
        unit_flops: target_flops(input).unwrap_or_else(|| largest(input)),
        points: points(input, drawn),
        curve: forecaster.map(|forecaster| curve(input, forecaster)).unwrap_or_default(),
        level: input.options.fit.level,
        floor: forecaster.zip(drawn).and_then(|(forecaster, law)| floor(forecaster, law)),
    }
}

fn target_flops(input: &PanelInput) -> Option<f64> {
    let forecast = input.forecast.as_ref().and_then(|forecast| forecast.targets.first());
    input.target.as_ref().map(|target| target.flops).or_else(|| forecast.map(|target| target.flops))
}

fn largest(input: &PanelInput) -> f64 {
    input.observations.iter().map(|o| o.flops).fold(0.0, f64::max)
}

/// The law whose points and floor the plot shows: the path's, where there is one.
fn drawn_law(forecaster: &Forecaster) -> Option<&Fitted> {
    forecaster.laws().find(|law| law.problem.is_path_law()).or_else(|| forecaster.laws().next())
}

/// The floor of a law as the tables show it, fitted to every run alike; none where it ended at 0.
fn floor(forecaster: &Forecaster, drawn: &Fitted) -> Option<f64> {
    let own = forecaster.bare_laws(&BTreeSet::from([drawn.law.to_string()])).next().unwrap_or(drawn);
    let index = own.problem.form.parameters().iter().position(|parameter| parameter.is_floor)?;
    Some(own.natural()[index]).filter(|floor| *floor > 1e-6)
}

/// The forecast along the path, from the smallest run to beyond the target.
fn curve(input: &PanelInput, forecaster: &Forecaster) -> Vec<BandPoint> {
    let smallest = input.observations.iter().map(|o| o.flops).fold(f64::INFINITY, f64::min);
    let end = BEYOND_TARGET * target_flops(input).unwrap_or(0.0).max(largest(input));
    let (low, high) = (math::ln(smallest), math::ln(end));
    let at = |i: usize| math::exp(low + (high - low) * i as f64 / (CURVE_POINTS - 1) as f64);
    (0..CURVE_POINTS).filter_map(|i| band(forecaster, at(i), input.options.fit.level)).collect()
}

/// `None` where no law gives a number.
fn band(forecaster: &Forecaster, flops: f64, level: f64) -> Option<BandPoint> {
    let predictive = forecaster.predictive(&forecaster.target_on_path(flops))?;
    let interval = predictive.interval(level);
    Some(BandPoint { flops, median: predictive.median(), lower: interval.lower, upper: interval.upper })
}

fn points(input: &PanelInput, drawn: Option<&Fitted>) -> Vec<ComputePoint> {
    let observed: BTreeMap<&str, &Observation> = input.observations.iter().map(|o| (o.run_id.as_str(), o)).collect();
    let path_only = drawn.is_some_and(|law| law.problem.is_path_law() && !law.vertices);
    let used = |row: &RunRow| {
        observed.get(row.run_id.as_str()).is_some_and(|o| !path_only || o.role.is_none_or(|role| role == Role::Path))
    };
    let point = |row: &RunRow| {
        let (name, role, flops) = (row.name.clone(), row.role, row.flops);
        row.loss.map(|loss| ComputePoint { name, role, flops, loss, used: used(row) })
    };
    input.runs.iter().filter_map(point).collect()
}

fn residuals(forecaster: &Forecaster) -> Vec<ResidualPoint> {
    let of_law = |law: &Fitted| {
        let name = law.law.to_string();
        let point = move |o: &Observation, predicted: f64| ResidualPoint {
            law: name.clone(),
            name: o.name.clone(),
            flops: o.flops,
            residual: math::ln(o.loss) - predicted,
        };
        law.points.iter().map(|o| point(o, law.log_loss(o.params, o.tokens, o.flops))).collect::<Vec<_>>()
    };
    forecaster.laws().flat_map(of_law).collect()
}

/// Rows with the words for why a run is in no fit, or not in all.
fn rows(input: &PanelInput) -> Vec<RunRow> {
    let from_all: BTreeMap<&str, ExclusionReason> =
        input.exclusions.iter().map(|e| (e.run_id.as_str(), e.reason)).collect();
    let mut from_some: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for fit in &input.fits.fits {
        for exclusion in fit.excluded.iter().filter(|e| !from_all.contains_key(e.run_id.as_str())) {
            let words = format!("not in {}: {}", fit.law, exclusion.reason.label());
            from_some.entry(&exclusion.run_id).or_default().push(words);
        }
    }
    let words = |id: &str| {
        let everywhere = from_all.get(id).map(|reason| reason.label().to_owned());
        everywhere.or_else(|| from_some.get(id).map(|words| words.join("; ")))
    };
    input.runs.iter().map(|row| RunRow { excluded: words(&row.run_id), ..row.clone() }).collect()
}

/// All doubts, heaviest first, each once: by severity, then by what they have done to forecasts.
fn diagnoses(input: &PanelInput) -> Vec<Diagnosis> {
    let of_forecast = input.forecast.iter().flat_map(|forecast| &forecast.diagnoses);
    let of_fits = input.fits.fits.iter().flat_map(|fit| &fit.diagnoses);
    let mut all: Vec<Diagnosis> = Vec::new();
    for diagnosis in of_forecast.chain(of_fits) {
        if !all.contains(diagnosis) {
            all.push(diagnosis.clone());
        }
    }
    heaviest_first(&mut all);
    all
}

#[cfg(test)]
mod tests;
