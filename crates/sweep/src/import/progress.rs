//! Losses of runs on their way, as `track` reads them: our own logs and records, and tables of other trainers.
//!
//! A table has a row a step: `step` or `tokens`, `loss`, and may have `lr`; `run_id` where it holds the curves of a ladder. Rows come in any order; one without a loss is passed over, and a loss that is no number is kept,
//! for it may say that the run is over. A step that stands twice was trained again after a resume: the later row counts. How
//! far a run is follows from the steps or tokens of the whole, and where a run of the ladder has neither told, from its last
//! row, its curve being taken to be whole.

use std::collections::BTreeMap;
use std::path::Path;

use forescale_core::record::{CurvePoint, LogLine, RunStatus};
use forescale_core::track::ProgressPoint;

use super::cells::{self, Cell, Cells, LastLine};
use super::columns::ProgressColumns;
use super::filter::Filter;
use super::table::TableError;

/// The length of a whole run, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Length {
    /// Optimiser steps.
    pub steps: Option<f64>,
    /// Training tokens.
    pub tokens: Option<f64>,
}

/// How a log is to be read, as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Entries `ours=theirs`, each with one or more separated by commas.
    pub map: Vec<String>,
    /// Condition on rows.
    pub filter: Option<String>,
    /// The flag that `map` was typed with, as errors name it.
    pub map_flag: &'static str,
    /// The flag that `filter` was typed with.
    pub filter_flag: &'static str,
}

/// A run under way, as its log tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Underway {
    /// Its losses so far, by share of the run.
    pub points: Vec<ProgressPoint>,
    /// Whether the log says that it diverged.
    pub diverged: bool,
    /// Digest of the registration that the log names.
    pub registration_sha256: Option<String>,
    /// Whether rates are shares of a peak that is known; else of the highest that was logged.
    pub peak_known: bool,
    /// What was assumed, in sentences.
    pub notes: Vec<String>,
}

/// The curve of a run of ours: validation losses by share of its steps.
#[must_use]
pub fn curve_of(points: &[CurvePoint], steps: u64) -> Vec<ProgressPoint> {
    let of = |point: &CurvePoint| ProgressPoint {
        share: point.step as f64 / steps as f64,
        loss: point.loss,
        rate: Some(point.learning_rate_share),
    };
    points.iter().map(of).collect()
}

/// A run of ours from the lines of its log; `None` where no attempt has begun. What an attempt measured past the step that a
/// later one began from is forgotten.
#[must_use]
pub fn underway(lines: &[LogLine]) -> Option<Underway> {
    let (mut points, mut length, mut ended, mut named) = (BTreeMap::new(), None, None, None);
    for line in lines {
        match line {
            LogLine::Start { step, steps, registration_sha256, .. } => {
                points.split_off(&(step + 1));
                length = Some(*steps);
                named = registration_sha256.clone().or(named);
                ended = None;
            }
            LogLine::Evaluation { point, .. } => {
                points.insert(point.step, *point);
            }
            LogLine::End { status, .. } => ended = Some(*status),
            LogLine::Step { .. } | LogLine::OutOfMemory { .. } => {}
        }
    }
    let curve: Vec<CurvePoint> = points.into_values().collect();
    Some(Underway {
        points: curve_of(&curve, length?),
        diverged: ended == Some(RunStatus::Diverged),
        registration_sha256: named,
        peak_known: true,
        notes: Vec::new(),
    })
}

