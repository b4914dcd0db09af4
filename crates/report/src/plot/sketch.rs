//! A plot before it is drawn: axes and elements; and the one place where plotters draws it.

use std::convert::Infallible;

use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::element::BackendCoordOnly;
use plotters::prelude::{ChartBuilder, ChartContext, DrawingAreaErrorKind, IntoDrawingArea as _};
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, Tick};
use super::element::{Element, Label};
use super::svg::{SUBUNITS, SvgBackend, escape};
use crate::ReportError;

/// Width of every plot, in SVG units.
pub(crate) const WIDTH: u32 = 520;

const RIGHT: f64 = 14.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 50.0;

type Chart<'a, 'b> = ChartContext<'a, SvgBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A line of a legend: how something looks and what it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) swatch: String,
    pub(crate) text: String,
    /// Class of the elements it stands for.
    pub(crate) of: String,
}

/// A plot as data.
#[derive(Clone)]
pub(crate) struct Sketch {
    pub(crate) caption: String,
    /// The plot in words, for those who cannot see it.
    pub(crate) alternative: String,
    pub(crate) height: u32,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) elements: Vec<Element>,
    pub(crate) keys: Vec<Key>,
}

/// Length of a horizontal axis beside vertical labels of a width, in SVG units.
pub(crate) fn across(label_width: f64) -> f64 {
    f64::from(WIDTH) - left(label_width) - RIGHT
}

impl Sketch {
    /// The drawing, as an `svg` element; `place` tells it from others of its kind.
    pub(crate) fn draw(&self, kind: &'static str, place: usize) -> Result<String, ReportError> {
        let mut svg = self.opening(&if place == 0 { kind.to_owned() } else { format!("{kind}-{}", place + 1) });
        {
            let root = SvgBackend::new(&mut svg, WIDTH, self.height).into_drawing_area();
            let margins = [left(self.y.label_width()), RIGHT, TOP, BOTTOM].map(|units| units as i32 * SUBUNITS);
            let mut chart = ChartBuilder::on(&root)
                .margin_left(margins[0])
                .margin_right(margins[1])
                .margin_top(margins[2])
                .margin_bottom(margins[3])
                .build_cartesian_2d(self.x.low..self.x.high, self.y.low..self.y.high)
                .map_err(|e| problem(kind, &e))?;
            self.fill(&mut chart).map_err(|e| problem(kind, &e))?;
        }
        Ok(svg + "</svg>")
    }

    fn fill(&self, chart: &mut Chart<'_, '_>) -> Result<(), DrawingAreaErrorKind<Infallible>> {
        let frame = self.frame();
        let all = frame.iter().chain(&self.elements);
        chart.draw_series::<BackendCoordOnly, Element, _, _>(all).map(|_| ())
    }

    fn opening(&self, id: &str) -> String {
        let (height, alternative) = (self.height, escape(&self.alternative));
        format!(
            "<svg class=\"plot\" id=\"plot-{id}\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{alternative}\">\n"
        )
    }

    fn frame(&self) -> Vec<Element> {
        let (x, y) = (&self.x, &self.y);
        let corner = (x.low, y.low);
        let mut frame = vec![Element::line("axis", [corner, (x.high, y.low)])];
        frame.extend(y.ticks.iter().flat_map(|tick| self.across_tick(tick)));
        frame.extend(x.ticks.iter().flat_map(|tick| self.up_tick(tick)));
        let below = Label { text: x.name.clone(), anchor: (HPos::Right, VPos::Center), offset: (0, 37) };
        frame.push(Element::text("name", below, (x.high, y.low)));
        if !y.name.is_empty() {
            let above = Label {
                text: y.name.clone(),
                anchor: (HPos::Left, VPos::Center),
                offset: (-(left(y.label_width()) as i32) + 2, -16),
            };
            frame.push(Element::text("name", above, (x.low, y.high)));
        }
        frame
    }

    fn across_tick(&self, tick: &Tick) -> Vec<Element> {
        let Some(text) = tick.label.clone() else {
            let short = 0.012 * (self.x.high - self.x.low);
            return vec![Element::line("axis", [(self.x.low, tick.at), (self.x.low + short, tick.at)])];
        };
        let label = Label { text, anchor: (HPos::Right, VPos::Center), offset: (-7, 0) };
        let line = Element::line("grid", [(self.x.low, tick.at), (self.x.high, tick.at)]);
        vec![Element::text("tick", label, (self.x.low, tick.at)), line]
    }

    fn up_tick(&self, tick: &Tick) -> Vec<Element> {
        let Some(text) = tick.label.clone() else {
            let short = 0.015 * (self.y.high - self.y.low);
            return vec![Element::line("axis", [(tick.at, self.y.low), (tick.at, self.y.low + short)])];
        };
        let label = Label { text, anchor: (HPos::Center, VPos::Center), offset: (0, 15) };
        let line = Element::line("grid", [(tick.at, self.y.low), (tick.at, self.y.high)]);
        vec![line, Element::text("tick", label, (tick.at, self.y.low))]
    }
}

fn problem(plot: &'static str, problem: &dyn std::fmt::Display) -> ReportError {
    ReportError::Plot { plot, problem: problem.to_string() }
}

fn left(label_width: f64) -> f64 {
    label_width + 12.0
}
