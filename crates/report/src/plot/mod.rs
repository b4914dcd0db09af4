//! The plots of a report. Each is one file that turns data into a [`sketch::Sketch`], and one line in [`PLOTS`].
//!
//! A sketch is axes and elements as plain data; `sketch` alone asks plotters to draw it, on the backend in `svg`.

mod axis;
mod backtest;
mod compute;
mod element;
mod laws;
mod probe_collapse;
mod probe_coord;
mod probe_rate;
mod residual;
mod sketch;
mod svg;

use forescale_core::panel::ReportData;
use forescale_core::probe::{Finding, ProbeReport};

use crate::ReportError;
use sketch::{Key, Sketch};

/// A plot drawn: the page sets it with its caption and legend.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plot {
    pub(crate) id: &'static str,
    pub(crate) caption: String,
    pub(crate) keys: Vec<Key>,
    pub(crate) svg: String,
}

/// Turns data into a plot, where there is something to draw.
type MakeSketch = fn(&ReportData) -> Option<Sketch>;

/// Every plot, by the name the page asks for; none where the data have nothing to draw.
const PLOTS: [(&str, MakeSketch); 4] = [
    ("compute", compute::sketch),
    ("laws", laws::sketch),
    ("residuals", residual::sketch),
    ("backtest", backtest::sketch),
];

/// All plots the data have something for.
pub(crate) fn all(data: &ReportData) -> Result<Vec<Plot>, ReportError> {
    PLOTS.iter().filter_map(|(id, sketch)| sketch(data).map(|sketch| draw(id, sketch))).collect()
}

/// Names of a probe's plots, as many as are drawn at most.
const PROBE_PLOTS: [&str; 4] = ["probe-1", "probe-2", "probe-3", "probe-4"];

/// The plots of a probe: of every dimension, or of every horizon, as far as there are names.
pub(crate) fn of_probe(report: &ProbeReport) -> Result<Vec<Plot>, ReportError> {
    let sketches: Vec<Sketch> = match &report.finding {
        Finding::Coord(finding) => {
            let of = |check| [Some(probe_coord::slopes(check, finding)), probe_coord::scales(check, finding)];
            finding.checks.iter().flat_map(of).flatten().collect()
        }
        Finding::Lr(finding) => {
            let horizons = finding.horizons.iter().map(|horizon| horizon.tokens_per_param);
            horizons.filter_map(|horizon| probe_rate::losses(finding, horizon)).collect()
        }
        Finding::Collapse(finding) => probe_collapse::curves(finding).into_iter().collect(),
    };
    PROBE_PLOTS.iter().zip(sketches).map(|(id, sketch)| draw(id, sketch)).collect()
}

fn draw(id: &'static str, sketch: Sketch) -> Result<Plot, ReportError> {
    let svg = sketch.draw(id)?;
    Ok(Plot { id, caption: sketch.caption, keys: sketch.keys, svg })
}

/// A key that looks like an element.
fn key(like: &element::Element, text: impl Into<String>) -> Key {
    Key { swatch: like.swatch(), text: text.into() }
}
