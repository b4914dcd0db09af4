//! The transfer check: loss against rate at one horizon, a parabola for each width.

use forescale_core::math;
use forescale_core::probe::{RateCell, RateFinding};

use super::axis::{Axis, range};
use super::element::{Element, MARKERS, Marker, marker_of};
use super::key;
use super::sketch::{Key, Sketch, across};
use crate::format::{loss, times};
use crate::probe::{cell_name, lowest};

/// Points of a drawn parabola.
const POINTS: usize = 33;

/// Loss above each width's own lowest against the rate over the recipe's, at one horizon.
pub(super) fn losses(finding: &RateFinding, tokens_per_param: f64) -> Option<Sketch> {
    let here = finding.cells.iter().filter(|cell| cell.tokens_per_param.total_cmp(&tokens_per_param).is_eq());
    let series: Vec<Series> =
        here.enumerate().filter_map(|(index, cell)| Some(Series { index, cell, lowest: lowest(cell)? })).collect();
    if series.is_empty() {
        return None;
    }
    let near = series.iter().flat_map(Series::near);
    let y = Axis::linear("loss above the lowest", range(near.chain([0.0]), 0.1));
    let mut factors: Vec<f64> =
        series.iter().flat_map(|one| one.cell.trials.iter().map(|trial| trial.factor)).collect();
    factors.sort_by(f64::total_cmp);
    factors.dedup_by(|b, a| a.total_cmp(b).is_eq());
    let places: Vec<(f64, String)> = factors.iter().map(|factor| (math::log2(*factor), label(*factor))).collect();
    let span = range(places.iter().map(|place| place.0), 0.06);
    let x = Axis::marked("rate over the recipe's", span, places, across(y.label_width()));
    let recipe = Element::line("zero", [(0.0, y.low), (0.0, y.high)]);
    let drawn = series.iter().flat_map(|one| one.elements(&y));
    Some(Sketch {
        caption: format!(
            "At {tokens_per_param} tokens per parameter. Under a recipe that transfers all widths turn at one rate.",
        ),
        alternative: format!("Loss against rate for {} widths, each with its parabola.", series.len()),
        height: 320,
        elements: std::iter::once(recipe).chain(drawn).collect(),
        keys: series.iter().map(Series::key).collect(),
        x,
        y,
    })
}

fn label(factor: f64) -> String {
    if factor < 1.0 { format!("{factor}×") } else { times(factor) }
}

/// One width at the horizon, with a look of its own.
struct Series<'a> {
    index: usize,
    cell: &'a RateCell,
    lowest: f64,
}

impl Series<'_> {
    fn marker(&self) -> Marker {
        marker_of(self.index)
    }

    fn class(&self, kind: &str) -> String {
        format!("{kind} s{}", self.index % MARKERS.len())
    }

    /// Losses of the rates that the parabola was fitted to, or of all where there is none.
    fn near(&self) -> Vec<f64> {
        let within = |factor: f64| {
            let at = math::log2(factor);
            self.cell.parabola.is_none_or(|p| (p.lowest - 1e-9..=p.highest + 1e-9).contains(&at))
        };
        let trials = self.cell.trials.iter().filter(|trial| within(trial.factor));
        trials.filter_map(|trial| trial.loss).map(|value| value - self.lowest).collect()
    }

    fn elements(&self, y: &Axis) -> Vec<Element> {
        let mut elements: Vec<Element> = self.curve().into_iter().collect();
        for trial in &self.cell.trials {
            let Some(value) = trial.loss else { continue };
            let off_scale = if value - self.lowest > y.high { ", off the scale" } else { "" };
            let title = format!("{} at {}: {}{off_scale}", cell_name(self.cell), label(trial.factor), loss(value));
            let at = (math::log2(trial.factor), (value - self.lowest).min(y.high));
            elements.push(Element::mark(&self.class("mark"), self.marker(), at).titled(title));
        }
        elements.extend(self.cell.best_factor.map(|factor| {
            let at = math::log2(factor.estimate);
            let title = format!("{}: best at {:.2}×", cell_name(self.cell), factor.estimate);
            Element::line(&self.class("trend"), [(at, y.low), (at, 0.0)]).titled(title)
        }));
        elements
    }

    fn curve(&self) -> Option<Element> {
        let parabola = self.cell.parabola?;
        let at = |i: usize| parabola.lowest + (parabola.highest - parabola.lowest) * i as f64 / (POINTS - 1) as f64;
        let height = |x: f64| parabola.curvature * (x - parabola.vertex) * (x - parabola.vertex);
        Some(Element::line(&self.class("trend"), (0..POINTS).map(at).map(|x| (x, height(x)))))
    }

    fn key(&self) -> Key {
        let best = self.cell.best_factor.map(|factor| format!("best at {:.2}×", factor.estimate));
        let words = format!("d{}: {}", self.cell.width, best.unwrap_or_else(|| "no best rate".to_owned()));
        key(&Element::mark(&self.class("mark"), self.marker(), (0.0, 0.0)), words)
    }
}
