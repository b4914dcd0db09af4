//! Arguments of what seals forecasts, judges them, watches their runs and keeps the record.

use std::path::PathBuf;

use clap::Args;

use super::flags::TableArgs;
use super::whole::whole;

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// Sweep folder, or a table with --target
    pub(crate) source: PathBuf,
    /// A JSON file describing a foreign target: {"name", "flops", "params", "tokens", …}; the sweep's own when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) target: Option<PathBuf>,
    /// Where to write the registration [default: out/registrations/ of the sweep]
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) table: TableArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// A registration, or the sweep that holds it
    pub(crate) registration: PathBuf,
    /// A record.json of the target, or its loss as a number; the sweep's own target when absent
    #[arg(long, value_name = "FILE|VALUE", allow_negative_numbers = true)]
    pub(crate) observed: Option<String>,
    /// Enter a bare number as the outcome in the project's ledger; records of runs always are
    #[arg(long, requires = "observed")]
    pub(crate) enter: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TrackArgs {
    /// A registration, or the sweep or baseline folder that holds it
    pub(crate) registration: PathBuf,
    /// The run's log: log.jsonl or record.json of ours, or a table with `step` or `tokens`, `loss` and, if known, `lr`; the
    /// sweep's own target when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// What the forecast was made from; the sweep around the registration when absent
    #[arg(long, value_name = "SOURCE")]
    pub(crate) ladder: Option<PathBuf>,
    /// A table of the ladder's loss curves: columns as in the log, and `run_id`; the records of a sweep when absent
    #[arg(long, value_name = "TABLE")]
    pub(crate) curves: Option<PathBuf>,
    /// Steps of the whole run, for a log that tells steps
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1..=u64::MAX, "--steps 120000"), allow_negative_numbers = true)]
    pub(crate) steps: Option<u64>,
    /// Other names for columns of the log: step=_step,loss=val_loss
    #[arg(long, value_name = "NAME=COLUMN,…", value_delimiter = ',')]
    pub(crate) log_map: Vec<String>,
    /// Other names for columns of the curves
    #[arg(long, value_name = "NAME=COLUMN,…", value_delimiter = ',', requires = "curves")]
    pub(crate) curves_map: Vec<String>,
    /// Keep only these rows of the log
    #[arg(long, value_name = "EXPR")]
    pub(crate) log_where: Option<String>,
    /// Keep only these rows of the curves
    #[arg(long, value_name = "EXPR", requires = "curves")]
    pub(crate) curves_where: Option<String>,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// The ledger; that of the project around this folder when absent
    pub(crate) ledger: Option<PathBuf>,
    /// Enter what a registration file, a sweep, a baseline folder or another ledger holds and this one does not
    #[arg(long, value_name = "SOURCE")]
    pub(crate) add: Vec<PathBuf>,
    /// Refuse a ledger without the line of this digest: the head that was printed before, kept elsewhere
    #[arg(long, value_name = "SHA256")]
    pub(crate) head: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
