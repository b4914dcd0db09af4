//! Arguments as typed.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use forescale_core::count::FlopsRule;
use forescale_core::quantity::LossUnit;
use forescale_core::reduction::Knob;

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
    /// Gather sealed records into out/records.parquet
    Collect(CollectArgs),
    /// Write what a sweep made in a form that other programs read
    Export(ExportArgs),
    /// Fit scaling laws to a sweep, a baseline folder or a table
    Fit(FitArgs),
    /// Forecast the loss of a larger run, with intervals
    Forecast(ForecastArgs),
    /// Predict what is already known from the smaller runs
    Backtest(BacktestArgs),
    /// Compare two recipes: the compute multiplier of B over A, and where they cross
    Compare(CompareArgs),
    /// Choose the next runs: those that narrow the forecast of a target most for their compute
    Design(DesignArgs),
    /// Seal a forecast before its target is trained
    Register(RegisterArgs),
    /// Hold a registered forecast against what happened
    Score(ScoreArgs),
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
        #[arg(long, default_value_t = 180_000_000)]
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
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
    /// auto, cpu or cuda:0
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Runs at once; chosen from the cores when absent
    #[arg(long)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// What starts the runs
    #[arg(long, value_enum, default_value = "local")]
    pub(crate) launcher: LauncherName,
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
    /// auto, cpu or cuda:0
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Threads of this run
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Seconds between checkpoints
    #[arg(long, default_value_t = 20.0)]
    pub(crate) checkpoint_seconds: f64,
    /// A list of planned runs to look in, beside the sweep's own plan
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) probe: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
    /// Show again every two seconds until all runs are done
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CollectArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Weights of one run as a folder that transformers loads as Qwen3
    Hf,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
    /// Form
    #[arg(long, value_enum)]
    pub(crate) format: ExportFormat,
    /// Run id or name [default: the target]
    #[arg(long)]
    pub(crate) run: Option<String>,
    /// Folder to make
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Also write logits.safetensors: tokens and logits of N validation windows, to hold another program against
    #[arg(long, value_name = "N")]
    pub(crate) logits: Option<NonZeroUsize>,
}

/// Conventions for reading a bare table; a sweep brings its own.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TableArgs {
    /// Column to fit [default: loss]
    #[arg(long, value_name = "NAME", help_heading = "Tables")]
    pub(crate) metric: Option<String>,
    /// Other names for columns: params=n_nonemb,tokens=d
    #[arg(long, value_name = "NAME=COLUMN,…", value_delimiter = ',', help_heading = "Tables")]
    pub(crate) map: Vec<String>,
    /// Keep only these rows: column (==|!=|<|<=|>|>=) literal, joined by `and`
    #[arg(long = "where", value_name = "EXPR", help_heading = "Tables")]
    pub(crate) filter: Option<String>,
    /// Unit of the loss
    #[arg(long, value_parser = parse_unit, value_name = "nats|bits|bpb", help_heading = "Tables")]
    pub(crate) unit: Option<LossUnit>,
    /// How C follows from N and D
    #[arg(long, value_parser = parse_rule, value_name = "6nd|kaplan|exact|column", help_heading = "Tables")]
    pub(crate) rule: Option<FlopsRule>,
    /// Fit all groups as one
    #[arg(long, help_heading = "Tables")]
    pub(crate) pool: bool,
    /// Fold runs that differ in this alone into the vertex of a parabola through them, never the lowest run
    #[arg(long, value_parser = parse_knob, value_name = "lr|batch,…", value_delimiter = ',')]
    pub(crate) best_of: Vec<Knob>,
}

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ObjectiveName {
    /// Huber on log residuals, summed
    Huber,
    /// Least squares on log residuals
    Lsq,
    /// Least squares on the loss itself
    LsqLoss,
    /// Least absolute deviations of log residuals
    Lad,
    /// Huber, with predictions above the observation costing ten times more
    Asymmetric,
}

/// Where the solver starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartsName {
    /// A grid of exponents, all else solved for
    Projected,
    /// The 4500 points of Hoffmann et al., each polished
    Classic,
}

