//! A SOURCE as typed (a sweep, a baseline folder or a table) becomes observations and the conventions they follow.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use forescale_core::corpus::{CorpusManifest, CorpusSpec, PartSummary};
use forescale_core::observation::{Exclusion, Observation, Selection};
use forescale_core::outcome::{Diagnosis, FitReport, Forecast, Rules};
use forescale_core::record::RunRecord;
use forescale_core::reduction::{Knob, Reduction};
use forescale_core::run::{PlannedRun, Role};
use forescale_fit::{FitError, FitOptions, ForecastOptions, IntervalMethod, LawName, Objective, Starts, Target};
use forescale_sweep::{HeldOut, Plan, SweepSpec, TableOptions};

use crate::again;
use crate::args::{IntervalName, LawArgs, ObjectiveName, StartsName, TableArgs, first_typed};
use crate::capability::Answered;
use crate::number::positive;
use crate::output;
use crate::workplace::{self, Workplace};
use forescale_core::quantity::scientific;

impl StartsName {
    fn meant(self) -> Starts {
        match self {
            Self::Projected => Starts::Projected,
            Self::Classic => Starts::Classic,
        }
    }
}

impl IntervalName {
    fn meant(self) -> IntervalMethod {
        match self {
            Self::Profile => IntervalMethod::Profile,
            Self::Pairs => IntervalMethod::Pairs,
            Self::Cluster => IntervalMethod::Cluster,
            Self::Parametric => IntervalMethod::Parametric,
        }
    }
}

impl LawArgs {
    /// Whether a law was typed that models repeated data. A name that is none is refused where laws are read.
    pub(crate) fn model_repetition(&self) -> bool {
        let mut typed = self.laws.iter().filter_map(|name| name.parse::<LawName>().ok());
        typed.any(|law| law.form().models_repetition())
    }
}

/// What an answer is made from.
pub(crate) struct Material {
    pub(crate) observations: Vec<Observation>,
    pub(crate) exclusions: Vec<Exclusion>,
    pub(crate) selection: Selection,
    /// Things a person should know about how the source was read.
    pub(crate) notes: Vec<String>,
    /// Runs that were folded into one, and what can be doubted of that.
    pub(crate) reductions: Vec<Reduction>,
    doubts: Vec<Diagnosis>,
    /// All runs as they were before any was folded, where some were.
    unreduced: Option<Vec<Observation>>,
    /// The sweep behind it; a bare table has none.
    pub(crate) sweep: Option<SweepMaterial>,
    /// Rows that a table holds out as targets.
    held_out: Vec<HeldOut>,
    /// Column of a table that tells its groups.
    group_column: Option<String>,
    /// The sweep's folder or the table's file.
    place: PathBuf,
}

/// What a sweep or a baseline folder has besides observations.
pub(crate) struct SweepMaterial {
    pub(crate) spec: SweepSpec,
    pub(crate) manifest: CorpusManifest,
    pub(crate) plan: Plan,
    pub(crate) records: Vec<RunRecord>,
    /// What the runs answered to the problems of their corpus.
    pub(crate) answered: Answered,
    /// `out/` of a sweep, or the baseline folder itself: where registrations and scores lie.
    pub(crate) evidence: PathBuf,
}

impl Material {
    /// Opens a source of any kind.
    pub(crate) fn open(source: &Path, table: &TableArgs) -> anyhow::Result<Self> {
        Self::open_for(source, table, &LawArgs::default())
    }

    /// Opens a source for some laws: rows of a table that repeat data stay where one of them models that.
    pub(crate) fn open_for(source: &Path, table: &TableArgs, laws: &LawArgs) -> anyhow::Result<Self> {
        let mut material = Self::read(source, table, laws.model_repetition())?;
        if !table.best_of.is_empty() {
            material.reduce(&table.best_of)?;
        }
        Ok(material)
    }

    fn read(source: &Path, table: &TableArgs, keep_repeats: bool) -> anyhow::Result<Self> {
        if source.is_dir() {
            refuse_table_flags(source, table)?;
            return Self::from_folder(source);
        }
        if source.file_name().is_some_and(|name| name == "sweep.toml") {
            return Self::from_folder(source.parent().unwrap_or(Path::new(".")));
        }
        Self::from_table(source, &TableOptions { keep_repeats, ..table_options(table) })
    }

