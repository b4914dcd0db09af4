//! Tables of loss curves: one row a step of a run, with the learning rate it was trained at.
//!
//! `run_id`, `step`, `lr` and `loss` (or `--metric NAME`), and `group` where more than one model stands in the table. Rows
//! come in any order. A row without a loss still tells the schedule, and a run with none at all is a schedule that
//! nobody has trained.
//!
//! Rows are samples of a schedule: between two of them the rate goes in a straight line, except where it is the same over
//! the rows before and the same over the rows after, which is a jump at the later row. Before the first row it rises in a
//! straight line from 0 at step 0, over all of those steps unless `warmup` says otherwise: what was never logged cannot be
//! read, and the law needs the rate summed from the start. Losses before the rate has reached its peak are left out.

use std::collections::BTreeMap;
use std::path::Path;

use forescale_core::law::multi_power::{COLUMNS, Knot, NAME, Schedule};
use forescale_core::quantity::LossUnit;
use forescale_core::schedule::{CurveGroup, LossCurve, StepLoss};

use super::cells::{self, Cell, Cells, bad_cell};
use super::columns::CurveColumns;
use super::filter::Filter;
use super::table::{TableError, TableOptions, unit_of};

/// Losses a curve needs (chosen here: with fewer, how well it is met says nothing).
const NEEDED_LOSSES: usize = 5;
/// Rates that differ by less than this share are the same one (chosen here: far below any step of a schedule, above the
/// rounding of printed digits).
const SAME_RATE: f64 = 1e-6;
/// The warmup is over where the rate first reaches this share of its peak (chosen here, for printed digits).
const AT_PEAK: f64 = 0.999;

/// A table of curves, read.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveTable {
    /// Curves by group, both in the order of their names.
    pub groups: Vec<CurveGroup>,
    /// Column of the loss.
    pub metric: String,
    /// Its unit.
    pub unit: LossUnit,
    /// What was assumed, in sentences.
    pub notes: Vec<String>,
}

/// Reads a table of curves; `warmup` is the steps over which the rate rose before the first row of each.
///
/// # Errors
///
/// [`TableError`] when the file cannot be read, has no rows or lacks a column, an option names what is not there, a number
/// cannot be, a step of a run stands twice, or a run has too few losses or no rate.
pub fn read_curves(path: &Path, options: &TableOptions, warmup: Option<f64>) -> Result<CurveTable, TableError> {
    if let Some(steps) = warmup.filter(|steps| !(steps.is_finite() && *steps >= 0.0)) {
        let problem = format!("`--warmup` is {steps}; 0 steps or more are needed");
        return Err(TableError::new(path, problem, "leave it out, or give the steps of the warmup: --warmup 2000"));
    }
    if options.rule.is_some() {
        let problem = format!("`--rule` counts compute, and `{NAME}` knows none");
        return Err(TableError::new(path, problem, "leave `--rule` out"));
    }
    let cells = cells::read_rows(path)?;
    let columns = CurveColumns::find(path, &cells, options)?;
    let filter = options.filter.as_deref().map(|text| Filter::parse(path, text, &cells)).transpose()?;
    Reader { path, cells: &cells, columns, options, warmup }.read(filter.as_ref())
}

/// A run of a group.
type RunKey = (Option<String>, String);

/// A row of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    /// Counted from 1, as errors name it.
    number: usize,
    step: f64,
    rate: f64,
    loss: Option<f64>,
}

struct Reader<'a> {
    path: &'a Path,
    cells: &'a Cells,
    columns: CurveColumns,
    options: &'a TableOptions,
    warmup: Option<f64>,
}

/// What the notes count.
#[derive(Default)]
struct Counts {
    filtered: usize,
    /// Runs that begin after step 0.
    late: usize,
    /// Losses before the peak rate.
    early: usize,
}

