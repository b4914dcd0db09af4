//! Tables of task scores: one row a run and task, from CSV, Parquet or JSONL.
//!
//! `task` and `value` make a table one of task scores; beside them stand `flops` (or `params` and `tokens`), `run_id`,
//! `metric`, `n_items`, `chance`, `loss` (the task's own, or of a validation set), `cluster` and `role`. Rows of one run and
//! task whose `metric` is a loss (`loss`, `bpb`, `nll` or `ce`) tell the loss of its other rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use forescale_core::capability::TaskScore;
use forescale_core::run::Role;

use super::cells::{self, Cell, Cells, bad_cell, condition_of_first};
use super::columns::{ScoreColumns, role};
use super::filter::Filter;
use super::table::{TableError, TableOptions};

/// Metrics that are losses, by their names in lower case.
const LOSSES: [&str; 4] = ["loss", "bpb", "nll", "ce"];

/// A table of task scores, read.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreTable {
    /// Rows, in the order of the file; those of runs that are held out apart.
    pub scores: Vec<TaskScore>,
    /// Scores of runs whose `role` is `target`.
    pub held_out: Vec<TaskScore>,
    /// What runs are for, where the table says so.
    pub roles: BTreeMap<String, Role>,
    /// What was assumed, in sentences.
    pub notes: Vec<String>,
}

/// Whether a file is a table of task scores: it has `task` and `value`, under these names or by `--map`, and `--metric` names
/// no column of it.
///
/// # Errors
///
/// [`TableError`] when the file cannot be read, or `--map` cannot be understood.
pub fn is_score_table(path: &Path, options: &TableOptions) -> Result<bool, TableError> {
    let cells = cells::read_rows(path)?;
    ScoreColumns::are_there(path, &cells, options)
}

/// What to type to have the loss that stands beside the scores of a table: its column, and one task, as each row is then to be
/// one run. `None` where there is no such column.
///
/// # Errors
///
/// As [`is_score_table`].
pub fn loss_beside_scores(path: &Path, options: &TableOptions) -> Result<Option<String>, TableError> {
    let cells = cells::read_rows(path)?;
    let columns = ScoreColumns::find(path, &cells, options)?;
    let of_one = [Some(columns.task), columns.metric].into_iter().flatten();
    let of_one = of_one.filter_map(|column| condition_of_first(&cells, column));
    let rows = Vec::from_iter(options.filter.clone().into_iter().chain(of_one)).join(" and ");
    let rows = if rows.contains('\'') { format!("{rows:?}") } else { format!("'{rows}'") };
    Ok(columns.loss.map(|loss| format!("--metric {} --where {rows}", cells.names[loss])))
}

/// Reads a table of task scores.
///
/// # Errors
///
/// [`TableError`] when the file cannot be read, has no rows or lacks a column, an option names what is not there, or a
/// number cannot be understood.
pub fn read_scores(path: &Path, options: &TableOptions) -> Result<ScoreTable, TableError> {
    let cells = cells::read_rows(path)?;
    let columns = ScoreColumns::find(path, &cells, options)?;
    let filter = options.filter.as_deref().map(|text| Filter::parse(path, text, &cells)).transpose()?;
    let reader = Reader { path, cells: &cells, columns, metric: options.metric.as_deref() };
    reader.read(filter.as_ref())
}

struct Reader<'a> {
    path: &'a Path,
    cells: &'a Cells,
    columns: ScoreColumns,
    /// The metric whose rows are asked for.
    metric: Option<&'a str>,
}

/// One row before losses are given to scores.
struct Row {
    score: TaskScore,
    metric: Option<String>,
    is_loss: bool,
    role: Option<Role>,
}

