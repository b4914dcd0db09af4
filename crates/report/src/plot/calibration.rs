//! Where outcomes of backtests fell in the distributions they were given: on the diagonal a forecaster is as sure as it
//! should be.

use forescale_core::panel::{CalibrationCase, CalibrationPanel, ReportData};

use super::axis::Axis;
use super::element::{Element, Marker};
use super::key;
use super::sketch::Sketch;
use crate::format::{percent, times};
use crate::headline::plural;

/// The plot, where there is a backtest.
pub(crate) fn sketch(data: &ReportData) -> Option<Sketch> {
    let panel = data.calibration.as_ref().filter(|panel| !panel.cases.is_empty())?;
    let x = Axis::linear("expected share of outcomes below", (0.0, 1.0));
    let y = Axis::linear("probability the forecast gave to less", (0.0, 1.0));
    let diagonal = Element::line("zero", [(0.0, 0.0), (1.0, 1.0)]).titled("as sure as it should be");
    let elements = [band(panel), diagonal].into_iter().chain(panel.cases.iter().map(case)).collect();
    Some(Sketch {
        caption: format!(
            "Calibration of {}: outcomes all above the diagonal were worse than forecast, all below it better.{}",
            plural(panel.cases.len(), "backtest"),
            if panel.band >= 0.5 { " So few cases cannot show a forecaster to be wrong." } else { "" }
        ),
        alternative: format!(
            "Probability integral transform of {}: {}.",
            plural(panel.cases.len(), "backtest case"),
            panel.cases.iter().map(|case| format!("{:.2}", case.pit)).collect::<Vec<_>>().join(", ")
        ),
        height: 320,
        elements,
        keys: vec![
            key(&Element::mark("mark path", Marker::Circle, (0.0, 0.0)), "backtest"),
            key(&Element::area("band", []), format!("{} band of a calibrated forecaster", percent(panel.level))),
        ],
        x,
        y,
    })
}

/// Round the strip about the diagonal, cut where the square ends.
fn band(panel: &CalibrationPanel) -> Element {
    let half = panel.band.min(1.0);
    let above = [(0.0, half), (1.0 - half, 1.0), (1.0, 1.0)];
    let below = [(1.0, 1.0 - half), (half, 0.0), (0.0, 0.0)];
    Element::area("band", above.into_iter().chain(below))
        .titled(format!("{} of calibrated forecasters stay inside", percent(panel.level)))
}

fn case(case: &CalibrationCase) -> Element {
    let title = format!("{} from {} away: {:.2}", case.name, times(case.ratio), case.pit);
    Element::mark("mark path", Marker::Circle, (case.expected, case.pit)).titled(title)
}