    /// Folds runs that differ in these knobs alone.
    fn reduce(&mut self, knobs: &[Knob]) -> anyhow::Result<()> {
        let reduced = forescale_fit::best_of(&self.observations, knobs)?;
        self.unreduced = Some(std::mem::replace(&mut self.observations, reduced.observations));
        self.exclusions.extend(reduced.exclusions);
        self.reductions = reduced.reductions;
        self.doubts.extend(reduced.diagnoses);
        Ok(())
    }

    /// The runs with every setting that was tried: what tells how a learning rate or a batch is best set.
    pub(crate) fn tuning_runs(&self) -> &[Observation] {
        self.unreduced.as_ref().unwrap_or(&self.observations)
    }

    fn from_folder(folder: &Path) -> anyhow::Result<Self> {
        if folder.join("records.parquet").is_file() {
            return Self::from_baseline(folder);
        }
        if !folder.join("sweep.toml").is_file() {
            bail!(
                "`{}` is neither a sweep nor a baseline folder: it holds no sweep.toml and no records.parquet\n\n\
                 hint: forescale init {0}",
                folder.display()
            );
        }
        Self::from_workplace(&Workplace::open_built(folder)?)
    }

    /// All sealed records of a sweep.
    pub(crate) fn from_workplace(workplace: &Workplace) -> anyhow::Result<Self> {
        let mut records = Vec::new();
        for run in &workplace.plan.runs {
            records.extend(workplace.store.planned_record(run)?);
        }
        let answered = Answered::of_workplace(workplace, &records)?;
        let sweep = SweepMaterial {
            answered,
            spec: workplace.spec.clone(),
            manifest: workplace.built().manifest.clone(),
            plan: workplace.plan.clone(),
            records,
            evidence: workplace.out(),
        };
        Self::from_sweep(sweep)
    }

    /// A committed baseline: records and the spec and manifest they came from.
    fn from_baseline(folder: &Path) -> anyhow::Result<Self> {
        let spec = SweepSpec::load(&folder.join("sweep.toml"))?;
        let manifest: CorpusManifest = workplace::read_json(&folder.join("manifest.json"))?;
        let plan = forescale_sweep::plan(&spec, Some(&manifest))?;
        let records = forescale_sweep::read_records(&folder.join("records.parquet"))?;
        let answered = Answered::of_baseline(folder, &manifest, &records)?;
        Self::from_sweep(SweepMaterial { spec, manifest, plan, records, answered, evidence: folder.to_owned() })
    }

    fn from_sweep(sweep: SweepMaterial) -> anyhow::Result<Self> {
        let forecast = sweep.spec.forecast();
        let selection =
            Selection { params_rule: forecast.params_rule, flops_rule: forecast.flops_rule, ..Selection::default() };
        let (observations, exclusions) = forescale_sweep::observe(&sweep.records, &selection);
        if observations.is_empty() {
            let folder = sweep.spec.folder().display();
            bail!("`{folder}` has no finished run to fit\n\nhint: forescale run {folder}");
        }
        let doubts = sweep.mixed_precision(&observations).into_iter().collect();
        Ok(Self {
            observations,
            exclusions,
            selection,
            notes: Vec::new(),
            reductions: Vec::new(),
            doubts,
            unreduced: None,
            held_out: Vec::new(),
            group_column: None,
            place: sweep.spec.folder().to_owned(),
            sweep: Some(sweep),
        })
    }

    fn from_table(path: &Path, options: &TableOptions) -> anyhow::Result<Self> {
        // `fit`, `forecast` and `backtest` have asked before, and gone another way.
        if forescale_sweep::is_score_table(path, options)? {
            let typed = forescale_sweep::loss_beside_scores(path, options)?;
            let loss = typed.map_or_else(
                || "--metric names the column of a loss".to_owned(),
                |typed| format!("the loss beside them is read by {typed}"),
            );
            bail!(
                "`{}` is a table of task scores (it has columns `task` and `value`), and this command is for losses\n\n\
                 hint: `fit`, `forecast` and `backtest` take task scores; {loss}",
                path.display()
            );
        }
        let table = forescale_sweep::read_table(path, options).map_err(again::without_the_row)?;
        Ok(Self {
            observations: table.observations,
            exclusions: table.exclusions,
            selection: table.selection,
            notes: table.notes,
            reductions: Vec::new(),
            doubts: table.doubts,
            unreduced: None,
            held_out: table.held_out,
            group_column: table.group_column,
            sweep: None,
            place: path.to_owned(),
        })
    }

