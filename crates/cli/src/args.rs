//! Arguments as typed.

mod device;
mod flags;
mod foreign;
mod probe;
mod sealed;
mod whole;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use device::DeviceArgs;
pub(crate) use flags::{
    CapArgs, IntervalName, LawArgs, ObjectiveName, PlotArgs, PriceArgs, StartsName, TableArgs, first_typed,
};
pub(crate) use foreign::{ExportArgs, ExportFormat, ImportArgs, ImportFormat};
pub(crate) use probe::{
    CollapseArgs, CoordArgs, ParametrizationName, ProbeArgs, ProbeCommand, ProbeTraining, RateArgs,
};
pub(crate) use sealed::{RecordArgs, RegisterArgs, ScoreArgs, TrackArgs};
use whole::whole;

/// Predicts a large training run before anyone pays for it.
#[derive(Debug, Parser)]
#[command(name = "forescale", version, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented sweep.toml to start from
    Init(InitArgs),
    /// Build or show a corpus
    #[command(subcommand)]
    Corpus(CorpusCommand),
    /// Show the runs of a sweep: N, D, FLOPs under each rule, estimated time
    Plan(PlanArgs),
    /// Train what is missing, then fit, forecast, register, train the target, score and report
    Run(RunArgs),
    /// Train one run of a sweep (what every launcher starts)
    #[command(hide = true)]
    Exec(ExecArgs),
    /// Show runs by state, progress and time left
    Status(StatusArgs),
    /// End the jobs of a sweep that are in Slurm's queue; what they trained is kept
    Cancel(CancelArgs),
    /// Gather sealed records into out/records.parquet
    Collect(CollectArgs),
    /// Read what other tools' evaluations found: task scores, and answers where samples were kept
    Import(ImportArgs),
    /// Write what a sweep made in a form that other programs read
    Export(ExportArgs),
    /// Fit scaling laws to a sweep, a baseline folder or a table
    Fit(FitArgs),
    /// Forecast the loss of a larger run, with intervals
    Forecast(ForecastArgs),
    /// Predict what is already known from the smaller runs
    Backtest(BacktestArgs),
    /// Compare two recipes: the compute multiplier of B over A, and where they cross, by each law that both carry, of
    /// which those count alike that a forecast would listen to
    Compare(CompareArgs),
    /// Choose the next runs: those that narrow the forecast of a target most for their compute
    Design(DesignArgs),
    /// Seal a forecast before its target is trained
    Register(RegisterArgs),
    /// Hold a registered forecast against what happened
    Score(ScoreArgs),
    /// Hold a run under way against its predicted loss curve
    Track(TrackArgs),
    /// Say how the project's own forecasts came out: every one ever registered
    Record(RecordArgs),
    /// Ask whether the recipe of a sweep is predictable
    #[command(subcommand)]
    Probe(ProbeCommand),
    /// Write the report of a sweep or a baseline folder
    Report(ReportArgs),
    /// Fail when a prediction moved (the CI gate)
    Check(CheckArgs),
    /// Print the hardware table that costs are worked out from, to edit as hardware.toml
    Hardware(HardwareArgs),
    /// Say what this machine and this build can do
    Doctor(DoctorArgs),
    /// Print the JSON schema of a document
    Schema(SchemaArgs),
    /// Print a completion script
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Folder to make, its last name being the sweep's
    pub(crate) dir: PathBuf,
    /// What to start from: files, zipf or smoke
    #[arg(long, default_value = "files")]
    pub(crate) template: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CorpusCommand {
    /// Build the corpus of a sweep: tokens.bin and its manifest, in the cache
    Build {
        /// A sweep folder or sweep.toml
        spec: PathBuf,
    },
    /// Show what a built corpus holds
    Show {
        /// A sweep folder or sweep.toml
        spec: PathBuf,
        /// Read all tokens again and compare their digest
        #[arg(long)]
        verify: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a corpus.lock from any Cargo.lock whose crates cargo has fetched
    Lock {
        /// The Cargo.lock to read
        cargo_lock: PathBuf,
        /// Crates that only validation sees
        #[arg(long, value_name = "CRATE,…", value_delimiter = ',', required = true)]
        validation: Vec<String>,
        /// Crates to leave out
        #[arg(long, value_name = "CRATE,…", value_delimiter = ',')]
        leave_out: Vec<String>,
        /// Unique training source to stop at, bytes
        #[arg(
            long,
            default_value_t = 180_000_000,
            value_parser = whole::<u64>(1..=u64::MAX, "--max-train-bytes 180000000"),
            allow_negative_numbers = true
        )]
        max_train_bytes: u64,
        /// Where to write it
        #[arg(long, default_value = "corpus.lock")]
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
    /// Print the rules that the runs follow, each with its source and its doubt, in place of the runs
    #[arg(long)]
    pub(crate) recipe: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where `run` may stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Stage {
    /// The corpus is built
    Corpus,
    /// The ladder is trained
    Ladder,
    /// Laws are fitted and the forecast is made
    Forecast,
    /// The forecast is registered
    Register,
    /// The target is trained
    Target,
    /// The forecast is scored
    Score,
    /// The report is written
    Report,
}

/// What starts runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LauncherName {
    /// Processes on this machine
    Local,
    /// Jobs of Slurm, from a folder that all its nodes see
    Slurm,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Runs at once at most; as many as there are cores when absent, on cards as many as are measured to be worth it, and
    /// under Slurm as many as it starts
    #[arg(long, value_parser = whole::<NonZeroUsize>(1..=u64::MAX, "--jobs 2"), allow_negative_numbers = true)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// What starts the runs
    #[arg(long, value_enum, default_value = "local")]
    pub(crate) launcher: LauncherName,
    /// Handed to sbatch for each job, as in --slurm-args "--partition=gpu --time=2:00:00"; `[slurm] args` of the spec comes before it
    #[arg(long, value_name = "ARGUMENTS", allow_hyphen_values = true)]
    pub(crate) slurm_args: Option<String>,
    /// Stop when this stage is done
    #[arg(long, value_enum, default_value = "report")]
    pub(crate) stop_after: Stage,
}

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
    /// Run id or name
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Parts that each batch is dealt into, one after another, where memory does not suffice for the whole
    #[arg(
        long,
        default_value_t = 1,
        value_parser = whole::<u32>(1..=u64::from(u32::MAX), "--accumulate 2"),
        allow_negative_numbers = true
    )]
    pub(crate) accumulate: u32,
    /// Threads of this run
    #[arg(
        long,
        default_value_t = 1,
        value_parser = whole::<usize>(1..=u64::MAX, "--threads 1"),
        allow_negative_numbers = true
    )]
    pub(crate) threads: usize,
    /// Seconds between checkpoints
    #[arg(long, default_value_t = 20.0, allow_negative_numbers = true)]
    pub(crate) checkpoint_seconds: f64,
    /// A list of planned runs to look in, beside the sweep's own plan
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) probe: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
    /// Show again every two seconds, or every ten where jobs are in Slurm's queue, until all runs are done
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) plot: PlotArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CollectArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
}

