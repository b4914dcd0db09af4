//! The command `backtest` for bare CSV tables without the rest of the command line: what `benches/skill.py` runs while the
//! engine is being changed, because it builds in seconds.
//!
//! usage: backtest_tables backtest TABLE.csv --json --mode run|frontier [--law LAW] [--form-factor X]

use std::io::Write as _;

use forescale_core::observation::Observation;
use forescale_fit::{BacktestMode, BacktestOptions, FitOptions, backtest};

fn observation(index: usize, fields: &[f64]) -> Observation {
    Observation::bare(format!("run{index:04}"), fields[0], fields[1], fields[2], fields[3])
}

/// The word after another.
fn after<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1)).map(String::as_str)
}

#[allow(clippy::disallowed_methods, reason = "an example may read a file; the library never does")]
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let path = after(&arguments, "backtest").expect("backtest TABLE.csv --json --mode run|frontier [--law LAW]");
    let mode = match after(&arguments, "--mode") {
        Some("frontier") => BacktestMode::Frontier,
        _ => BacktestMode::Run,
    };
    let mut fit = FitOptions::default();
    if let Some(laws) = after(&arguments, "--law") {
        fit.laws = laws.split(',').map(|law| law.parse().expect("a law")).collect();
    }
    let form_factor = after(&arguments, "--form-factor").map_or(1.0, |text| text.parse().expect("a number"));
    let options = BacktestOptions { fit, mode, form_factor, ..BacktestOptions::default() };
    let text = std::fs::read_to_string(path).expect("a table");
    let row = |line: &str| line.split(',').map(|f| f.parse().expect("a number")).collect::<Vec<f64>>();
    let runs: Vec<Observation> = text.lines().skip(1).enumerate().map(|(i, line)| observation(i, &row(line))).collect();
    let report = backtest(&runs, &options).expect("a report");
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report).expect("JSON")).expect("a reader");
}
