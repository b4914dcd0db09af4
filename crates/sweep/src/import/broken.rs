//! What is wrong with a file that does not read as a table: the row, where it can be found, and the command that mends it.

use std::path::Path;

use super::TableError;
use super::cells::LastLine;

/// The error of a file whose name does not say that it is a table.
pub(super) fn unknown_kind(path: &Path, extension: Option<&str>) -> TableError {
    let hint = match extension {
        Some("tsv" | "tab") => format!("write it with commas: {}", command_for(path, '\t')),
        Some("xlsx" | "xls" | "ods") => "save it from the spreadsheet as CSV UTF-8, under a name in .csv".to_owned(),
        Some("json") => "write one object a line, under a name in .jsonl".to_owned(),
        _ => "use .csv (columns apart by commas), .parquet or .jsonl".to_owned(),
    };
    TableError::new(path, "the kind of table is not known by its name", hint)
}

/// The error of a header without a comma, whose cells another sign separates.
pub(super) fn separated_otherwise(path: &Path, bytes: &[u8]) -> Option<TableError> {
    let header = std::str::from_utf8(bytes).ok()?.lines().find(|line| !line.trim().is_empty())?;
    let sign = [';', '\t'].into_iter().find(|sign| !header.contains(',') && header.contains(*sign))?;
    let shown = if sign == '\t' { "tabs" } else { "`;`" };
    let problem = format!("the columns look separated by {shown}, and a CSV is read by its commas");
    Some(TableError::new(path, problem, format!("write the table with commas: {}", command_for(path, sign))))
}

/// A command that writes a table with commas; commas that are there stand in decimals, and become points.
fn command_for(path: &Path, sign: char) -> String {
    let sign = if sign == '\t' { "\\t".to_owned() } else { sign.to_string() };
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let to = path.with_file_name(format!("{stem}-commas.csv"));
    let quoted = |path: &Path| path.display().to_string().replace('\'', r"'\''");
    format!("tr ',{sign}' '.,' < '{}' > '{}'", quoted(path), quoted(&to))
}

/// The error of a row with fewer cells than the header, of which nothing says which are missing.
pub(super) fn short_row(path: &Path, bytes: &[u8], last: LastLine) -> Option<TableError> {
    let mut rows = widths(std::str::from_utf8(bytes).ok()?).ok()?;
    if last == LastLine::BeingWritten {
        rows.pop();
    }
    let header = *rows.first()?;
    let row = rows.iter().position(|&cells| cells < header)?;
    let noun = if rows[row] == 1 { "cell" } else { "cells" };
    let problem = format!("{} has {} {noun}; the header has {header}", place(row), rows[row]);
    let hint = if row + 1 == rows.len() {
        "was the file written whole? fill the row in, with a comma for each cell that is empty"
    } else {
        "fill the row in, with a comma for each cell that is empty"
    };
    Some(TableError::new(path, problem, hint))
}

/// The error of a CSV that does not read.
pub(super) fn csv(path: &Path, bytes: &[u8]) -> TableError {
    let text = if bytes.contains(&0) { None } else { std::str::from_utf8(bytes).ok() };
    let Some(text) = text else {
        let problem = if is_utf16(bytes) { "is UTF-16 text, and UTF-8 is needed" } else { "is not UTF-8 text" };
        return TableError::new(path, problem, "write the table again as UTF-8 (in a spreadsheet: CSV UTF-8)");
    };
    let rows = match widths(text) {
        Ok(rows) => rows,
        Err(row) => {
            let problem = format!("{} has a quote that is never closed", place(row));
            return TableError::new(path, problem, "close it, or write a quote inside of a quoted cell twice");
        }
    };
    let header = rows.first().copied().unwrap_or_default();
    match rows.iter().position(|&cells| cells > header) {
        Some(row) => {
            let problem = format!("{} has {} cells; the header has {header}", place(row), rows[row]);
            TableError::new(path, problem, "put cells that hold a comma in double quotes, or name the further columns")
        }
        None => TableError::new(path, "cannot be read as CSV", "write it with one header line and commas, as UTF-8"),
    }
}

