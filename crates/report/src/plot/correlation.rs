//! How the errors of a law's parameters go together: each cell holds its number, and its shade is the number's size.

use forescale_core::panel::{Correlation, ParameterPanel, ReportData};
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, Tick};
use super::element::{Element, Label};
use super::sketch::Sketch;

/// Shades of a cell.
const SHADES: f64 = 4.0;

/// One plot a law with at least one pair.
pub(crate) fn sketches(data: &ReportData) -> Vec<Sketch> {
    data.parameters.iter().filter(|panel| !panel.correlations.is_empty()).map(sketch).collect()
}

fn sketch(panel: &ParameterPanel) -> Sketch {
    let symbols = symbols(&panel.correlations);
    let count = symbols.len() as f64;
    // The first parameter has no row and the last no column: each pair stands once.
    let names: Vec<String> = symbols[1..].iter().map(|symbol| (*symbol).to_owned()).collect();
    let tick = |(place, symbol): (usize, &&str)| Tick { at: place as f64, label: Some((*symbol).to_owned()) };
    let x = Axis {
        low: -0.6,
        high: count - 1.4,
        ticks: symbols[..symbols.len() - 1].iter().enumerate().map(tick).collect(),
        name: String::new(),
    };
    let place = |symbol: &str| symbols.iter().position(|known| *known == symbol);
    let cell = |pair: &Correlation| {
        let (column, row) = (place(&pair.first)?, place(&pair.second)?);
        Some(cell((column as f64, (symbols.len() - 1 - row) as f64), pair))
    };
    let words = |pair: &Correlation| format!("{} with {} {:.2}", pair.first, pair.second, pair.value);
    Sketch {
        caption: format!(
            "Correlations of the errors of `{}`: near 1 or −1 two parameters trade off, and neither is known alone.",
            panel.law
        ),
        alternative: format!(
            "Correlations in {}: {}.",
            panel.law,
            panel.correlations.iter().map(words).collect::<Vec<_>>().join("; ")
        ),
        height: 78 + 40 * names.len() as u32,
        elements: panel.correlations.iter().filter_map(cell).flatten().collect(),
        keys: Vec::new(),
        y: Axis::rows(&names),
        x,
    }
}

/// All parameters in the order in which pairs name them.
fn symbols(pairs: &[Correlation]) -> Vec<&str> {
    let mut symbols: Vec<&str> = Vec::new();
    for symbol in pairs.iter().flat_map(|pair| [pair.first.as_str(), pair.second.as_str()]) {
        if !symbols.contains(&symbol) {
            symbols.push(symbol);
        }
    }
    symbols
}

fn cell((x, y): (f64, f64), pair: &Correlation) -> [Element; 2] {
    let sign = if pair.value < 0.0 { "under" } else { "over" };
    let shade = (SHADES * pair.value.abs()).min(SHADES - 1.0) as usize;
    let corners = [(x - 0.48, y - 0.46), (x + 0.48, y - 0.46), (x + 0.48, y + 0.46), (x - 0.48, y + 0.46)];
    let number = crate::format::minus(&format!("{:.2}", pair.value));
    let title = format!("{} with {}: {number}", pair.first, pair.second);
    let label = Label { text: number, anchor: (HPos::Center, VPos::Center), offset: (0, 0) };
    [Element::area(&format!("cell {sign} q{shade}"), corners).titled(title), Element::text("note", label, (x, y))]
}
