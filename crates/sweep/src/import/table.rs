//! Bare tables: one row a run, from CSV, Parquet or JSONL.
//!
//! `params`, `tokens` and `flops` (two are enough under a rule that gives the third, and `flops` alone for laws of compute),
//! `loss` (or `--metric NAME`), and what else is known of a run, such as its `role` (`path`, `off_path` or `target`) or its
//! `eval_set_digest`; `docs/tables.md` names every column. Every row becomes an observation, an exclusion with its reason, or an error that names it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use forescale_core::count::{CountingRule, FlopsRule};
use forescale_core::observation::{Exclusion, ExclusionReason, Observation, Selection, Split, Training};
use forescale_core::outcome::Diagnosis;
use forescale_core::quantity::LossUnit;
use forescale_core::run::Role;
use thiserror::Error;

use super::cells::{self, Cell, Cells, bad_cell};
use super::checkpoints::{self, Curves, Point};
use super::columns::{self, Columns, no_column};
use super::counts::params_rule;
use super::filter::Filter;
use super::recipes::{self, Seen};

/// How far a table's own FLOPs may lie from a rule and still follow it.
///
/// Chosen here, because published sizes are rounded to two digits (1.3B).
const RULE_TOLERANCE: f64 = 0.05;

/// Tokens that exceed the distinct ones by this are as many: one of the two was worked out from rounded numbers.
const ROUNDING: f64 = 1e-6;

/// The column that says which loss a row's is, where a table holds several.
const METRIC: &str = "metric";

/// Names of a column that an error lists.
const MOST_NAMED: usize = 4;

/// How a table is to be read, as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// Column of the loss; `loss` when absent.
    pub metric: Option<String>,
    /// Entries `ours=theirs`, each with one or more separated by commas.
    pub map: Vec<String>,
    /// Text of `--where`.
    pub filter: Option<String>,
    /// How C follows from N and D; 6ND when absent.
    pub rule: Option<FlopsRule>,
    /// Unit of the loss; when absent bits per byte of a column that is called so, else nats per token, with a note.
    pub unit: Option<LossUnit>,
    /// Fit all groups as one.
    pub pool: bool,
    /// Keep rows that repeat data, for a law that knows what that costs.
    pub keep_repeats: bool,
}

/// A table, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Rows that a fit may see.
    pub observations: Vec<Observation>,
    /// Rows that it may not.
    pub exclusions: Vec<Exclusion>,
    /// Rows that the table holds out as targets.
    pub held_out: Vec<HeldOut>,
    /// Conventions that the observations are under.
    pub selection: Selection,
    /// Name of the column that tells the groups, where there is one.
    pub group_column: Option<String>,
    /// What was assumed, in sentences.
    pub notes: Vec<String>,
    /// What its columns give reason to doubt.
    pub doubts: Vec<Diagnosis>,
}

/// A row whose `role` is `target`: no fit sees it, and it may be asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// The row's run.
    pub run_id: String,
    /// N and D, where the table tells them.
    pub size_and_data: Option<(f64, f64)>,
    /// C.
    pub flops: f64,
}

/// A table that cannot be read, or whose numbers cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{}`: {problem}\n\nhint: {hint}", place.display())]
pub struct TableError {
    /// The file.
    pub place: PathBuf,
    /// What is wrong, with the row and the value.
    pub problem: String,
    /// What to do.
    pub hint: String,
    /// The condition of a `--where` that leaves the bad row out, where one does.
    pub leave_out: Option<String>,
}

impl TableError {
    pub(super) fn new(place: &Path, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: place.to_owned(), problem: problem.into(), hint: hint.into(), leave_out: None }
    }

    /// The same error of a table that is read with other flags than `--map` and `--where`.
    pub(super) fn of_flags(self, map: &str, filter: &str) -> Self {
        let named = |text: &str| text.replace("--map", map).replace("--where", filter);
        Self { problem: named(&self.problem), hint: named(&self.hint), ..self }
    }
}

