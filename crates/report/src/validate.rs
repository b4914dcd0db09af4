//! Every number that will stand on an axis, checked before anything is drawn.

use forescale_core::estimate::Estimate;
use forescale_core::outcome::{BacktestCase, ForecastTarget};
use forescale_core::panel::{
    CalibrationPanel, CapabilityPanel, ComputePanel, FrontierPoint, LossCurve, ParameterPanel, ReportData, SeedRung,
    ShapePanel, TargetPanel,
};
use forescale_core::probe::{Finding, PlaceScale, ProbeReport, RateCell};

use crate::ReportError;

/// Refuses data with a number that no axis has a place for.
pub(crate) fn check(data: &ReportData) -> Result<(), ReportError> {
    compute(&data.compute)?;
    data.target.iter().try_for_each(target)?;
    data.forecast.iter().try_for_each(forecast)?;
    for point in &data.residuals {
        positive("compute", &point.name, point.flops)?;
        finite("residual", &point.name, point.residual)?;
    }
    data.backtest.iter().flat_map(|report| &report.cases).try_for_each(case)?;
    data.shape.iter().try_for_each(shape)?;
    if data.shape.is_some() {
        // Runs are marked on the plots of size and data.
        for run in data.runs.iter().filter(|run| run.loss.is_some()) {
            [("parameters", run.params), ("tokens", run.tokens), ("compute", Some(run.flops))]
                .into_iter()
                .filter_map(|(what, value)| Some((what, value?)))
                .try_for_each(|(what, value)| positive(what, &run.name, value))?;
        }
    }
    data.approaches.iter().flat_map(|fit| &fit.optima).try_for_each(|at| {
        positive("compute", "approach", at.flops)?;
        [&at.params, &at.tokens].into_iter().try_for_each(|size| sized("optimum", size))
    })?;
    data.parameters.iter().try_for_each(parameters)?;
    data.calibration.iter().try_for_each(calibration)?;
    data.curves.curves.iter().try_for_each(curve)?;
    data.capability.iter().try_for_each(capability)?;
    data.seeds.iter().try_for_each(seeds)?;
    data.true_floor.iter().try_for_each(|floor| finite("true floor", &data.sweep, *floor))
}

fn capability(panel: &CapabilityPanel) -> Result<(), ReportError> {
    positive("compute", "target", panel.target_flops)?;
    positive("compute", "largest run seen", panel.seen_flops)?;
    panel.courses.iter().try_for_each(|course| {
        let name = &course.forecast.task;
        for rung in &course.forecast.rungs {
            positive("compute", name, rung.flops)?;
            finite("value", name, rung.value)?;
        }
        for point in &course.curve {
            positive("compute", name, point.flops)?;
            [point.median, point.lower, point.upper]
                .into_iter()
                .try_for_each(|value| finite("forecast", name, value))?;
        }
        course.reached.iter().try_for_each(|reached| finite("outcome", name, *reached))
    })
}

/// Refuses a probe with a number that no axis has a place for.
pub(crate) fn probe(report: &ProbeReport) -> Result<(), ReportError> {
    match &report.finding {
        Finding::Coord(finding) => finding.checks.iter().flat_map(|check| &check.places).try_for_each(place),
        Finding::Lr(finding) => finding.cells.iter().try_for_each(cell),
        Finding::Collapse(finding) => finding.rungs.iter().try_for_each(|rung| {
            finite("deviation", &rung.name, rung.deviation)?;
            rung.points.iter().try_for_each(|point| positive("normalised loss", &rung.name, point.value))
        }),
    }
}

fn place(place: &PlaceScale) -> Result<(), ReportError> {
    let slopes = place.slopes.iter().filter_map(|step| step.slope);
    slopes.into_iter().try_for_each(|slope| finite("slope", &place.place, slope.estimate))?;
    let scales = place.points.iter().filter_map(|point| point.mean_abs);
    scales.into_iter().try_for_each(|scale| positive("scale", &place.place, scale))
}

fn cell(cell: &RateCell) -> Result<(), ReportError> {
    let name = format!("d{}", cell.width);
    for trial in &cell.trials {
        positive("rate factor", &name, trial.factor)?;
        trial.loss.iter().try_for_each(|loss| finite("loss", &name, *loss))?;
    }
    cell.best_factor.iter().try_for_each(|factor| positive("best rate", &name, factor.estimate))
}

