//! Profiles: how the fit worsens as one parameter is held away from its estimate. A straight V is a parabola; a side that
//! flattens out is a parameter that the data do not bound.

use forescale_core::panel::{ParameterPanel, ParameterProfile, ProfilePoint, ReportData};

use super::axis::{Axis, range};
use super::element::{Element, MARKERS};
use super::key;
use super::sketch::{Key, Sketch};
use crate::format::{number, percent};
use crate::headline::plural;

/// Standard errors drawn on either side. Chosen here: a profile that goes further has no end worth seeing.
const FURTHEST: f64 = 6.0;

/// One plot a law with profiles.
pub(crate) fn sketches(data: &ReportData) -> Vec<Sketch> {
    data.parameters.iter().filter(|panel| !panel.profiles.is_empty()).map(sketch).collect()
}

fn sketch(panel: &ParameterPanel) -> Sketch {
    let points = || panel.profiles.iter().flat_map(drawn);
    let y = Axis::linear("root of the rise", range(points().map(|point| point.root.abs()).chain([0.0]), 0.04));
    let x = Axis::linear("standard errors from the estimate", range(points().map(|point| point.errors), 0.03));
    let limit = Element::line("floor", [(x.low, panel.root), (x.high, panel.root)])
        .titled(format!("the {} interval ends here", percent(panel.level)));
    let lines = panel.profiles.iter().enumerate().map(|(index, profile)| line(index, profile));
    Sketch {
        caption: format!(
            "Profiles of `{}`: straight and even on both sides is an error bar that can be believed; amplitudes go by \
             their logarithm.",
            panel.law
        ),
        alternative: format!(
            "Profiles of {} of {}; an interval ends where its line passes {}.",
            plural(panel.profiles.len(), "parameter"),
            panel.law,
            number(panel.root)
        ),
        height: 300,
        elements: std::iter::once(limit).chain(lines).collect(),
        keys: keys(panel),
        x,
        y,
    }
}

fn drawn(profile: &ParameterProfile) -> impl Iterator<Item = &ProfilePoint> {
    profile.points.iter().filter(|point| point.errors.abs() <= FURTHEST)
}

fn class(index: usize) -> String {
    format!("line s{}", index % MARKERS.len())
}

fn line(index: usize, profile: &ParameterProfile) -> Element {
    let ends = [profile.points.first(), profile.points.last()].map(|point| point.map_or(0.0, |point| point.value));
    let points = drawn(profile).map(|point| (point.errors, point.root.abs()));
    Element::line(&class(index), points).titled(format!(
        "{}: traced from {} to {}",
        profile.symbol,
        number(ends[0]),
        number(ends[1])
    ))
}

fn keys(panel: &ParameterPanel) -> Vec<Key> {
    let one = |(index, profile): (usize, &ParameterProfile)| {
        let of = if profile.logarithm { "ln " } else { "" };
        key(&Element::line(&class(index), []), format!("{of}{}", profile.symbol))
    };
    let limit = key(&Element::line("floor", []), format!("end of the {} interval", percent(panel.level)));
    panel.profiles.iter().enumerate().map(one).chain([limit]).collect()
}