/// Whether a file begins with UTF-16's mark.
fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.contains(&0)
}

/// The error of two columns of one name, of which only one could be read. Polars calls the later one `NAME_duplicated_0`.
pub(super) fn twins(path: &Path, names: &[String]) -> Option<TableError> {
    let again = |name: &String| {
        let first = name.rsplit_once("_duplicated_").map_or(name.as_str(), |(first, _)| first).trim();
        (first != name || names.iter().filter(|other| *other == name).count() > 1).then(|| first.to_owned())
    };
    let is_there = |first: &String| names.contains(first);
    let twin = names.iter().filter_map(again).find(is_there)?;
    let problem = format!("the header names `{twin}` twice");
    Some(TableError::new(path, problem, "keep one of the two columns, or give the other another name"))
}

fn place(row: usize) -> String {
    if row == 0 { "the header".to_owned() } else { format!("row {row}") }
}

/// Cells of the header and of each row after it, or the row whose quote stays open; empty lines are no rows.
fn widths(text: &str) -> Result<Vec<usize>, usize> {
    let (mut rows, mut cells, mut quoted) = (Vec::new(), 0, false);
    for line in text.lines() {
        if !quoted && line.trim().is_empty() {
            continue;
        }
        if !quoted {
            cells = 1;
        }
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => cells += 1,
                _ => {}
            }
        }
        if !quoted {
            rows.push(cells);
        }
    }
    if quoted { Err(rows.len()) } else { Ok(rows) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_outside_of_quotes_and_over_line_ends_inside_of_them() {
        assert_eq!(widths("a,b\n1,\"2,\n3\"\n\n1,2,3\n"), Ok(vec![2, 2, 3]));
        assert_eq!(widths("a,b\n1,2\n1,\"2\n1,2\n"), Err(2));
    }

    #[test]
    fn a_row_with_fewer_cells_than_the_header_is_named_unless_it_is_being_written() {
        let said = |text: &str, last| {
            short_row(Path::new("runs.csv"), text.as_bytes(), last).map(|error| error.to_string()).unwrap_or_default()
        };
        let middle = said("a,b,c\n1,2,3\n\n1,\"2,5\"\n1,2,3\n", LastLine::Whole);
        assert!(middle.contains("row 2 has 2 cells; the header has 3\n\nhint: fill the row in"), "{middle}");
        let end = said("a,b,c\n1,2,3\n1", LastLine::Whole);
        assert!(end.contains("row 2 has 1 cell; the header has 3\n\nhint: was the file written whole?"), "{end}");
        assert_eq!(said("a,b,c\n1,2,3\n1", LastLine::BeingWritten), "");
        assert_eq!(said("a,b,c\n1,,\n,,\n", LastLine::Whole), "");
    }

    #[test]
    fn a_name_that_comes_twice_is_refused_and_one_that_only_looks_like_it_is_not() {
        let twins = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            super::twins(Path::new("runs.csv"), &names).map(|error| error.problem)
        };
        let problem = Some("the header names `loss` twice".to_owned());
        assert_eq!(twins(&["params", "loss", "loss_duplicated_0"]), problem);
        assert_eq!(twins(&["params", "loss", "loss"]), problem);
        assert_eq!(twins(&["params", "loss", "rows_duplicated_0"]), None);
    }

    #[test]
    fn a_file_of_utf_16_is_told_so() {
        let error = csv(Path::new("runs.csv"), &[0xff, 0xfe, b'a', 0]).to_string();
        assert!(error.starts_with("`runs.csv`: is UTF-16 text, and UTF-8 is needed\n\nhint: "), "{error}");
        let unmarked = csv(Path::new("runs.csv"), b"l\0o\0s\0s\0").to_string();
        assert!(unmarked.contains("is UTF-16 text"), "{unmarked}");
    }

    #[test]
    fn a_file_that_is_no_text_is_told_so() {
        let error = csv(Path::new("runs.csv"), &[b'a', 0xff, b'\n']).to_string();
        assert!(error.starts_with("`runs.csv`: is not UTF-8 text\n\nhint: "), "{error}");
    }
}
