//! What is wrong with a CSV that does not read: the row, where it can be found.

use std::path::Path;

use super::TableError;

/// The error of a CSV that does not read.
pub(super) fn csv(path: &Path, bytes: &[u8]) -> TableError {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return TableError::new(path, "is not UTF-8 text", "write the table again as UTF-8");
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
    fn a_file_that_is_no_text_is_told_so() {
        let error = csv(Path::new("runs.csv"), &[b'a', 0xff, b'\n']).to_string();
        assert!(error.starts_with("`runs.csv`: is not UTF-8 text\n\nhint: "), "{error}");
    }
}
