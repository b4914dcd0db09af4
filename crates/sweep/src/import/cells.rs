//! A table as cells, whatever file it came from.

use std::fs::File;
use std::io::{Cursor, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use polars::prelude::*;

use super::{TableError, abbreviated, broken};

/// One cell. Whole numbers keep their digits as text, so that long ids stay exact.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Empty,
    Boolean(bool),
    Number(f64),
    Text(String),
}

impl Cell {
    /// The cell as a number, if it is one.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Empty | Self::Boolean(_) => None,
        }
    }

    /// The cell as words; nothing for an empty one.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Empty => None,
            Self::Boolean(value) => Some(value.to_string()),
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// The cell as true or false: the words, or 1 and 0.
    pub(super) fn truth(&self) -> Option<bool> {
        truth_of(&self.text()?)
    }
}

/// A table that has rows.
pub(super) fn read_rows(path: &Path) -> Result<Cells, TableError> {
    read_rows_of(path, LastLine::Whole)
}

/// The same of a table whose last line somebody may be writing.
pub(super) fn read_rows_of(path: &Path, last: LastLine) -> Result<Cells, TableError> {
    let cells = read(path, last)?;
    if cells.rows == 0 { Err(empty(path)) } else { Ok(cells) }
}

/// What the last line of a file may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastLine {
    /// Nothing: it is a row as the others are.
    Whole,
    /// Its end.
    BeingWritten,
}

/// A cell, at a column and a row, as a number that is allowed.
pub(super) fn number(
    path: &Path,
    cells: &Cells,
    (column, row): (usize, usize),
    allowed: impl Fn(f64) -> bool,
    needed: &str,
) -> Result<f64, TableError> {
    let number = cells.at(column, row).number().filter(|number| allowed(*number));
    number.ok_or_else(|| bad_cell(path, cells, (column, row), needed))
}

/// Whether a file of comma-separated values ends within a line, as one does that another program is writing.
pub(super) fn is_half_written(path: &Path) -> Result<bool, TableError> {
    if path.extension().is_none_or(|found| !found.eq_ignore_ascii_case("csv")) {
        return Ok(false);
    }
    let last = || -> std::io::Result<u8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last[0])
    };
    last()
        .map(|last| last != b'\n')
        .map_err(|cause| TableError::new(path, format!("the file cannot be read: {cause}"), "look at its permissions"))
}

/// The error of a cell, at a column and a row, that holds something else than what is needed.
pub(super) fn bad_cell(path: &Path, cells: &Cells, (column, row): (usize, usize), needed: &str) -> TableError {
    let name = &cells.names[column];
    let found = cells.at(column, row).text().map_or_else(|| "empty".to_owned(), |text| format!("`{text}`"));
    let problem = format!("row {}: `{name}` is {found}; {needed} is needed", row + 1);
    if let Some(hint) = abbreviated::hint(name, cells.at(column, row)) {
        return TableError::new(path, problem, hint);
    }
    let leave_out = condition_without(cells, (column, row), needed);
    let hint = leave_out.as_ref().map_or_else(
        || format!("correct the row, or leave it out by --where 'COLUMN != VALUE' on another column than `{name}`"),
        |condition| format!("correct the row, or leave it out by --where {condition:?}"),
    );
    TableError { leave_out, ..TableError::new(path, problem, hint) }
}

/// The condition of a `--where` that leaves out a cell that is not what is needed; none where quotes are in its way.
///
/// A cell without a number, or with NaN, is on neither side of a bound, so that any bound leaves it out. Where other rows
/// have no cell, a number is named itself: a bound would take those rows along.
fn condition_without(cells: &Cells, (column, row): (usize, usize), needed: &str) -> Option<String> {
    let name = named(cells, column)?;
    let bound = if needed.ends_with("above 0") { "> 0" } else { ">= 0" };
    let is_gappy = cells.columns[column].contains(&Cell::Empty);
    let cell = cells.at(column, row);
    Some(match (cell, cell.number()) {
        (Cell::Empty, _) if !cells.holds_numbers(column) => return None,
        (Cell::Empty, _) => format!("{name} {bound}"),
        (_, Some(number)) if number.is_infinite() && number > 0.0 => format!("{name} < inf"),
        (_, Some(number)) if number.is_nan() || !is_gappy => format!("{name} {bound}"),
        (_, Some(number)) => format!("{name} != {number}"),
        (_, None) => format!("{name} != {}", in_quotes(&cell.text()?)?),
    })
}

/// A column as a condition names it.
fn named(cells: &Cells, column: usize) -> Option<String> {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    let name = &cells.names[column];
    if name.chars().all(is_plain) { Some(name.clone()) } else { in_quotes(name) }
}

/// The condition that holds where a column has the text of its first filled cell.
pub(super) fn condition_of_first(cells: &Cells, column: usize) -> Option<String> {
    let value = (0..cells.rows).find_map(|row| cells.at(column, row).text())?;
    Some(format!("{} == {}", named(cells, column)?, in_quotes(&value)?))
}

/// A text in quotes that it does not hold itself.
fn in_quotes(text: &str) -> Option<String> {
    let quote = ['"', '\''].into_iter().find(|quote| !text.contains(*quote))?;
    Some(format!("{quote}{text}{quote}"))
}

/// A word as true or false.
pub(super) fn truth_of(word: &str) -> Option<bool> {
    match word.trim().to_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// A table's columns, by the names in the file.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    pub(super) names: Vec<String>,
    columns: Vec<Vec<Cell>>,
    pub(super) rows: usize,
}

