//! Loss against compute so far, one line a run: what training itself looked like.

use forescale_core::math;
use forescale_core::panel::{LossCurve, ReportData};
use forescale_core::run::Role;

use super::axis::{Axis, range};
use super::element::Element;
use super::key;
use super::sketch::{Key, Sketch, across};
use crate::format::{count, loss};
use crate::headline::plural;

/// Shades from the smallest size to the largest.
const SHADES: usize = 4;

/// The plot, where runs were evaluated on the way.
pub(crate) fn sketch(data: &ReportData) -> Option<Sketch> {
    let curves = &data.curves.curves;
    if curves.is_empty() {
        return None;
    }
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let y = Axis::linear(&format!("loss, {}", data.unit.label()), range(points().map(|point| point.loss), 0.06));
    let budgets = range(points().map(|point| math::log10(point.flops)), 0.03);
    let x = Axis::decades("compute so far, FLOPs", budgets, across(y.label_width()));
    let sizes = Sizes::of(curves);
    Some(Sketch {
        caption: caption(data),
        alternative: alternative(curves),
        height: 330,
        elements: curves.iter().map(|curve| sizes.line(curve)).collect(),
        keys: sizes.keys(curves),
        x,
        y,
    })
}

fn caption(data: &ReportData) -> String {
    let left_out = match data.curves.left_out {
        0 => String::new(),
        left_out => format!(" {left_out} more curves are not drawn, for room."),
    };
    format!("Loss on the way, as it was evaluated in training; stronger lines are larger models.{left_out}")
}

fn alternative(curves: &[LossCurve]) -> String {
    let ends = range(curves.iter().filter_map(|curve| curve.points.last()).map(|point| point.loss), 0.0);
    format!(
        "Loss against compute so far of {}; the last evaluations lie between {} and {}.",
        plural(curves.len(), "run"),
        loss(ends.0),
        loss(ends.1)
    )
}

/// Sizes cut into as many parts as there are shades.
struct Sizes {
    low: f64,
    high: f64,
}

impl Sizes {
    fn of(curves: &[LossCurve]) -> Self {
        let (low, high) = range(curves.iter().map(|curve| math::log10(curve.params)), 0.0);
        Self { low, high }
    }

    fn class(&self, curve: &LossCurve) -> String {
        if curve.role == Some(Role::Target) {
            return "course goal".to_owned();
        }
        let share = (math::log10(curve.params) - self.low) / (self.high - self.low);
        format!("course q{}", ((share * SHADES as f64) as usize).min(SHADES - 1))
    }

    fn line(&self, curve: &LossCurve) -> Element {
        let last = curve.points.last().map_or_else(String::new, |point| format!(", last {}", loss(point.loss)));
        let points = curve.points.iter().map(|point| (math::log10(point.flops), point.loss));
        Element::line(&self.class(curve), points).titled(format!(
            "{}: {} parameters{last}",
            curve.name,
            count(curve.params)
        ))
    }

    /// One key a shade that is used, with the sizes under it.
    fn keys(&self, curves: &[LossCurve]) -> Vec<Key> {
        let shades = (0..SHADES).map(|shade| format!("course q{shade}"));
        let of_shade = |class: String| {
            let sizes = || curves.iter().filter(|curve| self.class(curve) == class).map(|curve| curve.params);
            let ends = sizes().fold((f64::INFINITY, 0.0_f64), |(low, high), size| (low.min(size), high.max(size)));
            let words = if ends.0 < ends.1 {
                format!("{} to {} parameters", count(ends.0), count(ends.1))
            } else {
                format!("{} parameters", count(ends.1))
            };
            (sizes().count() > 0).then(|| key(&Element::line(&class, []), words))
        };
        let goal = curves.iter().find(|curve| curve.role == Some(Role::Target));
        let goal = goal.map(|curve| {
            key(&Element::line("course goal", []), format!("held-out target, {} parameters", count(curve.params)))
        });
        shades.filter_map(of_shade).chain(goal).collect()
    }
}
