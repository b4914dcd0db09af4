//! Rows that are points of one curve, taken for runs.
//!
//! A checkpoint in the middle of a schedule lies above what a run of that length ends at, by more the larger the model, so
//! that a law through checkpoints has another slope and another best size. Where a run is named in each of its rows they are
//! told by that; where each row has an id of its own they are told by what else they share.

use std::collections::BTreeMap;

use forescale_core::math;
use forescale_core::outcome::{Diagnosis, Severity};

use super::cells::Cells;

/// Columns that say where on a curve a row lies, as they are called; the first that is there counts.
pub(super) const STEPS: [&str; 4] = ["step", "_step", "global_step", "steps"];
/// Curves of so many rows, equally far apart in steps, are no runs: lengths of runs grow by factors, and whoever trains one run
/// for each of one to five epochs has no ten. Chosen here, as the others are.
const SURE_STEPS: usize = 10;
/// So many such rows are worth a word.
const EVEN_STEPS: usize = 5;
/// The same where no column says that they are steps, and they are known by their tokens alone.
const EVEN_TOKENS: usize = 8;
/// Curves of so many rows under a column of steps are worth a word however they are spaced: most ladders have fewer runs of
/// one size.
const MANY_STEPS: usize = 8;
/// Share of the strides that are alike on an even curve, as a last row may end it.
const ALIKE: f64 = 0.8;
/// Strides that differ by less than this share of where they lie are alike: positions are printed with three digits or more.
const ROUNDED: f64 = 5e-3;

/// A row that a fit sees.
pub(super) struct Point {
    pub(super) row: usize,
    /// All that is told of its run but for its length.
    pub(super) told: String,
    pub(super) name: Option<String>,
    /// N, where it is told.
    pub(super) params: Option<f64>,
    /// D, or C where that is all that is told.
    pub(super) amount: f64,
}

/// What rows look like that are points of curves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curves {
    /// How many curves, and of how many rows together.
    curves: usize,
    rows: usize,
    /// Whether nothing else can be meant.
    pub(super) is_sure: bool,
    /// Whether their size is among what they agree in.
    tells_size: bool,
    by: String,
}

impl Curves {
    pub(super) fn problem(&self) -> String {
        let Self { curves, rows, by, .. } = self;
        let what = if *curves == 1 { "one curve".to_owned() } else { format!("{curves} curves") };
        format!(
            "{rows} rows look like checkpoints on {what}: they agree in {}, and `{by}` rises in \
             {}; a checkpoint inside a schedule lies above a run of its length, and a law through such points has another \
             slope and another best size",
            if self.tells_size { "size and settings" } else { "all that is told of them" },
            if self.is_sure { "even steps" } else { "several steps" }
        )
    }

    pub(super) fn hint() -> String {
        "keep the end of each by --where, or say in a column `is_final` which rows are ends of their schedule (all, where \
         each was trained for itself); whole curves of one model: forescale fit CURVES --law multi_power"
            .to_owned()
    }

    pub(super) fn diagnosis(&self) -> Diagnosis {
        Diagnosis {
            code: "checkpoints".to_owned(),
            severity: Severity::Warning,
            message: self.problem(),
            hint: Self::hint(),
        }
    }
}

/// The column of steps that a table has.
fn step_column(cells: &Cells) -> Option<(usize, &'static str)> {
    STEPS.iter().find_map(|name| cells.position(name).map(|column| (column, *name)))
}

/// Whether a table says where on a curve its rows lie.
pub(super) fn has_steps(cells: &Cells) -> bool {
    step_column(cells).is_some()
}

