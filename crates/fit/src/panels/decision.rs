//! What a decision needs beside the forecast: what it costs, how the method did at that distance, and what weighs most
//! against it.

use forescale_core::cost::Cost;
use forescale_core::math;
use forescale_core::outcome::{BacktestSummary, Diagnosis};
use forescale_core::panel::Decision;

use super::{PanelInput, target_flops};

/// The decision's parts; `doubts` come heaviest first.
pub(super) fn decision(input: &PanelInput, doubts: &[Diagnosis]) -> Decision {
    let ratio = ratio(input);
    Decision {
        ratio,
        backtest: ratio.and_then(|ratio| nearest(input, ratio)).cloned(),
        doubt: doubts.first().cloned(),
        costs: costs(input),
    }
}

fn ratio(input: &PanelInput) -> Option<f64> {
    let forecast = input.forecast.as_ref().and_then(|forecast| forecast.targets.first());
    let of_forecast = forecast.map(|target| math::pow(10.0, target.decades_beyond_data));
    input.target.as_ref().map(|target| target.ratio).or(of_forecast).filter(|ratio| ratio.is_finite() && *ratio > 0.0)
}

/// The backtests whose reach is nearest to a ratio, by its logarithm.
fn nearest(input: &PanelInput, ratio: f64) -> Option<&BacktestSummary> {
    let rows = &input.forecast.as_ref()?.backtest.as_ref()?.summary;
    let distance = |row: &BacktestSummary| math::ln(row.ratio / ratio).abs();
    rows.iter().filter(|row| row.n > 0).min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// A row of the hardware table that no cost can be worked out from is no row of the report: the table was checked as it was
/// read.
fn costs(input: &PanelInput) -> Vec<Cost> {
    let Some(flops) = target_flops(input) else { return Vec::new() };
    input.hardware.iter().filter_map(|row| row.cost(flops).ok()).collect()
}
