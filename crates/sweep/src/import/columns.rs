//! Which column of a file is which: names of ours, and the names that `--map` says they have.

use std::path::Path;

use forescale_core::run::Role;

use super::cells::Cells;
use super::progress::LogOptions;
use super::table::{TableError, TableOptions};
use crate::nearest::{nearest, quoted_list};

/// Our names for columns.
const KNOWN: [&str; 36] = [
    "params",
    "tokens",
    "flops",
    "loss",
    "run_id",
    "seed",
    "group",
    "cluster",
    "loss_se",
    "seed_sd",
    "seed_degrees",
    "weight",
    "status",
    "is_final",
    "lr",
    "batch_tokens",
    "schedule",
    "steps",
    "warmup_steps",
    "spiked",
    "unique_tokens",
    "epochs",
    "total_params",
    "embedding_params",
    "head_params",
    "flops_6nd",
    "flops_kaplan",
    "flops_exact",
    "eval_tokens",
    "eval_set_digest",
    "tokenizer_digest",
    "task",
    "n_items",
    "chance",
    "name",
    "role",
];

/// Our names for columns of curves.
const KNOWN_OF_CURVES: [&str; 5] = ["run_id", "group", "step", "lr", "loss"];

/// Our names for columns of a log.
const KNOWN_OF_LOGS: [&str; 5] = ["run_id", "step", "tokens", "lr", "loss"];

/// Our names for columns of task scores.
const KNOWN_OF_SCORES: [&str; 12] =
    ["run_id", "cluster", "params", "tokens", "flops", "task", "metric", "value", "n_items", "chance", "loss", "role"];

/// Our names for columns of a table of models.
const KNOWN_OF_MODELS: [&str; 7] = ["model", "params", "tokens", "flops", "cluster", "role", "loss"];

/// Where each column that is read lies, if it is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) params: Option<usize>,
    pub(super) tokens: Option<usize>,
    pub(super) flops: Option<usize>,
    pub(super) loss: usize,
    pub(super) run_id: Option<usize>,
    pub(super) name: Option<usize>,
    pub(super) seed: Option<usize>,
    pub(super) group: Option<usize>,
    pub(super) cluster: Option<usize>,
    pub(super) loss_se: Option<usize>,
    pub(super) seed_sd: Option<usize>,
    pub(super) seed_degrees: Option<usize>,
    pub(super) weight: Option<usize>,
    pub(super) status: Option<usize>,
    pub(super) is_final: Option<usize>,
    pub(super) unique_tokens: Option<usize>,
    /// Read in place of `unique_tokens`, never beside it.
    pub(super) epochs: Option<usize>,
    pub(super) role: Option<usize>,
    pub(super) lr: Option<usize>,
    pub(super) batch_tokens: Option<usize>,
    pub(super) schedule: Option<usize>,
    pub(super) steps: Option<usize>,
    pub(super) warmup_steps: Option<usize>,
    pub(super) spiked: Option<usize>,
    pub(super) total_params: Option<usize>,
    pub(super) embedding_params: Option<usize>,
    pub(super) head_params: Option<usize>,
    pub(super) flops_6nd: Option<usize>,
    pub(super) flops_kaplan: Option<usize>,
    pub(super) flops_exact: Option<usize>,
    pub(super) eval_tokens: Option<usize>,
    pub(super) eval_set_digest: Option<usize>,
    pub(super) tokenizer_digest: Option<usize>,
}

