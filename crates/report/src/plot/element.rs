//! What plots are made of: elements that know their class and title, and draw themselves on our backend.

use std::convert::Infallible;

use plotters::element::{Drawable, PointCollection};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{BLACK, IntoFont, TextStyle};
use plotters_backend::{BackendCoord, DrawingBackend, DrawingErrorKind};

use super::svg::{SUBUNITS, SvgBackend, TEXT};

/// Half the width of a marker, in backend coordinates.
const REACH: i32 = 5 * SUBUNITS;

/// Shapes that differ without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Plus,
}

/// Shapes of series, in the order they are given out.
pub(crate) const MARKERS: [Marker; 6] =
    [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::Cross, Marker::Plus];

/// The shape of a series; from the seventh on shapes move against colours, so that no two series look alike.
pub(crate) fn marker_of(index: usize) -> Marker {
    MARKERS[(index + index / MARKERS.len()) % MARKERS.len()]
}

/// How the points of an element become a drawing.
#[derive(Clone)]
pub(crate) enum Shape {
    /// A marker at the first point.
    Mark(Marker),
    /// A line through all points.
    Line,
    /// The area that the points go round.
    Area,
    /// Text at the first point.
    Text(Label),
}

/// Text beside a point.
#[derive(Clone)]
pub(crate) struct Label {
    pub(crate) text: String,
    pub(crate) anchor: (HPos, VPos),
    /// Distance from the point, in SVG units, right and down.
    pub(crate) offset: (i32, i32),
}

/// Part of a plot, in the coordinates of its axes.
#[derive(Clone)]
pub(crate) struct Element {
    points: Vec<(f64, f64)>,
    class: String,
    title: Option<String>,
    shape: Shape,
}

impl Element {
    pub(crate) fn line(class: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { points: points.into_iter().collect(), class: class.to_owned(), title: None, shape: Shape::Line }
    }

    pub(crate) fn area(class: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { shape: Shape::Area, ..Self::line(class, points) }
    }

    pub(crate) fn mark(class: &str, marker: Marker, at: (f64, f64)) -> Self {
        Self { shape: Shape::Mark(marker), ..Self::line(class, [at]) }
    }

    pub(crate) fn text(class: &str, label: Label, at: (f64, f64)) -> Self {
        Self { shape: Shape::Text(label), ..Self::line(class, [at]) }
    }

    /// What the style sheet knows it by.
    pub(crate) fn class(&self) -> &str {
        &self.class
    }

    /// The same with words for a pointer.
    pub(crate) fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// How it looks in a legend: a drawing of its own, 24 by 16 units.
    pub(crate) fn swatch(&self) -> String {
        let mut svg = String::from("<svg class=\"swatch\" viewBox=\"0 0 24 16\" aria-hidden=\"true\">");
        let [left, middle, right] = [(20, 80), (120, 80), (220, 80)];
        let points = match self.shape {
            Shape::Mark(_) | Shape::Text(_) => vec![middle],
            Shape::Line => vec![left, right],
            Shape::Area => vec![(20, 20), (220, 20), (220, 140), (20, 140)],
        };
        let plain = Self { title: None, ..self.clone() };
        let drawn = plain.draw(points.into_iter(), &mut SvgBackend::new(&mut svg, 24, 16), (240, 160));
        drawn.expect("the backend writes to a text and cannot fail");
        svg + "</svg>"
    }
}

impl<'a> PointCollection<'a, (f64, f64)> for &'a Element {
    type Point = &'a (f64, f64);
    type IntoIter = std::slice::Iter<'a, (f64, f64)>;

    fn point_iter(self) -> Self::IntoIter {
        self.points.iter()
    }
}

impl Drawable<SvgBackend<'_>> for Element {
    fn draw<I: Iterator<Item = BackendCoord>>(
        &self,
        mut at: I,
        backend: &mut SvgBackend<'_>,
        _: (u32, u32),
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        backend.open(&self.class, self.title.as_deref());
        match &self.shape {
            Shape::Line => backend.draw_path(at, &BLACK)?,
            Shape::Area => backend.fill_polygon(at, &BLACK)?,
            Shape::Mark(marker) => at.next().map_or(Ok(()), |at| marker.draw(at, backend))?,
            Shape::Text(label) => at.next().map_or(Ok(()), |at| label.draw(at, backend))?,
        }
        backend.close();
        Ok(())
    }
}

impl Marker {
    fn draw(self, (x, y): BackendCoord, backend: &mut SvgBackend<'_>) -> Result<(), DrawingErrorKind<Infallible>> {
        let r = REACH;
        let corner = |dx: i32, dy: i32| (x + dx, y + dy);
        match self {
            Self::Circle => backend.draw_circle((x, y), r.unsigned_abs(), &BLACK, true),
            Self::Square => backend.draw_rect(corner(4 - r, 4 - r), corner(r - 4, r - 4), &BLACK, true),
            Self::Triangle => {
                backend.fill_polygon([corner(0, -r - 8), corner(r + 6, r - 5), corner(-r - 6, r - 5)], &BLACK)
            }
            Self::Diamond => backend
                .fill_polygon([corner(0, -r - 10), corner(r + 10, 0), corner(0, r + 10), corner(-r - 10, 0)], &BLACK),
            Self::Cross => cross(backend, [corner(-r, -r), corner(r, r), corner(-r, r), corner(r, -r)]),
            Self::Plus => cross(backend, [corner(-r - 8, 0), corner(r + 8, 0), corner(0, -r - 8), corner(0, r + 8)]),
        }
    }
}

fn cross(backend: &mut SvgBackend<'_>, ends: [BackendCoord; 4]) -> Result<(), DrawingErrorKind<Infallible>> {
    backend.draw_line(ends[0], ends[1], &BLACK)?;
    backend.draw_line(ends[2], ends[3], &BLACK)
}

impl Label {
    fn draw(&self, (x, y): BackendCoord, backend: &mut SvgBackend<'_>) -> Result<(), DrawingErrorKind<Infallible>> {
        let (across, down) = self.anchor;
        let style = TextStyle::from(("sans-serif", TEXT).into_font()).pos(Pos::new(across, down));
        backend.draw_text(&self.text, &style, (x + self.offset.0 * SUBUNITS, y + self.offset.1 * SUBUNITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_of_many_series_share_both_colour_and_shape() {
        let looks: Vec<String> =
            (0..36).map(|index| format!("{} {:?}", index % MARKERS.len(), marker_of(index))).collect();
        let mut distinct = looks.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), looks.len());
    }
}
