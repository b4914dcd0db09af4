//! What each law said at the target, one row a law, and the forecast below them: how much the laws disagree.

use forescale_core::estimate::Interval;
use forescale_core::outcome::LawPrediction;
use forescale_core::panel::ReportData;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, range};
use super::element::{Element, Label, Marker};
use super::key;
use super::sketch::{Key, Sketch};
use crate::format::{bounds, interval, loss, percent};
use crate::headline::{plural, shown_interval};

/// Longest name of a row, in characters.
const LONGEST: usize = 20;

/// The plot, where at least one law said something.
pub(crate) fn sketch(data: &ReportData) -> Option<Sketch> {
    let laws = &data.forecast.as_ref()?.laws;
    if laws.is_empty() {
        return None;
    }
    let rows: Vec<Row> = laws.iter().map(Row::of_law).chain(Row::of_forecast(data)).collect();
    let actual = data.target.as_ref().and_then(|target| target.actual);
    let ends = rows.iter().flat_map(|row| [Some(row.middle), row.lower, row.upper]).chain([actual]).flatten();
    let x = Axis::linear(&format!("loss at the target, {}", data.unit.label()), range(ends, 0.06));
    let y = Axis::rows(&rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>());
    let drawn = rows.iter().zip(&y.ticks).flat_map(|(row, tick)| row.elements(tick.at, (x.low, x.high)));
    let outcome = actual.map(|actual| outcome(actual, (y.low, y.high), x.high));
    Some(Sketch {
        caption: "What each law said at the target, by weight in the forecast.".to_owned(),
        alternative: format!("Predictions of {} at the target with their intervals.", plural(laws.len(), "law")),
        height: 82 + 34 * rows.len() as u32,
        elements: outcome.into_iter().flatten().chain(drawn).collect(),
        keys: keys(laws, shown_interval(data)),
        x,
        y,
    })
}

/// A middle with two ends.
struct Row {
    name: String,
    title: String,
    class: &'static str,
    marker: Marker,
    middle: f64,
    lower: Option<f64>,
    upper: Option<f64>,
}

impl Row {
    fn of_law(said: &LawPrediction) -> Self {
        let prediction = &said.prediction;
        Self {
            name: format!("{} · {}", shorten(&said.law), percent(said.weight)),
            title: format!(
                "{}: {}, {} interval {}",
                said.law,
                loss(prediction.estimate),
                percent(prediction.level),
                bounds(prediction, loss)
            ),
            class: "law",
            marker: Marker::Circle,
            middle: prediction.estimate,
            lower: prediction.lower,
            upper: prediction.upper,
        }
    }

    fn of_forecast(data: &ReportData) -> Option<Self> {
        let median = data.forecast.as_ref()?.median?;
        let shown = shown_interval(data);
        let words = shown.map(|i| format!(", {} interval {}", percent(i.level), interval(&i)));
        Some(Self {
            name: "forecast".to_owned(),
            title: format!("forecast: {}{}", loss(median), words.unwrap_or_default()),
            class: "forecast",
            marker: Marker::Square,
            middle: median,
            lower: shown.map(|i| i.lower),
            upper: shown.map(|i| i.upper),
        })
    }

    /// An end that the data do not set runs to the edge.
    fn elements(&self, row: f64, (left, right): (f64, f64)) -> [Element; 2] {
        let ends = [(self.lower.unwrap_or(left), row), (self.upper.unwrap_or(right), row)];
        let bar = Element::line(&format!("{} bar", self.class), ends).titled(self.title.clone());
        [
            bar,
            Element::mark(&format!("mark {}", self.class), self.marker, (self.middle, row)).titled(self.title.clone()),
        ]
    }
}

fn outcome(actual: f64, (low, high): (f64, f64), right: f64) -> [Element; 2] {
    let line = Element::line("outcome", [(actual, low), (actual, high)]).titled(format!("outcome {}", loss(actual)));
    let label =
        Label { text: format!("outcome {}", loss(actual)), anchor: (HPos::Right, VPos::Center), offset: (0, -14) };
    [line, Element::text("note", label, (right, high))]
}

fn keys(laws: &[LawPrediction], shown: Option<Interval>) -> Vec<Key> {
    let level = laws.first().map_or(0.9, |said| said.prediction.level);
    let law = key(
        &Element::mark("mark law", Marker::Circle, (0.0, 0.0)),
        format!("law, {} interval of its mean if it is true", percent(level)),
    );
    let forecast = shown.map(|i| {
        key(
            &Element::mark("mark forecast", Marker::Square, (0.0, 0.0)),
            format!("forecast, {} interval for one run", percent(i.level)),
        )
    });
    std::iter::once(law).chain(forecast).chain([key(&Element::line("outcome", []), "outcome")]).collect()
}

fn shorten(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        name.to_owned()
    } else {
        name.chars().take(LONGEST - 1).chain(['…']).collect()
    }
}