/// What `--law multi_power` takes besides a table.
#[derive(Debug, Args)]
pub(crate) struct CurveArgs {
    /// Curves to keep from the fit and to predict
    #[arg(long, value_name = "RUN,…", value_delimiter = ',', help_heading = "Loss curves (--law multi_power)")]
    pub(crate) hold_out: Vec<String>,
    /// Steps over which the rate rose before the first row of each curve [default: all steps before it]
    #[arg(long, value_name = "STEPS", allow_negative_numbers = true, help_heading = "Loss curves (--law multi_power)")]
    pub(crate) warmup: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    /// A sweep, a baseline folder, or a table (CSV, Parquet, JSONL)
    pub(crate) source: PathBuf,
    #[command(flatten)]
    pub(crate) law: LawArgs,
    /// Answer the questions that a reader of a fit should ask, in place of the fit
    #[arg(long, conflicts_with = "approach")]
    pub(crate) checklist: bool,
    /// Say how a budget is best split, by 1 (envelope), 2 (isoFLOP vertices) or 3 (surface), in place of the fit
    #[arg(
        long,
        value_name = "1,2,3",
        value_delimiter = ',',
        value_parser = whole::<u8>(1..=3, "--approach 1,2,3"),
        allow_hyphen_values = true
    )]
    pub(crate) approach: Vec<u8>,
    /// Budget to give optima at, with --approach [default: 1, 10 and 100 times the largest]
    #[arg(long, value_name = "FLOPS,…", value_delimiter = ',', requires = "approach", allow_hyphen_values = true)]
    pub(crate) at_budget: Vec<f64>,
    /// Also fit the held-out target, once it is trained: for the law's parameters, never for a forecast of that target
    #[arg(long)]
    pub(crate) with_target: bool,
    #[command(flatten)]
    pub(crate) curves: CurveArgs,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    #[command(flatten)]
    pub(crate) plot: PlotArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ForecastArgs {
    /// A sweep, a baseline folder, or a table (CSV, Parquet, JSONL)
    pub(crate) source: PathBuf,
    /// What to forecast: flops=1e21[,params=…,tokens=…], or params=…,tokens=…; the sweep's own target when absent
    #[arg(long, value_name = "flops=…", conflicts_with = "reach")]
    pub(crate) at: Vec<String>,
    /// Distinct tokens that each target has, where it sees them more than once: for laws that model that (data_constrained)
    #[arg(long, value_name = "U", allow_negative_numbers = true, conflicts_with = "reach")]
    pub(crate) unique_tokens: Option<f64>,
    /// Which budget reaches a loss: loss=1.9
    #[arg(long, value_name = "loss=…")]
    pub(crate) reach: Option<String>,
    /// Say what the target will be able to do, bucket by bucket, in place of its loss: of a sweep whose runs were asked problems,
    /// or an imported table of scores with answers beside it
    #[arg(long, conflicts_with_all = ["reach", "unique_tokens"])]
    pub(crate) tasks: bool,
    #[command(flatten)]
    pub(crate) caps: CapArgs,
    /// Recommend the learning rate and batch at the target, where the runs varied them
    #[arg(long)]
    pub(crate) recommend: bool,
    #[command(flatten)]
    pub(crate) hardware: PriceArgs,
    #[command(flatten)]
    pub(crate) law: LawArgs,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    #[command(flatten)]
    pub(crate) plot: PlotArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a backtest predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BacktestMode {
    /// Each target at its own N and D
    Run,
    /// The compute-optimal loss at each target's budget
    Frontier,
}

#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    /// A sweep, a baseline folder, or a table (CSV, Parquet, JSONL)
    pub(crate) source: PathBuf,
    /// Target compute over the largest compute the fit may see
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000", allow_hyphen_values = true)]
    pub(crate) ratio: Vec<f64>,
    /// What is predicted
    #[arg(long, value_enum, default_value = "run")]
    pub(crate) mode: BacktestMode,
    #[command(flatten)]
    pub(crate) law: LawArgs,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The first recipe: a sweep, a baseline folder, or a table
    pub(crate) a: PathBuf,
    /// The second
    pub(crate) b: PathBuf,
    /// Budget to compare at: flops=1e21, beside the largest that runs of both reach
    #[arg(long, value_name = "flops=…")]
    pub(crate) at: Vec<String>,
    #[command(flatten)]
    pub(crate) law: LawArgs,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    #[command(flatten)]
    pub(crate) plot: PlotArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DesignArgs {
    /// A sweep, a baseline folder, or a table (CSV, Parquet, JSONL)
    pub(crate) source: PathBuf,
    /// The run to forecast: flops=1e21[,params=…,tokens=…], or params=…,tokens=…; the sweep's own target when absent
    #[arg(long, value_name = "flops=…")]
    pub(crate) target: Option<String>,
    /// Compute to spend on new runs: flops=1e20
    #[arg(long, value_name = "flops=…")]
    pub(crate) budget: String,
    /// Folder or .toml file for the spec with the new runs [default: out/design of the sweep, or out/design beside the
    /// baseline]
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Largest new run over the largest known, where the source is a table
    #[arg(long, default_value_t = 10.0, value_name = "X", allow_negative_numbers = true)]
    pub(crate) growth: f64,
    #[command(flatten)]
    pub(crate) hardware: PriceArgs,
    #[command(flatten)]
    pub(crate) law: LawArgs,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// One self-contained page
    Html,
    /// Markdown for a pull request
    Md,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A sweep, a baseline folder, or a table (CSV, Parquet, JSONL); of several sweeps an index over their pages, with --out
    #[arg(required = true)]
    pub(crate) sources: Vec<PathBuf>,
    /// What to forecast: flops=1e21[,params=…,tokens=…], or params=…,tokens=…; the sweep's own target when absent
    #[arg(long, value_name = "flops=…")]
    pub(crate) at: Option<String>,
    /// Folder to write to [default: out/ of the sweep, out/ beside the baseline, or NAME-report/ beside the table]
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Form
    #[arg(long, value_enum, default_value = "html")]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) law: LawArgs,
    #[command(flatten)]
    pub(crate) table: TableArgs,
}

/// What is trained again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Retrain {
    /// The cheapest rung
    Smoke,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Baseline folder: reports/NAME/baseline
    pub(crate) baseline: PathBuf,
    /// A sweep whose records are fitted anew [default: the baseline's own records]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) against: Option<PathBuf>,
    /// Write a JUnit file
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print annotations that GitHub shows beside the change
    #[arg(long)]
    pub(crate) github: bool,
    /// Append the verdict as Markdown to a file, such as $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
    /// Train the cheapest rung of the baseline once more and hold its loss against the record, within seed noise
    #[arg(long, value_name = "smoke", conflicts_with = "update")]
    pub(crate) retrain: Option<Retrain>,
    /// Replace the baseline by what --against (or sweeps/NAME) holds now, after showing what that changes
    #[arg(long)]
    pub(crate) update: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HardwareArgs {
    /// The sweep whose hardware.toml is wanted; the table built in where it has none
    pub(crate) sweep: Option<PathBuf>,
    /// Write it to a new file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "out")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// fit, checklist, approaches, schedule, forecast, optimum, recommendation, backtest, compare, design, record,
    /// registration, score, ledger, track, track-record, check, plan, corpus, report, probe
    #[arg(required_unless_present = "all")]
    pub(crate) kind: Option<String>,
    /// Write every schema into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) all: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;
    use std::num::{NonZeroU64, NonZeroUsize};

    use clap::{Arg, Command, CommandFactory as _};

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }

    fn is_numeric(argument: &Arg) -> bool {
        let numbers = [
            TypeId::of::<f64>(),
            TypeId::of::<u8>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
            TypeId::of::<NonZeroU64>(),
            TypeId::of::<NonZeroUsize>(),
        ];
        let type_id = argument.get_value_parser().type_id();
        argument.get_action().takes_values() && numbers.iter().any(|number| type_id == *number)
    }

    /// Numeric options that take a negative number for an unknown flag, and how many numeric options there are.
    fn deaf(command: &Command, path: &str) -> (Vec<String>, usize) {
        let path = format!("{path} {}", command.get_name());
        let numeric: Vec<&Arg> = command.get_arguments().filter(|argument| is_numeric(argument)).collect();
        let hears = |one: &&Arg| one.is_allow_negative_numbers_set() || one.is_allow_hyphen_values_set();
        let own = numeric.iter().filter(|one| !hears(one)).map(|one| format!("{path} --{}", one.get_id()));
        let below = command.get_subcommands().map(|command| deaf(command, &path));
        below.fold((own.collect(), numeric.len()), |(all, count), (more, further)| {
            ([all, more].concat(), count + further)
        })
    }

    #[test]
    fn every_numeric_option_hears_a_negative_number() {
        let (deaf, numeric) = deaf(&super::Cli::command(), "");
        assert!(deaf.is_empty() && numeric > 30, "{deaf:?} of {numeric}");
    }
}