/// Curves among the rows, where they hold half of them or more.
pub(super) fn curves(cells: &Cells, points: &[Point]) -> Option<Curves> {
    let tells_size = points.iter().all(|point| point.params.is_some());
    let Some((column, by)) = step_column(cells) else {
        let amount = if tells_size { "tokens" } else { "flops" };
        let rows = Rows { points, at: &|point| Some(point.amount), by: amount };
        return rows.curves(false, by_told, |at| at.len() >= EVEN_TOKENS && is_even(at, 0.0));
    };
    let rows = Rows { points, at: &|point| cells.at(column, point.row).number(), by };
    let even = |at: &[f64], least: usize| at.len() >= least && is_even(at, 1.0);
    rows.curves(true, by_name, |at| even(at, SURE_STEPS))
        .or_else(|| rows.curves(true, by_told, |at| even(at, SURE_STEPS)))
        .or_else(|| rows.curves(false, by_told, |at| even(at, EVEN_STEPS) || tells_size && at.len() >= MANY_STEPS))
        .or_else(|| rows.curves(false, by_name, |at| at.len() >= EVEN_STEPS))
}

/// What is told of a row's run.
fn by_told(point: &Point) -> Option<String> {
    Some(point.told.clone())
}

/// What its run is called, at its size.
fn by_name(point: &Point) -> Option<String> {
    point.name.clone().map(|name| format!("{name} {:?}", point.params))
}

/// Rows and where each lies on its curve.
struct Rows<'a> {
    points: &'a [Point],
    at: &'a dyn Fn(&Point) -> Option<f64>,
    by: &'a str,
}

impl Rows<'_> {
    /// The curves that rows of one key make, where they hold half of the rows or more.
    fn curves(
        &self,
        is_sure: bool,
        key: fn(&Point) -> Option<String>,
        is_curve: impl Fn(&[f64]) -> bool,
    ) -> Option<Curves> {
        let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for point in self.points {
            let (Some(key), Some(at)) = (key(point), (self.at)(point)) else { continue };
            all.entry(key).or_default().push(at);
        }
        let found: Vec<usize> = all.into_values().map(distinct).filter(|at| is_curve(at)).map(|at| at.len()).collect();
        let rows: usize = found.iter().sum();
        (2 * rows >= self.points.len() && rows > 0).then(|| Curves {
            curves: found.len(),
            rows,
            is_sure,
            tells_size: self.points.iter().all(|point| point.params.is_some()),
            by: self.by.to_owned(),
        })
    }
}

/// Each once, rising.
fn distinct(mut at: Vec<f64>) -> Vec<f64> {
    at.sort_by(f64::total_cmp);
    at.dedup();
    at
}