impl Columns {
    /// Finds the columns of a table.
    pub(super) fn find(path: &Path, cells: &Cells, options: &TableOptions) -> Result<Self, TableError> {
        let names = Names::parse(path, cells, options, &KNOWN)?;
        let loss = names.metric(options)?.ok_or_else(|| no_column(path, "loss", cells, options))?;
        let (unique_tokens, epochs) = names.distinct_tokens()?;
        Ok(Self {
            params: names.find("params")?,
            tokens: names.find("tokens")?,
            flops: names.find("flops")?,
            loss,
            run_id: names.find("run_id")?,
            name: names.find("name")?,
            seed: names.find("seed")?,
            group: names.find("group")?,
            cluster: names.find("cluster")?,
            loss_se: names.find("loss_se")?,
            seed_sd: names.find("seed_sd")?,
            seed_degrees: names.find("seed_degrees")?,
            weight: names.find("weight")?,
            status: names.find("status")?,
            is_final: names.find("is_final")?,
            unique_tokens,
            epochs,
            role: names.find("role")?,
            lr: names.find("lr")?,
            batch_tokens: names.find("batch_tokens")?,
            schedule: names.find("schedule")?,
            steps: names.find("steps")?,
            warmup_steps: names.find("warmup_steps")?,
            spiked: names.find("spiked")?,
            total_params: names.find("total_params")?,
            embedding_params: names.find("embedding_params")?,
            head_params: names.find("head_params")?,
            flops_6nd: names.find("flops_6nd")?,
            flops_kaplan: names.find("flops_kaplan")?,
            flops_exact: names.find("flops_exact")?,
            eval_tokens: names.find("eval_tokens")?,
            eval_set_digest: names.find("eval_set_digest")?,
            tokenizer_digest: names.find("tokenizer_digest")?,
        })
    }
}

/// Where the columns of a table of curves lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct CurveColumns {
    pub(super) run_id: usize,
    pub(super) group: Option<usize>,
    pub(super) step: usize,
    pub(super) rate: usize,
    pub(super) loss: usize,
}

impl CurveColumns {
    /// Finds the columns of a table of curves; all that are absent are named at once.
    pub(super) fn find(path: &Path, cells: &Cells, options: &TableOptions) -> Result<Self, TableError> {
        let names = Names::parse(path, cells, options, &KNOWN_OF_CURVES)?;
        let found = [names.find("run_id")?, names.find("step")?, names.find("lr")?, names.metric(options)?];
        let [Some(run_id), Some(step), Some(rate), Some(loss)] = found else {
            let pairs = ["run_id", "step", "lr", "loss"].into_iter().zip(found);
            return Err(no_curves(
                path,
                cells,
                &pairs.filter(|one| one.1.is_none()).map(|one| one.0).collect::<Vec<_>>(),
            ));
        };
        Ok(Self { run_id, group: names.find("group")?, step, rate, loss })
    }
}

/// Where the columns of a log lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProgressColumns {
    pub(super) run_id: Option<usize>,
    /// Steps, or tokens where there are no steps.
    pub(super) at: usize,
    pub(super) is_step: bool,
    pub(super) rate: Option<usize>,
    pub(super) loss: usize,
}

impl ProgressColumns {
    /// Finds the columns of a log.
    pub(super) fn find(path: &Path, cells: &Cells, options: &LogOptions) -> Result<Self, TableError> {
        let options = TableOptions { map: options.map.clone(), ..TableOptions::default() };
        let names = Names::parse(path, cells, &options, &KNOWN_OF_LOGS)?;
        let absent = |problem: &str, name: &str| {
            let hint =
                format!("--map {name}=COLUMN with one of {}", quoted_list(free_among(cells, &options, &KNOWN_OF_LOGS)));
            TableError::new(path, problem, hint)
        };
        let loss = names.find("loss")?.ok_or_else(|| absent("the log has no column `loss`", "loss"))?;
        let (step, tokens) = (names.find("step")?, names.find("tokens")?);
        let at = step.or(tokens).ok_or_else(|| absent("the log has neither `step` nor `tokens`", "step"))?;
        Ok(Self { run_id: names.find("run_id")?, at, is_step: step.is_some(), rate: names.find("lr")?, loss })
    }
}

/// Where the columns of a table of task scores lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScoreColumns {
    pub(super) run_id: Option<usize>,
    pub(super) cluster: Option<usize>,
    pub(super) params: Option<usize>,
    pub(super) tokens: Option<usize>,
    pub(super) flops: Option<usize>,
    pub(super) task: usize,
    pub(super) metric: Option<usize>,
    pub(super) value: usize,
    pub(super) n_items: Option<usize>,
    pub(super) chance: Option<usize>,
    pub(super) loss: Option<usize>,
    pub(super) role: Option<usize>,
}

