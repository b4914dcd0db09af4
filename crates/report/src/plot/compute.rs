//! Loss against compute with the target at 1: the plot of GPT-4's report (OpenAI, 2023, arXiv:2303.08774, figure 1).

use forescale_core::estimate::Interval;
use forescale_core::math;
use forescale_core::panel::{BandPoint, ComputePanel, ComputePoint, ReportData};
use forescale_core::run::Role;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, range};
use super::element::{Element, Label, Marker};
use super::sketch::{Key, Sketch, across};
use super::{every, key, thinned};
use crate::format::{loss, percent, scientific};
use crate::headline::{plural, shown_interval};
use crate::tables::role_label;

/// The plot, where there is a run or a curve to draw.
pub(crate) fn sketch(data: &ReportData) -> Option<Sketch> {
    let panel = &data.compute;
    if panel.points.is_empty() && panel.curve.is_empty() {
        return None;
    }
    let y = losses(data);
    let x = Axis::decades(axis_name(data), compute_range(data), across(y.label_width()));
    let drawing = Drawing { data, panel, shares: (x.low, x.high), losses: (y.low, y.high) };
    let (elements, keys) = (drawing.elements(), drawing.keys());
    Some(Sketch { caption: caption(data), alternative: alternative(data), height: 372, x, y, elements, keys })
}

/// How a run looks whose loss is outside the drawing.
const OFF_SCALE: (&str, Marker) = ("mark unused", Marker::Triangle);

/// The data with the ends of both axes.
struct Drawing<'a> {
    data: &'a ReportData,
    panel: &'a ComputePanel,
    shares: (f64, f64),
    losses: (f64, f64),
}

fn axis_name(data: &ReportData) -> &'static str {
    if data.target.is_some() || data.forecast.is_some() { "compute (target = 1)" } else { "compute (largest run = 1)" }
}

fn caption(data: &ReportData) -> String {
    let unit = scientific(data.compute.unit_flops);
    let sealed = data.target.as_ref().is_some_and(|target| target.registration_sha256.is_some());
    let both = if sealed && data.forecast.as_ref().is_some_and(|forecast| forecast.median.is_some()) {
        " The bar at the target is the forecast as it was sealed; curve and band are what the same runs say today."
    } else {
        ""
    };
    format!("Loss against compute; 1 on the axis is {unit} FLOPs.{both}{}", thinned(data.compute.points.len()))
}

fn alternative(data: &ReportData) -> String {
    let opening = format!("Loss against compute on a logarithmic axis, {}.", plural(data.compute.points.len(), "run"));
    let median = data.forecast.as_ref().and_then(|forecast| forecast.median);
    let forecast = median.map(|median| format!(" Forecast at the target: {}.", loss(median)));
    let actual = outcome(data).map(|actual| format!(" Outcome: {}.", loss(actual)));
    format!("{opening}{}{}", forecast.unwrap_or_default(), actual.unwrap_or_default())
}

fn outcome(data: &ReportData) -> Option<f64> {
    data.target.as_ref().and_then(|target| target.actual)
}

fn share(panel: &ComputePanel, flops: f64) -> f64 {
    math::log10(flops / panel.unit_flops)
}

/// The target's place on the axis, where there is a target.
fn target_share(data: &ReportData) -> Option<f64> {
    let flops =
        data.target.as_ref().map(|target| target.flops).or(data.forecast.as_ref().map(|forecast| forecast.flops));
    flops.map(|flops| share(&data.compute, flops))
}

fn compute_range(data: &ReportData) -> (f64, f64) {
    let panel = &data.compute;
    let runs = panel.points.iter().map(|point| point.flops).chain(panel.curve.iter().map(|point| point.flops));
    range(runs.map(|flops| share(panel, flops)).chain(target_share(data)), 0.05)
}

