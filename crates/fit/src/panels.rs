//! What a report shows, worked out: the report room only draws it.

use std::collections::BTreeMap;

use forescale_core::math;
use forescale_core::observation::{Exclusion, ExclusionReason, Observation};
use forescale_core::outcome::{Diagnosis, FitReport, Forecast, Score};
use forescale_core::panel::{
    BandPoint, ComputePanel, ComputePoint, Provenance, REPORT_SCHEMA, ReportData, ResidualPoint, RunRow, TargetPanel,
};
use forescale_core::run::Role;

use crate::ForecastOptions;
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
    /// Every run; `excluded` is filled in here.
    pub runs: Vec<RunRow>,
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
    ReportData {
        schema: REPORT_SCHEMA.to_owned(),
        sweep: input.sweep.clone(),
        corpus: input.corpus.clone(),
        unit: input.options.unit,
        forecast: input.forecast.as_ref().and_then(|forecast| forecast.targets.first().cloned()),
        target: input.target.clone(),
        score: input.score.clone(),
        compute: compute_panel(input, forecaster),
        residuals: forecaster.map(residuals).unwrap_or_default(),
        laws: input.fits.fits.clone(),
        runs: rows(input),
        diagnoses: diagnoses(input),
        backtest: input.forecast.as_ref().and_then(|forecast| forecast.backtest.clone()),
        true_floor: input.true_floor,
        provenance: input.provenance.clone(),
    }
}

fn compute_panel(input: &PanelInput, forecaster: Option<&Forecaster>) -> ComputePanel {
    let drawn = forecaster.and_then(drawn_law);
    ComputePanel {
        unit_flops: target_flops(input).unwrap_or_else(|| largest(input)),
        points: points(input, drawn),
        curve: forecaster.map(|forecaster| curve(input, forecaster)).unwrap_or_default(),
        level: input.options.fit.level,
        floor: drawn.and_then(floor),
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

fn floor(law: &Fitted) -> Option<f64> {
    let index = law.problem.form.parameters().iter().position(|parameter| parameter.is_floor)?;
    Some(law.natural()[index])
}

/// The forecast along the path, from the smallest run to beyond the target.
fn curve(input: &PanelInput, forecaster: &Forecaster) -> Vec<BandPoint> {
    let smallest = input.observations.iter().map(|o| o.flops).fold(f64::INFINITY, f64::min);
    let end = BEYOND_TARGET * target_flops(input).unwrap_or(0.0).max(largest(input));
    let (low, high) = (math::ln(smallest), math::ln(end));
    let at = |i: usize| math::exp(low + (high - low) * i as f64 / (CURVE_POINTS - 1) as f64);
    (0..CURVE_POINTS).map(|i| band(forecaster, at(i), input.options.fit.level)).collect()
}

fn band(forecaster: &Forecaster, flops: f64, level: f64) -> BandPoint {
    let predictive = forecaster.predictive(&forecaster.target_on_path(flops));
    let interval = predictive.interval(level);
    BandPoint { flops, median: predictive.median(), lower: interval.lower, upper: interval.upper }
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

/// All doubts, heaviest first, each once.
fn diagnoses(input: &PanelInput) -> Vec<Diagnosis> {
    let of_forecast = input.forecast.iter().flat_map(|forecast| &forecast.diagnoses);
    let of_fits = input.fits.fits.iter().flat_map(|fit| &fit.diagnoses);
    let mut all: Vec<Diagnosis> = Vec::new();
    for diagnosis in of_forecast.chain(of_fits) {
        if !all.contains(diagnosis) {
            all.push(diagnosis.clone());
        }
    }
    all.sort_by_key(|diagnosis| core::cmp::Reverse(diagnosis.severity));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Target, fit, forecast, published};

    fn input() -> PanelInput {
        let runs = published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.004, 9);
        let options = ForecastOptions { backtest: false, ..ForecastOptions::default() };
        let target = Target::of_budget(1e23);
        let row = |o: &Observation| RunRow {
            run_id: o.run_id.clone(),
            name: o.name.clone(),
            role: None,
            params: o.params,
            tokens: o.tokens,
            flops: o.flops,
            seed: None,
            status: None,
            loss: Some(o.loss),
            loss_se: None,
            wall_seconds: None,
            excluded: None,
        };
        let exclusions = vec![Exclusion { run_id: runs[0].run_id.clone(), reason: ExclusionReason::Diverged }];
        PanelInput {
            sweep: "ladder".to_owned(),
            corpus: "text".to_owned(),
            runs: runs.iter().map(row).collect(),
            fits: fit(&runs[1..], &exclusions, &options.fit).expect("fits"),
            forecast: Some(forecast(&runs[1..], &[target], &options).expect("fits")),
            observations: runs[1..].to_vec(),
            exclusions,
            options,
            target: None,
            score: None,
            true_floor: None,
            provenance: Provenance::default(),
        }
    }

    #[test]
    fn the_curve_runs_from_the_smallest_run_to_three_times_the_target() {
        let data = panels(&input());
        let curve = &data.compute.curve;
        assert_eq!(curve.len(), CURVE_POINTS);
        assert!((curve[0].flops / 1e18 - 1.0).abs() < 1e-9);
        assert!((curve[CURVE_POINTS - 1].flops / 3e23 - 1.0).abs() < 1e-9);
        assert!(curve.iter().all(|p| p.lower < p.median && p.median < p.upper));
        assert!(curve.windows(2).all(|pair| pair[1].median < pair[0].median));
    }

    #[test]
    fn every_run_is_shown_and_the_one_left_out_says_why() {
        let data = panels(&input());
        assert_eq!(data.runs.len(), 35);
        assert_eq!(data.runs[0].excluded.as_deref(), Some("diverged"));
        assert!(!data.compute.points[0].used && data.compute.points[1].used);
        assert_eq!(data.residuals.iter().filter(|r| r.law == "chinchilla").count(), 34);
    }

    #[test]
    fn doubts_come_heaviest_first_and_once() {
        let data = panels(&input());
        assert!(data.diagnoses.windows(2).all(|pair| pair[0].severity >= pair[1].severity));
        for (i, diagnosis) in data.diagnoses.iter().enumerate() {
            assert!(!data.diagnoses[..i].contains(diagnosis));
        }
    }
}