impl Reader<'_> {
    fn refuse<T>(&self, problem: String, hint: impl Into<String>) -> Result<T, TableError> {
        Err(TableError::new(self.path, problem, hint))
    }

    fn read(&self, filter: Option<&Filter>) -> Result<CurveTable, TableError> {
        let (mut runs, mut counts) = (BTreeMap::<RunKey, Vec<Row>>::new(), Counts::default());
        for row in 0..self.cells.rows {
            if filter.is_some_and(|filter| !filter.admits(self.cells, row)) {
                counts.filtered += 1;
                continue;
            }
            let (key, read) = self.row(row)?;
            runs.entry(key).or_default().push(read);
        }
        if runs.is_empty() {
            return self.refuse(format!("no row is left of {}", self.cells.rows), "a weaker --where may help");
        }
        let mut groups: BTreeMap<Option<String>, Vec<LossCurve>> = BTreeMap::new();
        for ((group, run_id), rows) in runs {
            let curve = self.curve(run_id, rows, &mut counts)?;
            groups.entry(group).or_default().push(curve);
        }
        let groups = groups.into_iter().map(|(group, curves)| CurveGroup { group, curves }).collect();
        let metric = self.cells.names[self.columns.loss].clone();
        let (unit, unit_note) = unit_of(&metric, self.options.unit);
        let notes = unit_note.into_iter().chain(self.notes(&counts)).collect();
        Ok(CurveTable { groups, metric, unit, notes })
    }

    fn row(&self, row: usize) -> Result<(RunKey, Row), TableError> {
        let columns = &self.columns;
        let group = columns.group.filter(|_| !self.options.pool).and_then(|column| self.cells.at(column, row).text());
        let Some(run_id) = self.cells.at(columns.run_id, row).text() else {
            return Err(bad_cell(self.path, self.cells, (columns.run_id, row), "the name of a run"));
        };
        let number = |column, allowed: fn(f64) -> bool, needed| {
            cells::number(self.path, self.cells, (column, row), |number| number.is_finite() && allowed(number), needed)
        };
        let has_loss = *self.cells.at(columns.loss, row) != Cell::Empty;
        let loss = has_loss.then(|| number(columns.loss, |loss| loss > 0.0, "a number above 0")).transpose()?;
        let step = number(columns.step, |step| step >= 0.0, "0 or more")?;
        let rate = number(columns.rate, |rate| rate >= 0.0, "0 or more")?;
        Ok(((group, run_id), Row { number: row + 1, step, rate, loss }))
    }

    fn curve(&self, run_id: String, mut rows: Vec<Row>, counts: &mut Counts) -> Result<LossCurve, TableError> {
        rows.sort_by(|a, b| a.step.total_cmp(&b.step).then(a.number.cmp(&b.number)));
        self.check_steps(&run_id, &rows)?;
        let schedule = Schedule::new(self.knots(&run_id, &rows)?).or_else(|error| {
            let text = error.to_string();
            let (problem, _) = text.split_once("\n\nhint: ").unwrap_or((&text, ""));
            self.refuse(format!("run `{run_id}`: {problem}"), "log the learning rate at each step that has a loss")
        })?;
        counts.late += usize::from(rows[0].step > 0.0);
        let warm = rows.iter().find(|row| row.rate >= AT_PEAK * schedule.peak()).map_or(0.0, |row| row.step);
        let losses: Vec<StepLoss> =
            rows.iter().filter_map(|row| row.loss.map(|loss| StepLoss { step: row.step, loss })).collect();
        let logged = losses.len();
        let points: Vec<StepLoss> = losses.into_iter().filter(|point| point.step >= warm && point.step > 0.0).collect();
        counts.early += logged - points.len();
        if logged > 0 && points.len() < NEEDED_LOSSES {
            let problem = format!(
                "run `{run_id}` has {} at or after its peak rate, at step {warm}; {NEEDED_LOSSES} are needed",
                if points.len() == 1 { "1 loss".to_owned() } else { format!("{} losses", points.len()) }
            );
            return self.refuse(problem, "leave the run out by --where, or log its loss more often");
        }
        Ok(LossCurve { run_id, schedule, points })
    }

    /// Each step of a run stands once.
    fn check_steps(&self, run_id: &str, rows: &[Row]) -> Result<(), TableError> {
        match rows.windows(2).find(|pair| pair[0].step.to_bits() == pair[1].step.to_bits()) {
            None => Ok(()),
            Some(pair) => {
                let (row, step, first) = (pair[1].number, pair[1].step, pair[0].number);
                let hint = "keep one row of each step by --where; --map group=COLUMN tells models apart, --map \
                            run_id=COLUMN runs";
                self.refuse(format!("row {row} is step {step} of run `{run_id}` again, after row {first}"), hint)
            }
        }
    }

    /// The schedule that the rows are samples of.
    fn knots(&self, run_id: &str, rows: &[Row]) -> Result<Vec<Knot>, TableError> {
        let mut knots = self.before(run_id, rows[0])?;
        for (index, row) in rows.iter().enumerate() {
            if is_jump(rows, index) {
                knots.push(Knot { step: row.step, rate: rows[index - 1].rate });
            }
            knots.push(Knot { step: row.step, rate: row.rate });
        }
        Ok(knots)
    }

    /// What the rate did before the first row.
    fn before(&self, run_id: &str, first: Row) -> Result<Vec<Knot>, TableError> {
        let steps = self.warmup.unwrap_or(first.step);
        if steps > first.step {
            let problem = format!(
                "`--warmup` is {steps}, and row {} of run `{run_id}` is at step {}: at most that is allowed",
                first.number, first.step
            );
            return self.refuse(problem, "leave `--warmup` out: the rows themselves tell the rate from there on");
        }
        let knot = |step, rate| Knot { step, rate };
        Ok(match (first.step > 0.0, steps > 0.0) {
            (false, _) => Vec::new(),
            (true, false) => vec![knot(0.0, first.rate)],
            (true, true) if steps < first.step => vec![knot(0.0, 0.0), knot(steps, first.rate)],
            (true, true) => vec![knot(0.0, 0.0)],
        })
    }

    fn notes(&self, counts: &Counts) -> Vec<String> {
        let late = (counts.late > 0 && self.warmup.is_none()).then(|| {
            format!(
                "{} begin after step 0: up to its first row the rate is taken to rise in a straight line from 0 (--warmup \
                 STEPS, 0 for none)",
                runs(counts.late)
            )
        });
        let early = (counts.early > 0)
            .then(|| format!("{} left out as within the warmup", counted(counts.early, "loss", "losses")));
        let filtered =
            (counts.filtered > 0).then(|| format!("{} left out: filtered", counted(counts.filtered, "row", "rows")));
        [late, early, filtered].into_iter().flatten().collect()
    }
}

/// Whether the rate jumps at a row: it is one over the rows before, and another over the rows after.
fn is_jump(rows: &[Row], at: usize) -> bool {
    let same = |one: usize, other: usize| {
        (rows[one].rate - rows[other].rate).abs() <= SAME_RATE * rows[one].rate.max(rows[other].rate)
    };
    at >= 2 && at + 1 < rows.len() && !same(at - 1, at) && same(at - 2, at - 1) && same(at, at + 1)
}

fn runs(count: usize) -> String {
    counted(count, "run", "runs")
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// What the columns of a table of curves are for, as an error says it.
pub(super) fn needed() -> String {
    format!("`{NAME}` reads loss curves, a row a step, from {COLUMNS}")
}

#[cfg(test)]
mod tests;
