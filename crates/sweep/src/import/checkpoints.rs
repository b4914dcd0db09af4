//! Rows that are points of one curve, taken for runs.
//!
//! A checkpoint in the middle of a schedule lies above what a run of that length ends at, by more the larger the model, so
//! that a law through checkpoints has another slope and another best size. Where a run is named in each of its rows they are
//! told by that; where each row has an id of its own they are told by what else they share.

use std::collections::BTreeMap;

use forescale_core::math;
use forescale_core::outcome::{Diagnosis, Severity};

use super::cells::Cells;

/// The column that says where on a curve a row lies.
pub(super) const STEP: &str = "step";
/// Curves of so many rows on end, equally far apart in steps, are no runs: lengths of runs grow by factors. Chosen here, as
/// the others are.
const EVEN_STEPS: usize = 5;
/// The same where no column says that they are steps, and they are known by their tokens alone.
const EVEN_TOKENS: usize = 8;
/// Curves of so many rows under a column of steps are worth a word however they are spaced: most ladders have fewer runs of
/// one size.
const MANY_STEPS: usize = 8;
/// Share of the strides that are alike on an even curve, as a last row may end it.
const ALIKE: f64 = 0.8;
/// Strides that differ by less are alike: tokens are printed with a few digits.
const SAME_STRIDE: f64 = 1e-3;

/// A row that a fit sees.
pub(super) struct Point {
    pub(super) row: usize,
    /// All that is told of its run but for its length.
    pub(super) told: String,
    pub(super) name: Option<String>,
    pub(super) tokens: f64,
}

/// What rows look like that are points of curves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curves {
    /// How many curves, and of how many rows together.
    curves: usize,
    rows: usize,
    /// Whether nothing else can be meant.
    pub(super) is_sure: bool,
    by: &'static str,
}

impl Curves {
    pub(super) fn problem(&self) -> String {
        let Self { curves, rows, by, .. } = self;
        let what = if *curves == 1 { "one curve".to_owned() } else { format!("{curves} curves") };
        format!(
            "{rows} rows look like checkpoints on {what}: they agree in all that is told but for `{by}`, which rises in \
             {}; a checkpoint inside a schedule lies above a run of its length, and a law through such points has another \
             slope and another best size",
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

/// Curves among the rows, where they hold half of them or more.
pub(super) fn curves(cells: &Cells, points: &[Point]) -> Option<Curves> {
    let step = cells.position(STEP);
    let at = |point: &Point| step.map_or(Some(point.tokens), |column| cells.at(column, point.row).number());
    let by = if step.is_some() { STEP } else { "tokens" };
    let found = |is_sure: bool, is_curve: &dyn Fn(&[f64]) -> bool, key: &dyn Fn(&Point) -> Option<String>| {
        let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for point in points {
            let (Some(key), Some(at)) = (key(point), at(point)) else { continue };
            all.entry(key).or_default().push(at);
        }
        let of_curves: Vec<usize> =
            all.into_values().map(distinct).filter(|at| is_curve(at)).map(|at| at.len()).collect();
        let rows: usize = of_curves.iter().sum();
        (2 * rows >= points.len() && rows > 0).then_some(Curves { curves: of_curves.len(), rows, is_sure, by })
    };
    let told = |point: &Point| Some(point.told.clone());
    let named = |point: &Point| point.name.clone().map(|name| format!("{name} {}", point.told));
    match step {
        Some(_) => found(true, &|at| at.len() >= EVEN_STEPS && is_even(at), &told)
            .or_else(|| found(false, &|at| at.len() > 1, &named))
            .or_else(|| found(false, &|at| at.len() >= MANY_STEPS, &told)),
        None => found(false, &|at| at.len() >= EVEN_TOKENS && is_even(at), &told),
    }
}

/// Each once, rising.
fn distinct(mut at: Vec<f64>) -> Vec<f64> {
    at.sort_by(f64::total_cmp);
    at.dedup();
    at
}

/// Whether most neighbours are equally far apart.
fn is_even(at: &[f64]) -> bool {
    let strides: Vec<f64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let Some(middle) = math::median(&strides) else { return false };
    let alike = strides.iter().filter(|stride| (*stride / middle - 1.0).abs() < SAME_STRIDE).count();
    alike as f64 >= ALIKE * strides.len() as f64
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::table::{Table, TableError, TableOptions, read_table};

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
    fn rows_of_one_name_or_in_even_strides_of_tokens_are_doubted() {
        let named = read(&curves(&[1, 2, 4], ",name,step", |step| format!(",m{},{step}", 0))).expect("read");
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
    fn runs_of_several_lengths_are_no_checkpoints() {
        // Multiples of 20 tokens a parameter, as ladders have them, with the step that each ended at.
        let ladder = read(&curves(&[1, 2, 4, 10, 20], ",step", |step| format!(",{step}"))).expect("read");
        assert!(ladder.doubts.is_empty(), "{:?}", ladder.doubts);
        let bare = read(&curves(&[1, 2, 3, 4, 5, 6], "", |_| String::new())).expect("read");
        assert!(bare.doubts.is_empty(), "{:?}", bare.doubts);
    }
}
