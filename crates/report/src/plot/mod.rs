//! The plots of a report. Each is one file that turns data into a [`sketch::Sketch`], and one line in [`PLOTS`].
//!
//! A sketch is axes and elements as plain data; `sketch` alone asks plotters to draw it, on the backend in `svg`.

mod axis;
mod backtest;
mod calibration;
mod capability;
mod compute;
mod correlation;
mod course;
mod element;
mod frontier;
mod isoflop;
mod laws;
mod probe_collapse;
mod probe_coord;
mod probe_rate;
mod profile;
mod residual;
mod seeds;
mod sketch;
mod surface;
mod svg;

use forescale_core::panel::ReportData;
use forescale_core::probe::{Finding, ProbeReport};

use crate::ReportError;
use sketch::{Key, Sketch};

/// A plot drawn: the page sets it with its caption and legend.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plot {
    /// The name that the page asks for; several plots may bear it.
    pub(crate) kind: &'static str,
    pub(crate) caption: String,
    pub(crate) keys: Vec<Key>,
    pub(crate) svg: String,
}

/// Turns data into plots of one kind, as many as there is something to draw for.
type MakeSketches = fn(&ReportData) -> Vec<Sketch>;

/// Every kind of plot, by the name the page asks for.
const PLOTS: [(&str, MakeSketches); 14] = [
    ("compute", |data| one(compute::sketch(data))),
    ("capability", capability::sketches),
    ("laws", |data| one(laws::sketch(data))),
    ("residuals", |data| one(residual::sketch(data))),
    ("profiles", profile::sketches),
    ("correlations", correlation::sketches),
    ("isoflop", |data| one(isoflop::sketch(data))),
    ("best-params", |data| one(frontier::params(data))),
    ("best-tokens", |data| one(frontier::tokens(data))),
    ("surface", |data| one(surface::sketch(data))),
    ("backtest", |data| one(backtest::sketch(data))),
    ("calibration", |data| one(calibration::sketch(data))),
    ("curves", |data| one(course::sketch(data))),
    ("seeds", |data| one(seeds::sketch(data))),
];

fn one(sketch: Option<Sketch>) -> Vec<Sketch> {
    sketch.into_iter().collect()
}

/// All plots the data have something for.
pub(crate) fn all(data: &ReportData) -> Result<Vec<Plot>, ReportError> {
    let sketches = PLOTS.iter().flat_map(|(kind, sketches)| numbered(kind, sketches(data)));
    sketches.map(|(kind, place, sketch)| draw(kind, place, &sketch)).collect()
}

/// Sketches of one kind with their place among them.
fn numbered(kind: &'static str, sketches: Vec<Sketch>) -> impl Iterator<Item = (&'static str, usize, Sketch)> {
    sketches.into_iter().enumerate().map(move |(place, sketch)| (kind, place, sketch))
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
    PROBE_PLOTS.iter().zip(sketches).map(|(kind, sketch)| draw(kind, 0, &sketch)).collect()
}

fn draw(kind: &'static str, place: usize, sketch: &Sketch) -> Result<Plot, ReportError> {
    let svg = sketch.draw(kind, place)?;
    Ok(Plot { kind, caption: sketch.caption.clone(), keys: sketch.keys.clone(), svg })
}

/// Most points of a kind in one plot. Chosen here: more hide one another, and a page of them opens slowly.
const MOST_POINTS: usize = 1500;

/// Every so many of a list are drawn: all of them where they are few.
fn every(count: usize) -> usize {
    count.div_ceil(MOST_POINTS).max(1)
}

/// What a caption says of points that are not drawn.
fn thinned(count: usize) -> String {
    match every(count) {
        1 => String::new(),
        step => format!(" One point in {step} is drawn; the table holds them all."),
    }
}

/// A key that looks like an element.
fn key(like: &element::Element, text: impl Into<String>) -> Key {
    Key { swatch: like.swatch(), text: text.into(), of: like.class().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_thinned_only_where_there_are_too_many_and_the_caption_says_so() {
        assert_eq!([0, 1, 1500, 1501, 10_000].map(every), [1, 1, 1, 2, 7]);
        assert_eq!(thinned(500), "");
        assert_eq!(thinned(10_000), " One point in 7 is drawn; the table holds them all.");
    }
}