/// The axis of loss holds what the fit saw, said and was told; what lies outside is marked at the edge.
fn losses(data: &ReportData) -> Axis {
    let panel = &data.compute;
    let used = panel.points.iter().filter(|point| point.used).map(|point| point.loss);
    let curve = panel.curve.iter().map(|point| point.median);
    let ends = forecast_interval(data).into_iter().flat_map(|interval| [interval.lower, interval.upper]);
    let all: Vec<f64> = used.chain(curve).chain(ends).chain(outcome(data)).collect();
    let all = if all.is_empty() { panel.points.iter().map(|point| point.loss).collect() } else { all };
    let (low, high) = range(all.iter().copied(), 0.0);
    let floors = [panel.floor, data.true_floor].into_iter().flatten().filter(|floor| *floor > low - 0.8 * (high - low));
    let (low, high) = range(floors.chain([low, high]), 0.12);
    let label = format!("loss, {}", data.unit.label());
    Axis::linear(&label, (low, high + 0.06 * (high - low)))
}

fn forecast_interval(data: &ReportData) -> Option<Interval> {
    data.forecast.as_ref().and_then(|forecast| forecast.median).and_then(|_| shown_interval(data))
}

impl Drawing<'_> {
    fn elements(&self) -> Vec<Element> {
        let mut elements = self.prediction();
        elements.extend(self.floors());
        let drawn = self.panel.points.iter().step_by(every(self.panel.points.len()));
        elements.extend(drawn.filter(|point| !self.is_target(point)).map(|point| self.run(point)));
        elements.extend(self.target());
        elements
    }

    /// The band and the curve in it.
    fn prediction(&self) -> Vec<Element> {
        let curve = &self.panel.curve;
        if curve.len() < 2 {
            return Vec::new();
        }
        let at = |value: fn(&BandPoint) -> f64| move |point: &BandPoint| (share(self.panel, point.flops), value(point));
        let around = curve.iter().map(at(|p| p.upper)).chain(curve.iter().rev().map(at(|p| p.lower)));
        let band = Element::area("band", around).titled(format!("{} interval", percent(self.panel.level)));
        vec![band, Element::line("curve", curve.iter().map(at(|p| p.median))).titled("forecast along the path")]
    }

    fn floors(&self) -> Vec<Element> {
        let (fitted, truth) = (self.panel.floor, self.data.true_floor);
        let above = fitted >= truth;
        let fitted = fitted.map(|floor| self.floor("floor", "fitted floor", (floor, above)));
        let truth = truth.map(|floor| self.floor("truth", "true floor", (floor, !above)));
        [fitted, truth].into_iter().flatten().flatten().collect()
    }

    /// A floor with its name above or below the line; none where it lies under the drawing.
    fn floor(&self, class: &str, name: &str, (at, above): (f64, bool)) -> Vec<Element> {
        if at < self.losses.0 || at > self.losses.1 {
            return Vec::new();
        }
        let words = format!("{name} {}", loss(at));
        let (side, offset) = if above { (VPos::Bottom, -2) } else { (VPos::Top, 3) };
        let label = Label { text: words.clone(), anchor: (HPos::Left, side), offset: (6, offset) };
        let line = Element::line(class, [(self.shares.0, at), (self.shares.1, at)]).titled(words);
        vec![line, Element::text("note", label, (self.shares.0, at))]
    }

    fn is_target(&self, point: &ComputePoint) -> bool {
        outcome(self.data).is_some() && self.data.target.as_ref().is_some_and(|target| target.name == point.name)
    }

    fn run(&self, point: &ComputePoint) -> Element {
        let role = point.role.map_or("run", role_label);
        let left_out = if point.used { "" } else { ", not fitted" };
        let mut title =
            format!("{}: loss {}, {} FLOPs, {role}{left_out}", point.name, loss(point.loss), scientific(point.flops));
        let (low, high) = self.losses;
        let off_scale = self.is_off_scale(point);
        if off_scale {
            title.push_str(", off the scale");
        }
        let shown = point.loss.clamp(low, high);
        let (class, marker) = if off_scale { OFF_SCALE } else { looks(point) };
        Element::mark(class, marker, (share(self.panel, point.flops), shown)).titled(title)
    }

    fn is_off_scale(&self, point: &ComputePoint) -> bool {
        point.loss < self.losses.0 || point.loss > self.losses.1
    }

    /// The forecast interval as a bar, the median across it, the outcome as a diamond, and their values above.
    fn target(&self) -> Vec<Element> {
        let Some(at) = target_share(self.data) else { return Vec::new() };
        let mut elements = Vec::new();
        let mut notes = Vec::new();
        if let (Some(median), Some(interval)) =
            (self.data.forecast.as_ref().and_then(|f| f.median), forecast_interval(self.data))
        {
            elements.extend(self.bar(at, median, &interval));
            notes.push(format!("forecast {}", loss(median)));
        }
        if let Some(actual) = outcome(self.data) {
            elements.push(outcome_mark((at, actual)).titled(format!("outcome {}", loss(actual))));
            notes.push(format!("outcome {}", loss(actual)));
        }
        self.guide(at, notes).into_iter().chain(elements).collect()
    }

    fn bar(&self, at: f64, median: f64, interval: &Interval) -> Vec<Element> {
        let half = 0.017 * (self.shares.1 - self.shares.0);
        let title = format!(
            "forecast {}, {} interval {}",
            loss(median),
            percent(interval.level),
            crate::format::interval(interval)
        );
        let cap = |height: f64| Element::line("forecast cap", [(at - half, height), (at + half, height)]);
        let corners = [
            (at - half, interval.lower),
            (at + half, interval.lower),
            (at + half, interval.upper),
            (at - half, interval.upper),
        ];
        let bar = Element::area("forecast box", corners).titled(title);
        vec![bar, cap(interval.lower), cap(interval.upper), cap(median)]
    }

    /// A thin line at the target, with the numbers beside its top, where a falling curve leaves room.
    fn guide(&self, at: f64, notes: Vec<String>) -> Vec<Element> {
        if notes.is_empty() {
            return Vec::new();
        }
        let (low, high) = self.losses;
        let label = |(line, text): (usize, String)| {
            let offset = (-8, 2 + 19 * line as i32);
            Element::text("note", Label { text, anchor: (HPos::Right, VPos::Top), offset }, (at, high))
        };
        let guide = Element::line("guide", [(at, low), (at, high)]);
        std::iter::once(guide).chain(notes.into_iter().enumerate().map(label)).collect()
    }

    fn keys(&self) -> Vec<Key> {
        let has = |wanted: fn(&ComputePoint) -> bool| {
            self.panel.points.iter().any(|point| wanted(point) && !self.is_target(point))
        };
        let mut keys = Vec::new();
        if has(|p| p.used && p.role != Some(Role::OffPath)) {
            // Of runs of a table nobody says what they were for.
            let named = if has(|p| p.role == Some(Role::Path)) { "run on the path, fitted" } else { "run, fitted" };
            keys.push(key(&Element::mark("mark path", Marker::Circle, (0.0, 0.0)), named));
        }
        if has(|p| p.role == Some(Role::OffPath)) {
            keys.push(key(&Element::mark("mark off", Marker::Square, (0.0, 0.0)), "run off the path, not in this fit"));
        }
        if has(|p| !p.used && p.role != Some(Role::OffPath)) {
            keys.push(key(&Element::mark("mark unused", Marker::Cross, (0.0, 0.0)), "not fitted"));
        }
        if self.panel.points.iter().any(|point| self.is_off_scale(point)) {
            keys.push(key(&Element::mark(OFF_SCALE.0, OFF_SCALE.1, (0.0, 0.0)), "off the scale, at the edge"));
        }
        if self.panel.curve.len() > 1 {
            keys.push(key(&Element::line("curve", []), "forecast along the path"));
            keys.push(key(&Element::area("band", []), format!("{} interval for one run", percent(self.panel.level))));
        }
        if let Some(interval) = forecast_interval(self.data) {
            keys.push(key(
                &Element::area("forecast box", []),
                format!("forecast at the target, {} interval", percent(interval.level)),
            ));
        }
        if outcome(self.data).is_some() {
            keys.push(key(&outcome_mark((0.0, 0.0)), "held-out target, outcome"));
        }
        keys
    }
}

fn outcome_mark(at: (f64, f64)) -> Element {
    Element::mark("mark target", Marker::Diamond, at)
}

fn looks(point: &ComputePoint) -> (&'static str, Marker) {
    match (point.role, point.used) {
        (Some(Role::OffPath), _) => ("mark off", Marker::Square),
        (Some(Role::Target), _) => ("mark target", Marker::Diamond),
        (_, true) => ("mark path", Marker::Circle),
        (_, false) => ("mark unused", Marker::Cross),
    }
}