impl Reader<'_> {
    fn read(&self, filter: Option<&Filter>) -> Result<ScoreTable, TableError> {
        let mut left_out = 0;
        let mut rows = Vec::new();
        for row in 0..self.cells.rows {
            let is_kept = filter.is_none_or(|filter| filter.admits(self.cells, row)) && self.is_meant(row);
            // A row that is left out may hold anything.
            match if is_kept { self.row(row)? } else { None } {
                Some(found) => rows.push(found),
                None => left_out += 1,
            }
        }
        let losses = self.losses(&rows)?;
        self.check_one_score(&rows)?;
        let roles = rows.iter().filter_map(|row| Some((row.score.run_id.clone(), row.role?))).collect();
        // A task some of whose runs tell its own loss takes no other for the rest: one law needs one kind.
        let with_own: BTreeSet<String> = losses.keys().map(|(_, task)| task.clone()).collect();
        let (mut scores, mut held_out) = (Vec::new(), Vec::new());
        for mut row in rows.into_iter().filter(|row| !row.is_loss) {
            let own = losses.get(&(row.score.run_id.clone(), row.score.task.clone())).copied();
            row.score.loss = if with_own.contains(&row.score.task) { own } else { row.score.loss };
            if row.role == Some(Role::Target) { &mut held_out } else { &mut scores }.push(row.score);
        }
        if scores.is_empty() {
            let problem = format!("no score is left of {} rows", self.cells.rows);
            return Err(TableError::new(self.path, problem, "a weaker --where may help, or another --metric"));
        }
        let note = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let notes = [note(left_out, "rows left out"), note(held_out.len(), "scores of runs that are held out")];
        Ok(ScoreTable { scores, held_out, roles, notes: notes.into_iter().flatten().collect() })
    }

    /// Losses by run and task, of one kind a task.
    fn losses(&self, rows: &[Row]) -> Result<BTreeMap<(String, String), f64>, TableError> {
        let (mut losses, mut kinds) = (BTreeMap::new(), BTreeMap::new());
        for row in rows.iter().filter(|row| row.is_loss) {
            let (run, task) = (&row.score.run_id, &row.score.task);
            let kind = row.metric.as_deref().unwrap_or_default();
            let first = *kinds.entry(task).or_insert(kind);
            let hint = format!("keep one by --where 'metric != \"{kind}\"'");
            if first != kind {
                let problem = format!("`{task}` has losses by `{first}` and by `{kind}`, and one law needs one kind");
                return Err(TableError::new(self.path, problem, hint));
            }
            if losses.insert((run.clone(), task.clone()), row.score.value).is_some() {
                let problem = format!("`{run}` has two losses of `{task}`, both by `{kind}`");
                let hint = "tell runs apart by a column `run_id`, or leave one row out by --where";
                return Err(TableError::new(self.path, problem, hint));
            }
        }
        Ok(losses)
    }

    /// One law needs one score: two metrics of one run and task are not two runs.
    fn check_one_score(&self, rows: &[Row]) -> Result<(), TableError> {
        let mut metrics: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for row in rows.iter().filter(|row| !row.is_loss) {
            let Some(metric) = row.metric.as_deref() else { continue };
            let (run, task) = (row.score.run_id.as_str(), row.score.task.as_str());
            let first = *metrics.entry((run, task)).or_insert(metric);
            if first != metric {
                let problem = format!("`{run}` has two scores of `{task}`, by `{first}` and by `{metric}`");
                return Err(TableError::new(self.path, problem, format!("keep one by --metric {first}")));
            }
        }
        Ok(())
    }

    /// Whether the row is of the metric asked for, or a loss beside it.
    fn is_meant(&self, row: usize) -> bool {
        let Some(asked) = self.metric else { return true };
        self.text(self.columns.metric, row).is_some_and(|metric| metric == asked || is_loss(&metric))
    }

    fn row(&self, row: usize) -> Result<Option<Row>, TableError> {
        if *self.cells.at(self.columns.value, row) == Cell::Empty {
            return Ok(None);
        }
        let needed = "a name";
        let task = self.text(Some(self.columns.task), row);
        let task = task.ok_or_else(|| bad_cell(self.path, self.cells, (self.columns.task, row), needed))?;
        let (params, tokens) = (self.positive(self.columns.params, row)?, self.positive(self.columns.tokens, row)?);
        let told = self.positive(self.columns.flops, row)?;
        let by_rule = params.zip(tokens).map(|(params, tokens)| 6.0 * params * tokens);
        let Some(flops) = told.or(by_rule) else {
            let problem = format!("row {}: neither `flops` nor both of `params` and `tokens` are told", row + 1);
            return Err(TableError::new(self.path, problem, "fill them in, or leave the row out by --where"));
        };
        let size = params.map(|params| format!(", {params:e} parameters"));
        let nameless = || format!("{flops:e} FLOPs{}", size.unwrap_or_default());
        let run_id = self.text(self.columns.run_id, row).unwrap_or_else(nameless);
        let score = TaskScore {
            cluster: self.text(self.columns.cluster, row).unwrap_or_else(|| run_id.clone()),
            run_id,
            params,
            tokens,
            flops,
            task,
            value: self.number(self.columns.value, row)?,
            chance: self.optional(self.columns.chance, row)?,
            n_items: self.positive(self.columns.n_items, row)?,
            loss: self.positive(self.columns.loss, row)?,
        };
        let metric = self.text(self.columns.metric, row);
        let is_loss = metric.as_deref().is_some_and(is_loss);
        let role = role(self.path, row, self.text(self.columns.role, row).as_deref())?;
        Ok(Some(Row { score, metric, is_loss, role }))
    }

    fn text(&self, column: Option<usize>, row: usize) -> Option<String> {
        self.cells.at(column?, row).text()
    }

    fn number(&self, column: usize, row: usize) -> Result<f64, TableError> {
        cells::number(self.path, self.cells, (column, row), f64::is_finite, "a number")
    }

    fn optional(&self, column: Option<usize>, row: usize) -> Result<Option<f64>, TableError> {
        let filled = column.filter(|&column| *self.cells.at(column, row) != Cell::Empty);
        filled.map(|column| self.number(column, row)).transpose()
    }

    fn positive(&self, column: Option<usize>, row: usize) -> Result<Option<f64>, TableError> {
        let Some(column) = column.filter(|&column| *self.cells.at(column, row) != Cell::Empty) else { return Ok(None) };
        let is_allowed = |number: f64| number.is_finite() && number > 0.0;
        cells::number(self.path, self.cells, (column, row), is_allowed, "a number above 0").map(Some)
    }
}