impl Cells {
    /// Index of a column.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Whether every cell of a column that holds anything holds a number.
    pub(super) fn holds_numbers(&self, column: usize) -> bool {
        let mut filled = self.columns[column].iter().filter(|cell| **cell != Cell::Empty).peekable();
        filled.peek().is_some() && filled.all(|cell| cell.number().is_some())
    }

    /// A cell.
    pub(super) fn at(&self, column: usize, row: usize) -> &Cell {
        &self.columns[column][row]
    }
}

/// Reads a table by its file name's extension.
fn read(path: &Path, last: LastLine) -> Result<Cells, TableError> {
    if matches!(path.try_exists(), Ok(false)) {
        let hint = "check the spelling; a relative path is taken from the folder that you are in";
        return Err(TableError::new(path, "there is no such file or folder", hint));
    }
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("csv") => from_frame(path, &csv(path, last)?),
        Some("parquet") => from_frame(path, &parquet(path)?),
        Some("jsonl" | "ndjson") => jsonl(path),
        other => Err(broken::unknown_kind(path, other)),
    }
}

fn open(path: &Path) -> Result<File, TableError> {
    File::open(path).map_err(|error| TableError::new(path, format!("cannot be read: {error}"), "check the path"))
}

fn unreadable(path: &Path, kind: &str, error: &PolarsError) -> TableError {
    TableError::new(path, format!("cannot be read as {kind}: {error}"), "check that its content is what its name says")
}

/// All cells as text: what a number is, is decided column by column, where the row can be named.
fn csv(path: &Path, last: LastLine) -> Result<DataFrame, TableError> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes)
        .map_err(|error| TableError::new(path, format!("cannot be read: {error}"), "check the path"))?;
    // Text of two bytes a letter without its mark reads as letters and noughts.
    if bytes.contains(&0) {
        return Err(broken::csv(path, &bytes));
    }
    if let Some(error) = broken::separated_otherwise(path, &bytes).or_else(|| broken::short_row(path, &bytes, last)) {
        return Err(error);
    }
    let options = CsvReadOptions::default().with_infer_schema_length(Some(0));
    let reader = options.into_reader_with_file_handle(Cursor::new(&bytes));
    reader.finish().map_err(|error| match error {
        PolarsError::NoData(_) => empty(path),
        _ => broken::csv(path, &bytes),
    })
}

fn parquet(path: &Path) -> Result<DataFrame, TableError> {
    ParquetReader::new(open(path)?).finish().map_err(|error| unreadable(path, "Parquet", &error))
}

/// The error of a table without rows.
fn empty(path: &Path) -> TableError {
    if path.metadata().is_ok_and(|file| file.len() == 0) {
        return TableError::new(
            path,
            "the file is empty",
            "a table is a header line and one line a run; was it written whole?",
        );
    }
    TableError::new(path, "the table has no rows; at least one is needed", "a header line alone is not a table")
}

fn from_frame(path: &Path, frame: &DataFrame) -> Result<Cells, TableError> {
    let rows = frame.height();
    let mut cells = Cells { names: Vec::new(), columns: Vec::new(), rows };
    for column in frame.columns() {
        let values: PolarsResult<Vec<Cell>> = (0..rows).map(|row| column.get(row).map(cell)).collect();
        cells.names.push(column.name().trim().to_owned());
        cells.columns.push(values.map_err(|error| unreadable(path, "a table", &error))?);
    }
    if let Some(error) = broken::twins(path, &cells.names) {
        return Err(error);
    }
    Ok(cells)
}

fn cell(value: AnyValue<'_>) -> Cell {
    match value {
        AnyValue::Null => Cell::Empty,
        AnyValue::Boolean(value) => Cell::Boolean(value),
        AnyValue::Float32(number) => Cell::Number(f64::from(number)),
        AnyValue::Float64(number) => Cell::Number(number),
        AnyValue::String(text) => worded(text),
        AnyValue::StringOwned(text) => worded(&text),
        other => Cell::Text(other.to_string()),
    }
}

fn worded(text: &str) -> Cell {
    if text.trim().is_empty() { Cell::Empty } else { Cell::Text(text.to_owned()) }
}

fn jsonl(path: &Path) -> Result<Cells, TableError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| TableError::new(path, format!("cannot be read: {error}"), "check the path"))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut cells = Cells { names: Vec::new(), columns: Vec::new(), rows: 0 };
    for (index, line) in lines {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).map_err(|error| {
            let words = error.to_string();
            // The reader sees one line at a time, so that its own line number is always 1.
            let words = words.split(" at line ").next().unwrap_or_default();
            let problem = format!("line {} is not a JSON object: {words}, at column {}", index + 1, error.column());
            TableError::new(path, problem, "write one object a line; the file may have been cut short")
        })?;
        cells.push(object);
    }
    Ok(cells)
}

impl Cells {
    fn push(&mut self, object: serde_json::Map<String, serde_json::Value>) {
        for (name, value) in object {
            let column = self.position(&name).unwrap_or_else(|| self.add(name));
            self.columns[column].push(json_cell(&value));
        }
        self.rows += 1;
        for column in &mut self.columns {
            column.resize(self.rows, Cell::Empty);
        }
    }

    fn add(&mut self, name: String) -> usize {
        self.names.push(name);
        self.columns.push(vec![Cell::Empty; self.rows]);
        self.columns.len() - 1
    }
}

fn json_cell(value: &serde_json::Value) -> Cell {
    use serde_json::Value;
    match value {
        Value::Null => Cell::Empty,
        Value::Bool(value) => Cell::Boolean(*value),
        Value::Number(number) if number.is_f64() => number.as_f64().map_or(Cell::Empty, Cell::Number),
        Value::String(text) => worded(text),
        other => Cell::Text(other.to_string()),
    }
}
