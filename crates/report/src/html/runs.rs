//! The table of runs with what each cell sorts by: `1.31M` as a reader sees it and 1310720 as a script does.

use forescale_core::panel::{ReportData, RunRow};

use crate::table::Table;
use crate::tables;

/// A cell and the number it sorts by, where it is one.
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) key: Option<String>,
}

/// Every run, used or not.
pub(super) struct RunTable {
    pub(super) headers: Vec<String>,
    pub(super) lines: Vec<Vec<Cell>>,
    shape: Table,
}

impl RunTable {
    pub(super) fn of(data: &ReportData) -> Self {
        let mut table = tables::runs(data);
        let rows = std::mem::take(&mut table.rows);
        let line = |(row, cells): (&RunRow, Vec<String>)| {
            let keyed = cells.into_iter().zip(keys(row));
            keyed.map(|(text, key)| Cell { text, key: key.map(|number| number.to_string()) }).collect()
        };
        let lines = data.runs.iter().zip(rows).map(line).collect();
        Self { headers: table.headers.clone(), lines, shape: table }
    }

    pub(super) fn is_number(&self, column: &usize) -> bool {
        self.shape.is_number(column)
    }
}

/// What the columns of [`tables::runs`] sort by, in their order.
fn keys(row: &RunRow) -> [Option<f64>; 10] {
    let seed = row.seed.map(|seed| seed as f64);
    let numbers = [None, None, row.params, row.tokens, Some(row.flops), seed];
    let [a, b, c, d, e, f] = numbers;
    [a, b, c, d, e, f, row.loss, row.loss_se, row.wall_seconds, None].map(|key| key.filter(|number| number.is_finite()))
}