/// Whether a metric is a loss, by its name.
pub(super) fn is_loss(metric: &str) -> bool {
    LOSSES.contains(&metric.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "model,params,tokens,task,metric,value,n_items,chance,role\n";

    fn with<T>(content: &str, read: impl Fn(&Path) -> T) -> T {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("scores.csv");
        std::fs::write(&path, content).expect("written");
        read(&path)
    }

    fn options(map: &[&str], metric: Option<&str>) -> TableOptions {
        let map = map.iter().map(|entry| (*entry).to_owned()).collect();
        TableOptions { map, metric: metric.map(str::to_owned), ..TableOptions::default() }
    }

    #[test]
    fn a_row_of_bits_per_byte_tells_the_loss_of_its_task() {
        let rows =
            "s,1e6,2e7,piqa,acc,0.55,1838,0.5,\ns,1e6,2e7,piqa,bpb,1.2,,,\nl,1e9,2e10,piqa,acc,0.7,1838,0.5,target\n";
        let asked = options(&["run_id=model"], None);
        let found = with(&format!("{HEADER}{rows}"), |path| read_scores(path, &asked)).expect("reads");
        assert_eq!((found.scores.len(), found.held_out.len()), (1, 1));
        let score = &found.scores[0];
        assert_eq!(
            (score.run_id.as_str(), score.loss, score.chance, score.n_items),
            ("s", Some(1.2), Some(0.5), Some(1838.0))
        );
        assert!((score.flops / 1.2e14 - 1.0).abs() < 1e-12 && score.cluster == "s");
    }

    #[test]
    fn two_losses_of_one_run_and_task_are_refused_and_a_run_without_a_name_has_its_compute_for_one() {
        let score = "s,1e6,2e7,piqa,acc,0.55,1838,0.5,\ns,1e6,2e7,piqa,bpb,1.2,,,\n";
        let asked = options(&["run_id=model"], None);
        let twice = format!("{HEADER}{score}s,1e6,2e7,piqa,nll,0.8,,,\n");
        let error = with(&twice, |path| read_scores(path, &asked)).expect_err("refused").to_string();
        assert!(
            error.contains("`piqa` has losses by `bpb` and by `nll`, and one law needs one kind\n\nhint: keep one by"),
            "{error}"
        );
        let again = format!("{HEADER}{score}s,1e6,2e7,piqa,bpb,0.8,,,\n");
        let error = with(&again, |path| read_scores(path, &asked)).expect_err("refused").to_string();
        assert!(error.contains("`s` has two losses of `piqa`, both by `bpb`\n\nhint: tell runs apart"), "{error}");
        let nameless = with("flops,task,value\n1e18,piqa,0.55\n", |path| read_scores(path, &options(&[], None)));
        assert_eq!(nameless.expect("reads").scores[0].run_id, "1e18 FLOPs");
    }

    #[test]
    fn a_metric_keeps_its_own_rows_and_the_losses() {
        let rows = "s,1e6,2e7,piqa,acc,0.55,,,\ns,1e6,2e7,piqa,acc_norm,0.56,,,\ns,1e6,2e7,piqa,bpb,1.2,,,\n";
        let asked = options(&["run_id=model"], Some("acc_norm"));
        let found = with(&format!("{HEADER}{rows}"), |path| read_scores(path, &asked)).expect("reads");
        assert!(found.scores.len() == 1 && (found.scores[0].value - 0.56).abs() < 1e-12);
        assert_eq!((found.scores[0].loss, found.notes.as_slice()), (Some(1.2), &["1 rows left out".to_owned()][..]));
    }

    #[test]
    fn two_metrics_of_one_run_and_task_are_refused_unless_one_is_asked_for() {
        let rows = "s,1e6,2e7,piqa,acc,0.55,,,\ns,1e6,2e7,piqa,acc_norm,0.56,,,\n";
        let error = with(&format!("{HEADER}{rows}"), |path| read_scores(path, &options(&["run_id=model"], None)));
        let error = error.expect_err("refused").to_string();
        assert!(
            error
                .contains("`s` has two scores of `piqa`, by `acc` and by `acc_norm`\n\nhint: keep one by --metric acc"),
            "{error}"
        );
    }

    #[test]
    fn a_table_of_losses_is_none_of_scores() {
        let is =
            |content: &str, asked: &TableOptions| with(content, |path| is_score_table(path, asked)).expect("reads");
        assert!(!is("params,tokens,loss,task\n1,2,3,piqa\n", &TableOptions::default()));
        assert!(is("params,tokens,task,value\n1,2,piqa,0.5\n", &TableOptions::default()));
        assert!(is("params,tokens,task,acc\n1,2,piqa,0.5\n", &options(&["value=acc"], None)));
        // `--metric` names a column: what is fitted is that column, as ever.
        assert!(!is("params,tokens,task,value,loss\n1,2,piqa,0.5,3\n", &options(&[], Some("loss"))));
        assert!(is("params,tokens,task,value,metric\n1,2,piqa,0.5,acc\n", &options(&[], Some("acc"))));
    }

    #[test]
    fn the_loss_beside_scores_is_asked_for_by_its_column_and_the_rows_of_one_task() {
        let of = |header: &str, asked: &TableOptions| {
            let content = format!("{header}\nr,1e6,2e7,piqa,acc,0.5,3\nr,1e6,2e7,arc,acc,0.3,3\n");
            with(&content, |path| loss_beside_scores(path, asked)).expect("reads")
        };
        let told = "run_id,params,tokens,task,metric,value,loss";
        let typed = of(told, &TableOptions::default());
        assert_eq!(typed.as_deref(), Some(r#"--metric loss --where 'task == "piqa" and metric == "acc"'"#));
        let filtered = TableOptions { filter: Some("params > 1e5".to_owned()), ..options(&["loss=val"], None) };
        let typed = of("run_id,params,tokens,task,metric,value,val", &filtered);
        assert_eq!(
            typed.as_deref(),
            Some(r#"--metric val --where 'params > 1e5 and task == "piqa" and metric == "acc"'"#)
        );
        assert_eq!(of("run_id,params,tokens,task,metric,value,n_items", &TableOptions::default()), None);
    }

    #[test]
    fn a_row_that_is_left_out_may_hold_anything() {
        let content = "flops,task,value,step\n0,piqa,half,0\n1e18,piqa,0.5,9\n";
        let asked = TableOptions { filter: Some("step > 0".to_owned()), ..TableOptions::default() };
        assert_eq!(with(content, |path| read_scores(path, &asked)).expect("reads").scores.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let said = |content: &str| {
            with(content, |path| read_scores(path, &TableOptions::default())).expect_err("refused").to_string()
        };
        assert!(said("params,tokens,task,value\n1,2,piqa,half\n").contains("row 1: `value` is `half`"));
        assert!(said("params,task,value\n1,piqa,0.5\n").contains("row 1: neither `flops` nor both"));
        assert!(said("flops,task,value\n-1,piqa,0.5\n").contains("`flops` is `-1`; a number above 0 is needed"));
        assert!(said("flops,task,value\n1,piqa,\n").contains("no score is left of 1 rows"));
    }
}