/// Reads the log of one run from a table. A last line without an end is being written by somebody, and is left out.
///
/// # Errors
///
/// [`TableError`] where the file cannot be read, has no rows or lacks a column, holds more than one run, a number cannot be,
/// or the length of the whole run is not known or passed.
pub fn read_progress(path: &Path, length: Length, options: &LogOptions) -> Result<Underway, TableError> {
    let read = || {
        let half = cells::is_half_written(path)?;
        let reader = Reader::open(path, options, half)?;
        let mut runs = reader.runs()?;
        if runs.len() > 1 {
            let names: Vec<&str> = runs.keys().map(String::as_str).collect();
            let problem = format!("the log holds {} runs: {}", runs.len(), names.join(", "));
            return Err(TableError::new(path, problem, format!("--where 'run_id == \"{}\"'", names[0])));
        }
        let (rows, repeated) = in_order(runs.pop_first().map(|(_, rows)| rows).unwrap_or_default());
        let half =
            half.then(|| "the log's last line has no end, as if it were being written: it is left out".to_owned());
        let again = (repeated > 0).then(|| {
            let name = &reader.cells.names[reader.columns.at];
            format!("{repeated} of the log's rows have a `{name}` that a later row has again: the later one counts")
        });
        Ok(Underway {
            points: reader.shares(&rows, length)?,
            diverged: false,
            registration_sha256: None,
            peak_known: false,
            notes: half.into_iter().chain(again).collect(),
        })
    };
    read().map_err(|error| error.of_flags(options.map_flag, options.filter_flag))
}

/// Reads the curves of a ladder from a table, by `run_id`; `length_of` tells how long a run is, as far as it is known.
///
/// # Errors
///
/// As [`read_progress`], and where there is no `run_id`.
pub fn read_ladder_curves(
    path: &Path,
    options: &LogOptions,
    length_of: impl Fn(&str) -> Length,
) -> Result<BTreeMap<String, Vec<ProgressPoint>>, TableError> {
    let read = || {
        let reader = Reader::open(path, options, false)?;
        if reader.columns.run_id.is_none() {
            let hint = "--map run_id=COLUMN: it says which run of the ladder a row is of";
            return Err(TableError::new(path, "the table has no column `run_id`", hint));
        }
        let of_run = |(run, rows): (String, Vec<Row>)| {
            let (rows, _) = in_order(rows);
            let (told, last) = (length_of(&run), rows.last().map(|row| row.at));
            let length = Length { steps: told.steps.or(last), tokens: told.tokens.or(last) };
            let points = reader.shares(&rows, length)?;
            Ok((run, points))
        };
        reader.runs()?.into_iter().map(of_run).collect()
    };
    read().map_err(|error| error.of_flags(options.map_flag, options.filter_flag))
}

/// Rows by step, each once, and how many were passed over for a later one.
fn in_order(mut rows: Vec<Row>) -> (Vec<Row>, usize) {
    let all = rows.len();
    rows.sort_by(|a, b| a.at.total_cmp(&b.at).then(b.number.cmp(&a.number)));
    rows.dedup_by(|next, kept| next.at.to_bits() == kept.at.to_bits());
    let passed = all - rows.len();
    (rows, passed)
}

/// A row with a loss.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// Counted from 1, as errors name it.
    number: usize,
    /// Step, or tokens.
    at: f64,
    rate: Option<f64>,
    loss: f64,
}

struct Reader<'a> {
    path: &'a Path,
    cells: Cells,
    columns: ProgressColumns,
    filter: Option<Filter>,
    /// Rows that are whole.
    rows: usize,
}

impl<'a> Reader<'a> {
    fn open(path: &'a Path, options: &LogOptions, half_written: bool) -> Result<Self, TableError> {
        let last = if half_written { LastLine::BeingWritten } else { LastLine::Whole };
        let cells = cells::read_rows_of(path, last)?;
        let columns = ProgressColumns::find(path, &cells, options)?;
        let filter = options.filter.as_deref().map(|text| Filter::parse(path, text, &cells)).transpose()?;
        let rows = cells.rows - usize::from(half_written);
        Ok(Self { path, cells, columns, filter, rows })
    }