    /// Name of the sweep, or of the table without its ending.
    pub(crate) fn name(&self) -> String {
        let stem = || self.place.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        self.sweep.as_ref().map_or_else(stem, |sweep| sweep.spec.name().to_owned())
    }

    /// File name of the table.
    pub(crate) fn table_name(&self) -> String {
        self.place.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// What the models are trained on, or where their runs come from, in words.
    pub(crate) fn corpus_words(&self) -> String {
        let of_table = || format!("{} runs of {}, trained elsewhere", self.observations.len(), self.table_name());
        self.sweep.as_ref().map_or_else(of_table, SweepMaterial::corpus_words)
    }

    /// Tells the person how the source was read, where that may be doubted.
    pub(crate) fn say_notes(&self) {
        for note in &self.notes {
            output::say(&format!("note: {note}"));
        }
        if !self.reductions.is_empty() {
            output::say(&forescale_report::plans::reductions(&self.reductions, &self.doubts));
        }
    }

    /// Fits the laws asked for, with what the runs themselves give reason to doubt.
    pub(crate) fn fit(&self, options: &FitOptions) -> anyhow::Result<FitReport> {
        let mut report = forescale_fit::fit(&self.observations, &self.exclusions, options)?;
        for fit in &mut report.fits {
            fit.diagnoses.extend(self.doubts());
        }
        report.reductions.clone_from(&self.reductions);
        Ok(report)
    }

    /// Forecasts targets, with what the runs themselves give reason to doubt.
    pub(crate) fn forecast(&self, targets: &[Target], options: &ForecastOptions) -> anyhow::Result<Forecast> {
        let mut forecast = forescale_fit::forecast(&self.observations, targets, options)?;
        forecast.diagnoses.extend(self.doubts());
        Ok(forecast)
    }

    /// What was doubted as the runs were read.
    pub(crate) fn doubts(&self) -> impl Iterator<Item = Diagnosis> {
        self.doubts.iter().cloned()
    }

    /// Refuses what needs size and data where the runs tell neither.
    pub(crate) fn check_split(&self, what: &str) -> anyhow::Result<()> {
        if self.tells_split() { Ok(()) } else { Err(FitError::NoSplit { what: what.to_owned() }.into()) }
    }

    /// Whether the runs tell their sizes and data.
    fn tells_split(&self) -> bool {
        self.observations.iter().all(Observation::tells_split)
    }

    /// Conventions by name.
    pub(crate) fn rules(&self) -> Rules {
        let params = self.selection.params_rule.name();
        Rules {
            params: if self.tells_split() { params } else { Rules::UNTOLD }.to_owned(),
            flops: self.selection.flops_rule.name().to_owned(),
        }
    }

    /// What to fit, from flags, then the sweep, then the defaults.
    pub(crate) fn fit_options(&self, args: &LawArgs) -> anyhow::Result<FitOptions> {
        positive("--delta", args.delta, "1e-3")?;
        let level = args.level.or(self.sweep.as_ref().map(|sweep| sweep.spec.forecast().level)).unwrap_or(0.9);
        if !(level > 0.0 && level < 1.0) {
            let level = scientific(level);
            bail!("`--level {level}` is not between 0 and 1\n\nhint: --level 0.9");
        }
        args.start_level.map(|start| positive("--start-level", start, "10.4")).transpose()?;
        let objective = match args.objective {
            ObjectiveName::Huber => Objective::Huber { delta: args.delta },
            ObjectiveName::Lsq => Objective::LeastSquares,
            ObjectiveName::LsqLoss => Objective::LeastSquaresLoss,
            ObjectiveName::Lad => Objective::LeastAbsolute,
            ObjectiveName::Asymmetric => Objective::Asymmetric { delta: args.delta, overestimate_penalty: 10.0 },
        };
        let own_start = self.sweep.as_ref().map(|sweep| sweep.manifest.unigram_entropy);
        Ok(FitOptions {
            laws: self.laws(&args.laws)?,
            objective,
            starts: args.starts.meant(),
            level,
            interval: args.interval.meant(),
            draws: args.draws,
            seed: args.seed,
            rules: self.rules(),
            start_level: args.start_level.or(own_start),
            group_column: self.group_column.clone().unwrap_or_else(|| FitOptions::default().group_column),
        })
    }

    fn laws(&self, typed: &[String]) -> anyhow::Result<Vec<LawName>> {
        let own = self.sweep.as_ref().map(|sweep| sweep.spec.forecast().laws.clone()).unwrap_or_default();
        let names = if typed.is_empty() { &own[..] } else { typed };
        if names.is_empty() {
            return Ok(FitOptions::default().laws);
        }
        names.iter().map(|name| Ok(name.parse::<LawName>()?)).collect()
    }

    /// What to fit and how to forecast from it.
    pub(crate) fn forecast_options(&self, args: &LawArgs) -> anyhow::Result<ForecastOptions> {
        Ok(ForecastOptions {
            fit: self.fit_options(args)?,
            metric: self.selection.metric.clone(),
            unit: self.selection.unit,
            eval_set_digest: self.eval_set(),
            backtest: true,
        })
    }

    /// The evaluation set that all runs were measured on, where they name one: a target is taken to be measured on it too.
    fn eval_set(&self) -> Option<String> {
        let mut sets = self.observations.iter().map(|run| &run.eval_set_digest);
        let first = sets.next()?;
        first.clone().filter(|_| sets.all(|set| set == first))
    }

    /// The sweep's own target, where there is one.
    pub(crate) fn own_target(&self) -> Option<Target> {
        self.sweep.as_ref().and_then(SweepMaterial::target).map(|run| self.target_of(run))
    }

    /// The targets typed by an option, or the sweep's own.
    pub(crate) fn targets_or_own(&self, typed: Vec<Target>, option: &str) -> anyhow::Result<Vec<Target>> {
        if !typed.is_empty() {
            return Ok(typed);
        }
        self.own_target().map(|target| vec![target]).with_context(|| self.no_target(option))
    }

    /// That there is no target, with what to type: the rows that a table holds out, where there are some.
    fn no_target(&self, option: &str) -> String {
        let Some(first) = self.held_out.first() else {
            return format!("there is no target to forecast\n\nhint: {option} flops=1e21[,params=7e9,tokens=1.4e11]");
        };
        let typed = |row: &HeldOut| match row.size_and_data {
            Some((params, tokens)) => {
                format!("{option} flops={:e},params={params:e},tokens={tokens:e}", row.flops)
            }
            None => format!("{option} flops={:e}", row.flops),
        };
        let count = self.held_out.len();
        let rows = if count == 1 { "row whose `role` is `target` is" } else { "rows whose `role` is `target` are" };
        let more = if count > 1 { format!(" for `{}`, and so on", first.run_id) } else { String::new() };
        format!(
            "no target was typed: the table's {count} {rows} held out of the fit, and not asked about by themselves\n\nhint: {}{more}",
            typed(first)
        )
    }

    /// A planned run as a target, under this source's conventions.
    pub(crate) fn target_of(&self, run: &PlannedRun) -> Target {
        let flops = run.config.flops();
        Target {
            params: Some(run.config.parameters().under(self.selection.params_rule) as f64),
            tokens: Some(run.config.tokens() as f64),
            ..Target::of_budget(flops.under(self.selection.flops_rule).unwrap_or(flops.exact))
        }
    }

    /// Lets the held-out target into the fit.
    pub(crate) fn let_target_in(&mut self) -> anyhow::Result<()> {
        let all = self.observations_with_targets();
        if all.len() == self.observations.len() {
            bail!("there is no trained target to let into the fit\n\nhint: leave `--with-target` out");
        }
        let seen = |id: &str| all.iter().any(|one| one.run_id == id);
        self.exclusions.retain(|exclusion| !seen(&exclusion.run_id));
        self.observations = all;
        Ok(())
    }

    /// Observations with the held-out target among them, once it is trained: a backtest may predict it.
    pub(crate) fn observations_with_targets(&self) -> Vec<Observation> {
        let mut observations = self.observations.clone();
        if let Some(sweep) = &self.sweep {
            observations.extend(sweep.target_observation(&self.selection));
        }
        observations
    }
}

impl SweepMaterial {
    /// The doubt that the runs of a fit were trained in unlike precisions.
    fn mixed_precision(&self, observations: &[Observation]) -> Option<Diagnosis> {
        forescale_sweep::mixed_precision(self.records_of(observations))
    }

