//! Backtests of bare CSV tables, one JSON report a line: what `benches/skill.py` reads while the engine is being changed.
//!
//! usage: backtest_tables MODE LAWS TABLE.csv ...

use std::io::Write as _;

use forescale_core::observation::{Observation, Training};
use forescale_fit::{BacktestMode, BacktestOptions, FitOptions, backtest};

fn observation(index: usize, fields: &[f64]) -> Observation {
    let run_id = format!("run{index:04}");
    Observation {
        name: run_id.clone(),
        cluster: run_id.clone(),
        run_id,
        group: None,
        role: None,
        params: fields[0],
        tokens: fields[1],
        flops: fields[2],
        loss: fields[3],
        loss_se: None,
        seed_sd: None,
        seed_degrees: None,
        weight: 1.0,
        seed: None,
        eval_set_digest: None,
        unique_tokens: None,
        training: Training::default(),
    }
}

#[allow(clippy::disallowed_methods, reason = "an example may read a file; the library never does")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("MODE LAWS TABLE.csv ...");
    let mode = if next() == "frontier" { BacktestMode::Frontier } else { BacktestMode::Run };
    let laws = next();
    let mut fit = FitOptions::default();
    if laws != "default" {
        fit.laws = laws.split(',').map(|law| law.parse().expect("a law")).collect();
    }
    let options = BacktestOptions { fit, mode, ..BacktestOptions::default() };
    for path in arguments {
        let text = std::fs::read_to_string(&path).expect("a table");
        let row = |line: &str| line.split(',').map(|f| f.parse().expect("a number")).collect::<Vec<f64>>();
        let runs: Vec<Observation> =
            text.lines().skip(1).enumerate().map(|(i, line)| observation(i, &row(line))).collect();
        let answer = match backtest(&runs, &options) {
            Ok(report) => serde_json::to_string(&report).expect("JSON"),
            Err(error) => serde_json::to_string(&error.to_string()).expect("JSON"),
        };
        writeln!(std::io::stdout(), "{answer}").expect("a reader");
    }
}