/// Reads a bare table.
///
/// # Errors
///
/// [`TableError`] when the file cannot be read, has no rows or lacks a column, an option names what is not there, a
/// number cannot be understood, a loss is not above zero, or two rows are one run.
pub fn read_table(path: &Path, options: &TableOptions) -> Result<Table, TableError> {
    let cells = cells::read_rows(path)?;
    let columns = Columns::find(path, &cells, options)?;
    let filter = options.filter.as_deref().map(|text| Filter::parse(path, text, &cells)).transpose()?;
    let reader = Reader { path, cells: &cells, columns, options };
    reader.check_sizes()?;
    let (seen, exclusions) = reader.rows(filter.as_ref())?;
    let held_out = reader.held_out(filter.as_ref());
    Ok(Table { held_out, ..reader.finish(seen, exclusions)? })
}

/// A row that a fit may see, by its number from 0.
type Row = (usize, Observation);

/// The unit of a column of losses, and what is said where none was named: a column called after a unit is in it.
pub(super) fn unit_of(metric: &str, named: Option<LossUnit>) -> (LossUnit, Option<String>) {
    if let Some(unit) = named {
        return (unit, None);
    }
    let is_by_name = ["bpb", "bits_per_byte"].iter().any(|name| metric.eq_ignore_ascii_case(name));
    let (unit, by_name) = if is_by_name { (LossUnit::BitsPerByte, ", by its name") } else { (LossUnit::default(), "") };
    let label = unit.label();
    let note = format!("`{metric}` is taken as {label}{by_name}, because no unit was named (--unit nats|bits|bpb)");
    (unit, Some(note))
}

struct Reader<'a> {
    path: &'a Path,
    cells: &'a Cells,
    columns: Columns,
    options: &'a TableOptions,
}