    /// The doubt that the target was trained in another precision than the runs of a fit, once it is trained.
    pub(crate) fn target_precision(&self, observations: &[Observation]) -> Option<Diagnosis> {
        forescale_sweep::target_precision(self.records_of(observations), self.target_record()?)
    }

    fn records_of(&self, observations: &[Observation]) -> impl Iterator<Item = &RunRecord> {
        let fitted: HashSet<String> = observations.iter().map(|one| one.run_id.clone()).collect();
        self.records.iter().filter(move |record| fitted.contains(&record.run_id.0))
    }

    /// The planned target.
    pub(crate) fn target(&self) -> Option<&PlannedRun> {
        self.plan.target()
    }

    /// The target's record, once it is trained.
    pub(crate) fn target_record(&self) -> Option<&RunRecord> {
        let target = self.target()?;
        self.records.iter().find(|record| record.run_id == target.id)
    }

    fn target_observation(&self, selection: &Selection) -> Option<Observation> {
        let mut record = self.target_record()?.clone();
        record.role = Role::Path;
        forescale_sweep::observe(&[record], selection).0.pop()
    }

    /// What the models are trained on, in words.
    pub(crate) fn corpus_words(&self) -> String {
        let million = self.manifest.train_tokens as f64 / 1e6;
        let amount = match self.manifest.spec.tokenizer() {
            Some(tokenizer) if tokenizer.is_bytes() => format!("{million:.1} MB"),
            _ => format!("{million:.1} M tokens"),
        };
        match &self.manifest.spec {
            CorpusSpec::Files(files) => format!("{amount} of text from {}", files.paths.join(", ")),
            CorpusSpec::RustCode(_) => format!(
                "{amount} of Rust source from published crates, validated on {} crates never trained on",
                self.manifest.clusters.len()
            ),
            CorpusSpec::Shards(shards) => format!("{amount} from {}", shards.train.join(", ")),
            CorpusSpec::Mixture(_) => {
                let part = |part: &PartSummary| format!("{:.0}% {}", 100.0 * part.share, part.name);
                let taught = self.manifest.parts.iter().filter(|part| part.share > 0.0).map(part);
                format!("{amount}: {}", taught.collect::<Vec<_>>().join(", "))
            }
            CorpusSpec::Task(task) => format!("{amount} of the task {}", task.task),
            CorpusSpec::ZipfFacts(facts) => {
                format!(
                    "{million:.1} M tokens about {} Zipf-distributed facts (synthetic, exact entropy known)",
                    facts.facts
                )
            }
        }
    }
}

/// How a table is to be read, as typed.
pub(crate) fn table_options(args: &TableArgs) -> TableOptions {
    TableOptions {
        metric: args.metric.clone(),
        map: args.map.clone(),
        filter: args.filter.clone(),
        unit: args.unit,
        rule: args.rule,
        pool: args.pool,
        keep_repeats: false,
    }
}

/// Flags that only a bare table understands are refused for a sweep rather than ignored.
fn refuse_table_flags(source: &Path, args: &TableArgs) -> anyhow::Result<()> {
    let typed = [
        ("--metric", args.metric.is_some()),
        ("--map", !args.map.is_empty()),
        ("--where", args.filter.is_some()),
        ("--unit", args.unit.is_some()),
        ("--rule", args.rule.is_some()),
        ("--pool", args.pool),
    ];
    match first_typed(&typed) {
        Some(flag) => bail!(
            "`{flag}` is for tables, and `{}` is a sweep, which says in sweep.toml how it is counted\n\n\
             hint: leave `{flag}` out",
            source.display()
        ),
        None => Ok(()),
    }
}