/// Whether most neighbours are equally far apart, up to rounding to a unit.
fn is_even(at: &[f64], unit: f64) -> bool {
    let strides: Vec<f64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let Some(middle) = math::median(&strides) else { return false };
    let is_alike = |(stride, end): (&f64, &f64)| (stride - middle).abs() <= unit.max(ROUNDED * end);
    let alike = strides.iter().zip(&at[1..]).filter(|pair| is_alike(*pair)).count();
    alike as f64 >= ALIKE * strides.len() as f64
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::table::{Table, TableError, TableOptions, read_table};
    use super::*;

    fn read(content: &str) -> Result<Table, TableError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("runs.csv");
        fs::write(&path, content).expect("written");
        read_table(&path, &TableOptions::default())
    }

    /// Four sizes, each at some multiples of its first step; an id for each row.
    fn curves(steps: &[u32], columns: &str, more: impl Fn(u32) -> String) -> String {
        let row = |size: u32, step: u32| {
            let tokens = u64::from(size) * u64::from(step) * 100_000;
            format!(
                "{size}m-{step},{size}000000,{tokens},{:.4}{}\n",
                2.0 + 9.0 / f64::from(size * step),
                more(size * step)
            )
        };
        let rows = [10, 20, 40, 80].iter().flat_map(|&size| steps.iter().map(move |&step| (size, step)));
        format!("run_id,params,tokens,loss{columns}\n{}", rows.map(|(size, step)| row(size, step)).collect::<String>())
    }

    fn codes(table: &Table) -> Vec<&str> {
        table.doubts.iter().map(|doubt| doubt.code.as_str()).collect()
    }

    #[test]
    fn checkpoints_with_ids_of_their_own_are_refused_and_not_fitted_as_runs() {
        // A published suite of 14 shapes, 35 checkpoints each, was fitted as 490 runs: the best size was off two to three times.
        let even: Vec<u32> = (1..=35).collect();
        let refused = read(&curves(&even, ",step", |step| format!(",{step}"))).expect_err("refused");
        assert!(refused.problem.starts_with("140 rows look like checkpoints on 4 curves"), "{refused}");
        assert!(refused.hint.contains("is_final"), "{refused}");
        // Who says that each is an end is believed.
        let said = read(&curves(&even, ",step,is_final", |step| format!(",{step},true"))).expect("read");
        assert_eq!((said.observations.len(), codes(&said)), (140, vec![]));
    }

    #[test]
    fn curves_of_one_size_and_several_lengths_are_told_apart_by_their_names() {
        // Saved twenty times each, as a published ladder is: the steps of all lengths together are uneven.
        let row = |(run, k): (u32, u32)| {
            let step = 1000 * (1 << run) / 20 * k;
            format!(
                "{run}-{k},r{run},190000000,{},{step},{:.4}\n",
                524_288 * u64::from(step),
                3.0 + 9.0 / f64::from(step)
            )
        };
        let rows = (0..4).flat_map(|run| (1..=20).map(move |k| row((run, k))));
        let content = format!("run_id,name,params,tokens,step,loss\n{}", rows.collect::<String>());
        let refused = read(&content).expect_err("refused");
        assert!(refused.problem.starts_with("80 rows look like checkpoints on 4 curves"), "{refused}");
    }

    #[test]
    fn rows_of_one_name_or_in_even_strides_of_tokens_are_doubted() {
        // Rates differ row by row, as they do along a schedule, and do not tell the rows of one name apart.
        let rates = |step: u32| format!(",m,{step},{step}e-6");
        let named = read(&curves(&[1, 2, 5, 9, 17, 40], ",name,global_step,lr", rates)).expect("read");
        assert_eq!(codes(&named), ["checkpoints"], "{:?}", named.doubts);
        let even: Vec<u32> = (1..=10).collect();
        let bare = read(&curves(&even, "", |_| String::new())).expect("read");
        assert_eq!(codes(&bare), ["checkpoints"]);
        let logarithmic: Vec<u32> = (0..12).map(|k| 1 << k).collect();
        let many = read(&curves(&logarithmic, ",step", |step| format!(",{step}"))).expect("read");
        assert_eq!(codes(&many), ["checkpoints"]);
        assert!(many.doubts[0].message.contains("48 rows look like checkpoints on 4 curves"), "{:?}", many.doubts);
    }

    #[test]
    fn strides_rounded_to_steps_or_to_three_digits_are_even() {
        // Every twentieth of 953 steps, and every 104,857,600 tokens printed with three digits.
        let saved: Vec<f64> = (1..=20).map(|k| (47.65 * f64::from(k)).round()).collect();
        assert!(is_even(&saved, 1.0));
        let printed: Vec<f64> =
            (1..=20).map(|k| format!("{:.2e}", 104_857_600.0 * f64::from(k)).parse().expect("a number")).collect();
        assert!(is_even(&printed, 0.0));
        assert!(!is_even(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0], 0.0));
    }

    #[test]
    fn runs_of_several_lengths_are_no_checkpoints() {
        // Multiples of 20 tokens a parameter, as ladders have them, with the step that each ended at and the model's name.
        let named = |step: u32| format!(",d,{step}");
        let ladder = read(&curves(&[1, 2, 4, 10], ",name,step", named)).expect("read");
        assert!(ladder.doubts.is_empty(), "{:?}", ladder.doubts);
        let bare = read(&curves(&[1, 2, 3, 4, 5, 6], "", |_| String::new())).expect("read");
        assert!(bare.doubts.is_empty(), "{:?}", bare.doubts);
        // Five lengths in even strides may be either, and are read with a doubt.
        let five = read(&curves(&[1, 2, 3, 4, 5], ",step", |step| format!(",{step}"))).expect("read");
        assert_eq!((five.observations.len(), codes(&five)), (20, vec!["checkpoints"]));
    }
}
