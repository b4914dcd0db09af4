//! Axes: their range, their ticks, and which ticks have room for a label.

use forescale_core::math;

use super::svg::text_width;
use crate::format::{minus, power_of_ten};

/// Free space between two labels, in SVG units.
const GAP: f64 = 12.0;

/// A place on an axis; labelled where there is room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) at: f64,
    pub(crate) label: Option<String>,
}

/// One axis; a logarithmic one is in powers of ten.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) name: String,
}

impl Axis {
    /// An axis of even steps of 1, 2 or 5, at most six labels.
    pub(crate) fn linear(name: &str, range: (f64, f64)) -> Self {
        let (low, high) = range;
        let (step, decimals) = nice_step((high - low) / 5.0);
        let first = (low / step).ceil() as i64;
        let last = (high / step).floor() as i64;
        let tick =
            |i: i64| Tick { at: i as f64 * step, label: Some(minus(&format!("{:.decimals$}", i as f64 * step))) };
        Self { low, high, ticks: (first..=last).map(tick).collect(), name: name.to_owned() }
    }

    /// An axis of decades over powers of ten, `length` SVG units long; marked between where decades are few.
    pub(crate) fn decades(name: &str, range: (f64, f64), length: f64) -> Self {
        let (low, high) = range;
        let whole: Vec<i32> = (low.ceil() as i32..=high.floor() as i32).collect();
        let room = length / (high - low);
        let widest = whole.iter().map(|e| text_width(&decade(*e))).fold(0.0, f64::max);
        let every = ((widest + GAP) / room).ceil().max(1.0) as i32;
        let labelled = |e: i32| Tick { at: f64::from(e), label: (e % every == 0).then(|| decade(e)) };
        let mut ticks: Vec<Tick> = whole.iter().map(|e| labelled(*e)).collect();
        if high - low <= 6.0 {
            ticks.extend(between(range, whole.len() < 2));
        }
        Self { low, high, ticks, name: name.to_owned() }
    }

    /// An axis of given places; a label that would touch the one before it is left out.
    pub(crate) fn marked(name: &str, range: (f64, f64), places: Vec<(f64, String)>, length: f64) -> Self {
        let room = length / (range.1 - range.0);
        let mut free_from = f64::NEG_INFINITY;
        let tick = |(at, label): (f64, String)| {
            let half = 0.5 * text_width(&label);
            let fits = at * room - half >= free_from;
            if fits {
                free_from = at * room + half + GAP;
            }
            Tick { at, label: fits.then_some(label) }
        };
        Self { low: range.0, high: range.1, ticks: places.into_iter().map(tick).collect(), name: name.to_owned() }
    }

    /// An axis of names, one a row, the first at the top.
    pub(crate) fn rows(names: &[String]) -> Self {
        let rows = names.len() as f64;
        let tick = |(row, name): (usize, &String)| Tick { at: rows - 1.0 - row as f64, label: Some(name.clone()) };
        Self { low: -0.6, high: rows - 0.4, ticks: names.iter().enumerate().map(tick).collect(), name: String::new() }
    }

    /// Width of the widest label, in SVG units.
    pub(crate) fn label_width(&self) -> f64 {
        self.ticks.iter().filter_map(|tick| tick.label.as_deref()).map(text_width).fold(0.0, f64::max)
    }
}

/// A range that holds all values, with a share of it added at both ends; never empty.
pub(crate) fn range(values: impl IntoIterator<Item = f64>, margin: f64) -> (f64, f64) {
    let ends = values.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = if ends.0 <= ends.1 { ends } else { (0.0, 1.0) };
    let width = if high > low { high - low } else { high.abs().max(1.0) * 0.1 };
    (low - margin * width, high + margin * width)
}

/// `1` for 10⁰, `10⁻³` for the others.
fn decade(exponent: i32) -> String {
    if exponent == 0 { "1".to_owned() } else { power_of_ten(exponent) }
}

/// Ticks at 2 to 9 times each power of ten; 2 and 5 are labelled when asked.
fn between((low, high): (f64, f64), labels: bool) -> Vec<Tick> {
    let decades = low.floor() as i32..=high.floor() as i32;
    let ticks = decades.flat_map(|e| (2..10).map(move |m| (e, m)));
    let tick = |(e, m): (i32, i32)| Tick {
        at: f64::from(e) + math::log10(f64::from(m)),
        label: (labels && (m == 2 || m == 5)).then(|| multiple(m, e)),
    };
    ticks.map(tick).filter(|tick| (low..=high).contains(&tick.at)).collect()
}

fn multiple(mantissa: i32, exponent: i32) -> String {
    match exponent {
        0 => mantissa.to_string(),
        -1 => format!("0.{mantissa}"),
        _ => format!("{mantissa}·{}", power_of_ten(exponent)),
    }
}

/// The step of 1, 2 or 5 times a power of ten that is at least `least`, and the decimals it needs.
fn nice_step(least: f64) -> (f64, usize) {
    let exponent = math::log10(least).floor() as i32;
    let power = 10f64.powi(exponent);
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= least * 0.999).unwrap_or(10.0);
    let decimals = if factor >= 10.0 { -(exponent + 1) } else { -exponent };
    (factor * power, decimals.max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().filter_map(|tick| tick.label.as_deref()).collect()
    }

    #[test]
    fn decades_are_labelled_as_powers_of_ten_and_one_is_one() {
        let axis = Axis::decades("compute", (-3.2, 0.3), 400.0);
        assert_eq!(labels(&axis), ["10⁻³", "10⁻²", "10⁻¹", "1"]);
    }

    #[test]
    fn labels_without_room_are_left_out() {
        let axis = Axis::decades("compute", (-12.1, 0.1), 300.0);
        assert_eq!(labels(&axis), ["10⁻¹²", "10⁻⁹", "10⁻⁶", "10⁻³", "1"]);
    }

    #[test]
    fn less_than_a_decade_still_has_labels() {
        assert_eq!(labels(&Axis::decades("compute", (-0.9, 0.1), 400.0)), ["1", "0.2", "0.5"]);
    }

    #[test]
    fn even_steps_are_one_two_or_five() {
        assert_eq!(labels(&Axis::linear("loss", (1.02, 2.61))), ["1.5", "2.0", "2.5"]);
        assert_eq!(labels(&Axis::linear("error", (-0.12, 0.11))), ["−0.10", "−0.05", "0.00", "0.05", "0.10"]);
    }

    #[test]
    fn places_too_near_keep_the_first_label() {
        let places = [(1.0, "10×"), (1.05, "11×"), (2.0, "100×")].map(|(at, label)| (at, label.to_owned()));
        assert_eq!(labels(&Axis::marked("ratio", (0.9, 2.1), places.to_vec(), 400.0)), ["10×", "100×"]);
    }

    #[test]
    fn one_value_and_none_still_make_a_range() {
        assert_eq!(range([2.0], 0.5), (1.9, 2.1));
        assert_eq!(range([], 0.0), (0.0, 1.0));
    }
}
