//! One file per command.

mod backtest;
mod cancel;
mod check;
mod collect;
mod compare;
mod corpus;
mod design;
mod doctor;
mod exec;
mod export;
mod fit;
mod forecast;
mod hardware;
mod import;
mod init;
mod plan;
mod probe;
mod record;
mod register;
mod report;
mod retrain;
mod run;
mod schema;
mod score;
mod status;
mod tasks;
mod track;

use clap::CommandFactory as _;

use crate::args::{Cli, Command};
use crate::exit::Answer;
use crate::output;

/// Runs the command that was typed.
pub(crate) fn dispatch(cli: Cli) -> anyhow::Result<Answer> {
    match cli.command {
        Command::Init(args) => init::run(&args),
        Command::Corpus(command) => corpus::run(&command),
        Command::Plan(args) => plan::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Exec(args) => exec::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Cancel(args) => cancel::run(&args),
        Command::Collect(args) => collect::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Fit(args) => fit::run(&args),
        Command::Forecast(args) => forecast::run(&args),
        Command::Backtest(args) => backtest::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Design(args) => design::run(&args),
        Command::Register(args) => register::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Track(args) => track::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Probe(command) => probe::run(&command),
        Command::Report(args) => report::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Hardware(args) => hardware::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "forescale", &mut script);
            output::text(&String::from_utf8_lossy(&script))?;
            Ok(Answer::Yes)
        }
    }
}
