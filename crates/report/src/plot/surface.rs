//! The loss over size and data as lines of equal loss, with the frontier and the runs on it.

use forescale_core::math;
use forescale_core::panel::{Contour, ReportData, RunRow, ShapePanel};
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, range};
use super::element::{Element, Label};
use super::frontier::{looks, run_keys};
use super::sketch::{Sketch, across};
use super::{every, key, thinned};
use crate::format::{count, loss};
use crate::headline::plural;

/// The plot, where there is a line to draw.
pub(crate) fn sketch(data: &ReportData) -> Option<Sketch> {
    let shape = data.shape.as_ref().filter(|shape| !shape.contours.is_empty())?;
    let runs = || data.runs.iter().filter(|row| row.loss.is_some());
    let points = || shape.contours.iter().flat_map(|line| &line.points);
    let tokens = points().map(|point| point.tokens).chain(runs().filter_map(|row| row.tokens));
    let y = Axis::decades("tokens D", range(tokens.map(math::log10), 0.02), 340.0);
    let params = points().map(|point| point.params).chain(runs().filter_map(|row| row.params));
    let x = Axis::decades("parameters N", range(params.map(math::log10), 0.02), across(y.label_width()));
    let mut elements: Vec<Element> = shape.contours.iter().map(contour).collect();
    elements.extend(frontier(shape, ((x.low, x.high), (y.low, y.high))));
    elements.extend(runs().step_by(every(runs().count())).filter_map(mark));
    elements.extend(shape.contours.iter().filter_map(label));
    let mut keys = vec![
        key(&Element::line("contour", []), format!("equal loss, {}", data.unit.label())),
        key(&Element::line("curve", []), "best split of a budget"),
    ];
    keys.extend(run_keys(data));
    Some(Sketch {
        caption: format!(
            "The loss by `{}`, as it is fitted to be carried, over size and data: every run on one line is predicted the \
             same loss, and the frontier crosses each line where it costs least.{}",
            shape.law,
            thinned(runs().count())
        ),
        alternative: alternative(shape, runs().count()),
        height: 400,
        elements,
        keys,
        x,
        y,
    })
}

fn alternative(shape: &ShapePanel, runs: usize) -> String {
    let ends = [shape.contours.first(), shape.contours.last()].map(|line| line.map_or(0.0, |line| line.loss));
    format!(
        "Lines of equal loss over parameters and tokens, from {} to {}, with {}.",
        loss(ends[0]),
        loss(ends[1]),
        plural(runs, "run")
    )
}

fn contour(line: &Contour) -> Element {
    let points = line.points.iter().map(|point| (math::log10(point.params), math::log10(point.tokens)));
    Element::line("contour", points).titled(format!("loss {}", loss(line.loss)))
}

/// The loss beside the right end of its line, where the lines lie furthest apart.
fn label(line: &Contour) -> Option<Element> {
    let end = line.points.last()?;
    let label = Label { text: format!("{:.2}", line.loss), anchor: (HPos::Right, VPos::Bottom), offset: (-1, -1) };
    Some(Element::text("note", label, (math::log10(end.params), math::log10(end.tokens))))
}

/// The frontier as far as the drawing goes.
fn frontier(shape: &ShapePanel, ((left, right), (low, high)): ((f64, f64), (f64, f64))) -> Option<Element> {
    let at = shape.frontier.iter().map(|p| (math::log10(p.params.estimate), math::log10(p.tokens.estimate)));
    let inside: Vec<(f64, f64)> = at.filter(|(x, y)| (left..=right).contains(x) && (low..=high).contains(y)).collect();
    (inside.len() > 1).then(|| Element::line("curve", inside).titled("best split of a budget"))
}

fn mark(row: &RunRow) -> Option<Element> {
    let (params, tokens) = row.params.zip(row.tokens)?;
    let (class, marker) = looks(row.role);
    let told = row.loss.map(|value| format!(", loss {}", loss(value))).unwrap_or_default();
    let title = format!("{}: {} parameters, {} tokens{told}", row.name, count(params), count(tokens));
    Some(Element::mark(class, marker, (math::log10(params), math::log10(tokens))).titled(title))
}
