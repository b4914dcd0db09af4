//! The error of the same laws on runs already known, by how far it had to reach.

use forescale_core::math;
use forescale_core::outcome::{BacktestCase, BacktestReport};
use forescale_core::panel::ReportData;

use super::axis::{Axis, range};
use super::element::{Element, Marker};
use super::key;
use super::sketch::{Key, Sketch, across};
use crate::format::{loss, percent, signed_percent, times};
use crate::headline::{at_level, plural};

/// The plot, where there is a case.
pub(crate) fn sketch(data: &ReportData) -> Option<Sketch> {
    let report = data.backtest.as_ref().filter(|report| !report.cases.is_empty())?;
    let errors = report.cases.iter().map(|case| 100.0 * case.relative_error);
    let y = Axis::linear("error of the prediction, %", range(errors.chain([0.0]), 0.1));
    let ratios = report.cases.iter().map(|case| math::log10(case.ratio));
    let x = Axis::marked(
        "target compute over largest compute fitted",
        range(ratios, 0.12),
        places(report),
        across(y.label_width()),
    );
    let zero = Element::line("zero", [(x.low, 0.0), (x.high, 0.0)]);
    Some(Sketch {
        caption: "The same laws on runs already known, from the smaller runs alone: weighed alike, and as wide as \
                  published families say."
            .to_owned(),
        alternative: format!(
            "Relative error of {} against the ratio of compute.",
            plural(report.cases.len(), "backtest prediction")
        ),
        height: 260,
        elements: std::iter::once(zero).chain(report.cases.iter().map(case)).collect(),
        keys: keys(report),
        x,
        y,
    })
}

/// A tick at each ratio, rising.
fn places(report: &BacktestReport) -> Vec<(f64, String)> {
    let mut ratios: Vec<f64> = report.summary.iter().map(|row| row.ratio).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.into_iter().map(|ratio| (math::log10(ratio), times(ratio))).collect()
}

fn inside(case: &BacktestCase) -> Option<bool> {
    at_level(&case.intervals, 0.9).map(|interval| interval.contains(case.actual))
}

fn case(case: &BacktestCase) -> Element {
    let title = format!(
        "{} from {} runs, {} away: predicted {}, actual {}, error {}",
        case.target_run_id,
        case.n_fit,
        times(case.ratio),
        loss(case.predicted),
        loss(case.actual),
        signed_percent(case.relative_error)
    );
    let (class, marker) = looks(inside(case));
    Element::mark(class, marker, (math::log10(case.ratio), 100.0 * case.relative_error)).titled(title)
}

fn looks(inside: Option<bool>) -> (&'static str, Marker) {
    if inside == Some(false) { ("mark missed", Marker::Cross) } else { ("mark path", Marker::Circle) }
}

fn keys(report: &BacktestReport) -> Vec<Key> {
    let level = percent(0.9);
    let words = |held: bool| format!("outcome {} its {level} interval", if held { "inside" } else { "outside" });
    let held = |wanted: bool| report.cases.iter().any(|case| inside(case) == Some(wanted));
    let shown = [true, false].into_iter().filter(|wanted| held(*wanted));
    shown
        .map(|wanted| {
            let (class, marker) = looks(Some(wanted));
            key(&Element::mark(class, marker, (0.0, 0.0)), words(wanted))
        })
        .collect()
}