    fn runs(&self) -> Result<BTreeMap<String, Vec<Row>>, TableError> {
        let mut runs: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in 0..self.rows {
            let admitted = self.filter.as_ref().is_none_or(|filter| filter.admits(&self.cells, row));
            if !admitted || *self.cells.at(self.columns.loss, row) == Cell::Empty {
                continue;
            }
            let run = self.columns.run_id.and_then(|column| self.cells.at(column, row).text()).unwrap_or_default();
            runs.entry(run).or_default().push(self.row(row)?);
        }
        Ok(runs)
    }

    fn row(&self, row: usize) -> Result<Row, TableError> {
        let number = |column, allowed: fn(f64) -> bool, needed| {
            cells::number(self.path, &self.cells, (column, row), allowed, needed)
        };
        let at = number(self.columns.at, |at| at.is_finite() && at >= 0.0, "0 or more")?;
        let rate = self.columns.rate.filter(|column| *self.cells.at(*column, row) != Cell::Empty);
        let rate =
            rate.map(|column| number(column, |rate| rate.is_finite() && rate >= 0.0, "0 or more")).transpose()?;
        let loss = number(self.columns.loss, |loss| loss.is_nan() || loss > 0.0, "a number above 0")?;
        Ok(Row { number: row + 1, at, rate, loss })
    }

    /// Losses of one run by the share of it that is done; what stands at step 0 is left out.
    fn shares(&self, rows: &[Row], length: Length) -> Result<Vec<ProgressPoint>, TableError> {
        let name = &self.cells.names[self.columns.at];
        let whole = if self.columns.is_step { length.steps } else { length.tokens };
        let Some(whole) = whole else {
            let problem = format!("the log tells `{name}`, and how many a whole run has is not known");
            let hint = if self.columns.is_step { "--steps N" } else { "register the target with its tokens" };
            return Err(TableError::new(self.path, problem, hint));
        };
        if let Some(late) = rows.last().filter(|row| row.at > whole * (1.0 + 1e-3)) {
            let problem = format!("row {} is at `{name}` {}, and the whole run has {whole}", late.number, late.at);
            let hint = if self.columns.is_step {
                "give the steps of the whole run with --steps"
            } else {
                "the run was registered with fewer tokens than it has seen: look at the unit of the column"
            };
            return Err(TableError::new(self.path, problem, hint));
        }
        let peak = rows.iter().filter_map(|row| row.rate).fold(0.0, f64::max);
        let of = |row: &Row| ProgressPoint {
            share: (row.at / whole).min(1.0),
            loss: row.loss,
            rate: row.rate.filter(|_| peak > 0.0).map(|rate| rate / peak),
        };
        Ok(rows.iter().filter(|row| row.at > 0.0).map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str, length: Length) -> Result<Underway, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log.csv");
        fs::write(&path, text).expect("written");
        read_progress(&path, length, &OPTIONS).map_err(|error| error.to_string())
    }

    const OPTIONS: LogOptions =
        LogOptions { map: Vec::new(), filter: None, map_flag: "--log-map", filter_flag: "--log-where" };
    const HUNDRED: Length = Length { steps: Some(100.0), tokens: None };

    #[test]
    fn rows_are_put_in_order_and_rates_told_as_shares_of_the_peak() {
        let log = read("step,loss,lr\n50,2.5,0.005\n25,3.0,0.01\n0,9,0\n75,,0.002\n", HUNDRED).expect("a log");
        let point = |share, loss, rate| ProgressPoint { share, loss, rate: Some(rate) };
        assert_eq!(log.points, [point(0.25, 3.0, 1.0), point(0.5, 2.5, 0.5)]);
    }

    #[test]
    fn a_loss_that_is_no_number_is_kept() {
        let log = read("step,loss\n10,3.0\n20,NaN\n", HUNDRED).expect("a log");
        assert!(log.points[1].loss.is_nan() && log.points.len() == 2);
    }

    #[test]
    fn of_a_step_trained_again_the_later_row_counts_and_is_said() {
        let log = read("step,loss\n10,3.0\n20,9.0\n20,2.5\n", HUNDRED).expect("a log");
        assert_eq!(log.points.iter().map(|point| point.loss).collect::<Vec<_>>(), [3.0, 2.5]);
        assert_eq!(log.notes, ["1 of the log's rows have a `step` that a later row has again: the later one counts"]);
    }

