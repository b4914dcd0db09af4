//! How far each run lies from each law, in per cent of its loss: a pattern here is a law that bends the wrong way.

use std::collections::BTreeSet;

use forescale_core::math;
use forescale_core::panel::{ReportData, ResidualPoint};

use super::axis::{Axis, range};
use super::element::{Element, MARKERS, Marker, marker_of};
use super::sketch::{Key, Sketch, across};
use super::{every, key, thinned};
use crate::format::signed_percent;

/// The plot, where there are residuals.
pub(crate) fn sketch(data: &ReportData) -> Option<Sketch> {
    if data.residuals.is_empty() {
        return None;
    }
    let y = Axis::linear("residual of log loss, %", vertical(&data.residuals));
    let x = Axis::decades("compute, FLOPs", horizontal(&data.residuals), across(y.label_width()));
    let zero = Element::line("zero", [(x.low, 0.0), (x.high, 0.0)]);
    let laws: BTreeSet<&str> = data.residuals.iter().map(|point| point.law.as_str()).collect();
    let series: Vec<Series> = laws.into_iter().enumerate().map(|(index, law)| Series { index, law }).collect();
    let points = series.iter().flat_map(|series| series.elements(&data.residuals));
    Some(Sketch {
        caption: format!(
            "What the laws leave over at each run they were fitted to; above zero the run did worse than the law.{}",
            thinned(data.residuals.len())
        ),
        alternative: format!("Residuals of log loss against compute for {} points.", data.residuals.len()),
        height: 280,
        elements: std::iter::once(zero).chain(points).collect(),
        keys: series.iter().map(Series::key).collect(),
        x,
        y,
    })
}

fn vertical(points: &[ResidualPoint]) -> (f64, f64) {
    range(points.iter().map(|point| 100.0 * point.residual).chain([0.0]), 0.1)
}

fn horizontal(points: &[ResidualPoint]) -> (f64, f64) {
    range(points.iter().map(|point| math::log10(point.flops)), 0.05)
}

/// One law's points, with a look of their own.
struct Series<'a> {
    index: usize,
    law: &'a str,
}

impl Series<'_> {
    fn marker(&self) -> Marker {
        marker_of(self.index)
    }

    fn class(&self) -> String {
        format!("mark s{}", self.index % MARKERS.len())
    }

    fn elements<'b>(&'b self, points: &'b [ResidualPoint]) -> impl Iterator<Item = Element> + 'b {
        let drawn = points.iter().step_by(every(points.len()));
        drawn.filter(|point| point.law == self.law).map(|point| self.element(point))
    }

    fn element(&self, point: &ResidualPoint) -> Element {
        let title = format!("{}: {} from {}", point.name, signed_percent(point.residual), point.law);
        Element::mark(&self.class(), self.marker(), (math::log10(point.flops), 100.0 * point.residual)).titled(title)
    }

    fn key(&self) -> Key {
        key(&Element::mark(&self.class(), self.marker(), (0.0, 0.0)), self.law)
    }
}
