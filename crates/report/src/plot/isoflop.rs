//! Loss against size at one budget each, with the minimum of the law and how well it is known.

use forescale_core::math;
use forescale_core::panel::{FrontierPoint, Isoflop, ReportData, ShapePanel};

use super::axis::{Axis, range};
use super::element::{Element, MARKERS, Marker, marker_of};
use super::key;
use super::sketch::{Key, Sketch, across};
use crate::format::{bounds, count, loss, percent, scientific};
use crate::headline::plural;

/// The plot, where more than one size was tried at a budget.
pub(crate) fn sketch(data: &ReportData) -> Option<Sketch> {
    let shape = data.shape.as_ref().filter(|shape| !shape.isoflops.is_empty())?;
    let points = || shape.isoflops.iter().flat_map(|budget| budget.runs.iter().chain(&budget.curve));
    let y = Axis::linear(&format!("loss, {}", data.unit.label()), range(points().map(|point| point.loss), 0.06));
    let sizes = range(points().map(|point| math::log10(point.params)), 0.02);
    let x = Axis::decades("parameters N", sizes, across(y.label_width()));
    let drawn = shape.isoflops.iter().enumerate().flat_map(|(index, budget)| elements(index, budget, (x.low, x.high)));
    Some(Sketch {
        caption: caption(shape),
        alternative: alternative(shape),
        height: 330,
        elements: drawn.collect(),
        keys: keys(shape),
        x,
        y,
    })
}

fn caption(shape: &ShapePanel) -> String {
    let left_out = match shape.isoflops_left_out {
        0 => String::new(),
        left_out => format!(" {left_out} more budgets are not drawn, for room."),
    };
    format!(
        "IsoFLOP curves: each line is `{}`, as it is fitted to be carried, at one budget, markers are the runs \
         at it within a factor of 1.5; the bar spans the sizes that may be best.{left_out}",
        shape.law
    )
}

fn alternative(shape: &ShapePanel) -> String {
    let best = |budget: &Isoflop| {
        let best = budget.minimum.as_ref()?;
        Some(format!("at {} FLOPs the best size is {}", scientific(budget.flops), words(best)))
    };
    let found: Vec<String> = shape.isoflops.iter().filter_map(best).collect();
    format!("Loss against size at {}; {}.", plural(shape.isoflops.len(), "budget"), found.join("; "))
}

fn words(best: &FrontierPoint) -> String {
    format!(
        "{} parameters, {} interval {}",
        count(best.params.estimate),
        percent(best.params.level),
        bounds(&best.params, count)
    )
}

fn look(kind: &str, index: usize) -> String {
    format!("{kind} s{}", index % MARKERS.len())
}

fn elements(index: usize, budget: &Isoflop, ends: (f64, f64)) -> Vec<Element> {
    let budget_words = format!("{} FLOPs", scientific(budget.flops));
    let curve = budget.curve.iter().map(|point| (math::log10(point.params), point.loss));
    let mut elements = vec![Element::line(&look("line", index), curve).titled(format!("the law at {budget_words}"))];
    elements.extend(budget.minimum.iter().flat_map(|best| minimum(best, index, ends)));
    elements.extend(budget.runs.iter().map(|run| {
        let title = format!("{}: loss {}, {} parameters", run.name, loss(run.loss), count(run.params));
        Element::mark(&look("mark", index), marker_of(index), (math::log10(run.params), run.loss)).titled(title)
    }));
    let vertex = budget.vertex.as_ref().and_then(|vertex| vertex.params.zip(vertex.loss));
    elements.extend(vertex.map(|(params, at)| {
        let title = format!("vertex of the runs at {budget_words}: {} parameters", count(params));
        Element::mark("mark vertex", Marker::Plus, (math::log10(params), at)).titled(title)
    }));
    elements
}

/// The bar of sizes that may be best; an end that the data do not set runs to the edge.
fn minimum(best: &FrontierPoint, index: usize, (low, high): (f64, f64)) -> [Element; 1] {
    let end = |end: Option<f64>, edge: f64| end.map_or(edge, |size| math::log10(size).clamp(low, high));
    let ends = [(end(best.params.lower, low), best.loss), (end(best.params.upper, high), best.loss)];
    [Element::line(&look("wide", index), ends).titled(format!(
        "best at {} FLOPs: {}, loss {}",
        scientific(best.flops),
        words(best),
        loss(best.loss)
    ))]
}

fn keys(shape: &ShapePanel) -> Vec<Key> {
    let budget = |(index, budget): (usize, &Isoflop)| {
        let like = Element::mark(&look("mark", index), marker_of(index), (0.0, 0.0));
        key(&like, format!("{} FLOPs", scientific(budget.flops)))
    };
    let mut keys: Vec<Key> = shape.isoflops.iter().enumerate().map(budget).collect();
    let level = shape.isoflops.iter().find_map(|budget| budget.minimum.as_ref()).map(|best| best.params.level);
    keys.extend(
        level.map(|level| key(&Element::line("wide s0", []), format!("{} interval of the best size", percent(level)))),
    );
    if shape.isoflops.iter().any(|budget| budget.vertex.as_ref().is_some_and(|vertex| vertex.loss.is_some())) {
        keys.push(key(&Element::mark("mark vertex", Marker::Plus, (0.0, 0.0)), "vertex of the runs alone"));
    }
    keys
}