fn shape(panel: &ShapePanel) -> Result<(), ReportError> {
    panel.frontier.iter().try_for_each(frontier)?;
    for line in &panel.contours {
        finite("contour", &panel.law, line.loss)?;
        for point in &line.points {
            positive("parameters", "contour", point.params)?;
            positive("tokens", "contour", point.tokens)?;
        }
    }
    for budget in &panel.isoflops {
        budget.minimum.iter().try_for_each(frontier)?;
        for point in budget.runs.iter().chain(&budget.curve) {
            positive("parameters", &point.name, point.params)?;
            finite("loss", &point.name, point.loss)?;
        }
        let vertex = budget.vertex.as_ref().and_then(|vertex| vertex.params.zip(vertex.loss));
        if let Some((params, loss)) = vertex {
            positive("parameters", "vertex", params)?;
            finite("loss", "vertex", loss)?;
        }
    }
    Ok(())
}

fn frontier(point: &FrontierPoint) -> Result<(), ReportError> {
    positive("compute", "frontier", point.flops)?;
    finite("loss", "frontier", point.loss)?;
    [&point.params, &point.tokens].into_iter().try_for_each(|size| sized("frontier", size))
}

fn sized(name: &str, size: &Estimate) -> Result<(), ReportError> {
    let ends = [Some(size.estimate), size.lower, size.upper];
    ends.into_iter().flatten().try_for_each(|value| positive("best size or data", name, value))
}

fn parameters(panel: &ParameterPanel) -> Result<(), ReportError> {
    finite("root", &panel.law, panel.root)?;
    for point in panel.profiles.iter().flat_map(|profile| &profile.points) {
        finite("profile", &panel.law, point.errors)?;
        finite("profile", &panel.law, point.root)?;
    }
    panel.correlations.iter().try_for_each(|pair| finite("correlation", &panel.law, pair.value))
}

fn calibration(panel: &CalibrationPanel) -> Result<(), ReportError> {
    finite("band", "calibration", panel.band)?;
    panel.cases.iter().try_for_each(|case| {
        finite("expected share", &case.name, case.expected)?;
        finite("probability", &case.name, case.pit)
    })
}

fn curve(curve: &LossCurve) -> Result<(), ReportError> {
    positive("parameters", &curve.name, curve.params)?;
    curve.points.iter().try_for_each(|point| {
        positive("compute", &curve.name, point.flops)?;
        finite("loss", &curve.name, point.loss)
    })
}

fn seeds(rung: &SeedRung) -> Result<(), ReportError> {
    positive("compute", "rung", rung.flops)?;
    rung.relative_sd.iter().try_for_each(|sd| finite("seed noise", "rung", *sd))?;
    rung.runs.iter().try_for_each(|run| finite("deviation", &run.name, run.deviation))
}

fn compute(panel: &ComputePanel) -> Result<(), ReportError> {
    if !panel.points.is_empty() || !panel.curve.is_empty() {
        positive("compute at 1", "compute panel", panel.unit_flops)?;
    }
    for point in &panel.points {
        positive("compute", &point.name, point.flops)?;
        finite("loss", &point.name, point.loss)?;
    }
    for point in &panel.curve {
        positive("compute", "curve", point.flops)?;
        [point.lower, point.median, point.upper].into_iter().try_for_each(|loss| finite("loss", "curve", loss))?;
    }
    panel.floor.iter().try_for_each(|floor| finite("floor", "compute panel", *floor))
}

fn target(panel: &TargetPanel) -> Result<(), ReportError> {
    positive("compute", &panel.name, panel.flops)?;
    panel.actual.iter().try_for_each(|loss| finite("loss", &panel.name, *loss))
}

fn forecast(target: &ForecastTarget) -> Result<(), ReportError> {
    positive("compute", "forecast", target.flops)?;
    target.median.iter().try_for_each(|median| finite("median", "forecast", *median))?;
    for interval in target.intervals.iter().chain(&target.mean_intervals) {
        [interval.lower, interval.upper].into_iter().try_for_each(|end| finite("interval", "forecast", end))?;
    }
    for law in &target.laws {
        let ends = [Some(law.prediction.estimate), law.prediction.lower, law.prediction.upper];
        ends.into_iter().flatten().try_for_each(|value| finite("prediction", &law.law, value))?;
    }
    Ok(())
}

fn case(case: &BacktestCase) -> Result<(), ReportError> {
    positive("backtest ratio", &case.target_run_id, case.ratio)?;
    finite("backtest error", &case.target_run_id, case.relative_error)
}

fn finite(what: &'static str, name: &str, value: f64) -> Result<(), ReportError> {
    refuse_unless(value.is_finite(), what, name, (value, false))
}

fn positive(what: &'static str, name: &str, value: f64) -> Result<(), ReportError> {
    refuse_unless(value.is_finite() && value > 0.0, what, name, (value, true))
}

fn refuse_unless(held: bool, what: &'static str, name: &str, found: (f64, bool)) -> Result<(), ReportError> {
    let (value, positive) = found;
    if held { Ok(()) } else { Err(ReportError::NotDrawable { what, name: name.to_owned(), value, positive }) }
}
