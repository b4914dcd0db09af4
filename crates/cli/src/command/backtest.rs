//! `forescale backtest`: predicts what is already known from the smaller runs.

use forescale_fit::BacktestOptions;

use crate::args::{BacktestArgs, BacktestMode};
use crate::exit::Answer;
use crate::output;
use crate::source::Material;

pub(crate) fn run(args: &BacktestArgs) -> anyhow::Result<Answer> {
    let material = Material::open_for(&args.source, &args.table, &args.law)?;
    material.say_notes();
    let mode = match args.mode {
        BacktestMode::Run => forescale_fit::BacktestMode::Run,
        BacktestMode::Frontier => forescale_fit::BacktestMode::Frontier,
    };
    let options = BacktestOptions { fit: material.fit_options(&args.law)?, ratios: args.ratio.clone(), mode };
    let report = forescale_fit::backtest(&material.observations_with_targets(), &options)?;
    output::either(args.json, &report, forescale_report::text::backtest)?;
    Ok(if report.cases.is_empty() { Answer::None } else { Answer::Yes })
}
