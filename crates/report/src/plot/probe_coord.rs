//! The coordinate check: the power of size that each activation's scale goes as, and the scales themselves.

use forescale_core::math;
use forescale_core::probe::{CoordFinding, PlaceScale, ScaleCheck, ScalePoint};

use super::axis::{Axis, range};
use super::element::{Element, Marker};
use super::key;
use super::sketch::{Key, Sketch, across};
use crate::format::{bounds, number};
use crate::headline::plural;

/// Powers by place, one row each, with the band that passes.
pub(super) fn slopes(check: &ScaleCheck, finding: &CoordFinding) -> Sketch {
    let limit = finding.limit;
    let ends = check.places.iter().filter_map(last).map(|slope| slope.estimate);
    let x = Axis::linear(&format!("power of {}", check.along.label()), range(ends.chain([-limit, limit]), 0.08));
    let y = Axis::rows(&check.places.iter().map(|place| place.place.clone()).collect::<Vec<_>>());
    let corners = [(-limit, y.low), (limit, y.low), (limit, y.high), (-limit, y.high)];
    let mut elements = vec![Element::area("band", corners), Element::line("zero", [(0.0, y.low), (0.0, y.high)])];
    let rows = check.places.iter().zip(&y.ticks);
    elements.extend(rows.flat_map(|(place, tick)| row(place, tick.at, (x.low, x.high))));
    Sketch {
        caption: format!(
            "Power of {} that mean |x| goes as after {}, with its 90% interval; in the band a place passes.",
            check.along.label(),
            plural(finding.steps as usize, "step")
        ),
        alternative: format!("Powers of {} for {}.", check.along.label(), plural(check.places.len(), "activation")),
        height: 82 + 26 * check.places.len() as u32,
        elements,
        keys: keys(check, limit),
        x,
        y,
    }
}

fn last(place: &PlaceScale) -> Option<forescale_core::estimate::Estimate> {
    place.slopes.last().and_then(|last| last.slope)
}

fn row(place: &PlaceScale, at: f64, (low, high): (f64, f64)) -> Vec<Element> {
    let Some(slope) = last(place) else { return Vec::new() };
    let title = format!("{}: {:+.3}, {}", place.place, slope.estimate, bounds(&slope, |x| format!("{x:+.3}")));
    let ends = [slope.lower, slope.upper].map(|end| end.map_or(slope.estimate, |end| end.clamp(low, high)));
    let (class, marker) = looks(place.passes);
    let bar = Element::line("law bar", [(ends[0], at), (ends[1], at)]).titled(title.clone());
    vec![bar, Element::mark(class, marker, (slope.estimate, at)).titled(title)]
}

fn looks(passes: Option<bool>) -> (&'static str, Marker) {
    if passes == Some(false) { ("mark missed", Marker::Cross) } else { ("mark path", Marker::Circle) }
}

fn keys(check: &ScaleCheck, limit: f64) -> Vec<Key> {
    let shown = |wanted: Option<bool>, words: &str| {
        let (class, marker) = looks(wanted);
        let seen = check.places.iter().any(|place| place.passes == wanted);
        seen.then(|| key(&Element::mark(class, marker, (0.0, 0.0)), words))
    };
    let band = key(&Element::area("band", []), format!("passes: ±{}", number(limit)));
    [shown(Some(true), "passes"), shown(Some(false), "beyond the limit"), Some(band)].into_iter().flatten().collect()
}

/// Mean |x| against size, a line for each place.
pub(super) fn scales(check: &ScaleCheck, finding: &CoordFinding) -> Option<Sketch> {
    let points: Vec<(&PlaceScale, Vec<(f64, f64)>)> = check
        .places
        .iter()
        .map(|place| (place, line(&place.points, finding.steps)))
        .filter(|(_, line)| line.len() > 1)
        .collect();
    if points.is_empty() {
        return None;
    }
    let y = Axis::decades("mean |x|", range(points.iter().flat_map(|(_, line)| line.iter().map(|p| p.1)), 0.08), 260.0);
    let sizes: Vec<(f64, String)> =
        check.sizes.iter().map(|size| (math::log10(f64::from(*size)), size.to_string())).collect();
    let span = range(sizes.iter().map(|size| size.0), 0.06);
    let x = Axis::marked(check.along.label(), span, sizes, across(y.label_width()));
    let drawn = points.iter().flat_map(|(place, line)| {
        let failed = place.passes == Some(false);
        let (class, marker) = looks(place.passes);
        let trend =
            Element::line(if failed { "trend missed" } else { "trend" }, line.clone()).titled(place.place.clone());
        let mark = move |at: &(f64, f64)| Element::mark(class, marker, *at).titled(place.place.clone());
        std::iter::once(trend).chain(line.iter().map(mark)).collect::<Vec<_>>()
    });
    Some(Sketch {
        caption: format!(
            "Mean |x| after {}; a level line is a scale that is kept.",
            plural(finding.steps as usize, "step")
        ),
        alternative: format!(
            "Mean of absolute activations against {} for {} places.",
            check.along.label(),
            points.len()
        ),
        height: 320,
        elements: drawn.collect(),
        keys: keys(check, finding.limit).into_iter().rev().skip(1).rev().collect(),
        x,
        y,
    })
}

fn line(points: &[ScalePoint], step: u64) -> Vec<(f64, f64)> {
    let here = points.iter().filter(|point| point.step == step);
    here.filter_map(|point| Some((math::log10(f64::from(point.size)), math::log10(point.mean_abs?)))).collect()
}