    #[test]
    fn a_last_line_that_is_being_written_is_left_out() {
        for last in ["20,2.", "20,-", "2"] {
            let log = read(&format!("step,loss\n10,3.0\n{last}"), HUNDRED).expect("a log");
            assert_eq!((log.points.len(), log.notes.len()), (1, 1), "{last}");
        }
    }

    #[test]
    fn a_curve_cut_short_is_placed_by_its_runs_own_length() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("curves.csv");
        fs::write(&path, "run_id,tokens,loss\na,1e9,3.0\na,2e9,2.5\nb,1e9,3.1\n").expect("written");
        let length = |run: &str| Length { steps: None, tokens: (run == "a").then_some(4e9) };
        let curves = read_ladder_curves(&path, &OPTIONS, length).expect("curves");
        let shares = |run: &str| curves[run].iter().map(|point| point.share).collect::<Vec<_>>();
        assert_eq!((shares("a"), shares("b")), (vec![0.25, 0.5], vec![1.0]));
    }

    #[test]
    fn tokens_stand_in_for_steps() {
        let log = read("tokens,loss\n2e9,3.0\n", Length { steps: None, tokens: Some(1e10) }).expect("a log");
        assert!((log.points[0].share - 0.2).abs() < 1e-15);
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_row() {
        let refused = |text: &str, length| read(text, length).expect_err("no log");
        for (text, length, words) in [
            ("step,loss\n10,-3\n", HUNDRED, "row 1: `loss` is `-3`"),
            ("step,loss\n10,3\n", Length::default(), "--steps N"),
            ("step,loss\n101,3\n", HUNDRED, "row 1 is at `step` 101, and the whole run has 100"),
            (
                "epoch,loss\n1,3\n",
                HUNDRED,
                "neither `step` nor `tokens`\n\nhint: --log-map step=COLUMN with one of `epoch`",
            ),
            ("step,val\n1,3\n", HUNDRED, "no column `loss`\n\nhint: --log-map loss=COLUMN with one of `val`"),
            ("run_id,step,loss\na,1,3\nb,1,3\n", HUNDRED, "the log holds 2 runs: a, b\n\nhint: --log-where"),
        ] {
            let error = refused(text, length);
            assert!(error.contains(words) && error.contains("hint: "), "{error}");
        }
    }

    #[test]
    fn a_step_evaluated_again_counts_once_and_a_new_attempt_forgets_how_the_last_one_ended() {
        let start = |attempt| LogLine::Start {
            attempt,
            step: 0,
            steps: 10,
            registration_sha256: Some("ab".to_owned()),
            simd: String::new(),
            device: String::new(),
        };
        let evaluated = |attempt, loss| LogLine::Evaluation {
            attempt,
            point: CurvePoint { step: 5, tokens: 50, learning_rate_share: 1.0, loss },
        };
        let end = |attempt| LogLine::End { attempt, step: 5, status: RunStatus::Diverged, wall_seconds: 1.0 };
        assert_eq!(underway(&[]), None);
        let first = [start(1), evaluated(1, 3.0), end(1)];
        assert!(underway(&first).expect("a run").diverged);
        let both = [&first[..], &[start(2), evaluated(2, 2.0)]].concat();
        let run = underway(&both).expect("a run");
        assert!(!run.diverged);
        assert_eq!(run.points, [ProgressPoint { share: 0.5, loss: 2.0, rate: Some(1.0) }]);
        assert_eq!(run.registration_sha256.as_deref(), Some("ab"));
        // A new attempt from the start knows nothing of what the one before measured further on.
        let again = underway(&[&first[..], &[start(2)]].concat()).expect("a run");
        assert!(again.points.is_empty() && !again.diverged);
    }
}