impl ScoreColumns {
    /// Whether a table has what makes it one of task scores. A `--metric` that is a column asks for that column instead.
    pub(super) fn are_there(path: &Path, cells: &Cells, options: &TableOptions) -> Result<bool, TableError> {
        let map = parse_map(path, &options.map)?;
        let mapped = |name: &str| {
            map.iter().find(|(ours, _)| ours == name).map_or(name, |(_, theirs)| theirs.as_str()).to_owned()
        };
        let is_there = |name: &str| cells.position(&mapped(name)).is_some();
        let asks_for_a_column = options.metric.as_deref().is_some_and(|metric| cells.position(metric).is_some());
        Ok(is_there("task")
            && is_there("value")
            && !asks_for_a_column
            && (options.metric.is_none() || is_there("metric")))
    }

    /// Finds the columns of a table of task scores.
    pub(super) fn find(path: &Path, cells: &Cells, options: &TableOptions) -> Result<Self, TableError> {
        // Here `--metric` names values of the column `metric`, and no column.
        let plain = TableOptions { metric: None, ..options.clone() };
        let names = Names::parse(path, cells, &plain, &KNOWN_OF_SCORES)?;
        let needed = |name: &str| names.find(name)?.ok_or_else(|| no_column(path, name, cells, &plain));
        Ok(Self {
            run_id: names.find("run_id")?,
            cluster: names.find("cluster")?,
            params: names.find("params")?,
            tokens: names.find("tokens")?,
            flops: names.find("flops")?,
            task: needed("task")?,
            metric: names.find("metric")?,
            value: needed("value")?,
            n_items: names.find("n_items")?,
            chance: names.find("chance")?,
            loss: names.find("loss")?,
            role: names.find("role")?,
        })
    }
}

/// Where the columns of a table of models lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct ModelColumns {
    pub(super) model: usize,
    pub(super) params: Option<usize>,
    pub(super) tokens: Option<usize>,
    pub(super) flops: Option<usize>,
    pub(super) cluster: Option<usize>,
    pub(super) role: Option<usize>,
    pub(super) loss: Option<usize>,
}

impl ModelColumns {
    /// Finds the columns of a table of models.
    pub(super) fn find(path: &Path, cells: &Cells, options: &TableOptions) -> Result<Self, TableError> {
        let names = Names::parse(path, cells, options, &KNOWN_OF_MODELS)?;
        let free = || quoted_list(free_among(cells, options, &KNOWN_OF_MODELS));
        let absent = || {
            let hint = format!("--map model=COLUMN with one of {}", free());
            TableError::new(path, "the table has no column `model`", hint)
        };
        Ok(Self {
            model: names.find("model")?.ok_or_else(absent)?,
            params: names.find("params")?,
            tokens: names.find("tokens")?,
            flops: names.find("flops")?,
            cluster: names.find("cluster")?,
            role: names.find("role")?,
            loss: names.find("loss")?,
        })
    }
}

/// What a row is for, by its `role`.
pub(super) fn role(path: &Path, row: usize, told: Option<&str>) -> Result<Option<Role>, TableError> {
    match told.map(str::trim) {
        None | Some("") => Ok(None),
        Some("path") => Ok(Some(Role::Path)),
        Some("off_path") => Ok(Some(Role::OffPath)),
        Some("target") => Ok(Some(Role::Target)),
        Some(other) => {
            let problem = format!("row {}: `role` is `{other}`; `path`, `off_path` or `target` is needed", row + 1);
            let hint = "--map role=COLUMN names another column, or change the words in the table";
            Err(TableError::new(path, problem, hint))
        }
    }
}

/// The error of a table that holds no curves for want of columns.
fn no_curves(path: &Path, cells: &Cells, absent: &[&str]) -> TableError {
    let noun = if absent.len() == 1 { "column" } else { "columns" };
    let problem =
        format!("the table has no {noun} {}; {}", quoted_list(absent.iter().copied()), super::curves::needed());
    let maps: Vec<String> = absent.iter().map(|name| format!("{name}=COLUMN")).collect();
    let names = quoted_list(cells.names.iter().map(String::as_str));
    let hint = format!("--map {} with some of {names}; a table of finished runs is for other laws", maps.join(","));
    TableError::new(path, problem, hint)
}

