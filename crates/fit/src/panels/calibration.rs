//! Backtests as a probability plot: where outcomes fell in the distributions they were given.
//!
//! Over many forecasts as sure as they should be the transforms are uniform, and their ranks lie on the diagonal. The band
//! is that of Dvoretzky, Kiefer and Wolfowitz with Massart's constant (Annals of Probability 18, 1990): the whole
//! empirical distribution of n uniform draws stays within √(ln(2/α)/2n) of the true one with probability 1 − α at least.
//! Cases of one target share its outcome, so that the band is too narrow rather than too wide.

use forescale_core::math;
use forescale_core::outcome::{BacktestCase, BacktestReport};
use forescale_core::panel::{CalibrationCase, CalibrationPanel, RunRow};

/// The panel, where there is a case.
pub(super) fn calibration(report: &BacktestReport, runs: &[RunRow], level: f64) -> Option<CalibrationPanel> {
    let mut cases: Vec<&BacktestCase> = report.cases.iter().filter(|case| case.pit.is_finite()).collect();
    cases.sort_by(|a, b| a.pit.total_cmp(&b.pit));
    let count = cases.len() as f64;
    let case = |(rank, case): (usize, &&BacktestCase)| CalibrationCase {
        name: name(runs, &case.target_run_id),
        ratio: case.ratio,
        expected: (rank as f64 + 0.5) / count,
        pit: case.pit,
    };
    let band = (math::ln(2.0 / (1.0 - level)) / (2.0 * count)).sqrt();
    (!cases.is_empty()).then(|| CalibrationPanel { cases: cases.iter().enumerate().map(case).collect(), band, level })
}

/// A run's readable name, or its identity where it is in no table.
fn name(runs: &[RunRow], id: &str) -> String {
    runs.iter().find(|run| run.run_id == id).map_or_else(|| id.to_owned(), |run| run.name.clone())
}
