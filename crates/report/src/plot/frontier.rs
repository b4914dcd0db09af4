//! Best size and best data against the budget, with what each approach says and the runs there are.

use forescale_core::approach::{Approach, ApproachFit, OptimumAt};
use forescale_core::estimate::Estimate;
use forescale_core::math;
use forescale_core::panel::{FrontierPoint, ReportData, RunRow};
use forescale_core::run::Role;

use super::axis::{Axis, range};
use super::element::{Element, Marker};
use super::sketch::{Key, Sketch, across};
use super::{every, key, thinned};
use crate::format::{bounds, count, percent, scientific};
use crate::tables::approach_label;

/// N*(C).
pub(crate) fn params(data: &ReportData) -> Option<Sketch> {
    let quantity = Quantity {
        name: "parameters N",
        symbol: "N*",
        best: |point| &point.params,
        run: |row| row.params,
        at: |at| &at.params,
    };
    quantity.sketch(data)
}

/// D*(C).
pub(crate) fn tokens(data: &ReportData) -> Option<Sketch> {
    let quantity = Quantity {
        name: "tokens D",
        symbol: "D*",
        best: |point| &point.tokens,
        run: |row| row.tokens,
        at: |at| &at.tokens,
    };
    quantity.sketch(data)
}

/// Which of the two is drawn.
struct Quantity {
    name: &'static str,
    symbol: &'static str,
    best: fn(&FrontierPoint) -> &Estimate,
    run: fn(&RunRow) -> Option<f64>,
    at: fn(&OptimumAt) -> &Estimate,
}

impl Quantity {
    fn sketch(&self, data: &ReportData) -> Option<Sketch> {
        let shape = data.shape.as_ref().filter(|shape| shape.frontier.len() > 1)?;
        let frontier = &shape.frontier;
        let runs = || data.runs.iter().filter(|row| row.loss.is_some());
        let estimates = frontier.iter().map(|point| (self.best)(point).estimate);
        let sizes = range(estimates.chain(runs().filter_map(self.run)).map(math::log10), 0.12);
        let y = Axis::decades(self.name, sizes, 300.0);
        let budgets = frontier.iter().map(|point| point.flops).chain(runs().map(|row| row.flops));
        let x = Axis::decades("compute C, FLOPs", range(budgets.map(math::log10), 0.02), across(y.label_width()));
        let within = (y.low, y.high);
        let mut elements = self.law(frontier, within);
        elements.extend(lines(data).flat_map(|fit| self.line(fit, within)));
        elements.extend(runs().step_by(every(runs().count())).filter_map(|row| self.mark(row)));
        Some(Sketch {
            caption: format!(
                "{} against the budget by `{}`, as it is fitted to be carried, and the runs; the band is the interval of the \
                 optimum.{}",
                self.symbol,
                shape.law,
                thinned(runs().count())
            ),
            alternative: self.alternative(frontier),
            height: 330,
            elements,
            keys: keys(data, frontier),
            x,
            y,
        })
    }

    fn alternative(&self, frontier: &[FrontierPoint]) -> String {
        let end = |point: Option<&FrontierPoint>| {
            point.map_or_else(String::new, |point| {
                let best = (self.best)(point);
                let ends = bounds(best, count);
                format!("{} at {} FLOPs ({ends})", count(best.estimate), scientific(point.flops))
            })
        };
        format!("Best {} by budget: from {} to {}.", self.name, end(frontier.first()), end(frontier.last()))
    }

    /// The band and the line in it; what lies outside the drawing ends at its edge.
    fn law(&self, frontier: &[FrontierPoint], (low, high): (f64, f64)) -> Vec<Element> {
        let end = |end: Option<f64>, edge: f64| end.map_or(edge, |size| math::log10(size).clamp(low, high));
        let at = |point: &FrontierPoint, height: f64| (math::log10(point.flops), height);
        let upper = frontier.iter().map(|point| at(point, end((self.best)(point).upper, high)));
        let lower = frontier.iter().rev().map(|point| at(point, end((self.best)(point).lower, low)));
        let level = frontier.first().map_or(0.9, |point| (self.best)(point).level);
        let band = Element::area("band", upper.chain(lower)).titled(format!("{} interval", percent(level)));
        let line = frontier.iter().map(|point| at(point, math::log10((self.best)(point).estimate)));
        vec![band, Element::line("curve", line).titled(format!("{} by the law", self.symbol))]
    }

    /// An approach's power of compute: straight here, so that its optima are on it.
    fn line(&self, fit: &ApproachFit, (low, high): (f64, f64)) -> Option<Element> {
        let at = |at: &OptimumAt| (math::log10(at.flops), math::log10((self.at)(at).estimate));
        let inside = |(_, height): &(f64, f64)| (low..=high).contains(height);
        let points: Vec<(f64, f64)> = fit.optima.iter().map(at).filter(inside).collect();
        let title = format!("approach {}", approach_label(fit.approach));
        (points.len() > 1).then(|| Element::line(class(fit.approach), points).titled(title))
    }

    fn mark(&self, row: &RunRow) -> Option<Element> {
        let told = (self.run)(row)?;
        let place = (math::log10(row.flops), math::log10(told));
        let title = format!("{}: {} {}, {} FLOPs", row.name, count(told), self.name, scientific(row.flops));
        let (class, marker) = looks(row.role);
        Some(Element::mark(class, marker, place).titled(title))
    }
}

/// How a run looks by what it was for.
pub(super) fn looks(role: Option<Role>) -> (&'static str, Marker) {
    match role {
        Some(Role::OffPath) => ("mark off", Marker::Square),
        Some(Role::Target) => ("mark target", Marker::Diamond),
        Some(Role::Path) | None => ("mark path", Marker::Circle),
    }
}

/// Keys of the kinds of run there are.
pub(super) fn run_keys(data: &ReportData) -> Vec<Key> {
    let kinds = [
        (Some(Role::Path), "run on the path"),
        (None, "run"),
        (Some(Role::OffPath), "run off the path"),
        (Some(Role::Target), "held-out target"),
    ];
    let there = |role| data.runs.iter().any(|row| row.role == role && row.loss.is_some());
    let shown = kinds.into_iter().filter(|(role, _)| there(*role));
    shown
        .map(|(role, words)| {
            let (class, marker) = looks(role);
            key(&Element::mark(class, marker, (0.0, 0.0)), words)
        })
        .collect()
}

/// The approaches that are not the law's own frontier.
fn lines(data: &ReportData) -> impl Iterator<Item = &ApproachFit> {
    data.approaches.iter().filter(|fit| fit.approach != Approach::Surface && fit.optima.len() > 1)
}

fn class(approach: Approach) -> &'static str {
    match approach {
        Approach::Envelope => "line s1",
        Approach::Isoflop | Approach::Surface => "line s2",
    }
}

fn keys(data: &ReportData, frontier: &[FrontierPoint]) -> Vec<Key> {
    let level = frontier.first().map_or(0.9, |point| point.params.level);
    let law = [
        key(&Element::line("curve", []), "frontier of the law"),
        key(&Element::area("band", []), format!("{} interval", percent(level))),
    ];
    let approach = |fit: &ApproachFit| {
        key(&Element::line(class(fit.approach), []), format!("approach {}", approach_label(fit.approach)))
    };
    law.into_iter().chain(lines(data).map(approach)).chain(run_keys(data)).collect()
}