impl Reader<'_> {
    fn refuse<T>(&self, problem: String, hint: impl Into<String>) -> Result<T, TableError> {
        Err(TableError::new(self.path, problem, hint))
    }

    /// Whether the table has sizes or data, from one of which and compute the other follows; else it tells compute alone.
    fn tells_split(&self) -> bool {
        self.columns.params.is_some() || self.columns.tokens.is_some()
    }

    /// Two of params, tokens and flops, or all three where no rule gives the third; or flops alone, where no column looks like
    /// a size or data of another name.
    fn check_sizes(&self) -> Result<(), TableError> {
        let columns = [("params", self.columns.params), ("tokens", self.columns.tokens), ("flops", self.columns.flops)];
        let absent: Vec<&str> = columns.iter().filter(|(_, column)| column.is_none()).map(|(name, _)| *name).collect();
        match (absent.as_slice(), self.options.rule) {
            ([], _) | ([_], None | Some(FlopsRule::SixNd | FlopsRule::Kaplan)) => Ok(()),
            (["params", "tokens"], _) if !columns::has_near(&absent, self.cells, self.options) => Ok(()),
            ([name], Some(rule)) => {
                let error = no_column(self.path, name, self.cells, self.options);
                let problem = format!("{}, and `--rule {}` cannot work it out", error.problem, rule.name());
                self.refuse(problem, format!("{}, or --rule 6nd", error.hint))
            }
            _ => Err(columns::too_few_sizes(self.path, &absent, self.cells, self.options)),
        }
    }

    /// Observations, each with its row, and the rows left out.
    fn rows(&self, filter: Option<&Filter>) -> Result<(Vec<Row>, Vec<Exclusion>), TableError> {
        let (mut seen, mut left_out, mut runs) = (Vec::new(), Vec::new(), BTreeSet::new());
        self.check_one_loss(filter)?;
        for row in 0..self.cells.rows {
            let run_id = self.run_id(row);
            if filter.is_some_and(|filter| !filter.admits(self.cells, row)) {
                left_out.push(Exclusion { run_id, reason: ExclusionReason::Filtered });
                continue;
            }
            // Checkpoints of a run carry its name; the one that is final is the run.
            if self.not_final(row)?.is_none() {
                self.check_new(row, &run_id, &mut runs)?;
            }
            match self.excluded(row)? {
                Some(reason) => left_out.push(Exclusion { run_id, reason }),
                None => {
                    let read = self.observation(row, run_id);
                    seen.push((row, read.map_err(|error| self.not_of_its_name(filter).unwrap_or(error))?));
                }
            }
        }
        Ok((seen, left_out))
    }

    /// The error of a column that is not above zero in most of the rows meant to be fitted: it is no matter of one row, and
    /// holds something else than its name says.
    fn not_of_its_name(&self, filter: Option<&Filter>) -> Option<TableError> {
        let is_meant = |row: &usize| {
            filter.is_none_or(|filter| filter.admits(self.cells, *row)) && matches!(self.excluded(*row), Ok(None))
        };
        let rows: Vec<usize> = (0..self.cells.rows).filter(is_meant).collect();
        let sizes = [("params", self.columns.params), ("tokens", self.columns.tokens), ("flops", self.columns.flops)];
        let columns = [("loss", Some(self.columns.loss))].into_iter().chain(sizes);
        columns.filter_map(|(field, column)| Some((field, column?))).find_map(|(field, column)| {
            let numbers: Vec<f64> = rows.iter().filter_map(|&row| self.cells.at(column, row).number()).collect();
            let bad = numbers.iter().filter(|number| **number <= 0.0).count();
            let problem = format!(
                "`{}` is 0 or below in {bad} of {} rows, and a {field} is above 0: the column holds something else",
                self.cells.names[column],
                numbers.len()
            );
            let hint = if field == "loss" {
                "of log likelihoods take the negative; or name the column of the loss: --metric COLUMN".to_owned()
            } else {
                format!("name the column that tells it: --map {field}=COLUMN")
            };
            (bad > 1 && 2 * bad > numbers.len()).then(|| TableError::new(self.path, problem, hint))
        })
    }

    /// Rows that are targets and tell what they are.
    fn held_out(&self, filter: Option<&Filter>) -> Vec<HeldOut> {
        let is_meant = |row: &usize| filter.is_none_or(|filter| filter.admits(self.cells, *row));
        let is_target = |row: &usize| self.role(*row).is_ok_and(|role| role == Some(Role::Target));
        let told = |row: usize| {
            let (params, tokens, flops) = self.sizes(row).ok()?;
            let size_and_data = self.tells_split().then_some((params, tokens));
            Some(HeldOut { run_id: self.run_id(row), size_and_data, flops })
        };
        (0..self.cells.rows).filter(is_meant).filter(is_target).filter_map(told).collect()
    }

    /// One law needs one loss: rows of a group that say another `metric` each are no runs of one curve.
    fn check_one_loss(&self, filter: Option<&Filter>) -> Result<(), TableError> {
        let column = self.cells.position(METRIC);
        let is_meant =
            |row: &usize| filter.is_none_or(|filter| filter.admits(self.cells, *row)) && self.no_loss(*row).is_none();
        let mut losses: BTreeMap<Option<String>, BTreeSet<String>> = BTreeMap::new();
        for row in (0..self.cells.rows).filter(is_meant) {
            losses.entry(self.group(row)).or_default().extend(self.text(column, row));
        }
        let Some(several) = losses.into_values().find(|names| names.len() > 1) else { return Ok(()) };
        let first = several.first().map(String::as_str).unwrap_or_default();
        let hint = format!("keep one by --where '{METRIC} == \"{first}\"', or fit them apart by --map group={METRIC}");
        let named: Vec<String> = several.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
        let more = if several.len() > MOST_NAMED { ", …" } else { "" };
        let (count, named) = (several.len(), named.join(", "));
        self.refuse(format!("`{METRIC}` has {count} values, and one law needs one loss: {named}{more}"), hint)
    }

    fn run_id(&self, row: usize) -> String {
        self.text(self.columns.run_id, row).unwrap_or_else(|| format!("row-{}", row + 1))
    }

    fn check_new(
        &self,
        row: usize,
        run_id: &str,
        runs: &mut BTreeSet<(Option<String>, String)>,
    ) -> Result<(), TableError> {
        if runs.insert((self.group(row), run_id.to_owned())) {
            return Ok(());
        }
        let hint = "each row is one run: keep one row of each by --where, --map group=COLUMN to fit them apart, or, where they \
                    are checkpoints, say in a column `is_final` which is the last";
        self.refuse(format!("row {} is run `{run_id}` again", row + 1), hint)
    }

    /// The group that a row is fitted in; none where all are fitted as one.
    fn group(&self, row: usize) -> Option<String> {
        self.text(self.columns.group, row).filter(|_| !self.options.pool)
    }

    fn text(&self, column: Option<usize>, row: usize) -> Option<String> {
        self.cells.at(column?, row).text()
    }

    fn excluded(&self, row: usize) -> Result<Option<ExclusionReason>, TableError> {
        let held_out = (self.role(row)? == Some(Role::Target)).then_some(ExclusionReason::HeldOut);
        let reasons = [held_out, self.status(row)?, self.not_final(row)?, self.no_loss(row)];
        match reasons.into_iter().flatten().next() {
            None if self.options.keep_repeats => Ok(None),
            None => Ok(self.repeated_unique(row)?.map(|_| ExclusionReason::RepeatedTokens)),
            found => Ok(found),
        }
    }

    fn role(&self, row: usize) -> Result<Option<Role>, TableError> {
        columns::role(self.path, row, self.text(self.columns.role, row).as_deref())
    }

    fn status(&self, row: usize) -> Result<Option<ExclusionReason>, TableError> {
        match self.text(self.columns.status, row).as_deref() {
            None | Some("finished") => Ok(None),
            Some("diverged") => Ok(Some(ExclusionReason::Diverged)),
            Some("stopped") => Ok(Some(ExclusionReason::Stopped)),
            Some(other) => {
                let problem =
                    format!("row {}: `status` is `{other}`; `finished`, `diverged` or `stopped` is needed", row + 1);
                let hint = format!(
                    "leave such rows out by --where 'status != \"{other}\"', or write `finished` for a run that reached its last \
                     step, `stopped` or `diverged` for one that did not; --map status=COLUMN names another column"
                );
                self.refuse(problem, hint)
            }
        }
    }

    fn not_final(&self, row: usize) -> Result<Option<ExclusionReason>, TableError> {
        let Some(cell) = self.columns.is_final.map(|column| self.cells.at(column, row)) else { return Ok(None) };
        match (cell, cell.truth()) {
            (Cell::Empty, _) | (_, Some(true)) => Ok(None),
            (_, Some(false)) => Ok(Some(ExclusionReason::NotFinal)),
            (_, None) => {
                let found = cell.text().unwrap_or_default();
                self.refuse(
                    format!("row {}: `is_final` is `{found}`; true or false is needed", row + 1),
                    "1 and 0 will do too",
                )
            }
        }
    }

    fn no_loss(&self, row: usize) -> Option<ExclusionReason> {
        (*self.cells.at(self.columns.loss, row) == Cell::Empty).then_some(ExclusionReason::MissingMetric)
    }

    /// Distinct tokens of a row, where they are told, as a column of their own or by epochs.
    fn unique_tokens(&self, row: usize) -> Result<Option<f64>, TableError> {
        match self.above_zero(self.columns.epochs, row)? {
            Some(epochs) => Ok(Some(self.sizes(row)?.1 / epochs)),
            // Beside compute alone they say nothing of how often they were seen.
            None if !self.tells_split() => Ok(None),
            None => self.above_zero(self.columns.unique_tokens, row),
        }
    }

    /// The same of a row that saw some of them more than once.
    fn repeated_unique(&self, row: usize) -> Result<Option<f64>, TableError> {
        let Some(unique) = self.unique_tokens(row)? else { return Ok(None) };
        let tokens = self.sizes(row)?.1;
        Ok((tokens > unique * (1.0 + ROUNDING)).then_some(unique))
    }

    fn observation(&self, row: usize, run_id: String) -> Result<Observation, TableError> {
        let (params, tokens, flops) = self.sizes(row)?;
        let seed = self.optional(self.columns.seed, row)?;
        Ok(Observation {
            name: self.text(self.columns.name, row).unwrap_or_else(|| run_id.clone()),
            group: self.group(row),
            cluster: self.text(self.columns.cluster, row).unwrap_or_else(|| run_id.clone()),
            role: self.role(row)?,
            params,
            tokens,
            split: if self.tells_split() { Split::Told } else { Split::Untold },
            flops,
            loss: self.positive(self.columns.loss, row)?,
            loss_se: self.not_negative(self.columns.loss_se, row)?,
            seed_sd: self.not_negative(self.columns.seed_sd, row)?,
            seed_degrees: self.not_negative(self.columns.seed_degrees, row)?,
            weight: self.above_zero(self.columns.weight, row)?.unwrap_or(1.0),
            seed: seed.map(|seed| seed as u64),
            eval_set_digest: self.text(self.columns.eval_set_digest, row),
            unique_tokens: self.repeated_unique(row)?,
            training: self.training(row)?,
            run_id,
        })
    }

    /// How the run was trained, as far as the table's columns tell.
    fn training(&self, row: usize) -> Result<Training, TableError> {
        let truth = |column: Option<usize>| column.and_then(|column| self.cells.at(column, row).truth());
        let columns = &self.columns;
        Ok(Training {
            learning_rate: self.not_negative(columns.lr, row)?,
            batch_tokens: self.not_negative(columns.batch_tokens, row)?,
            steps: self.not_negative(columns.steps, row)?,
            warmup_steps: self.not_negative(columns.warmup_steps, row)?,
            schedule: self.text(columns.schedule, row),
            is_final: truth(columns.is_final),
            spiked: truth(columns.spiked),
            unique_tokens: self.unique_tokens(row)?,
            tokenizer_digest: self.text(columns.tokenizer_digest, row),
            total_params: self.not_negative(columns.total_params, row)?,
            embedding_params: self.not_negative(columns.embedding_params, row)?,
            head_params: self.not_negative(columns.head_params, row)?,
            flops_6nd: self.not_negative(columns.flops_6nd, row)?,
            flops_kaplan: self.not_negative(columns.flops_kaplan, row)?,
            flops_exact: self.not_negative(columns.flops_exact, row)?,
            eval_tokens: self.not_negative(columns.eval_tokens, row)?,
            rate_follows_width: None,
        })
    }

    /// N, D and C, the absent one by the rule.
    fn sizes(&self, row: usize) -> Result<(f64, f64, f64), TableError> {
        let of = |column: Option<usize>| column.map(|column| self.positive(column, row)).transpose();
        match (of(self.columns.params)?, of(self.columns.tokens)?, of(self.columns.flops)?) {
            (Some(params), Some(tokens), Some(flops)) => {
                self.check_rule(row, 6.0 * params * tokens, flops)?;
                Ok((params, tokens, flops))
            }
            (Some(params), Some(tokens), None) => Ok((params, tokens, 6.0 * params * tokens)),
            (Some(params), None, Some(flops)) => Ok((params, flops / (6.0 * params), flops)),
            (None, Some(tokens), Some(flops)) => Ok((flops / (6.0 * tokens), tokens, flops)),
            (None, None, Some(flops)) => Ok((Split::place(flops), Split::place(flops), flops)),
            _ => Err(no_column(self.path, "params", self.cells, self.options)),
        }
    }

    fn check_rule(&self, row: usize, by_rule: f64, flops: f64) -> Result<(), TableError> {
        let named = self.options.rule.filter(|rule| matches!(rule, FlopsRule::SixNd | FlopsRule::Kaplan));
        match named.filter(|_| !follows(by_rule, flops)) {
            None => Ok(()),
            Some(rule) => {
                let ratio = flops / by_rule;
                let problem = format!(
                    "row {}: `flops` is {flops:.4e} and 6 × params × tokens is {by_rule:.4e}: {ratio:.2} times, so the table \
                     does not follow `--rule {}`",
                    row + 1,
                    rule.name()
                );
                self.refuse(problem, "--rule column takes the table's own")
            }
        }
    }

    fn number(&self, column: usize, row: usize) -> Result<f64, TableError> {
        let cell = self.cells.at(column, row);
        cell.number().map_or_else(|| self.bad(column, row, "a number"), Ok)
    }

    fn optional(&self, column: Option<usize>, row: usize) -> Result<Option<f64>, TableError> {
        let filled = column.filter(|&column| *self.cells.at(column, row) != Cell::Empty);
        filled.map(|column| self.number(column, row)).transpose()
    }

    fn positive(&self, column: usize, row: usize) -> Result<f64, TableError> {
        let number = self.number(column, row)?;
        if number.is_finite() && number > 0.0 { Ok(number) } else { self.bad(column, row, "a number above 0") }
    }

    /// A number above zero, where the cell is filled.
    fn above_zero(&self, column: Option<usize>, row: usize) -> Result<Option<f64>, TableError> {
        let filled = column.filter(|&column| *self.cells.at(column, row) != Cell::Empty);
        filled.map(|column| self.positive(column, row)).transpose()
    }

    fn not_negative(&self, column: Option<usize>, row: usize) -> Result<Option<f64>, TableError> {
        match self.optional(column, row)? {
            Some(number) if !(number.is_finite() && number >= 0.0) => {
                self.bad(column.unwrap_or_default(), row, "0 or more")
            }
            number => Ok(number),
        }
    }

    fn bad<T>(&self, column: usize, row: usize, needed: &str) -> Result<T, TableError> {
        Err(bad_cell(self.path, self.cells, (column, row), needed))
    }

    fn finish(&self, seen: Vec<Row>, exclusions: Vec<Exclusion>) -> Result<Table, TableError> {
        let (rows, observations): (Vec<usize>, Vec<Observation>) = seen.into_iter().unzip();
        if observations.is_empty() {
            let problem = format!("no row is left of {}", self.cells.rows);
            let reasons: BTreeSet<&str> = exclusions.iter().map(|one| one.reason.label()).collect();
            let reasons = Vec::from_iter(reasons).join(", ");
            return self.refuse(problem, format!("they were left out as: {reasons}; a weaker --where may help"));
        }
        let (flops_rule, rule_note) = self.flops_rule(&observations);
        let metric = self.cells.names[self.columns.loss].clone();
        let (unit, unit_note) = unit_of(&metric, self.options.unit);
        let selection = Selection {
            metric,
            unit,
            params_rule: if self.tells_split() { params_rule(&observations, flops_rule) } else { CountingRule::Column },
            flops_rule,
            pool: self.options.pool,
        };
        let checkpoints = self.checkpoint_note(&observations);
        let notes = [unit_note, rule_note, checkpoints, left_out_note(&exclusions)].into_iter().flatten().collect();
        let curves = self.curves(&rows, &observations);
        if let Some(curves) = curves.as_ref().filter(|curves| curves.is_sure) {
            return self.refuse(curves.problem(), Curves::hint());
        }
        let curves = curves.as_ref().map(Curves::diagnosis);
        let doubts = curves.into_iter().chain(self.pooled(&rows, &observations)).collect();
        let group_column = self.columns.group.map(|column| self.cells.names[column].clone());
        Ok(Table { observations, exclusions, held_out: Vec::new(), selection, group_column, notes, doubts })
    }

    /// Whether several recipes look fitted as one, which `--pool` says is meant.
    fn pooled(&self, rows: &[usize], observations: &[Observation]) -> Option<Diagnosis> {
        let seen = |(&row, one): (&usize, &Observation)| {
            let group = one.group.clone();
            Seen { row, group, params: one.params, tokens: one.tokens }
        };
        let seen: Vec<Seen> = rows.iter().zip(observations).map(seen).collect();
        let mut free = columns::free_names(self.cells, self.options);
        // How long a run was is no recipe.
        free.retain(|name| !checkpoints::STEPS.contains(name));
        if self.options.pool { None } else { recipes::pooled(self.cells, &free, &seen) }
    }

    /// Whether rows look like points of a few curves, where neither a trunk nor the end of a schedule is told.
    fn curves(&self, rows: &[usize], observations: &[Observation]) -> Option<Curves> {
        if self.columns.is_final.is_some() || self.columns.cluster.is_some() {
            return None;
        }
        // A rate that stands beside steps may be that of the step.
        let columns = &self.columns;
        let rate = columns.lr.filter(|_| !checkpoints::has_steps(self.cells));
        let columns =
            [rate, columns.batch_tokens, columns.schedule, columns.seed, columns.unique_tokens, columns.epochs];
        let point = |(&row, one): (&usize, &Observation)| {
            let told: Vec<Option<String>> = columns.iter().map(|column| self.text(*column, row)).collect();
            Point {
                row,
                told: format!("{:?} {:?} {told:?} {:?}", one.group, one.size_and_data().map(|at| at.0), one.role),
                name: self.text(self.columns.name, row),
                params: one.size_and_data().map(|at| at.0),
                amount: if one.tells_split() { one.tokens } else { one.flops },
            }
        };
        checkpoints::curves(self.cells, &rows.iter().zip(observations).map(point).collect::<Vec<_>>())
    }

    /// Rows that share a trunk, where nothing says which of them is the last.
    fn checkpoint_note(&self, observations: &[Observation]) -> Option<String> {
        let trunks: BTreeSet<(&Option<String>, &str)> =
            observations.iter().map(|one| (&one.group, one.cluster.as_str())).collect();
        (self.columns.is_final.is_none() && trunks.len() < observations.len()).then(|| {
            format!(
                "{} rows are of {} trunks (`cluster`): each counts as a run whose schedule has ended; a column `is_final` leaves the others out",
                observations.len(),
                trunks.len()
            )
        })
    }

    /// What a rule that cannot be checked means for a column of the table's own.
    fn relabel_note(&self, rule: FlopsRule) -> Option<String> {
        let relabels = self.columns.flops.is_some() && matches!(rule, FlopsRule::Exact | FlopsRule::Kaplan);
        relabels.then(|| {
            let name = rule.name();
            format!("`flops` is taken as counted by `--rule {name}`, as it stands: nothing is worked out anew")
        })
    }

    /// The rule named, or the one that the table's own three columns follow.
    fn flops_rule(&self, observations: &[Observation]) -> (FlopsRule, Option<String>) {
        if let Some(rule) = self.options.rule {
            return (rule, self.relabel_note(rule));
        }
        if !self.tells_split() {
            return (FlopsRule::Column, None);
        }
        let strays = observations.iter().filter(|one| !follows(6.0 * one.params * one.tokens, one.flops)).count();
        if strays == 0 {
            return (FlopsRule::SixNd, None);
        }
        let note = format!(
            "in {strays} of {} rows `flops` is not 6 × params × tokens; the table's own column is used (--rule column)",
            observations.len()
        );
        (FlopsRule::Column, Some(note))
    }
}

/// How many rows were left out, and for which reasons.
fn left_out_note(exclusions: &[Exclusion]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in exclusions {
        *counts.entry(one.reason.label()).or_default() += 1;
    }
    let rows = if exclusions.len() == 1 { "row" } else { "rows" };
    let reasons: Vec<String> = match counts.len() {
        0 => return None,
        1 => counts.into_keys().map(str::to_owned).collect(),
        _ => counts.into_iter().map(|(reason, count)| format!("{reason} {count}")).collect(),
    };
    Some(format!("{} {rows} left out: {}", exclusions.len(), reasons.join(", ")))
}

fn follows(by_rule: f64, flops: f64) -> bool {
    (flops / by_rule - 1.0).abs() <= RULE_TOLERANCE
}

#[cfg(test)]
mod tests;