/// How an interval comes from a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IntervalName {
    /// The rise of the objective as a value is held in place
    Profile,
    /// Refits to runs drawn with replacement
    Pairs,
    /// Refits to clusters drawn with replacement
    Cluster,
    /// Refits to the law's own losses with noise drawn anew
    Parametric,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct LawArgs {
    /// Laws to fit, such as power_law, chinchilla, coupled, m4, gadre, bnsl; the sweep's own, or power_law, chinchilla and
    /// coupled, when absent. `fit` takes multi_power as well, alone and for a table of loss curves
    #[arg(long = "law", value_name = "LAW,…", value_delimiter = ',')]
    pub(crate) laws: Vec<String>,
    /// What is minimised
    #[arg(long, value_enum, default_value = "huber")]
    pub(crate) objective: ObjectiveName,
    /// Where Huber turns from square to straight, in log loss
    #[arg(long, default_value_t = 1e-3, value_name = "X", allow_negative_numbers = true)]
    pub(crate) delta: f64,
    /// Level of intervals [default: the sweep's own, or 0.9]
    #[arg(long)]
    pub(crate) level: Option<f64>,
    /// Where the solver starts
    #[arg(long, value_enum, default_value = "projected")]
    pub(crate) starts: StartsName,
    /// How intervals are found
    #[arg(long, value_enum, default_value = "profile")]
    pub(crate) interval: IntervalName,
    /// Refits of a bootstrap
    #[arg(long, default_value_t = 1000)]
    pub(crate) draws: u32,
    /// Seed of what is drawn: the refits of a bootstrap, the outcomes that a design simulates
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Loss an untrained model starts from, in the unit of the losses [default: the sweep's unigram entropy]
    #[arg(long, value_name = "LOSS")]
    pub(crate) start_level: Option<f64>,
}

impl Default for LawArgs {
    fn default() -> Self {
        Self {
            laws: Vec::new(),
            objective: ObjectiveName::Huber,
            delta: 1e-3,
            level: None,
            starts: StartsName::Projected,
            interval: IntervalName::Profile,
            draws: 1000,
            seed: 0,
            start_level: None,
        }
    }
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
    #[arg(long, value_name = "1,2,3", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=3))]
    pub(crate) approach: Vec<u8>,
    /// Budget to give optima at, with --approach [default: 1, 10 and 100 times the largest]
    #[arg(long, value_name = "FLOPS,…", value_delimiter = ',', requires = "approach")]
    pub(crate) at_budget: Vec<f64>,
    /// Also fit the held-out target, once it is trained: for the law's parameters, never for a forecast of that target
    #[arg(long)]
    pub(crate) with_target: bool,
    #[command(flatten)]
    pub(crate) curves: CurveArgs,
    #[command(flatten)]
    pub(crate) table: TableArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the best size and data must keep to.
#[derive(Debug, Default, Args)]
pub(crate) struct CapArgs {
    /// Most training tokens there are
    #[arg(long, value_name = "D", allow_negative_numbers = true, help_heading = "Optimum under a cap")]
    pub(crate) max_tokens: Option<f64>,
    /// Largest size allowed
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Optimum under a cap")]
    pub(crate) max_params: Option<f64>,
    /// The size, where it is given: its data follows
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Optimum under a cap")]
    pub(crate) params: Option<f64>,
    /// Tokens served a month, paid for beside training
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true, help_heading = "Optimum under a cap")]
    pub(crate) serve: Option<f64>,
    /// Months of serving
    #[arg(
        long,
        default_value_t = 12.0,
        requires = "serve",
        allow_negative_numbers = true,
        help_heading = "Optimum under a cap"
    )]
    pub(crate) months: f64,
}

