//! Backtests of bare CSV tables of task scores without the rest of the command line: what `benches/capability.py` runs.
//!
//! usage: capability_tables TABLE.csv [--ratio X] [--gate-share X] [--form-factor X] [--target RUN,RUN…]
//!
//! Columns, in this order, empty where they are not told: run_id, cluster, params, tokens, flops, task, value, chance,
//! n_items, loss.

use std::io::Write as _;

use forescale_core::capability::TaskScore;
use forescale_fit::{CapabilityOptions, TaskBacktestOptions, backtest_tasks};

fn score(line: &str) -> TaskScore {
    let fields: Vec<&str> = line.split(',').collect();
    let number = |i: usize| fields[i].parse::<f64>().ok();
    TaskScore {
        run_id: fields[0].to_owned(),
        cluster: fields[1].to_owned(),
        params: number(2),
        tokens: number(3),
        flops: number(4).expect("flops"),
        task: fields[5].to_owned(),
        value: number(6).expect("a value"),
        chance: number(7),
        n_items: number(8),
        loss: number(9),
    }
}

/// The word after another.
fn after<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1)).map(String::as_str)
}

#[allow(clippy::disallowed_methods, reason = "an example may read a file; the library never does")]
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |flag: &str, default: f64| after(&arguments, flag).map_or(default, |v| v.parse().expect("a number"));
    let default = CapabilityOptions::default();
    let options = TaskBacktestOptions {
        ratio: number("--ratio", 10.0),
        forecast: CapabilityOptions {
            accuracy_share: number("--gate-share", default.accuracy_share),
            form_factor: number("--form-factor", 1.0),
            ..default
        },
        targets: after(&arguments, "--target")
            .map_or_else(Vec::new, |runs| runs.split(',').map(str::to_owned).collect()),
    };
    let text = std::fs::read_to_string(arguments.get(1).expect("a table")).expect("a table that can be read");
    let scores: Vec<TaskScore> = text.lines().skip(1).map(score).collect();
    let report = backtest_tasks(&scores, &options).expect("a report");
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report).expect("JSON")).expect("a reader");
}