struct Names<'a> {
    path: &'a Path,
    cells: &'a Cells,
    map: Vec<(String, String)>,
    known: &'a [&'a str],
}

impl<'a> Names<'a> {
    /// The names of a table, checked against those we know.
    fn parse(
        path: &'a Path,
        cells: &'a Cells,
        options: &TableOptions,
        known: &'a [&'a str],
    ) -> Result<Self, TableError> {
        let names = Self { path, cells, map: parse_map(path, &options.map)?, known };
        names.check_map()?;
        names.check_metric(options.metric.as_deref())?;
        Ok(names)
    }

    /// The column of the loss: the metric named, or `loss`.
    fn metric(&self, options: &TableOptions) -> Result<Option<usize>, TableError> {
        let Some(metric) = &options.metric else { return self.find("loss") };
        let found = self.cells.position(metric);
        found.map(Some).ok_or_else(|| missing(self.path, metric, self.cells, "`--metric` names it"))
    }

    fn find(&self, name: &str) -> Result<Option<usize>, TableError> {
        match self.map.iter().find(|(ours, _)| ours == name) {
            None => Ok(self.cells.position(name)),
            Some((_, theirs)) => {
                let found = self.cells.position(theirs);
                found.map(Some).ok_or_else(|| missing(self.path, theirs, self.cells, "`--map` names it"))
            }
        }
    }

    /// Where the distinct tokens of a run are told: in a column of their own, or as epochs where only these are mapped or
    /// there. A published table has both, of which one is a constant: `--map` says which is meant.
    fn distinct_tokens(&self) -> Result<(Option<usize>, Option<usize>), TableError> {
        let is_mapped = |name: &str| self.map.iter().any(|(ours, _)| ours == name);
        let (unique, epochs) = (self.find("unique_tokens")?, self.find("epochs")?);
        match (is_mapped("unique_tokens"), is_mapped("epochs")) {
            (true, true) => {
                let problem = "`--map` names both `unique_tokens` and `epochs`, and one follows from the other";
                Err(TableError::new(self.path, problem, "keep one of them: --map unique_tokens=COLUMN"))
            }
            (false, true) => Ok((None, epochs)),
            _ => Ok((unique, epochs.filter(|_| unique.is_none()))),
        }
    }

    fn check_map(&self) -> Result<(), TableError> {
        let Some((name, _)) = self.map.iter().find(|(ours, _)| !self.known.contains(&ours.as_str())) else {
            return Ok(());
        };
        let known = || self.known.iter().copied();
        let meant = nearest(name, known()).map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        let problem = format!("`--map` names `{name}`, which is no column of ours{meant}");
        Err(TableError::new(self.path, problem, format!("ours are {}", quoted_list(known()))))
    }

    /// The loss is named once.
    fn check_metric(&self, metric: Option<&str>) -> Result<(), TableError> {
        let mapped = self.map.iter().find(|(ours, _)| ours == "loss").map(|(_, theirs)| theirs.as_str());
        match (mapped, metric) {
            (Some(mapped), Some(metric)) if mapped != metric => {
                let problem = format!("`--map` names `{mapped}` as the loss and `--metric` names `{metric}`");
                Err(TableError::new(
                    self.path,
                    problem,
                    format!("keep one of them: --metric {metric}, or --map loss={mapped}"),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// The error of a column of ours that the table does not have.
pub(super) fn no_column(path: &Path, name: &str, cells: &Cells, options: &TableOptions) -> TableError {
    let problem = format!("the table has no column `{name}`");
    let free = free_names(cells, options);
    let hint = match (nearest(name, free.iter().copied()), name) {
        _ if free.is_empty() => format!("add a column `{name}`: all others of the table are in use"),
        (Some(near), "loss") => format!("--map loss={near}, or --metric {near}"),
        (Some(near), _) => format!("--map {name}={near}"),
        (None, _) => format!("--map {name}=COLUMN with one of {}", quoted_list(free)),
    };
    TableError::new(path, problem, hint)
}

/// Whether one of some columns is there under a name near its own.
pub(super) fn has_near(absent: &[&str], cells: &Cells, options: &TableOptions) -> bool {
    let free = free_names(cells, options);
    absent.iter().any(|name| nearest(name, free.iter().copied()).is_some())
}

/// Whether a column is called as compute often is.
fn is_compute(name: &str) -> bool {
    let name = name.to_lowercase();
    name == "c" || name.contains("flop") || name.contains("compute")
}

/// The error of a table that tells fewer than two of size, data and compute.
pub(super) fn too_few_sizes(path: &Path, absent: &[&'static str], cells: &Cells, options: &TableOptions) -> TableError {
    let sizes = ["params", "tokens", "flops"];
    let Some(told) = sizes.iter().find(|name| !absent.contains(name)) else {
        let problem =
            "the table has no column `params`, `tokens` or `flops`, and two of them are needed, or `flops` alone";
        let compute = free_names(cells, options).into_iter().find(|name| is_compute(name));
        let mapped = compute.map(|name| format!("--map flops={name}"));
        let hint = mapped.unwrap_or_else(|| no_column(path, "params", cells, options).hint);
        return TableError::new(path, problem, hint);
    };
    let [one, other] = absent else { return no_column(path, "params", cells, options) };
    let why = match *told {
        "flops" => "one of its columns looks like it, and compute alone is read where none does",
        _ => "compute is 6 × params × tokens",
    };
    let problem = format!(
        "the table has `{told}` and neither `{one}` nor `{other}`; one of the two is needed, from which the other follows: {why}"
    );
    let free = free_names(cells, options);
    let near = |name: &&&str| nearest(name, free.iter().copied()).map(|found| format!("--map {name}={found}"));
    let hint = match absent.iter().find_map(|name| near(&name)) {
        Some(map) => map,
        None if free.is_empty() => format!("add a column `{one}` or `{other}`, one of the two is enough"),
        None => format!("--map {one}=COLUMN or --map {other}=COLUMN with one of {}", quoted_list(free)),
    };
    TableError::new(path, problem, hint)
}

/// Columns of a table of runs that nothing reads.
pub(super) fn free_names<'a>(cells: &'a Cells, options: &TableOptions) -> Vec<&'a str> {
    free_among(cells, options, &KNOWN)
}

/// Columns that are neither mapped, nor the metric, nor ours by their own name.
fn free_among<'a>(cells: &'a Cells, options: &TableOptions, known: &[&str]) -> Vec<&'a str> {
    let entries = options.map.iter().flat_map(|entry| entry.split(','));
    let mut used: Vec<&str> =
        entries.filter_map(|entry| entry.split_once('=')).map(|(_, theirs)| theirs.trim()).collect();
    used.extend(options.metric.as_deref());
    let names = cells.names.iter().map(String::as_str);
    names.filter(|name| !known.contains(name) && !used.contains(name)).collect()
}

/// The error of a column that somebody named and that is not there.
pub(super) fn missing(path: &Path, name: &str, cells: &Cells, who: &str) -> TableError {
    let names = || cells.names.iter().map(String::as_str);
    let meant = nearest(name, names()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let problem = format!("{who}, and the table has no column `{name}`{meant}");
    TableError::new(path, problem, format!("columns are {}", quoted_list(names())))
}

fn parse_map(path: &Path, entries: &[String]) -> Result<Vec<(String, String)>, TableError> {
    let parts = entries.iter().flat_map(|entry| entry.split(',')).filter(|part| !part.trim().is_empty());
    parts.map(|part| parse_entry(path, part)).collect()
}

fn parse_entry(path: &Path, part: &str) -> Result<(String, String), TableError> {
    match part.split_once('=') {
        Some((ours, theirs)) => Ok((ours.trim().to_owned(), theirs.trim().to_owned())),
        None => {
            let problem = format!("`--map` has `{part}`, which has no `=`");
            Err(TableError::new(path, problem, "--map params=n_nonemb,loss=val_loss"))
        }
    }
}