/// What compute is priced on.
#[derive(Debug, Default, Args)]
pub(crate) struct PriceArgs {
    /// What the compute costs on this row of the hardware table
    #[arg(id = "hardware", long = "hardware", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The hardware table [default: hardware.toml of the sweep, else the one built in]
    #[arg(id = "hardware_file", long = "hardware-file", value_name = "FILE", requires = "hardware")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ForecastArgs {
    /// A sweep, a baseline folder, or a table (CSV, Parquet, JSONL)
    pub(crate) source: PathBuf,
    /// What to forecast: flops=1e21[,params=…,tokens=…]; the sweep's own target when absent
    #[arg(long, value_name = "flops=…", conflicts_with = "reach")]
    pub(crate) at: Vec<String>,
    /// Which budget reaches a loss: loss=1.9
    #[arg(long, value_name = "loss=…")]
    pub(crate) reach: Option<String>,
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
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
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
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DesignArgs {
    /// A sweep, a baseline folder, or a table (CSV, Parquet, JSONL)
    pub(crate) source: PathBuf,
    /// The run to forecast: flops=1e21[,params=…,tokens=…]; the sweep's own target when absent
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
    /// A sweep or a baseline folder
    pub(crate) source: PathBuf,
    /// Folder to write to [default: out/ of the sweep, or out/ beside the baseline]
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Form
    #[arg(long, value_enum, default_value = "html")]
    pub(crate) format: ReportFormat,
}

/// How rates and scales move with width and depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ParametrizationName {
    /// Maximal update parametrisation, with CompleteP for depth
    Mup,
    /// The same rate for every matrix at every size
    Standard,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProbeCommand {
    /// Do activations keep their scale as width and depth grow
    Coord(CoordArgs),
    /// Does the best rate stay the same from width to width, and how does it fall with data
    Lr(RateArgs),
    /// Do the loss curves of all rungs fall together
    Collapse(CollapseArgs),
}

/// What every probe may be asked for.
#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// Sweep folder
    pub(crate) sweep: PathBuf,
    /// Probe another parametrisation than the spec's
    #[arg(long, value_enum)]
    pub(crate) parametrization: Option<ParametrizationName>,
    /// Folder for the page and the JSON document [default: out/probe of the sweep]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How runs of a probe are trained.
#[derive(Debug, Args)]
pub(crate) struct ProbeTraining {
    /// auto, cpu or cuda:0
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Runs at once; chosen from the cores when absent
    #[arg(long)]
    pub(crate) jobs: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub(crate) struct CoordArgs {
    #[command(flatten)]
    pub(crate) probe: ProbeArgs,
    /// Widths, four or more [default: from the ladder's smallest, doubling, over the ladder]
    #[arg(long, value_name = "WIDTH,…", value_delimiter = ',')]
    pub(crate) widths: Vec<u32>,
    /// Depths as well, three or more, at the smallest of the widths
    #[arg(long, value_name = "LAYERS,…", value_delimiter = ',')]
    pub(crate) depths: Vec<u32>,
    /// Steps to train
    #[arg(long, default_value_t = 5)]
    pub(crate) steps: u64,
    /// Rate over the recipe's: large, so that a drift shows in a few steps; at 4 and above the noise of single seeds does
    /// as well
    #[arg(long, default_value_t = 2.0, value_name = "X", allow_negative_numbers = true)]
    pub(crate) rate_factor: f64,
    /// Seeds to average over
    #[arg(long, default_value = "4", value_name = "N")]
    pub(crate) seeds: NonZeroU64,
}

#[derive(Debug, Args)]
pub(crate) struct RateArgs {
    #[command(flatten)]
    pub(crate) probe: ProbeArgs,
    #[command(flatten)]
    pub(crate) training: ProbeTraining,
    /// Widths, three or more [default: the ladder's smallest, and twice and four times it]
    #[arg(long, value_name = "WIDTH,…", value_delimiter = ',')]
    pub(crate) widths: Vec<u32>,
    /// Horizons, tokens per parameter; with fewer than two the answer stays open
    #[arg(long, value_name = "RATIO,…", value_delimiter = ',', default_value = "10,40", allow_negative_numbers = true)]
    pub(crate) horizons: Vec<f64>,
    /// Rates over the recipe's
    #[arg(
        long,
        value_name = "X,…",
        value_delimiter = ',',
        default_value = "0.25,0.5,1,2,4",
        allow_negative_numbers = true
    )]
    pub(crate) factors: Vec<f64>,
    /// Seeds of each: with one, noise alone moves a best rate by a step
    #[arg(long, default_value = "2", value_name = "N")]
    pub(crate) seeds: NonZeroU64,
}

#[derive(Debug, Args)]
pub(crate) struct CollapseArgs {
    #[command(flatten)]
    pub(crate) probe: ProbeArgs,
    #[command(flatten)]
    pub(crate) training: ProbeTraining,
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
    /// Replace the baseline by what --against (or sweeps/NAME) holds now
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
    /// registration, score, check, plan, corpus, report, probe
    #[arg(required_unless_present = "all")]
    pub(crate) kind: Option<String>,
    /// Write every schema into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) all: Option<PathBuf>,
}

fn parse_unit(text: &str) -> Result<LossUnit, String> {
    match text {
        "nats" => Ok(LossUnit::NatsPerToken),
        "bits" => Ok(LossUnit::BitsPerToken),
        "bpb" => Ok(LossUnit::BitsPerByte),
        other => Err(format!("`{other}` is not a unit; nats, bits and bpb are")),
    }
}

fn parse_knob(text: &str) -> Result<Knob, String> {
    match text {
        "lr" => Ok(Knob::LearningRate),
        "batch" => Ok(Knob::BatchTokens),
        other => Err(format!("`{other}` is not a knob; lr and batch are")),
    }
}

fn parse_rule(text: &str) -> Result<FlopsRule, String> {
    [FlopsRule::SixNd, FlopsRule::Kaplan, FlopsRule::Exact, FlopsRule::Column]
        .into_iter()
        .find(|rule| rule.name() == text)
        .ok_or_else(|| format!("`{text}` is not a rule; 6nd, kaplan, exact and column are"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
